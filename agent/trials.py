"""`Trials`: changes that are taken back unless somebody confirms them in time.

It is the agent that takes them back, so whoever made the change may have died of it, or have lost the way here. What is to be gone back to is on
the disk before anything changes: an agent that is killed at any moment, or a machine that is rebooted, goes on with the trial. Whoever writes
again without a trial means it, and has confirmed.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import msgspec
import structlog

from agent import trial_record
from agent.errors import AgentError, InvalidRequest, NotFoundError, PreconditionFailed
from agent.outcomes import Trial
from agent.trial_record import Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.clock import Clock
    from agent.generations import Generation
    from agent.haproxies import Haproxies
    from agent.outcomes import Outcome

_LOG = structlog.get_logger("agent.trials")

#: Seconds: the longest trial; between two attempts to go back, the first and the longest.
LONGEST = 24 * 3600.0
_AGAIN, _AGAIN_AT_MOST = 5.0, 300.0


class Trials:
    """All load balancers'. `now` gives the seconds since 1970."""

    def __init__(self, haproxies: Haproxies, clock: Clock, now: Callable[[], float] = time.time) -> None:
        self._haproxies = haproxies
        self._clock = clock
        self._now = now
        self._changed = threading.Condition()
        #: Load balancer → when its time is over, by the clock that does not jump; and how long to wait after a failure.
        self._due: dict[str, float] = {}
        self._pause: dict[str, float] = {}

    # --- in a change's turn: the caller holds the lock of the load balancer ---

    def during(self, lb: str, within: float | None, act: Callable[[], Outcome]) -> Outcome:
        """Does what changes a load balancer, on trial for `within` seconds; with None it is meant, and ends a trial. Raises what `act` does."""
        place = self._haproxies.generations(lb).place
        if within is None:
            outcome = act()
            self._keep(lb, None)
            return outcome
        before, current = trial_record.read(place), self._current(lb)
        good = before.back_to if before is not None else current.number if current else 0
        self._haproxies.prepare(lb)
        self._keep(lb, Record(back_to=good, until=self._now() + within, within=within))
        try:
            outcome = act()
        except Exception:
            self._keep(lb, before)
            self._haproxies.tidy(lb)
            raise
        if outcome.generation == good:  # nothing has changed, so there is nothing to try
            self._keep(lb, None)
            return outcome
        return msgspec.structs.replace(outcome, trial=self.of(lb))

    # --- by anybody ---

    def of(self, lb: str) -> Trial | None:
        """The trial that is open. Raises OSError, SystemFault."""
        record, current = trial_record.read(self._haproxies.generations(lb).place), self._current(lb)
        if record is None or current is None or _over(record, current):
            return None
        left = max(self._due.get(lb, 0.0) - self._clock.monotonic(), 0.0)
        return Trial(loadbalancer=lb, generation=current.number, etag=current.about.etag, back_to=record.back_to, left=round(left, 1))

    def confirm(self, lb: str, if_match: str | None = None) -> Trial:
        """What serves is good; the trial that this ends. Raises NotFoundError where there is none, PreconditionFailed; OSError."""
        with self._haproxies.locks(lb):
            trial = self.of(lb)
            if trial is None:
                raise NotFoundError(f"nothing is on trial at load balancer {lb}: it was confirmed, or taken back")
            if if_match is not None and trial.etag not in [tag.strip() for tag in if_match.split(",")]:
                raise PreconditionFailed(f"{trial.etag} is on trial, not {if_match[:200]}")
            self._keep(lb, None)
        _LOG.info("change confirmed", loadbalancer=lb, generation=trial.generation)
        return trial

    # --- taking back ---

    def watch(self, go_back: Callable[[str, int], None]) -> None:
        """From now on takes back what nobody confirms, also what was tried before this agent was started.

        `go_back(lb, generation)` does that; 0 is for a load balancer that was not there before.
        """
        self.resume()
        threading.Thread(target=self._watch, args=(go_back,), name="trials", daemon=True).start()

    def resume(self) -> None:
        """Goes on with the trials that an agent before this one has begun."""
        for lb in self._haproxies.loadbalancers():
            try:
                record = trial_record.read(self._haproxies.generations(lb).place)
            except (AgentError, OSError) as error:
                _LOG.error("it is not known whether a change is on trial", loadbalancer=lb, error=str(error))
                continue
            if record is not None:
                # The clock may have been set since.
                left = min(max(record.until - self._now(), 0.0), record.within)
                self._set(lb, left)

    def look(self, go_back: Callable[[str, int], None]) -> float | None:
        """Takes back what has had its time; seconds until there is more to do, None where nothing is on trial."""
        for lb, due in list(self._due.items()):
            if due <= self._clock.monotonic():
                self._end(lb, go_back)
        with self._changed:
            return max(min(self._due.values()) - self._clock.monotonic(), 0.0) if self._due else None

    def _watch(self, go_back: Callable[[str, int], None]) -> None:
        while True:
            left = self.look(go_back)
            with self._changed:
                # What came in between is in `_due`, and has notified nobody.
                if left is None:
                    self._changed.wait_for(lambda: self._due)
                else:
                    self._changed.wait(min(left + 0.01, 1.0))

    def _end(self, lb: str, go_back: Callable[[str, int], None]) -> None:
        with self._haproxies.locks(lb):
            try:
                self._take_back(lb, go_back)
            except (AgentError, OSError) as error:
                pause = self._pause.get(lb, _AGAIN)
                _LOG.error("a change that nobody confirmed is not taken back yet", loadbalancer=lb, error=str(error), again_in=pause)
                self._set(lb, pause)
                self._pause[lb] = min(pause * 2, _AGAIN_AT_MOST)

    def _take_back(self, lb: str, go_back: Callable[[str, int], None]) -> None:
        record, current = trial_record.read(self._haproxies.generations(lb).place), self._current(lb)
        if self._due.get(lb, 0.0) > self._clock.monotonic():  # it was given more time while this waited
            return
        if record is not None and not _over(record, current):
            _LOG.warning("nobody confirmed a change, so it is taken back", loadbalancer=lb, back_to=record.back_to)
            go_back(lb, record.back_to)
        self._keep(lb, None)

    # --- how ---

    def _current(self, lb: str) -> Generation | None:
        return self._haproxies.generations(lb).linked("current")

    def _keep(self, lb: str, record: Record | None) -> None:
        trial_record.write(self._haproxies.generations(lb).place, record)
        if record is not None:
            self._set(lb, min(max(record.until - self._now(), 0.0), record.within))
        else:
            with self._changed:
                self._due.pop(lb, None)
                self._pause.pop(lb, None)

    def _set(self, lb: str, left: float) -> None:
        with self._changed:
            self._due[lb] = self._clock.monotonic() + left
            self._changed.notify_all()


def seconds(given: float) -> float:
    """How long a trial may be. Raises InvalidRequest."""
    if not 1 <= given <= LONGEST:
        raise InvalidRequest(f"confirm_within: {given:g} given; 1 to {LONGEST:g} seconds are allowed")
    return given


def _over(record: Record, current: Generation | None) -> bool:
    """Whether what serves is not what was tried: that never came to serve, was taken back, or somebody else has written since."""
    if current is None:
        return True
    about = current.about
    return record.back_to in (about.number, about.rolled_back_to) or about.contract != "2.0"
