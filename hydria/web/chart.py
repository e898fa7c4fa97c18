"""A line of what went on lately, as the points of an SVG polyline. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What the page draws into: units of the SVG.
WIDTH, HEIGHT = 180, 28
#: Looks that the whole width is for.
_LOOKS = 60


def lines(values: Sequence[float | None]) -> list[str]:
    """`points` of one polyline for each run of values that are known, the latest at the right, the greatest at the top, zero at the bottom."""
    latest = values[-_LOOKS:]
    most = max((value for value in latest if value is not None), default=0.0) or 1.0
    step = WIDTH / (_LOOKS - 1)
    found: list[list[str]] = [[]]
    for back, value in zip(range(len(latest) - 1, -1, -1), latest, strict=True):
        if value is None:
            found.append([])
        else:
            found[-1].append(f"{WIDTH - back * step:.1f},{1 + (HEIGHT - 2) * (1 - value / most):.1f}")
    return [" ".join(points) for points in found if len(points) > 1]
