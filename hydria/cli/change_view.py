"""How a change is shown before it is made: what of the graph changes, and in which way HAProxy comes to it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from hydria.cli.output import colourful, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.outcomes import Forecast, Outcome, Way
    from compiler.graph_changes import Action, ObjectChange

#: Objects of a kind in one place, commands and reasons that are shown, if not all.
SHOWN = 20
#: Characters of a value.
_LONG = 100

_SIGNS: dict[Action, tuple[str, str]] = {"add": ("+", "green"), "change": ("~", "yellow"), "remove": ("-", "red")}
_WAYS: dict[Way, tuple[str, str]] = {
    "noop": ("nothing: what runs is what is wanted", "green"),
    "runtime": ("commands to the running HAProxy, without a reload", "green"),
    "reload": ("a reload: a new worker takes over, the old one goes when its connections have ended", "yellow"),
    "restart": ("a restart: connections are ended", "red"),
    "start": ("a start: HAProxy does not run yet", "green"),
}
_DONE: dict[Way, str] = {
    "noop": "nothing to do",
    "runtime": "changed without a reload",
    "reload": "reloaded",
    "restart": "restarted",
    "start": "started",
}
#: Fields that the title of a new object tells already.
_TITLED = {"name", "address", "protocol_port", "protocol", "vip_address", "lb_algorithm", "action", "type", "compare_type", "value"}


def show_changes(changes: Sequence[ObjectChange], *, everything: bool) -> None:
    """A tree of objects; `everything`: also where there are very many."""
    colour = colourful(sys.stdout)
    for line in _tree(changes, everything=everything) if changes else ["changes: none"]:
        click.echo(line, color=colour)


def show_way(forecast: Forecast | None, *, everything: bool) -> None:
    """How it comes about; None where that depends on what is not known."""
    colour = colourful(sys.stdout)
    if forecast is None:
        click.echo(_strong("way") + ": cannot be told without the secrets: --secrets DIR", color=colour)
        return
    words, fg = _WAYS[forecast.way]
    click.echo(f"{_strong('way')}: {click.style(words, fg=fg, bold=True)}", color=colour)
    found: list[tuple[str, Sequence[object]]] = [
        ("because", forecast.reasons),
        ("command", forecast.commands),
        ("later", forecast.later),
        ("also", forecast.also),
    ]
    _tell(found, everything=everything)


def show_outcome(title: str, outcome: Outcome) -> None:
    """What was done, in a line, and why in that way."""
    colour = colourful(sys.stdout)
    took = sum(outcome.steps_ms.values()) / 1000
    said = f"{_DONE[outcome.way]}; generation {outcome.generation} serves  {outcome.etag}  ({took:.2f} s)"
    click.echo(f"{_strong(title)}: {click.style(visible(said), fg=_WAYS[outcome.way][1])}", color=colour)
    _tell([("because", outcome.reasons), ("later", outcome.later), ("also", outcome.also)], everything=False)


def _tell(found: Sequence[tuple[str, Sequence[object]]], *, everything: bool) -> None:
    """Lines by what they are."""
    for heading, lines in found:
        for line in _cut(list(map(str, lines)), everything=everything):
            click.echo(f"  {heading}: {visible(line)}")


def _tree(changes: Sequence[ObjectChange], *, everything: bool) -> Iterator[str]:
    counts = {action: sum(change.action == action for change in changes) for action in _SIGNS}
    told = ", ".join(f"{count} to {action}" for action, count in counts.items() if count)
    yield f"{_strong('changes')}: {told}"
    shown: dict[tuple[Any, ...], int] = {}
    headed: tuple[Any, ...] = ()
    for change in changes:
        group = (change.within, change.object.type, change.action)
        shown[group] = shown.get(group, 0) + 1
        if not everything and shown[group] > SHOWN:
            continue
        # What it is part of and does not change itself is named once, above it.
        for depth, parent in enumerate(change.within, 1):
            if headed[:depth] != change.within[:depth]:
                yield f"{'  ' * depth}  {visible(f'{parent.type} {parent.name or parent.id}')}"
        headed = (*change.within, change.object)
        yield from _object(change)
    if more := sum(count - SHOWN for count in shown.values() if count > SHOWN and not everything):
        yield f"  and {more} more (--all shows them)"


def _object(change: ObjectChange) -> Iterator[str]:
    sign, fg = _SIGNS[change.action]
    indent = "  " * (len(change.within) + 1)
    yield (
        indent
        + click.style(visible(f"{sign} {change.object.type} {change.object.name or change.object.id}"), fg=fg, bold=True)
        + (visible(f"  {change.place}" if change.place else ""))
    )
    for field in change.fields:
        if change.action == "change":
            yield f"{indent}    {field.field}: {_value(field.before)} → {click.style(_value(field.after), fg=fg)}"
        elif field.field not in _TITLED:
            yield f"{indent}    {field.field}: {_value(field.after)}"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        value = {key: said for key, said in value.items() if said is not None}
    text = "-" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    shown = visible(text or '""')
    return shown if len(shown) <= _LONG else f"{shown[: _LONG - 1]}…"


def _cut(lines: list[str], *, everything: bool) -> list[str]:
    if everything or len(lines) <= SHOWN:
        return lines
    return [*lines[:SHOWN], f"… and {len(lines) - SHOWN} more"]


def _strong(text: str) -> str:
    return click.style(visible(text), bold=True)
