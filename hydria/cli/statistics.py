"""What `hydria stats` and `hydria top` make of looks at statistics: what is shown and in which order. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter

from agent.statistics import Row
from hydria.flows import Flow, Line, Look, lines

__all__ = ["COLUMNS", "SORTABLE", "Flow", "Line", "Look", "chosen", "lines", "summed"]

#: Names of columns, as `--csv` and `--json` have them.
COLUMNS = (*Row.__struct_fields__, *(f"{name}_per_second" for name in Flow._fields))

_FLOWS: dict[str, Callable[[Flow], float]] = {f"{name}_per_second": attrgetter(name) for name in Flow._fields}

#: By what one may sort.
SORTABLE = ("weight", "sessions", "queued", "rate", "total", "requests", "received", "sent", "errors", *_FLOWS, "id", "status")


def chosen(found: Sequence[Line], kinds: Sequence[str], sort: str | None) -> list[Line]:
    """Those of some kinds, or all; as they belong together, or the largest first: names and statuses by the alphabet."""
    wanted = [line for line in found if not kinds or line.row.kind in kinds]
    if sort is None:
        return wanted
    if sort in _FLOWS:
        take = _FLOWS[sort]
        return sorted(wanted, key=lambda line: -take(line.flow) if line.flow is not None else 0.0)
    if sort in ("id", "status"):
        return sorted(wanted, key=lambda line: str(getattr(line.row, sort)))
    return sorted(wanted, key=lambda line: -(getattr(line.row, sort) or 0))


def summed(found: Sequence[Line]) -> str:
    """How many of each there are, and how many members are down: "1 listener, 2 pools, 7 members, 1 down"."""
    kinds = [line.row.kind for line in found]
    counts = ((kinds.count(kind), kind) for kind in ("listener", "pool", "member"))
    down = sum(line.row.kind == "member" and line.row.status == "DOWN" for line in found)
    return ", ".join([*(f"{count} {kind}{'' if count == 1 else 's'}" for count, kind in counts), f"{down} down"])
