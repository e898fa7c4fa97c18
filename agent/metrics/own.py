"""`OwnMetrics`: what the agent tells of itself at `/metrics`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple, Protocol

import structlog

from agent.errors import AgentError
from agent.metrics import validity
from agent.metrics.families import counter, gauge, summary
from agent.metrics.lvs import samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from prometheus_client import Metric

    from agent.heartbeat.heart import HeartStatus
    from agent.metrics.tally import Tally
    from agent.paths import Paths
    from agent.running_haproxy import OldWorker
    from agent.services.programs import Services
    from agent.settings import LiveSettings
    from agent.statistics import Row

_LOG = structlog.get_logger("agent.metrics")

_DAY = 86_400.0


class Haproxies(Protocol):
    """See `agent.haproxies.Haproxies`."""

    def loadbalancers(self) -> Sequence[str]:
        """Those that have a configuration."""

    def running(self, lb: str, /) -> bool:
        """Whether it serves."""

    def old_workers(self, lb: str, /) -> list[OldWorker]:
        """Workers that were replaced and still serve connections."""


class Sources(NamedTuple):
    """What the metrics are about. `lvs()` gives UDP and SCTP listeners with their pools and members."""

    settings: LiveSettings
    paths: Paths
    services: Services
    haproxies: Haproxies
    heart: Callable[[], HeartStatus]
    lvs: Callable[[], Iterable[Row]]
    tally: Tally


class OwnMetrics:
    """A source that fails is missing in the answer, and it is told that it is; all others are there."""

    def __init__(self, sources: Sources, now: Callable[[], float] = time.time) -> None:
        self._from = sources
        self._now = now
        self._ends: dict[Path, tuple[int, datetime | None]] = {}
        self._failing: set[str] = set()

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        # Whom nobody asks needs no library to answer.
        from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest  # noqa: PLC0415

        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        ProcessCollector(registry=registry)
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        """All of it."""
        parts: Mapping[str, Callable[[], Iterable[Metric]]] = {
            "agent": self._about,
            "requests": self._requests,
            "heartbeat": self._heartbeat,
            "haproxy": self._haproxy,
            "programs": self._programs,
            "certificates": self._certificates,
            "lvs": self._lvs,
        }
        failed = {}
        for name, part in parts.items():
            try:
                yield from list(part())
                failed[name,] = 0
                self._failing.discard(name)
            except (AgentError, OSError, ValueError) as error:
                failed[name,] = 1
                if name not in self._failing:
                    _LOG.warning("metrics are missing", source=name, error=str(error))
                self._failing.add(name)
        yield gauge("hydria_agent_source_failed", "Whether metrics of this kind are missing, because they cannot be had", failed, "source")

    def _about(self) -> Iterator[Metric]:
        about = version("hydria"), self._from.settings.current.amphora_id or ""
        yield gauge("hydria_agent_info", "Which agent this is: always 1", {about: 1}, "version", "amphora")

    def _requests(self) -> Iterator[Metric]:
        tally = self._from.tally
        requests = {(kind.method, kind.route, str(kind.status)): count for kind, count in tally.requests().items()}
        yield counter("hydria_agent_requests", "Requests that were answered", requests, "method", "route", "status")
        yield counter("hydria_agent_handshakes_refused", "TLS handshakes that came to nothing", {(): tally.refusals()})
        changes = {(kind.change, kind.outcome): count for kind, count in tally.changes().items()}
        help_text = "Changes that were asked for, by what came of them: done, or the code of an error"
        yield counter("hydria_agent_changes", help_text, changes, "change", "outcome")
        times = {(change,): (each.times, each.seconds) for change, each in tally.times().items()}
        yield summary("hydria_agent_change_duration_seconds", "How long changes took, those that failed too", times, "change")

    def _heartbeat(self) -> Iterator[Metric]:
        heart = self._from.heart()
        yield counter("hydria_agent_heartbeats", "Heartbeats that a controller was sent", {(): heart.beats})
        yield counter("hydria_agent_heartbeats_silent", "Heartbeats that were not sent", {(): sum(heart.silences.values())})
        yield gauge("hydria_agent_heartbeat_silent", "Whether the last heartbeat was not sent", {(): int(heart.silent is not None)})
        yield counter("hydria_agent_heartbeats_oversize", "Messages that no datagram can carry", {(): heart.oversize})
        yield counter("hydria_agent_heartbeat_further_datagrams", "Datagrams beyond the first of a heartbeat", {(): heart.split})
        yield gauge("hydria_agent_heartbeat_bytes", "Size of the last heartbeat", {(): heart.size})
        yield gauge("hydria_agent_heartbeat_coarse_pools", "Pools that are too large to be told exactly", {(): heart.coarse})
        yield gauge("hydria_agent_heartbeat_untold_members", "Members that the last heartbeat had to leave out", {(): heart.untold})
        yield gauge("hydria_agent_counters_unsaved", "Whether counters could not be saved", {(): int(heart.unsaved is not None)})
        sent = {(str(each.endpoint),): each.sent for each in heart.destinations}
        failed = {(str(each.endpoint),): each.failed for each in heart.destinations}
        failing = {(str(each.endpoint),): int(each.error is not None) for each in heart.destinations}
        yield counter("hydria_agent_heartbeat_datagrams", "Datagrams that left for a controller", sent, "controller")
        yield counter("hydria_agent_heartbeat_failures", "Datagrams that did not leave, or came back", failed, "controller")
        yield gauge("hydria_agent_heartbeat_failing", "Whether the last attempt to tell a controller failed", failing, "controller")

    def _haproxy(self) -> Iterator[Metric]:
        haproxies = self._from.haproxies
        found = haproxies.loadbalancers()
        serving = {(lb,): int(haproxies.running(lb)) for lb in found}
        old = {lb: haproxies.old_workers(lb) for lb in found}
        numbers = {(lb,): len(workers) for lb, workers in old.items()}
        connections = {(lb,): sum(worker.connections for worker in workers) for lb, workers in old.items()}
        yield gauge("hydria_agent_haproxy_serving", "Whether the HAProxy of a load balancer serves", serving, "loadbalancer")
        yield gauge("hydria_agent_haproxy_old_workers", "Workers that reloads have replaced and that go on", numbers, "loadbalancer")
        yield gauge("hydria_agent_haproxy_old_connections", "Connections of such workers", connections, "loadbalancer")

    def _programs(self) -> Iterator[Metric]:
        services = self._from.services
        names = services.programs()
        running = {(name,): int(services.pid(name) is not None) for name in names}
        restarts = {(name,): services.restarts(name) for name in names}
        yield gauge("hydria_agent_program_running", "Whether a program runs that should", running, "program")
        yield counter("hydria_agent_program_restarts", "How often a program had to be started again", restarts, "program")

    def _certificates(self) -> Iterator[Metric]:
        settings, base = self._from.settings.current, self._from.paths.certificates
        files = {("agent", "", "certificate"): settings.agent_server_cert, ("agent", "", "authority"): settings.agent_server_ca}
        files |= {("loadbalancer", path.parent.name, path.stem): path for path in sorted(base.glob("*/*.pem"))}
        for lb in self._from.haproxies.loadbalancers():
            # Those that came with a graph are in the generation that serves.
            serving = self._from.paths.loading(lb)
            files |= {("loadbalancer", lb, path.stem): path.resolve() for path in sorted(serving.glob("certs/*.pem"))}
        left = {}
        for labels, path in files.items():
            if (end := self._end(path)) is not None:
                left[labels] = (end.timestamp() - self._now()) / _DAY
        self._ends = {path: known for path, known in self._ends.items() if path in files.values()}
        help_text = "Days until the first certificate of a file ends to be valid; less than 0 when it has"
        yield gauge("hydria_agent_certificate_days_left", help_text, left, "of", "loadbalancer", "name")

    def _end(self, path: Path) -> datetime | None:
        """When a file's certificates end; None where there is none in it. One that cannot be read as a certificate has ended long ago."""
        try:
            changed = path.stat().st_mtime_ns
            if self._ends.get(path, (0, None))[0] != changed:
                self._ends[path] = changed, _read_end(path)
        except FileNotFoundError:
            return None
        return self._ends[path][1]

    def _lvs(self) -> Iterator[Metric]:
        for each in samples(self._from.lvs()):
            yield (counter if each.kind == "counter" else gauge)(each.name, each.help, each.values, *each.labels)


def _read_end(path: Path) -> datetime | None:
    try:
        return validity.first_end(path.read_bytes())
    except ValueError:
        return datetime.fromtimestamp(0, UTC)
