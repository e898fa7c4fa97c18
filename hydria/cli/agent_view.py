"""How `hydria agent` shows what an agent says: tables for a person, JSON for a program. What comes from afar never commands a terminal."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hydria.cli.output import Output, colourful, visible
from hydria.cli.watching import size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import RenderableType

    from agent.answers import Details, Info, Listener
    from agent.client import AgentClient
    from agent.errors import AgentError
    from hydria.cli.agent_looks import Look, Rates

_STYLES = {"ACTIVE": "green", "OPEN": "green", "ERROR": "bold red", "OFFLINE": "yellow"}

#: Columns of what goes into a pipe: nothing is folded there.
_WIDE = 200


def show(picture: RenderableType) -> None:
    """On standard output; into a pipe without the spaces at the ends of lines with which rich fills tables up."""
    if sys.stdout.isatty():
        Console(no_color=not colourful(sys.stdout)).print(picture)
        return
    console = Console(width=_WIDE, color_system=None)
    with console.capture() as drawn:
        console.print(picture)
    click.echo("\n".join(line.rstrip() for line in drawn.get().rstrip("\n").split("\n")))


def info_picture(client: AgentClient, info: Info) -> RenderableType:
    """What it is."""
    return _pairs(_who(client, info))


def details_picture(client: AgentClient, details: Details) -> RenderableType:
    """What it is and how it fares."""
    pairs = [
        *_who(client, details),
        ("topology", f"{details.topology} {details.topology_status}"),
        *_state(details, None),
        ("disk", f"{size(details.disk.used)} used, {size(details.disk.available)} available"),
        ("tuned", details.active_tuned_profiles),
        ("listeners", " ".join(details.listeners) or "none"),
    ]
    return Group(_pairs(pairs), *_networks(details, None))


def listeners_picture(listeners: Sequence[Listener]) -> RenderableType:
    """A table."""
    table = _table("listener", "type", "status")
    for listener in listeners:
        status = visible(listener.status)
        table.add_row(Text(visible(listener.uuid)), Text(visible(listener.type)), Text(status, style=_STYLES.get(status, "")))
    return table if listeners else Text("no listeners")


def top_picture(client: AgentClient, look: Look, rates: Rates | None, lost: str = "") -> RenderableType:
    """All that changes, on one screen; `lost`: why there is nothing newer."""
    head = Text(visible(f"{look.details.hostname}  amphora {client.amphora_id} at {client.place}"), style="bold")
    parts = [head, _pairs(_state(look.details, rates)), *_networks(look.details, rates), Text(), listeners_picture(look.listeners)]
    return Group(*parts, *([Text(visible(lost), style="red")] if lost else []))


class Screen:
    """Where `top` shows its looks: a line of JSON, a table, or one table that is drawn anew, as fits."""

    def __init__(self, output: Output, client: AgentClient, live: Live | None) -> None:
        self._output = output
        self._client = client
        self._live = live
        self._last: tuple[Look, Rates | None] | None = None

    def looked(self, look: Look, rates: Rates | None) -> None:
        """That is how it is."""
        if self._output.json:
            self._event("look", details=look.details, listeners=look.listeners, rates=rates)
        elif self._live is not None:
            self._live.update(top_picture(self._client, look, rates), refresh=True)
        else:
            if self._last is not None:
                click.echo()
            show(top_picture(self._client, look, rates))
        self._last = look, rates

    def lost(self, error: AgentError) -> None:
        """There was no answer."""
        if self._output.json:
            self._event("lost", error={"code": error.code, "message": str(error)})
        elif self._live is not None and self._last is not None:
            self._live.update(top_picture(self._client, *self._last, lost=str(error)), refresh=True)
        else:
            self._output.note(str(error))

    def _event(self, event: str, **told: Any) -> None:
        self._output.document({"event": event, "time": round(time.time(), 3), **msgspec.to_builtins(told)})


@contextmanager
def screen(output: Output, client: AgentClient) -> Iterator[Screen]:
    """The one that fits. Leaves the terminal as it was."""
    if output.json or not sys.stdout.isatty():
        yield Screen(output, client, None)
    else:
        with Live(console=Console(no_color=not colourful(sys.stdout)), auto_refresh=False) as live:
            yield Screen(output, client, live)


def _who(client: AgentClient, info: Info) -> list[tuple[str, str]]:
    return [
        ("amphora", client.amphora_id),
        ("address", str(client.place)),
        ("hostname", info.hostname),
        ("API", info.api_version),
        ("HAProxy", info.haproxy_version),
        ("keepalived", info.keepalived_version),
        ("ipvsadm", info.ipvsadm_version),
    ]


def _state(details: Details, rates: Rates | None) -> Iterator[tuple[str, str]]:
    memory = details.memory
    used = memory.total - memory.free - memory.buffers - memory.cached
    processors = f"{details.cpu_count}"
    if rates is not None and rates.cpu is not None:
        processors += f"; user {rates.cpu.user:.1%}, system {rates.cpu.system:.1%}, soft interrupts {rates.cpu.soft_irq:.1%}"
    yield "load", " ".join(f"{load:.2f}" for load in details.load)
    yield "processors", processors
    yield "memory", f"{size(used * 1024)} used of {size(memory.total * 1024)}"
    yield "running", f"{details.haproxy_count} HAProxy, {details.lvs_listener_process_count} keepalived for UDP and SCTP"


def _networks(details: Details, rates: Rates | None) -> Iterable[RenderableType]:
    if not details.networks:
        return
    table = _table("interface", "received", "sent", *(("received/s", "sent/s") if rates is not None else ()))
    for column in table.columns[1:]:
        column.justify = "right"
    for name, counted in sorted(details.networks.items()):
        row = [visible(name), size(counted.network_rx), size(counted.network_tx)]
        if rates is not None:
            flow = rates.networks.get(name)
            row += ["-", "-"] if flow is None else [size(round(flow.received)), size(round(flow.sent))]
        table.add_row(*map(Text, row))
    yield Text()
    yield table


def _pairs(pairs: Iterable[tuple[str, str]]) -> Table:
    """Names and what goes with them; those that nothing goes with are left out."""
    table = Table.grid(padding=(0, 2))
    for name, value in pairs:
        if value.strip():
            table.add_row(Text(name, style="bold"), Text(visible(value)))
    return table


def _table(*headings: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table
