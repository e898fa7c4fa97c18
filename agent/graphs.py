"""`Graphs`: writes of the 2.0 contract. A load balancer is what one graph says; it is compiled for this machine and applied as a whole.

Ids have been through `agent.identifiers`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from agent import graph_views
from agent.apply import files_of, why
from agent.compiling import Compiled, as_json, checked, compiled
from agent.errors import AgentError, NotFoundError, PreconditionFailed
from agent.generations import digest_of_generation
from agent.graph_request import GraphRequest
from agent.outcomes import Forecast, Outcome, Progress, Status, Worker
from agent.statistics import read as read_statistics
from agent.writes import Write, Writes

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.amphora_target import AmphoraTarget
    from agent.beside import BundleBeside
    from agent.generations import Generation, Generations
    from agent.haproxies import Haproxies
    from agent.outcomes import FileInfo, GenerationInfo
    from agent.progress import ProgressBoard


class Graphs:
    """`beside(lb)` is what `haproxies` has, too. All raises AgentError where it cannot be done, OSError where the machine fails."""

    def __init__(
        self, haproxies: Haproxies, machine: AmphoraTarget, beside: Callable[[str], BundleBeside], progress: ProgressBoard
    ) -> None:
        self._haproxies = haproxies
        self._machine = machine
        self._beside = beside
        self._progress = progress
        self._writes = Writes(haproxies.locks)

    def put(self, lb: str, content: bytes, if_match: str | None = None) -> Outcome:
        """Has a load balancer be what a body says.

        Raises InvalidRequest, GraphRefused, PreconditionFailed: with nothing changed; RejectedByHaproxy, RejectedByKeepalived, SystemFault:
        what served before serves.
        """
        request = GraphRequest.decode(lb, content)
        # Whose graph is wrong shall know even if a later write takes its place.
        began, current = time.monotonic(), self._current(lb)
        ready = compiled(request, self._machine, current)
        made = _Made(ready, current, _ms(began))
        write = Write(lambda: self._put(lb, request, made, if_match), conditional=if_match is not None)
        return self._writes.do(lb, write)

    def plan(self, lb: str, content: bytes) -> Forecast:
        """What `put` would do. Changes nothing. Raises as `put` before anything is changed."""
        request = GraphRequest.decode(lb, content)
        with self._haproxies.locks(lb):
            current = self._current(lb)
            ready = compiled(request, self._machine, current)
            self._haproxies.prepare(lb)
            generations = self._haproxies.generations(lb)
            staged = generations.stage(ready.files, "2.0", passing=True)
            try:
                problems = checked(ready.bundle, staged, self._haproxies.process(lb), self._beside(lb))
                forecast = self._haproxies.apply(lb).forecast(files_of(staged))
                also = self._beside(lb).differences(staged)
                diff = graph_views.diff(current, staged)
            finally:
                generations.discard(staged)
                self._haproxies.tidy(lb)
        return Forecast(
            loadbalancer=lb,
            way=forecast.way,
            generation=current.number if current else 0,
            etag=current.about.etag if current else "",
            reasons=list(map(why, forecast.reasons)),
            later=list(map(why, forecast.later)),
            commands=list(map(str, forecast.commands)),
            also=also,
            diff=diff,
            moves=graph_views.moved(current, request, ready.target, self._machine),
            problems=as_json(problems),
        )

    def rollback(self, lb: str, number: int | None = None, if_match: str | None = None) -> Outcome:
        """Has a load balancer be what it was in a generation; without `number`, in the one that served before. Raises as `put`."""
        return self._writes.do(lb, Write(lambda: self._roll_back(lb, number, if_match), conditional=True))

    def delete(self, lb: str, if_match: str | None = None) -> None:
        """Ends it, and removes all that there is of it; fine where there is nothing. Raises PreconditionFailed."""
        with self._haproxies.locks(lb):
            current = self._current(lb)
            if if_match is not None:
                _must_match(current, if_match)
            self._beside(lb).end(current)
            self._haproxies.delete(lb)

    # --- looking ---

    def graph(self, lb: str) -> tuple[bytes, str]:
        """The graph that serves, in JSON, and the ETag. Raises NotFoundError."""
        return graph_views.graph(self._existing(lb))

    def files(self, lb: str, number: int | None = None) -> list[FileInfo]:
        """The files of what serves, or of another generation. Raises NotFoundError."""
        return graph_views.files(self._existing(lb), number)

    def history(self, lb: str) -> list[GenerationInfo]:
        """The generations, the latest first. Raises NotFoundError."""
        return graph_views.history(self._existing(lb))

    def status(self, lb: str) -> Status:
        """How it fares. Raises NotFoundError."""
        current = self._existing(lb).linked("current")
        state = self._haproxies.status(lb)
        rows, leaving = [], {}
        if state == "ACTIVE":
            rows = read_statistics(self._haproxies.stats(lb), lb)
            leaving = self._haproxies.leaving.of(lb)
        return Status(
            loadbalancer=lb,
            state=state,
            generation=current.number if current else 0,
            etag=current.about.etag if current else "",
            step=self._progress.seen(lb).step,
            old_workers=[Worker(**worker._asdict()) for worker in self._haproxies.old_workers(lb)] if state == "ACTIVE" else [],
            leaving=leaving,
            rows=rows,
        )

    def progress(self, lb: str, after: int, wait: float) -> Progress:
        """Where changes are, when there is news or after `wait` seconds."""
        seen = self._progress.wait(lb, after, wait)
        current = self._current(lb)
        return Progress(
            loadbalancer=lb,
            event=seen.event,
            step=seen.step,
            running_ms=round((time.monotonic() - seen.since) * 1000, 1) if seen.step else 0.0,
            generation=current.number if current else 0,
            etag=current.about.etag if current else "",
            outcome=seen.outcome,
        )

    # --- in its turn, with the lock ---

    def _put(self, lb: str, request: GraphRequest, made: _Made, if_match: str | None) -> Outcome:
        current = self._current(lb)
        if if_match is not None:
            _must_match(current, if_match)
        ready, taken = made.ready, {"compile": made.took}
        if current != made.beside:
            # Members keep the ids that they have now.
            began = time.monotonic()
            ready = compiled(request, self._machine, current)
            taken["compile"] += _ms(began)
        apply = self._haproxies.apply(lb)
        if current is not None and current.about.digest == digest_of_generation(ready.files) and apply.settled():
            return graph_views.unchanged(lb, current, as_json(ready.bundle.problems), taken)
        self._haproxies.prepare(lb)
        generations = self._haproxies.generations(lb)
        self._progress.begin(lb)
        outcome = None
        try:
            began = time.monotonic()
            staged = generations.stage(ready.files, "2.0")
            taken["stage"] = _ms(began)
            began = time.monotonic()
            try:
                problems = checked(ready.bundle, staged, self._haproxies.process(lb), self._beside(lb))
            except AgentError:
                generations.discard(staged)
                self._haproxies.tidy(lb)
                raise
            taken["validate"] = _ms(began)
            self._progress.step(lb, "validated")
            outcome = self._haproxies.bring(lb, staged, taken=taken, warnings=as_json(problems))
        finally:
            self._progress.end(lb, outcome)
        return outcome

    def _roll_back(self, lb: str, number: int | None, if_match: str | None) -> Outcome:
        current = self._current(lb)
        if current is None:
            raise NotFoundError(f"there is no load balancer {lb}")
        if if_match is not None:
            _must_match(current, if_match)
        generations = self._haproxies.generations(lb)
        wanted = generations.previous() if number is None else generations.get(number)
        if wanted.about.digest == current.about.digest and self._haproxies.apply(lb).settled():
            return graph_views.unchanged(lb, current, [], {})
        self._progress.begin(lb)
        outcome = None
        try:
            named = wanted.about.named
            self._beside(lb).put_back(wanted)
            staged = generations.stage(wanted.files(), wanted.about.contract, named=named, rolled_back_to=wanted.number)
            outcome = self._haproxies.bring(lb, staged)
        finally:
            self._progress.end(lb, outcome)
        return outcome

    def _existing(self, lb: str) -> Generations:
        generations = self._haproxies.generations(lb)
        if not generations.exists():
            raise NotFoundError(f"there is no load balancer {lb}")
        return generations

    def _current(self, lb: str) -> Generation | None:
        return self._haproxies.generations(lb).linked("current")


class _Made(NamedTuple):
    """What a graph was compiled to, `beside` the generation that served then; and how long that took, in ms."""

    ready: Compiled
    beside: Generation | None
    took: float


def _must_match(current: Generation | None, if_match: str) -> None:
    wanted = [tag.strip() for tag in if_match.split(",")]
    if current is None or ("*" not in wanted and current.about.etag not in wanted):
        raise PreconditionFailed(f"{current.about.etag if current else 'nothing'} serves, not {if_match[:200]}")


def _ms(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 2)
