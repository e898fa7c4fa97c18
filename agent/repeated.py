"""`Repeated`: what strangers can have happen as often as they like is told at once, then once a minute, with how often it was."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

#: Seconds between two lines about the same source.
INTERVAL = 60.0

#: Sources that are told apart in one interval. Those that come when there are so many already are one, `OTHERS`.
SOURCES = 64
OTHERS = "others"


class _Source(msgspec.Struct):
    until: float
    times: int = 0
    reason: str = ""


class Repeated:
    """`tell(source, reason, times)` writes a line about what happened `times` times since the last one; `reason` is the last one.

    Times are seconds of whatever clock the caller has. For one thread.
    """

    def __init__(self, tell: Callable[[str, str, int], None]) -> None:
        self._tell = tell
        # Those whose interval ends first come first.
        self._sources: dict[str, _Source] = {}

    def happened(self, source: str, reason: str, now: float) -> None:
        """It did, because of `source`."""
        self.look(now)
        name = source if source in self._sources or len(self._sources) < SOURCES else OTHERS
        known = self._sources.get(name)
        if known is None:
            self._sources[name] = _Source(now + INTERVAL)
            self._tell(name, reason, 1)
        else:
            known.times, known.reason = known.times + 1, reason

    def look(self, now: float) -> None:
        """Tells what is to be told by now; to be called now and then. With infinity, all that has not been told."""
        while self._sources and (first := next(iter(self._sources.items())))[1].until <= now:
            name, source = first
            del self._sources[name]
            if source.times:
                self._tell(name, source.reason, source.times)
                # It goes on, or it is forgotten after another interval.
                if now < float("inf"):
                    self._sources[name] = _Source(now + INTERVAL)
