"""`Graphs`: writes of the 2.0 contract. A load balancer is what one graph says; it is compiled for this machine and applied as a whole.

Ids have been through `agent.identifiers`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from agent import graph_views
from agent.apply import files_of, why
from agent.compiling import Compiled, as_json, checked, compiled
from agent.errors import AgentError, NotFoundError, PreconditionFailed
from agent.generations import digest_of_generation
from agent.graph_request import GraphRequest
from agent.outcomes import Forecast, Outcome, Progress, Status, Worker
from agent.statistics import read as read_statistics
from agent.trials import seconds
from agent.writes import Write, Writes

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.amphora_target import AmphoraTarget
    from agent.beside import BundleBeside
    from agent.generations import Generation, Generations
    from agent.haproxies import Haproxies
    from agent.outcomes import FileInfo, GenerationInfo, Trial
    from agent.progress import ProgressBoard
    from agent.trials import Trials

_LOG = structlog.get_logger("agent.graphs")


class Graphs:
    """`beside(lb)` is what `haproxies` has, too; `holds` says whether an address is on this machine just now.

    All raises AgentError where it cannot be done, OSError where the machine fails.
    """

    def __init__(
        self,
        haproxies: Haproxies,
        machine: AmphoraTarget,
        beside: Callable[[str], BundleBeside],
        progress: ProgressBoard,
        *,
        trials: Trials,
        holds: Callable[[str], bool],
    ) -> None:
        self._haproxies = haproxies
        self._machine = machine
        self._beside = beside
        self._progress = progress
        self._trials = trials
        self._holds = holds
        self._writes = Writes(haproxies.locks)

    def put(self, lb: str, content: bytes, if_match: str | None = None, confirm_within: float | None = None) -> Outcome:
        """Has a load balancer be what a body says; with `confirm_within`, for so many seconds, unless `confirm` is called until then.

        Raises InvalidRequest, PreconditionFailed: with nothing changed; GraphRefused, RejectedByHaproxy, RejectedByKeepalived, SystemFault:
        what served before serves.
        """
        request = GraphRequest.decode(lb, content)
        # Whose graph is wrong shall know even if a later write takes its place.
        began, current = time.monotonic(), self._current(lb)
        ready = compiled(request, self._machine, current)
        made = _Made(ready, current, _ms(began))
        within = None if confirm_within is None else seconds(confirm_within)

        def act() -> Outcome:
            return self._trials.during(lb, within, lambda: self._put(lb, request, made, if_match))

        return self._writes.do(lb, Write(act, conditional=if_match is not None or within is not None))

    def confirm(self, lb: str, if_match: str | None = None) -> Trial:
        """What was put on trial stays; the trial that this ends. Raises NotFoundError where there is none, PreconditionFailed."""
        return self._trials.confirm(lb, if_match)

    def watch_trials(self) -> None:
        """From now on takes back what nobody confirms in time, also what an agent before this one was told."""
        self._trials.watch(self._go_back)

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
        """Has a load balancer be what it was in a generation; without `number`, in the one that served before, or before a trial.

        Raises as `put`.
        """

        def act() -> Outcome:
            return self._trials.during(lb, None, lambda: self._roll_back(lb, number, if_match))

        return self._writes.do(lb, Write(act, conditional=True))

    def delete(self, lb: str, if_match: str | None = None) -> None:
        """Ends it, and removes all that there is of it; fine where there is nothing. Raises PreconditionFailed."""
        with self._haproxies.locks(lb):
            current = self._current(lb)
            if if_match is not None:
                _must_match(current, if_match)
            self._beside(lb).end(current)
            self._haproxies.delete(lb)

    # --- looking ---

    def loadbalancers(self) -> list[str]:
        """The ids of those that there are, by whatever contract."""
        return self._haproxies.loadbalancers()

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
            trial=self._trials.of(lb),
            vip_here=self._holds(vip) if (vip := graph_views.vip(current)) is not None else None,
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
        loaded = generations.linked("loading")
        self._progress.begin(lb)
        outcome = None
        try:
            began = time.monotonic()
            staged = generations.stage(ready.files, "2.0")
            taken["stage"] = _ms(began)

            def check() -> list[dict[str, Any]]:
                return as_json(checked(ready.bundle, staged, self._haproxies.process(lb), self._beside(lb)))

            outcome = self._haproxies.bring(lb, staged, taken=taken, check=check)
        except (AgentError, OSError):
            if current is None:
                self._leave_nothing(lb, loaded)
            self._haproxies.tidy(lb)
            raise
        finally:
            self._progress.end(lb, outcome)
        return outcome

    def _leave_nothing(self, lb: str, loaded: Generation | None) -> None:
        """After a first write that failed: nothing has served, so there is nothing but, perhaps, what the 1.0 contract had uploaded."""
        generations = self._haproxies.generations(lb)
        try:
            failed = generations.linked("loading")
            if failed is None or failed == loaded:
                return
            self._beside(lb).end(failed)
            if loaded is None:
                generations.remove()
            else:
                generations.load(loaded)
        except (AgentError, OSError) as error:
            # Why it failed is what its caller has to know.
            _LOG.error("a first write that failed has left something", loadbalancer=lb, error=str(error))

    def _roll_back(self, lb: str, number: int | None, if_match: str | None) -> Outcome:
        current = self._current(lb)
        if current is None:
            raise NotFoundError(f"there is no load balancer {lb}")
        if if_match is not None:
            _must_match(current, if_match)
        generations = self._haproxies.generations(lb)
        if number is None and (trial := self._trials.of(lb)) is not None:
            number = trial.back_to or None
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

    def _go_back(self, lb: str, number: int) -> None:
        """To a generation, or to nothing where that is what there was."""
        if number:
            self._roll_back(lb, number, None)
        else:
            self.delete(lb)

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
