"""How `hydria stats` and `hydria top` show statistics: a table for a person, CSV or JSON for a program."""

from __future__ import annotations

import csv
import io
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from hydria.cli.output import Output, colourful, visible
from hydria.cli.statistics import COLUMNS, chosen, lines, summed
from hydria.cli.watching import STATUS_STYLES, size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType
    from rich.live import Live

    from agent.errors import AgentError
    from hydria.cli.statistics import Line, Look
    from hydria.cli.statistics_source import Shown, Source

#: Lines of a terminal that are not rows: title, headings, what there is more of, problems.
_AROUND = 5

#: Rows of a table that goes into a pipe, or is longer than the terminal: drawing it takes a millisecond a row.
_MOST = 500


class Screen:
    """Where looks are shown: a line of JSON, CSV, a table, or one table that is drawn anew, as fits."""

    def __init__(self, output: Output, source: Source, shown: Shown, *, as_csv: bool = False, live: Live | None = None) -> None:
        self._output = output
        self._source = source
        self._shown = shown
        self._csv = as_csv
        self._live = live
        self._looks = 0
        self._last: RenderableType = ""

    def looked(self, before: Look | None, now: Look) -> None:
        """That is how it is now, and was before."""
        found = chosen(lines(before, now), self._shown.kinds, self._shown.sort)
        problems = now.statistics.problems
        if self._output.json:
            rows = [line.values() for line in found]
            self._output.document({"ok": not problems, "time": round(time.time(), 3), "rows": rows, "problems": problems})
            return
        if self._csv:
            click.echo(_csv(found, heading=not self._looks), nl=False)
        elif self._live is not None:
            self._last = picture(self._source.name, found, self._live.console.height - _AROUND, problems)
            self._live.update(self._last, refresh=True)
        else:
            _print(picture(self._source.name, found, _MOST, ()))
        self._looks += 1
        if self._live is None:
            for problem in problems:
                self._output.note(problem)

    def lost(self, error: AgentError) -> None:
        """There was no answer."""
        if self._output.json:
            self._output.document({"ok": False, "time": round(time.time(), 3), "error": {"code": error.code, "message": str(error)}})
        elif self._live is not None:
            from rich.console import Group  # noqa: PLC0415 - a terminal has loaded it
            from rich.text import Text  # noqa: PLC0415 - as above

            self._live.update(Group(self._last, Text(visible(str(error)), style="red")), refresh=True)
        else:
            self._output.note(str(error))


@contextmanager
def screen(output: Output, source: Source, shown: Shown, *, as_csv: bool) -> Iterator[Screen]:
    """The one that fits what goes on. Leaves the terminal as it was."""
    if output.json or as_csv or not sys.stdout.isatty():
        yield Screen(output, source, shown, as_csv=as_csv)
        return
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.live import Live  # noqa: PLC0415 - as above

    with Live(console=Console(no_color=not colourful(sys.stdout)), auto_refresh=False) as live:
        yield Screen(output, source, shown, live=live)


def picture(title: str, found: Sequence[Line], height: int, problems: Sequence[str]) -> RenderableType:
    """A table of at most `height` rows; with what a second where that is known."""
    from rich.console import Group  # noqa: PLC0415 - --json and --csv do without
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    moving = any(line.flow is not None for line in found)
    table = Table(box=None, header_style="bold", pad_edge=False, collapse_padding=True)
    for heading in _HEADINGS + (_MOVING if moving else ()):
        table.add_column(heading, justify="left" if heading in ("", "status") else "right", no_wrap=True)
    cut = found[: max(height, 1)]
    for line in cut:
        row, flow = line
        title_style = "bold" if row.kind == "listener" else ""
        now = (row.weight, row.sessions, row.queued, row.rate, row.total, size(row.received), size(row.sent))
        cells = ["" if value is None else str(value) for value in now]
        errors = Text(str(row.errors), style="red" if row.errors else "")
        a_second: list[str] = []
        if moving:
            told = ("-",) * 4 if flow is None else (f"{flow.sessions:.1f}", f"{flow.requests:.1f}", _size(flow.received), _size(flow.sent))
            a_second = list(told)
        # Text, not str: rich would take [brackets] of a name for its own markup.
        status = Text(visible(row.status), style=STATUS_STYLES.get(row.status, ""))
        table.add_row(Text(visible(_name(line)), style=title_style), status, *cells, errors, *a_second)
    head = Text(f"{visible(title)}: {summed(found)}", style="bold", no_wrap=True)
    more = [Text(f"and {len(found) - len(cut)} more; --csv and --json have all")] if len(cut) < len(found) else []
    return Group(head, table, *more, *(Text(visible(problem), style="red") for problem in problems))


_HEADINGS = ("", "status", "weight", "now", "queued", "last s", "total", "in", "out", "errors")
_MOVING = ("sessions/s", "requests/s", "in/s", "out/s")

#: How far a name stands from the left.
_INDENTS = {"listener": "", "pool": "  pool ", "member": "    "}


def _name(line: Line) -> str:
    backup = " (backup)" if line.row.backup else ""
    return f"{_INDENTS[line.row.kind]}{line.row.id}{backup}"


def _size(amount: float) -> str:
    return size(round(amount))


def _csv(found: Sequence[Line], *, heading: bool) -> str:
    text = io.StringIO()
    writer: Any = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    if heading:
        writer.writeheader()
    writer.writerows(line.values() for line in found)
    return text.getvalue()


def _print(picture: RenderableType) -> None:
    """On standard output; into a pipe without the spaces with which rich fills lines up."""
    from rich.console import Console  # noqa: PLC0415 - --json and --csv do without

    if sys.stdout.isatty():
        Console(no_color=not colourful(sys.stdout)).print(picture)
        return
    console = Console(width=250, color_system=None)
    with console.capture() as drawn:
        console.print(picture)
    click.echo("\n".join(line.rstrip() for line in drawn.get().rstrip("\n").split("\n")))
