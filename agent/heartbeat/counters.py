"""Counters that only grow, told as differences: what each worker had counted when it was last seen, and what is owed to the controller.

A worker begins at zero, so all that a worker which was not seen before has counted is news. One whose counters have become smaller was
told to `clear counters`: all that it has is news, too. Which worker it was is part of the key, so that a restart, a reload or a number that
two processes have in turn never makes a difference out of two that have nothing to do with each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from agent import configuration
from agent.files import replace_file

#: Listeners that may be owed something, that is: may be gone or disabled with something untold, before the oldest is forgotten.
_OWED = 10_000


class Counts(msgspec.Struct, frozen=True, array_like=True):
    """Bytes received from clients and sent to them, connections, and requests that were none."""

    rx: int = 0
    tx: int = 0
    connections: int = 0
    errors: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.rx + other.rx, self.tx + other.tx, self.connections + other.connections, self.errors + other.errors)

    def __bool__(self) -> bool:
        return bool(self.rx or self.tx or self.connections or self.errors)

    def since(self, last: Counts) -> Counts:
        """What was added to `last`; all of it where the counters began anew in between."""
        if self.rx < last.rx or self.tx < last.tx or self.connections < last.connections or self.errors < last.errors:
            return self
        return Counts(self.rx - last.rx, self.tx - last.tx, self.connections - last.connections, self.errors - last.errors)


Rows = Mapping[str, Counts]


class Ledger(msgspec.Struct):
    """`boot` is the machine's uptime that this is about; `seen`: worker → listener → its counters; `owed`: listener → what was not told yet."""

    boot: str = ""
    seen: dict[str, dict[str, Counts]] = {}
    owed: dict[str, Counts] = {}

    def see(self, worker: str, rows: Rows) -> bool:
        """A look at a worker; whether there was anything new."""
        last = self.seen.get(worker, {})
        news = False
        for listener, counts in rows.items():
            if more := counts.since(last.get(listener, Counts())):
                self.owed[listener] = self.owed.get(listener, Counts()) + more
                news = True
        self.seen[worker] = dict(rows)
        while len(self.owed) > _OWED:
            del self.owed[next(iter(self.owed))]
        return news

    def finish(self, worker: str) -> None:
        """The worker has gone; it will not be seen again."""
        self.seen.pop(worker, None)

    def take(self, listeners: Mapping[str, object]) -> dict[str, Counts]:
        """What these listeners are owed, which they are not any more. What others are owed, which cannot be told now, stays."""
        return {listener: self.owed.pop(listener) for listener in listeners if listener in self.owed}

    def give_back(self, counts: Rows) -> None:
        """What was taken could not be told."""
        for listener, each in counts.items():
            self.owed[listener] = self.owed.get(listener, Counts()) + each


def load(path: Path, boot: str) -> Ledger:
    """The ledger of a file. After a reboot, what is owed is still owed. Raises OSError; ValueError where the file is none of ours."""
    try:
        ledger = msgspec.json.decode(path.read_bytes(), type=Ledger)
    except FileNotFoundError:
        return Ledger(boot)
    return ledger if ledger.boot == boot else Ledger(boot, {}, ledger.owed)


def save(content: bytes, path: Path) -> None:
    """Puts an encoded ledger in the file, whole. Raises OSError."""
    configuration.directory(path.parent)
    replace_file(path, content, 0o600)
