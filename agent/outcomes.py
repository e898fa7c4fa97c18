"""What the 2.0 contract answers: what a change did or would do, what serves, which generations there are.

A generation is a whole configuration, numbered from 1. Its ETag, quoted, is what `If-Match` takes. Times are milliseconds where a name ends
in `_ms`, seconds since 1970 where they are points in time.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from agent.answers import Refusal
from agent.statistics import Row

#: Nothing; commands to the running HAProxy; a new worker; a new process; a first one.
Way = Literal["noop", "runtime", "reload", "restart", "start"]


class Why(msgspec.Struct, frozen=True):
    """A reason: an object by HAProxy's name for it, the directive or option, and what is the matter with it."""

    object: str
    field: str
    why: str

    def __str__(self) -> str:
        return f"{self.object}: {self.field}: {self.why}"


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """A change that is taken back unless it is confirmed within `left` seconds: `generation` serves, `back_to` (0: none) will again."""

    loadbalancer: str
    generation: int
    etag: str
    back_to: int
    left: float


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What was done. `generation` is the one that serves now, `etag` its ETag; `covered`: that of a later write, in which this one is.

    `reasons` say why it was not done by commands, or what came of those; `later` what comes into force with the next reload; `commands` are
    without what is secret; `steps_ms` says how long each step took; `also` what was done to other programs than HAProxy; `warnings` are
    problems of the graph that did not stop it; `details` is for people; `trial`: it is on trial.
    """

    loadbalancer: str
    way: Way
    generation: int
    etag: str
    reasons: list[Why] = []
    later: list[Why] = []
    commands: list[str] = []
    steps_ms: dict[str, float] = {}
    also: list[str] = []
    covered: bool = False
    warnings: list[dict[str, Any]] = []
    details: str = ""
    trial: Trial | None = None


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What a write would do. `generation` and `etag` are of what serves now, 0 and "" for nothing; `diff` of the files, without secrets;
    `moves` as `hydria plan --json` has them, None where there is nothing to compare with; `problems` are all of the graph's.
    """

    loadbalancer: str
    way: Way
    generation: int
    etag: str
    reasons: list[Why] = []
    later: list[Why] = []
    commands: list[str] = []
    also: list[str] = []
    diff: str = ""
    moves: dict[str, Any] | None = None
    problems: list[dict[str, Any]] = []


class GenerationInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A generation that is kept. `contract`: who made it, 1.0 or 2.0; `outcome`: of its coming into force, None where it did not;
    `refused`: why it did not.
    """

    number: int
    etag: str
    contract: Literal["1.0", "2.0"]
    made: float
    state: Literal["serving", "loading", "uploaded", "past", "refused"]
    rolled_back_to: int | None = None
    outcome: Outcome | None = None
    refused: str = ""


class FileInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a generation. `text` is None for a secret one."""

    path: str
    size: int
    secret: bool = False
    text: str | None = None


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that a reload has replaced, and the connections that it still has; `uptime` in seconds."""

    pid: int
    uptime: int
    connections: int


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """A load balancer. `state`: ACTIVE, OFFLINE or ERROR; `step`: where a change is just now, "" for none; `leaving`: servers that are no
    longer configured and have connections, by name; `old_workers`: those that reloads have replaced; `trial`: what serves is on trial;
    `vip_here`: whether this machine has the VIP just now, None where no graph says which it is.
    """

    loadbalancer: str
    state: str
    generation: int
    etag: str
    step: str = ""
    old_workers: list[Worker] = []
    leaving: dict[str, int] = {}
    rows: list[Row] = []
    trial: Trial | None = None
    vip_here: bool | None = None


class Resigned(msgspec.Struct, frozen=True, kw_only=True):
    """What came of giving VIPs away. `resigned`: whether they were here; `connections` of clients that were still there; `seconds` until the
    VIPs were gone, in which nobody got a new connection.
    """

    loadbalancer: str
    resigned: bool
    connections: int
    seconds: float


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Where changes of a load balancer are. `event` grows with each step: ask for what comes after it."""

    loadbalancer: str
    event: int
    step: str = ""
    running_ms: float = 0.0
    generation: int = 0
    etag: str = ""
    outcome: Outcome | None = None


class Drain(msgspec.Struct, frozen=True, kw_only=True):
    """A member that gets no new clients. `connections` that it has; `left`: seconds until they are ended; `none` after `deadline`."""

    loadbalancer: str
    member: str
    state: Literal["draining", "drained", "ended"]
    connections: int
    left: float


class GraphRefusal(Refusal, frozen=True):
    """Why not, with the graph's problems, as `compiler.problems.Problem` in JSON."""

    problems: tuple[dict[str, Any], ...] = ()
