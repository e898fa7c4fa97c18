"""`Writes`: those that wait for the same load balancer. While one is at work, the last that came says what all of them come to."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import TYPE_CHECKING

import msgspec

from agent.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.locks import Locks


class Write:
    """`apply` does it. One with a condition is done by itself, in its turn; others may be covered by a later one."""

    def __init__(self, apply: Callable[[], Outcome], *, conditional: bool) -> None:
        self.apply = apply
        self.conditional = conditional
        self.outcome: Outcome | None = None
        self.error: Exception | None = None


class Writes:
    """`locks` are held while something is done."""

    def __init__(self, locks: Locks) -> None:
        self._locks = locks
        self._guard = threading.Lock()
        self._waiting: defaultdict[str, list[Write]] = defaultdict(list)

    def do(self, lb: str, write: Write) -> Outcome:
        """Does it, or finds it done in a later one. Raises what `apply` does."""
        with self._guard:
            self._waiting[lb].append(write)
        try:
            with self._locks(lb):
                if write.outcome is None and write.error is None:
                    self._turn(lb, write)
        finally:
            with self._guard:
                if write in self._waiting[lb]:
                    self._waiting[lb].remove(write)
        if write.error is not None:
            raise write.error
        assert write.outcome is not None  # noqa: S101 - one of the two is there
        return write.outcome

    def _turn(self, lb: str, write: Write) -> None:
        with self._guard:
            alike = [one for one in self._waiting[lb] if not one.conditional and one.outcome is None and one.error is None]
        last = write if write.conditional or not alike else alike[-1]
        _try(last)
        if last.outcome is not None and not write.conditional:
            # Also where it has got the lock before them: what came first must not be done after it.
            for one in alike[:-1]:
                one.outcome = msgspec.structs.replace(last.outcome, covered=True)
        elif last is not write:
            _try(write)


def _try(write: Write) -> None:
    try:
        write.outcome = write.apply()
    except Exception as error:  # noqa: BLE001 - it is raised in the thread that waits for it
        write.error = error
