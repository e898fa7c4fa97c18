"""Time as a collaborator, and the one way to wait: until a condition holds or a deadline has passed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds between two looks at a condition.
_PAUSE = 0.02


class Clock(Protocol):
    """What the time is, and how to let some pass; both in seconds."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""

    def sleep(self, seconds: float, /) -> None:
        """Lets `seconds` pass."""


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """Seconds since the machine started."""
        return time.monotonic()

    def sleep(self, seconds: float, /) -> None:
        """Lets `seconds` pass."""
        time.sleep(seconds)


def wait_until(condition: Callable[[], bool], seconds: float, clock: Clock) -> bool:
    """Whether `condition` came to hold within `seconds`. It is looked at once at least, and once more when the time is over."""
    deadline = clock.monotonic() + seconds
    while not condition():
        remaining = deadline - clock.monotonic()
        if remaining <= 0:
            return False
        clock.sleep(min(_PAUSE, remaining))
    return True
