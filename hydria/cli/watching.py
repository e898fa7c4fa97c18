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

    from rich.live import Live
    from rich.table import Table

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
            self.output.note(f"listener {self.names.titles[listener]} serves on {self.names.places[listener]}")
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
        listeners = [{"id": key, "title": self.names.titles[key], "place": self.names.places[key]} for key in self.names.listeners]
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
        self._live.update(table(rows), refresh=True)


_STATUS_STYLES = {
    "OPEN": "green",
    "UP": "green",
    "no check": "green",
    "DOWN": "bold red",
    "DRAIN": "yellow",
    "MAINT": "yellow",
    "NOLB": "yellow",
}
_INDENTS = {"listener": "", "pool": "  ", "member": "    "}


def table(rows: Sequence[Row]) -> Table:
    """Listeners, their pools and members as a table for a terminal."""
    from rich.table import Table  # noqa: PLC0415 - only a terminal needs it
    from rich.text import Text  # noqa: PLC0415 - as above

    shown = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("", "where", "status", "weight", "sessions", "total", "received", "sent", "errors"):
        shown.add_column(heading, justify="left" if heading in ("", "where", "status") else "right", no_wrap=True)
    for row in rows:
        # Text, not str: rich would take [brackets] of a name for its own markup.
        shown.add_row(
            Text(f"{_INDENTS[row.kind]}{row.kind} {visible(row.title)}", style="bold" if row.kind == "listener" else ""),
            Text(visible(row.place)),
            Text(visible(f"{row.status} ({row.reason})" if row.reason else row.status), style=_STATUS_STYLES.get(row.status, "")),
            row.weight,
            str(row.sessions),
            str(row.total),
            size(row.received),
            size(row.sent),
            Text(str(row.errors), style="red" if row.errors else ""),
        )
    return shown


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
