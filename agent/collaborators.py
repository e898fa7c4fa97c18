"""What the HTTP routes call: `Agent` holds one of each, and the protocols say what the routes need of them and nothing more.

All of them are called from many threads at once. What they raise is of `agent.errors`, or OSError where the machine fails.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agent import statistics
from agent.haproxies import Listener
from agent.metrics.tally import Tally
from agent.network.requests import NetworkPlug, Rule, VipPlug
from agent.outcomes import Drain, FileInfo, Forecast, GenerationInfo, Outcome, Progress, Resigned, Status, Trial
from agent.settings import LiveSettings


class Network(Protocol):
    """See `agent.network.network.Network`."""

    def plug_vip(self, plan: VipPlug, /, *, active_standby: bool) -> str:
        """Moves the VIP's interface into the namespace; what was done. Raises ConflictError where it is there already."""

    def plug_network(self, plan: NetworkPlug, /, *, active_standby: bool) -> str:
        """Moves an interface into the namespace, or gives it other addresses; what was done."""

    def interface_of(self, address: str, /) -> str:
        """The name of the interface that has an address."""

    def set_rules(self, interface: str, rules: Sequence[Rule], /) -> None:
        """Lets in what the rules say and nothing else."""

    def counters(self) -> Mapping[str, tuple[int, int]]:
        """Interface → bytes sent, bytes received."""


class Haproxies(Protocol):
    """See `agent.haproxies.Haproxies`: one HAProxy for each load balancer."""

    def upload(self, amphora_id: str, lb: str, text: bytes, /) -> None:
        """Checks a configuration and puts it in place."""

    def config(self, lb: str, /) -> bytes:
        """The configuration as it was sent."""

    def start(self, lb: str, /) -> str:
        """Makes it run; what was done."""

    def stop(self, lb: str, /) -> None:
        """Makes it not run."""

    def reload(self, lb: str, /) -> str:
        """Makes it serve the configuration in place; what was done."""

    def delete(self, lb: str, /) -> None:
        """Stops it and removes what there is of it. An absent one is fine."""

    def loadbalancers(self) -> Sequence[str]:
        """The ids of those that have a configuration."""

    def listeners(self) -> Sequence[Listener]:
        """The listeners of all of them."""

    def running(self, lb: str, /) -> bool:
        """Whether it serves."""


class LvsListeners(Protocol):
    """See `agent.keepaliveds`: one keepalived for each UDP or SCTP listener."""

    def upload(self, listener: str, text: bytes, /) -> None:
        """Checks a configuration and puts it in place."""

    def config(self, listener: str, /) -> bytes:
        """The configuration as it was sent."""

    def start(self, listener: str, /) -> str:
        """Makes it run; what was done."""

    def stop(self, listener: str, /) -> None:
        """Makes it not run."""

    def reload(self, listener: str, /) -> str:
        """Makes it serve the configuration in place; what was done."""

    def delete(self, listener: str, /) -> None:
        """Stops it and removes what there is of it. An absent one is fine."""

    def listeners(self) -> Sequence[Listener]:
        """Those that have a configuration."""

    def running(self, listener: str, /) -> bool:
        """Whether it serves."""


class Vrrp(Protocol):
    """See `agent.keepaliveds`: the keepalived that moves the VIP between the two of a pair."""

    def upload(self, text: bytes, /) -> None:
        """Checks a configuration and puts it in place."""

    def start(self) -> str:
        """Makes it run, or reload where it does; what was done."""

    def stop(self) -> None:
        """Makes it not run."""

    def reload(self) -> str:
        """Makes it follow the configuration in place; what was done."""


class Certificates(Protocol):
    """See `agent.certificates.Certificates`: what load balancers present and trust."""

    def put(self, lb: str, name: str, content: bytes, /) -> None:
        """Puts a file in place."""

    def md5(self, lb: str, name: str, /) -> str:
        """The MD5 of a file's content, in hexadecimal digits."""

    def delete(self, lb: str, name: str, /) -> None:
        """Removes a file. An absent one is fine."""


class Graphs(Protocol):
    """See `agent.graphs.Graphs`: load balancers as the 2.0 contract has them."""

    def put(self, lb: str, content: bytes, if_match: str | None, confirm_within: float | None, /) -> Outcome:
        """Has a load balancer be what a body says; with `confirm_within`, for so many seconds unless it is confirmed."""

    def confirm(self, lb: str, if_match: str | None, /) -> Trial:
        """What was put on trial stays."""

    def loadbalancers(self) -> Sequence[str]:
        """The ids of those that there are."""

    def plan(self, lb: str, content: bytes, /) -> Forecast:
        """What `put` would do."""

    def rollback(self, lb: str, number: int | None, if_match: str | None, /) -> Outcome:
        """Has it be what it was."""

    def delete(self, lb: str, if_match: str | None, /) -> None:
        """Ends it. An absent one is fine."""

    def graph(self, lb: str, /) -> tuple[bytes, str]:
        """The graph that serves, and the ETag."""

    def files(self, lb: str, number: int | None, /) -> list[FileInfo]:
        """The files of a generation, of what serves by default."""

    def history(self, lb: str, /) -> list[GenerationInfo]:
        """The generations, the latest first."""

    def status(self, lb: str, /) -> Status:
        """How it fares."""

    def progress(self, lb: str, after: int, wait: float, /) -> Progress:
        """Where changes are, when there is news or after `wait` seconds."""


class Drains(Protocol):
    """See `agent.drains.Drains`."""

    def start(self, lb: str, member: str, deadline: float, /) -> Drain:
        """Gives a member no new clients."""

    def progress(self, lb: str, member: str, /) -> Drain:
        """How far it has come."""

    def cancel(self, lb: str, member: str, /) -> None:
        """Gives it its share again."""


class Resigning(Protocol):
    """See `agent.resigning.Resigning`."""

    def resign(self, lb: str, within: float, /) -> Resigned:
        """Gives the VIPs of a pair away."""


class Metrics(Protocol):
    """See `agent.metrics.own.OwnMetrics`."""

    def text(self) -> bytes:
        """What the agent tells of itself, as Prometheus reads it."""


class Statistics(Protocol):
    """See `agent.statistics.AgentStatistics`."""

    def read(self) -> statistics.Statistics:
        """Those of listeners, pools and members."""


class Machine(Protocol):
    """See `agent.machine.Machine`."""

    def info(self) -> Mapping[str, str]:
        """Names and versions."""

    def measurements(self) -> Mapping[str, Any]:
        """Processors, memory, disk and load."""


class Identity(Protocol):
    """See `agent.identity.Identity`."""

    def context(self) -> ssl.SSLContext:
        """Our side of one connection."""

    def certificate(self) -> bytes:
        """What we present, DER."""

    def authority(self) -> bytes:
        """The certificates of the clients' authority, PEM."""

    def replace(self, content: bytes, /) -> None:
        """Puts another certificate and key in place, for connections from now on. Raises InvalidRequest where it cannot be used."""


@dataclass(frozen=True, kw_only=True)
class Agent:
    """What the routes call."""

    settings: LiveSettings
    machine: Machine
    identity: Identity
    network: Network
    haproxies: Haproxies
    lvs: LvsListeners
    vrrp: Vrrp
    certificates: Certificates
    metrics: Metrics
    statistics: Statistics
    graphs: Graphs
    drains: Drains
    resigning: Resigning
    tally: Tally
