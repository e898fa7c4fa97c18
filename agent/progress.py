"""`Progress`: where changes of load balancers are, for whoever watches: each step is an event with a number, and one can wait for the next."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from agent.outcomes import Outcome


class Seen(NamedTuple):
    """The last event: its number, the step that was done ("" when nothing is going on), since when (monotonic), the last outcome."""

    event: int = 0
    step: str = ""
    since: float = 0.0
    outcome: Outcome | None = None


class ProgressBoard:
    """Of all load balancers; safe to be called from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._seen: defaultdict[str, Seen] = defaultdict(Seen)

    def begin(self, lb: str) -> None:
        """A change begins."""
        self._set(lb, "begun", time.monotonic(), None)

    def step(self, lb: str, word: str) -> None:
        """A step of a change is done; what is done besides changes is not told."""
        if self._seen[lb].step:
            self._set(lb, word, self._seen[lb].since, self._seen[lb].outcome)

    def end(self, lb: str, outcome: Outcome | None) -> None:
        """A change has ended, with this outcome or in an error."""
        self._set(lb, "", 0.0, outcome)

    def seen(self, lb: str) -> Seen:
        """The last event."""
        return self._seen[lb]

    def wait(self, lb: str, after: int, seconds: float) -> Seen:
        """The last event, as soon as there is one that came after `after`, or after `seconds`."""
        with self._changed:
            self._changed.wait_for(lambda: self._seen[lb].event > after, seconds)
            return self._seen[lb]

    def _set(self, lb: str, step: str, since: float, outcome: Outcome | None) -> None:
        with self._changed:
            self._seen[lb] = Seen(self._seen[lb].event + 1, step, since, outcome)
            self._changed.notify_all()
