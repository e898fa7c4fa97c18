"""What the page shows, and its JSON: every name, status and number of it, ready to be written down. `tone`s: see `words`."""

from __future__ import annotations

import msgspec

from hydria.web.words import Tone


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """What happened a second: connections that began, HTTP requests, bytes from clients and to them."""

    sessions: float
    requests: float
    received: float
    sent: float


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """`place`: address and port, "" where no graph tells; `reason`: why it is down; `sessions`: those that are there now."""

    id: str
    name: str
    place: str
    status: str
    tone: Tone
    reason: str = ""
    weight: int | None = None
    backup: bool = False
    sessions: int = 0
    rates: Rates | None = None


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """As one listener uses it. `members`: those that are not ONLINE first, if there are many; `more`: so many are not shown."""

    id: str
    name: str
    algorithm: str
    status: str
    tone: Tone
    members: tuple[Member, ...]
    more: int = 0


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """`port`: None where no graph tells; `unit`: what `history`, the latest last, counts a second: requests or connections."""

    id: str
    name: str
    protocol: str
    port: int | None
    status: str
    tone: Tone
    sessions: int
    rates: Rates | None
    unit: str
    history: tuple[float | None, ...]
    pools: tuple[Pool, ...]


class Amphora(msgspec.Struct, frozen=True, kw_only=True):
    """`role`: master (it has the VIPs), standby, or "" where that is not known; `error`: why it does not answer; `facts`: what else is the matter."""

    name: str
    id: str
    place: str
    role: str
    tone: Tone
    haproxy: str = ""
    generation: int | None = None
    error: str = ""
    facts: tuple[str, ...] = ()


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A source-hashed pool's clients: the shares that moved, and that had to; None where that cannot be told."""

    pool: str
    share: float | None
    least: float | None
    why: str


class Apply(msgspec.Struct, frozen=True, kw_only=True):
    """A generation that an agent has. `made`: seconds since 1970; `plan`: how it came into force and why so, a line each."""

    amphora: str
    number: int
    made: float
    state: str
    tone: Tone
    way: str
    milliseconds: float | None
    plan: tuple[str, ...]
    moves: tuple[Move, ...]


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """`of`: what it is for; `days` until it ends."""

    amphora: str
    of: str
    days: float
    tone: Tone


class Balancer(msgspec.Struct, frozen=True, kw_only=True):
    """A load balancer, at all the amphorae that have it."""

    id: str
    name: str
    vips: tuple[str, ...]
    status: str
    tone: Tone
    amphorae: tuple[Amphora, ...]
    listeners: tuple[Listener, ...]
    applies: tuple[Apply, ...]
    certificates: tuple[Certificate, ...]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. `agents`: those that carry nothing, or have never answered; `certificates`: the agents' own; `at`: seconds since 1970."""

    title: str
    at: float
    balancers: tuple[Balancer, ...]
    agents: tuple[Amphora, ...]
    certificates: tuple[Certificate, ...]
