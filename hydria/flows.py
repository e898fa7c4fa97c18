"""What happens a second between two looks at statistics. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from agent.statistics import Row, Statistics

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def lines(before: Look | None, now: Look) -> list[Line]:
    """A look, and what happened since the one before."""
    if before is None or now.moment <= before.moment:
        return [Line(row, None) for row in now.statistics.rows]
    known = {_key(row): row for row in before.statistics.rows}
    seconds = now.moment - before.moment
    return [Line(row, _flow(known.get(_key(row)), row, seconds)) for row in now.statistics.rows]


def total(flows: Sequence[Flow | None]) -> Flow | None:
    """Of several at once; None where one of them is not known, or there is none."""
    known = [flow for flow in flows if flow is not None]
    return Flow(*map(sum, zip(*known, strict=True))) if known and len(known) == len(flows) else None


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
