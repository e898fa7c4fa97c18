"""Timing, and tables of what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from rich.table import Table as RichTable

#: Seconds that rounds of one measurement take together, at least.
_LONG_ENOUGH = 0.5
_ROUNDS = 3


class Table(NamedTuple):
    """What was measured, for a person and for a program: a row is a name, then a number or text for each column."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str | float, ...]]

    def as_dict(self) -> dict[str, object]:
        return {"title": self.title, "rows": [dict(zip(self.columns, row, strict=True)) for row in self.rows]}

    def rendered(self) -> RichTable:
        table = RichTable(title=self.title, title_justify="left", title_style="bold")
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="right" if number else "left", overflow="fold")
        for row in self.rows:
            table.add_row(*(cell if isinstance(cell, str) else f"{cell:,.4g}" if abs(cell) < 1000 else f"{cell:,.0f}" for cell in row))
        return table


def best_of(work: Callable[[], object]) -> float:
    """Seconds of the quickest of at least three rounds."""
    seconds: list[float] = []
    while len(seconds) < _ROUNDS or sum(seconds) < _LONG_ENOUGH:
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)
