"""What was seen of agents: what `observing` makes and `view` shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from agent.outcomes import GenerationInfo, Status
from agent.statistics import Row
from compiler.graph import LoadBalancer


class PoolMove(NamedTuple):
    """A source-hashed pool when one generation took the place of another: the shares of clients that moved and that had to, None where that cannot
    be told; `why`.
    """

    pool: str
    share: float | None
    least: float | None
    why: str


class Expiry(NamedTuple):
    """Days until the first certificate of a file ends to be valid. `of`: agent or loadbalancer; `loadbalancer`: its id, "" for none."""

    of: str
    loadbalancer: str
    name: str
    days: float


class Served(NamedTuple):
    """A load balancer at an agent. `rows`: listeners, pools and members, those of IPVS too; `graph`: None where no graph has made it; `generations`:
    the latest first; `moved`: by generation.
    """

    status: Status
    rows: tuple[Row, ...]
    graph: LoadBalancer | None
    generations: tuple[GenerationInfo, ...]
    moved: Mapping[int, tuple[PoolMove, ...]]


class AgentLook(NamedTuple):
    """An agent that has answered. `moment`: seconds of a clock that never goes back; `haproxy`: its version."""

    moment: float
    haproxy: str
    served: tuple[Served, ...]
    expiries: tuple[Expiry, ...]


class Sighting(NamedTuple):
    """All that is known of an agent. `name`: what to call it; `now` and `before`: the last two times that it has answered; `error`: why it does not
    now, "" where it does.
    """

    name: str
    amphora: str
    place: str
    now: AgentLook | None = None
    before: AgentLook | None = None
    error: str = ""
