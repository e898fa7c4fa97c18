"""What listeners, pools and members do a second, of all amphorae together. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.statistics import Statistics
from hydria.flows import Flow, Line, Look, lines, total
from hydria.web.seen import AgentLook, Sighting

if TYPE_CHECKING:
    from collections.abc import Sequence


def told(sighting: Sighting) -> list[Line]:
    """Rows of an agent, and what happened since the look before; none where it does not answer."""
    if sighting.now is None or sighting.error:
        return []
    return lines(None if sighting.before is None else _look(sighting.before), _look(sighting.now))


def flows(sightings: Sequence[Sighting]) -> dict[tuple[str, str], Flow | None]:
    """Load balancer and listener → what it does, None where that is not known."""
    found: dict[tuple[str, str], list[Flow | None]] = {}
    for sighting in sightings:
        for line in told(sighting):
            if line.row.kind == "listener":
                found.setdefault((line.row.loadbalancer, line.row.id), []).append(line.flow)
    return {key: total(each) for key, each in found.items()}


def _look(look: AgentLook) -> Look:
    return Look(look.moment, Statistics(rows=[row for one in look.served for row in one.rows]))
