"""UDP and SCTP listeners in the names that HAProxy's listeners have. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from agent.statistics import Row

#: The states that HAProxy's exporter knows; what is not here is called the same.
_STATES = {"OPEN": "UP", "no check": "UP", "RESTARTING": "DOWN"}


class Samples(NamedTuple):
    """A metric: its name without `_total`, and a value for each combination of its labels' values."""

    name: str
    kind: Literal["gauge", "counter"]
    help: str
    labels: tuple[str, ...]
    values: Mapping[tuple[str, ...], int]

    def lines(self) -> Iterator[str]:
        """As Prometheus reads them; ids and states have nothing in them that would have to be escaped."""
        name = f"{self.name}_total" if self.kind == "counter" else self.name
        for values, value in self.values.items():
            labels = ",".join(f'{label}="{text}"' for label, text in zip(self.labels, values, strict=True))
            yield f"{name}{{{labels}}} {value}\n"


def samples(rows: Iterable[Row]) -> Iterator[Samples]:
    """Of these listeners, pools and members."""
    found = list(rows)
    listeners = [row for row in found if row.kind == "listener"]
    states = {kind: [row for row in found if row.kind == kind] for kind in ("pool", "member")}
    for name, kind, says, values in (
        ("current_sessions", "gauge", "Connections at present", [row.sessions for row in listeners]),
        ("connections", "counter", "Connections since keepalived was started", [row.total for row in listeners]),
        ("bytes_in", "counter", "Bytes received from clients", [row.received for row in listeners]),
        ("bytes_out", "counter", "Bytes sent to clients", [row.sent for row in listeners]),
    ):
        by_id: dict[tuple[str, ...], int] = {(row.id,): value for row, value in zip(listeners, values, strict=True)}
        yield Samples(f"octavia_listener_{name}", "counter" if kind == "counter" else "gauge", says, ("listener",), by_id)
    yield _status("listener", ("listener", "state"), {(row.id, _state(row)): 1 for row in listeners})
    yield _status("pool", ("pool", "state"), {(row.id, _state(row)): 1 for row in states["pool"]})
    yield _status("member", ("pool", "member", "state"), {(row.pool, row.id, _state(row)): 1 for row in states["member"]})


def _status(what: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], int]) -> Samples:
    return Samples(f"octavia_{what}_status", "gauge", f"Whether the {what} is in this state: 1 for the one that it is in", labels, values)


def _state(row: Row) -> str:
    return _STATES.get(row.status, row.status)
