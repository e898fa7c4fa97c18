"""`Tally`: what the agent was asked and what came of it, counted."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from typing import NamedTuple


class Request(NamedTuple):
    """Of a kind that there are few of: `route` is a pattern, `status` HTTP's."""

    method: str
    route: str
    status: int


class Change(NamedTuple):
    """`change` is what was to be done, such as `loadbalancers.reload`; `outcome` is `done`, or the code of the error that it met."""

    change: str
    outcome: str


class Times(NamedTuple):
    """How often, and the seconds that it took in all."""

    times: int
    seconds: float


class Tally:
    """May be written and read from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._refusals = 0
        self._requests: Counter[Request] = Counter()
        self._changes: Counter[Change] = Counter()
        self._times: defaultdict[str, Times] = defaultdict(lambda: Times(0, 0.0))

    def refused(self) -> None:
        """Somebody's handshake came to nothing."""
        with self._lock:
            self._refusals += 1

    def request(self, request: Request) -> None:
        """A request was answered."""
        with self._lock:
            self._requests[request] += 1

    def change(self, change: Change, seconds: float) -> None:
        """Something was changed, or was to be, in so many seconds."""
        with self._lock:
            self._changes[change] += 1
            before = self._times[change.change]
            self._times[change.change] = Times(before.times + 1, before.seconds + seconds)

    def refusals(self) -> int:
        """Handshakes that came to nothing."""
        with self._lock:
            return self._refusals

    def requests(self) -> dict[Request, int]:
        """All of them so far."""
        with self._lock:
            return dict(self._requests)

    def changes(self) -> dict[Change, int]:
        """All of them so far."""
        with self._lock:
            return dict(self._changes)

    def times(self) -> dict[str, Times]:
        """Of changes, by what was to be done."""
        with self._lock:
            return dict(self._times)
