"""`Observer`: looks at one agent, by its public contract, and keeps what does not change between two looks."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

import msgspec

import compiler
from agent.errors import AgentError, NotFoundError
from compiler.index import walk
from hydria.web.moved import moved
from hydria.web.seen import AgentLook, Expiry, PoolMove, Served

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.client import AgentClient
    from agent.clock import Clock
    from agent.outcomes import GenerationInfo, Status
    from agent.statistics import Row
    from compiler.graph import LoadBalancer

#: What a graph is called among the files of a generation.
_GRAPH = "graph.json"
#: Generations of which it is told who moved.
_LATEST = 5
#: Seconds that certificates' ends, which need a day for the next figure, are not asked for again.
_CERTIFICATES = 30.0

_DAYS_LEFT = "hydria_agent_certificate_days_left"


class Observer:
    """Looks at the agent that `client` asks. One look at a time."""

    def __init__(self, client: AgentClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._haproxy = ""
        self._graphs: dict[tuple[str, str], LoadBalancer | None] = {}
        self._moved: dict[tuple[str, str], tuple[PoolMove, ...]] = {}
        self._expiries: tuple[float, tuple[Expiry, ...]] | None = None

    def look(self) -> AgentLook:
        """What there is now. Raises AgentError."""
        self._haproxy = self._haproxy or self._client.info().haproxy_version
        found = []
        for lb in self._client.loadbalancers():
            try:
                found.append(self._served(self._client.loadbalancer_status(lb), self._client.generations(lb)))
            except NotFoundError:  # it has just been deleted
                continue
        if any(_has_lvs(each.graph) for each in found):
            # Rows of IPVS, which does not know whose they are.
            rows = [row for row in self._client.statistics().rows if not row.loadbalancer]
            found = [each._replace(rows=(*each.rows, *_own(each, rows))) for each in found]
        self._forget(found)
        return AgentLook(self._clock.monotonic(), self._haproxy, tuple(found), self._ends())

    def _served(self, status: Status, generations: Sequence[GenerationInfo]) -> Served:
        lb = status.loadbalancer
        serving = next((one for one in generations if one.etag == status.etag), None)
        graph = self._graph(lb, serving) if serving is not None else None
        came = [one for one in generations if one.outcome is not None and one.state != "refused"][: _LATEST + 1]
        known = {new.number: self._who(lb, old, new) for new, old in itertools.pairwise(came)}
        return Served(status, tuple(status.rows), graph, tuple(generations), known)

    def _graph(self, lb: str, generation: GenerationInfo) -> LoadBalancer | None:
        """The graph of a generation; None where there is none."""
        key = (lb, generation.etag)
        if key not in self._graphs:
            try:
                files = self._client.loadbalancer_files(lb, generation.number)
                text = next((file.text for file in files if file.path == _GRAPH), None)
                self._graphs[key] = compiler.load(text) if text is not None else None
            except (NotFoundError, compiler.ProblemError):
                self._graphs[key] = None
        return self._graphs[key]

    def _who(self, lb: str, old: GenerationInfo, new: GenerationInfo) -> tuple[PoolMove, ...]:
        key = (lb, new.etag)
        if key not in self._moved:
            before, after = self._graph(lb, old), self._graph(lb, new)
            self._moved[key] = moved(before, after, _version(self._haproxy)) if before is not None and after is not None else ()
        return self._moved[key]

    def _forget(self, found: Sequence[Served]) -> None:
        """What is kept of generations that are no more."""
        there = {(each.status.loadbalancer, one.etag) for each in found for one in each.generations}
        self._graphs = {key: graph for key, graph in self._graphs.items() if key in there}
        self._moved = {key: moves for key, moves in self._moved.items() if key in there}

    def _ends(self) -> tuple[Expiry, ...]:
        now = self._clock.monotonic()
        if self._expiries is None or now - self._expiries[0] > _CERTIFICATES:
            try:
                self._expiries = now, expiries(self._client.metrics())
            except AgentError:  # an agent that has no metrics has the rest
                self._expiries = now, ()
        return self._expiries[1]


def _has_lvs(graph: LoadBalancer | None) -> bool:
    """Whether some of it may be IPVS's; who knows, where no graph tells."""
    return graph is None or any(listener.protocol in ("UDP", "SCTP") for listener in graph.listeners)


def _own(served: Served, rows: Sequence[Row]) -> list[Row]:
    ids = {node.id for node, _ in walk(served.graph)} if served.graph is not None else set()
    lb = served.status.loadbalancer
    return [msgspec.structs.replace(row, loadbalancer=lb) for row in rows if (row.pool or row.id) in ids]


def expiries(metrics: str) -> tuple[Expiry, ...]:
    """What an agent's metrics say of certificates, those that end first first."""
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415 - a moment that --help need not wait for

    found = [
        Expiry(sample.labels["of"], sample.labels["loadbalancer"], sample.labels["name"], sample.value)
        for family in text_string_to_metric_families(metrics)
        if family.name == _DAYS_LEFT
        for sample in family.samples
    ]
    return tuple(sorted(found, key=lambda one: one.days))


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])
