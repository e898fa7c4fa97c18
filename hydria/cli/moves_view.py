"""How `hydria plan` shows who moves: sentences, and for each pool a table of its members, with bars on a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from hydria.cli.output import colourful, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from compiler.move_counts import Case, Load
    from compiler.moves import Moves, PoolMoves
    from compiler.problems import ObjectRef

#: Members of a pool that are shown, if not all.
SHOWN = 20


def show(plan: Moves, *, everything: bool) -> None:
    """Prints it; `everything`: the pools that are not hashed one by one, and all members."""
    colour = colourful(sys.stdout)
    for rerouted in plan.rerouted:
        before, after = (_title(ref) if ref else "none" for ref in (rerouted.before, rerouted.after))
        click.echo(_strong(f"listener {_title(rerouted.listener)}") + visible(f": its default pool was {before}, is {after}"), color=colour)
    for pool in plan.pools:
        for line in _head(pool):
            click.echo(line, color=colour)
        for case in pool.cases:
            for line in _told(case):
                click.echo(line, color=colour)
            _members(case, everything)
    if not plan.pools:
        click.echo("no pool is source-hashed: no client has a member of its own by its address")
    if plan.not_hashed and everything:
        for ref in plan.not_hashed:
            click.echo(_strong(f"pool {_title(ref)}") + ": not hashed: each connection is decided anew", color=colour)
    elif plan.not_hashed:
        count = len(plan.not_hashed)
        click.echo(f"{count} pool{'s are' if count > 1 else ' is'} not hashed: each connection is decided anew")


def _head(pool: PoolMoves) -> Iterator[str]:
    yield _strong(f"pool {_title(pool.object)}") + visible(f"  behind {', '.join(map(_title, pool.listeners))}")
    if pool.before == pool.after:
        yield f"  {pool.after}"
    else:
        yield f"  before: {pool.before or 'not used'}"
        yield f"  after:  {pool.after or 'not used'}"
    for reason in pool.reasons or (["nothing that decides who gets a client is different"] if pool.before == pool.after else []):
        yield visible(f"  because: {reason}" if pool.reasons else f"  {reason}")
    if pool.persistence:
        yield visible(f"  {pool.persistence}")


def _told(case: Case) -> Iterator[str]:
    if case.when:
        yield "  " + _strong(case.when)
    if case.share is not None and case.least_share is not None:
        words = f"{_percent(case.share)} of {case.clients:,} clients move" if case.moved else f"none of {case.clients:,} clients moves"
        needless = case.share > 2 * case.least_share + 0.01
        yield (
            "  "
            + click.style(words, fg="red" if needless else "yellow" if case.moved else "green", bold=True)
            + (f"; no algorithm could move fewer than {_percent(case.least_share)}")
        )
    elif case.balance_after is not None:
        yield "  who moves cannot be told: no hash decided before"
    if case.balance_after is not None:
        before = "" if case.balance_before is None else f" (before: {case.balance_before:.3f})"
        yield f"  the busiest member has {case.balance_after:.3f} times what its weight is due{before}"


def _members(case: Case, everything: bool) -> None:
    """A table, with bars on a terminal; columns in a pipe."""
    shown = case.members if everything else case.members[:SHOWN]
    rows = [_row(load, case.clients) for load in shown]
    rest = len(case.members) - len(shown)
    if sys.stdout.isatty():
        _table(rows, shown)
    else:
        widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
        for row in (_COLUMNS, *rows):
            cells = [
                text.ljust(width) if place < 2 else text.rjust(width) for place, (text, width) in enumerate(zip(row, widths, strict=True))
            ]
            click.echo(f"    {'  '.join(cells)}".rstrip())
    if rest:
        click.echo(f"    and {rest} more (--all shows them)")


_COLUMNS = ("member", "where", "before", "after", "due")
_BAR = 30


def _row(load: Load, clients: int) -> tuple[str, ...]:
    place = f"[{load.address}]" if ":" in load.address else load.address
    shares = ("-" if count is None else _percent(count / clients) for count in (load.before, load.after, load.due_after))
    return visible(_title(load.object)), f"{place}:{load.protocol_port}", *shares


def _table(rows: Sequence[tuple[str, ...]], loads: Sequence[Load]) -> None:
    from rich.console import Console  # noqa: PLC0415 - only a terminal needs it
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 1))
    for place, heading in enumerate(_COLUMNS):
        table.add_column(heading, justify="left" if place < 2 else "right", overflow="fold")
    table.add_column("")
    most = max((count for load in loads for count in (load.before, load.after) if count), default=1)
    for row, load in zip(rows, loads, strict=True):
        before, after = (round(_BAR * (count or 0) / most) for count in (load.before, load.after))
        bar = Text("█" * min(before, after)) + Text("█" * (after - before), style="yellow") + Text("░" * (before - after), style="dim")
        # Text, not str: rich would take [brackets] of a name for its own markup.
        table.add_row(*(Text(cell) for cell in row), bar)
    Console(no_color=not colourful(sys.stdout)).print(table)


def _percent(share: float) -> str:
    """Not 0 for something, nor 100 for not quite all."""
    return f"{share:.1%}" if 0.0005 <= share < 0.9995 or share in (0.0, 1.0) else f"{share:.4%}"


def _title(ref: ObjectRef) -> str:
    return ref.name or ref.id


def _strong(text: str) -> str:
    return click.style(visible(text), bold=True)
