"""A plan's loads as a picture: an SVG with two bars for each member, its clients before and after, and a mark where it is due to be."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from hydria.cli.output import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from compiler.move_counts import Case, Load
    from compiler.moves import Moves

#: Members of a pool that are drawn; the rest is counted.
MOST = 200

_WIDTH, _LEFT, _BAR, _ROW, _HEAD = 760, 220, 440, 26, 64
_LETTERS = 30
_STYLE = (
    "text{font:12px sans-serif;fill:#222}.title{font-weight:bold;font-size:14px}.quiet{fill:#666}"
    ".before{fill:#9db4c8}.after{fill:#d9822b}.due{stroke:#222;stroke-width:1.5}.paper{fill:#fff}"
)


def svg(plan: Moves) -> str:
    """The picture; the same plan, the same bytes."""
    parts: list[str] = []
    top = 16
    for pool in plan.pools:
        for case in pool.cases:
            title = f"pool {pool.object.name or pool.object.id}" + (f", {case.when}" if case.when else "")
            parts += _panel(top, title, case)
            top += _HEAD + _ROW * (min(len(case.members), MOST) + (len(case.members) > MOST)) + 20
    if not parts:
        parts, top = [_text(16, 30, "no pool is source-hashed")], 46
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{top}" viewBox="0 0 {_WIDTH} {top}" role="img">',
            "<title>Clients of each member, before and after</title>",
            f"<style>{_STYLE}</style>",
            f'<rect class="paper" width="{_WIDTH}" height="{top}"/>',
            *parts,
            "</svg>\n",
        ]
    )


def write(path: Path, text: str) -> None:
    """Puts the picture in place whole; raises OSError."""
    path = path.resolve()
    staging = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with staging.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        staging.replace(path)
    finally:
        staging.unlink(missing_ok=True)


def _panel(top: int, title: str, case: Case) -> Iterator[str]:
    yield _text(16, top + 14, title, "title")
    if case.share is None or case.least_share is None:
        words = f"{case.clients:,} clients"
    else:
        words = f"{case.share:.1%} of {case.clients:,} clients move; no algorithm could move fewer than {case.least_share:.1%}"
    yield _text(16, top + 32, words, "quiet")
    yield f'<rect class="before" x="{_LEFT}" y="{top + 42}" width="10" height="10"/>' + _text(_LEFT + 15, top + 51, "before", "quiet")
    yield f'<rect class="after" x="{_LEFT + 75}" y="{top + 42}" width="10" height="10"/>' + _text(_LEFT + 90, top + 51, "after", "quiet")
    yield _line(_LEFT + 145, top + 41, 12) + _text(_LEFT + 153, top + 51, "due by weight", "quiet")
    shown = case.members[:MOST]
    most = max((value or 0 for load in shown for value in (load.before, load.after, load.due_before, load.due_after)), default=0) or 1
    for number, load in enumerate(shown):
        yield from _bars(top + _HEAD + _ROW * number, load, case.clients, most)
    if len(case.members) > MOST:
        yield _text(16, top + _HEAD + _ROW * MOST + 15, f"and {len(case.members) - MOST} more members", "quiet")


def _bars(top: int, load: Load, clients: int, most: float) -> Iterator[str]:
    name = load.object.name or load.object.id
    yield _text(16, top + 15, name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…")
    for kind, y, count, due in (("before", top, load.before, load.due_before), ("after", top + 11, load.after, load.due_after)):
        if count is not None:
            width = _BAR * count / most
            yield f'<rect class="{kind}" x="{_LEFT}" y="{y}" width="{width:.1f}" height="10"/>'
            yield _text(_LEFT + max(width, _BAR * (due or 0) / most) + 6, y + 9, f"{count / clients:.1%}" if clients else "0", "quiet")
        if due is not None:
            yield _line(_LEFT + _BAR * due / most, y, 10)


def _line(x: float, y: int, height: int) -> str:
    return f'<line class="due" x1="{x:.1f}" y1="{y}" x2="{x:.1f}" y2="{y + height}"/>'


def _text(x: float, y: int, text: str, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<text{named} x="{x:.1f}" y="{y}">{escape(visible(text))}</text>'
