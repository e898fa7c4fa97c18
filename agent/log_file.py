"""`LogFile`: what a program writes, and how it is read back: the last words, or those since some moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

#: Bytes of a program's words that an error carries: the last ones.
_LAST_WORDS = 64 * 1024
#: Bytes that a log may have before its older half is dropped.
_BOUND = 4 * 1024 * 1024


class Words(Protocol):
    """What a program says."""

    def position(self) -> str:
        """Where its words end now."""

    def since(self, position: str, /) -> str:
        """The last of what it said after that; "" for the position means ever."""


class LogFile:
    """The file at `path`, which a program appends to."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def position(self) -> str:
        """See `Words.position`."""
        return str(self._size())

    def since(self, position: str, /) -> str:
        """See `Words.since`."""
        size = self._size()
        # A log that is shorter than it was has been cut.
        begin = int(position or 0) if int(position or 0) <= size else 0
        try:
            with self.path.open("rb") as log:
                log.seek(max(begin, size - _LAST_WORDS))
                return log.read(_LAST_WORDS).decode(errors="backslashreplace")
        except FileNotFoundError:
            return ""

    def bound(self) -> None:
        """Drops the older half where it has become too long. What is written in this very moment may be lost. Raises OSError."""
        if self._size() > _BOUND:
            with self.path.open("r+b") as log:
                log.seek(-_BOUND // 2, 2)
                kept = log.read()
                log.seek(0)
                log.truncate()
                log.write(kept)

    def _size(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0
