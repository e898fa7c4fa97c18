"""How `hydria run` shows what it sees: a live table on a terminal, lines into a pipe, JSON lines for a program."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from hydria.cli.output import colourful, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Group
    from rich.live import Live

    from hydria.cli.output import Output
    from hydria.cli.traffic import Change, Names, Row


class Watcher(ABC):
    """Is told what happens, and shows it."""

    def __init__(self, output: Output, names: Names) -> None:
        self.output = output
        self.names = names
        self.rows: Sequence[Row] = ()

    def started(self) -> None:
        """HAProxy serves."""
        for listener in self.names.listeners:
            self.output.note(
                f"listener {self.names.titles[listener]} serves {self.names.protocols[listener]} on {self.names.places[listener]}"
            )
        for listener in self.names.elsewhere:
            self.output.note(
                f"listener {self.names.titles[listener]} is {self.names.protocols[listener]}: keepalived's, which is not run here"
            )
        if not self.names.listeners:
            self.output.note("no listener is enabled, so nothing can be reached")
        self.output.note("Ctrl-C ends it")

    @abstractmethod
    def looked(self, rows: Sequence[Row], changes: Sequence[Change]) -> None:
        """The statistics, and what is new in them."""

    def stopped(self) -> None:
        """HAProxy has ended, well."""
        for row in self.rows:
            if row.kind == "listener":
                self.output.note(f"listener {row.title}: {row.total} sessions, {size(row.received)} received, {size(row.sent)} sent")


class Lines(Watcher):
    """A line for each change."""

    def looked(self, rows: Sequence[Row], changes: Sequence[Change]) -> None:
        """See `Watcher.looked`."""
        self.rows = rows
        for change in changes:
            click.echo(f"{time.strftime('%H:%M:%S')} {visible(str(change))}")


class JsonLines(Watcher):
    """A document for each event, one a line."""

    def started(self) -> None:
        """See `Watcher.started`."""
        names = self.names
        listeners = [
            {"id": key, "title": names.titles[key], "protocol": names.protocols[key], "place": names.places[key]} for key in names.listeners
        ]
        self._event("started", listeners=listeners)

    def looked(self, rows: Sequence[Row], changes: Sequence[Change]) -> None:
        """See `Watcher.looked`."""
        self.rows = rows
        for change in changes:
            self._event("member", was=change.was or None, **change.row._asdict())

    def stopped(self) -> None:
        """See `Watcher.stopped`."""
        self._event("stopped", rows=[row._asdict() for row in self.rows])

    def _event(self, event: str, **details: Any) -> None:
        self.output.document({"event": event, "time": round(time.time(), 3), **details})


class LiveTable(Watcher):
    """A table that is drawn again at each look."""

    def __init__(self, output: Output, names: Names, live: Live) -> None:
        super().__init__(output, names)
        self._live = live

    def looked(self, rows: Sequence[Row], changes: Sequence[Change]) -> None:  # noqa: ARG002 - the table shows all anyway
        """See `Watcher.looked`."""
        self.rows = rows
        self._live.update(picture(rows), refresh=True)


#: By HAProxy's words.
STATUS_STYLES = {
    "OPEN": "green",
    "UP": "green",
    "no check": "green",
    "DOWN": "bold red",
    "DRAIN": "yellow",
    "MAINT": "yellow",
    "NOLB": "yellow",
}

#: Reasons that are shown below the table; it must stay in view.
_REASONS = 8


def picture(rows: Sequence[Row]) -> Group:
    """Listeners, their pools and members as a table for a terminal, and why members are down below it."""
    from rich.console import Group  # noqa: PLC0415 - only a terminal needs it
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    table = Table(box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    for heading in ("", "where", "status", "weight", "now", "total", "in", "out", "errors"):
        table.add_column(heading, justify="left" if heading in ("", "where", "status") else "right", no_wrap=True)
    for row in rows:
        title = {"listener": f"{row.protocol} {row.title}", "pool": f"  pool {row.title}", "member": f"    {row.title}"}[row.kind]
        # Text, not str: rich would take [brackets] of a name for its own markup.
        table.add_row(
            Text(visible(title), style="bold" if row.kind == "listener" else ""),
            Text(row.place),
            Text(visible(row.status), style=STATUS_STYLES.get(row.status, "")),
            "" if row.weight is None else str(row.weight),
            str(row.sessions),
            str(row.total),
            size(row.received),
            size(row.sent),
            Text(str(row.errors), style="red" if row.errors else ""),
        )
    down = [Text(visible(f"{row.title}: {row.reason}"), style="red", no_wrap=True, overflow="ellipsis") for row in rows if row.reason]
    return Group(table, *down[:_REASONS])


def size(count: int) -> str:
    """Bytes for a person: 512 B, 1.5 KiB, 20 MiB."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if amount >= 10 or unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


@contextmanager
def watcher(output: Output, names: Names) -> Iterator[Watcher]:
    """The one that fits: JSON if asked for, a table on a terminal, lines otherwise. Leaves the terminal as it was."""
    if output.json:
        yield JsonLines(output, names)
    elif sys.stdout.isatty():
        from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
        from rich.live import Live  # noqa: PLC0415 - as above

        with Live(console=Console(no_color=not colourful(sys.stdout)), auto_refresh=False) as live:
            yield LiveTable(output, names, live)
    else:
        yield Lines(output, names)
