"""How a lab looks to a person."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from hydria.cli.output import visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hydria.lab.looking import Look

#: Members and events that are shown; the rest is counted.
_MEMBERS, _EVENTS = 40, 8

_STYLES = {"master": "bold green", "standby": "", "off": "bold red"}


def picture(found: Look, events: Sequence[dict[str, Any]], traffic: str = "") -> Group:
    """Amphorae, members, what was done; `traffic`: a line about requests."""
    parts: list[Any] = [Text(f"lab {found.lab}: {', '.join(found.vips)}", style="bold")]
    table = _table("amphora", "role", "runs", "network", "heartbeats", "last")
    for one in found.amphorae:
        silent = "" if one.silent is None else f"{one.silent:.1f} s ago"
        table.add_row(
            one.name,
            Text(one.role, _STYLES[one.role]),
            ", ".join(one.programs),
            Text("passes" if one.network else "silent", "" if one.network else "red"),
            str(one.beats),
            silent,
        )
    parts.append(table)
    if len(found.masters) != 1:
        parts.append(Text("nobody has the VIPs" if not found.masters else "both have the VIPs", style="bold red"))
    parts += [Text(), _members(found)]
    if len(found.members) > _MEMBERS:
        parts.append(Text(f"and {len(found.members) - _MEMBERS} more members", style="dim"))
    if found.wrong_beats:
        parts.append(Text(f"{found.wrong_beats} heartbeats with a wrong signature", style="red"))
    if traffic:
        parts += [Text(), Text(traffic)]
    parts.append(Text())
    parts += [Text(f"{time.strftime('%H:%M:%S', time.localtime(event['at']))} {visible(event['what'])}") for event in events[-_EVENTS:]]
    return Group(*parts)


def _members(found: Look) -> Table:
    table = _table("member", "pool", "where", "is", "told", "answered")
    # Those that are down are what somebody looks for.
    for one in sorted(found.members, key=lambda member: member.accepts)[:_MEMBERS]:
        told = ", ".join(dict.fromkeys(one.told.values())) or "nothing yet"
        table.add_row(
            Text(visible(one.name)),
            Text(visible(one.pool)),
            one.place,
            Text("up" if one.accepts else "down", "green" if one.accepts else "red"),
            Text(visible(told)),
            str(one.answered),
        )
    return table


def _table(*headings: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        table.add_column(heading, no_wrap=True, justify="right" if heading in ("answered", "heartbeats") else "left")
    return table
