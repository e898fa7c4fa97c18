"""An agent's own metrics over collaborators that say what a test wants to read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client.parser import text_string_to_metric_families

from agent.app import make_app
from agent.heartbeat.controllers import Destination
from agent.heartbeat.heart import HeartStatus
from agent.metrics.own import OwnMetrics, Sources
from agent.paths import Paths
from agent.running_haproxy import OldWorker
from agent.settings import Endpoint
from agent.statistics import Row
from support.fake_agent import FakeAgent

if TYPE_CHECKING:
    from collections.abc import Iterable

LB = "5d2f0d3e-6c1b-4a55-8d5e-0b6b7e1b6a10"
HEART = HeartStatus(
    beats=7,
    silent=None,
    silences={"one": 2, "another": 3},
    oversize=1,
    split=4,
    size=512,
    coarse=0,
    untold=0,
    old_workers=1,
    unsaved="disk full",
    destinations=(Destination(Endpoint("192.0.2.1", 5555), sent=9, failed=2, error="refused"),),
)
LVS = [
    Row(kind="listener", listener="udp", id="udp", status="OPEN", sessions=1, total=5, received=10, sent=20),
    Row(kind="pool", listener="", pool="pool", id="pool", status="UP"),
    Row(kind="member", listener="", pool="pool", id="one", status="no check"),
]


class FakeServices:
    def programs(self) -> tuple[str, ...]:
        return ("haproxy-a", "haproxy-b")

    def pid(self, name: str) -> int | None:
        return 1 if name == "haproxy-a" else None

    def restarts(self, name: str) -> int:
        return 3 if name == "haproxy-b" else 0


class FakeHaproxies:
    def loadbalancers(self) -> list[str]:
        return [LB]

    def running(self, _lb: str) -> bool:
        return True

    def old_workers(self, _lb: str) -> list[OldWorker]:
        return [OldWorker(1, 10, 2), OldWorker(2, 20, 3)]


class Fake:
    """The agent, and `metrics` of it; `failure` is what asking for UDP and SCTP listeners meets."""

    def __init__(self, directory: Path) -> None:
        self.agent = FakeAgent(directory)
        self.certificates = directory / "certs"
        self.failure: Exception | None = None
        paths = Paths(directory, self.certificates, directory)
        services: Any = FakeServices()
        self.metrics = OwnMetrics(
            Sources(self.agent.settings, paths, services, FakeHaproxies(), lambda: HEART, self._lvs, self.agent.tally)
        )

    def do_something(self) -> None:
        """Is asked, and changes something."""
        client = make_app(self.agent.agent).test_client()
        client.get("/1.0/info")
        client.put(f"/1.0/loadbalancer/{LB}/reload")

    def _lvs(self) -> Iterable[Row]:
        if self.failure is not None:
            raise self.failure
        return LVS

    def samples(self) -> dict[str, float]:
        """`name{label="value",…}`, or `name`, and its value."""
        found = {}
        for family in text_string_to_metric_families(self.metrics.text().decode()):
            for sample in family.samples:
                labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
                found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
        return found
