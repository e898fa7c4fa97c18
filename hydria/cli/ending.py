"""The good end of a verb that goes on until somebody has seen enough."""

from __future__ import annotations

import os
import select
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Ending:
    """Whether somebody wants an end.

    A pipe and not an event: a signal interrupts the very thread that waits, anywhere, also where an event's wait holds the lock that its
    `set` needs.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        self._wanted = False

    def want(self, *_: object) -> None:
        """Somebody does. May be called from a signal handler."""
        if not self._wanted:
            self._wanted = True
            os.write(self._writer, b"\0")

    def wait(self, seconds: float) -> bool:
        """Whether somebody wants an end before that many seconds have gone by; returns at once when they do."""
        return bool(select.select([self._reader], [], [], seconds)[0])

    def close(self) -> None:
        """Gives back what it has open."""
        os.close(self._reader)
        os.close(self._writer)


@contextmanager
def ended_by_signals() -> Iterator[Ending]:
    """An ending that Ctrl-C, SIGTERM and SIGHUP want, for as long as the context lasts."""
    ending = Ending()
    wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, ending.want) for number in wanted}
    try:
        yield ending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        ending.close()
