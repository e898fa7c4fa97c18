"""What `hydria stats` and `hydria top` make of looks at statistics: what happens a second, what is shown and in which order. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from agent.statistics import Row, Statistics

Key = tuple[str, str, str, str, str]


class Look(NamedTuple):
    """Statistics at `moment`, in seconds of a clock that never goes back."""

    moment: float
    statistics: Statistics


class Flow(NamedTuple):
    """What happened a second: sessions that began, HTTP requests, bytes from clients and to them."""

    sessions: float
    requests: float
    received: float
    sent: float


class Line(NamedTuple):
    """A row, and what happened between two looks; None where that is not known: there was one look only, or counters began anew."""

    row: Row
    flow: Flow | None

    def values(self) -> dict[str, Any]:
        """All of it by name: what `--csv` and `--json` have."""
        given = {name: getattr(self.row, name) for name in Row.__struct_fields__}
        return given | {f"{name}_per_second": getattr(self.flow, name, None) for name in Flow._fields}


#: Names of columns, as `--csv` and `--json` have them.
COLUMNS = (*Row.__struct_fields__, *(f"{name}_per_second" for name in Flow._fields))

_FLOWS: dict[str, Callable[[Flow], float]] = {f"{name}_per_second": attrgetter(name) for name in Flow._fields}

#: By what one may sort.
SORTABLE = ("weight", "sessions", "queued", "rate", "total", "requests", "received", "sent", "errors", *_FLOWS, "id", "status")


def lines(before: Look | None, now: Look) -> list[Line]:
    """A look, and what happened since the one before."""
    if before is None or now.moment <= before.moment:
        return [Line(row, None) for row in now.statistics.rows]
    known = {_key(row): row for row in before.statistics.rows}
    seconds = now.moment - before.moment
    return [Line(row, _flow(known.get(_key(row)), row, seconds)) for row in now.statistics.rows]


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


def _key(row: Row) -> Key:
    return row.loadbalancer, row.kind, row.listener, row.pool, row.id


def _flow(before: Row | None, now: Row, seconds: float) -> Flow | None:
    if before is None:
        return None
    grown = (
        now.total - before.total,
        now.requests - before.requests,
        now.received - before.received,
        now.sent - before.sent,
    )
    return Flow(*(each / seconds for each in grown)) if min(grown) >= 0 else None
