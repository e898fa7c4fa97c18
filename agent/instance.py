"""One agent for each run directory: two would start and stop the same programs."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agent.clock import Clock, wait_until
from agent.errors import ConflictError


@contextmanager
def only_one(run: Path, clock: Clock, patience: float = 10.0) -> Iterator[None]:
    """Holds the lock of the directory `run`, also in processes that are forked meanwhile. Raises ConflictError after `patience` seconds; OSError.

    There is something to wait for when an agent was killed: what it was doing ends some seconds later.
    """
    path = run / "agent.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def locked() -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    try:
        if not wait_until(locked, patience, clock):
            raise ConflictError(f"another agent runs with {run}: it holds the lock {path}")
        yield
    finally:
        os.close(descriptor)
