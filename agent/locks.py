"""`Locks`: one lock for each name, so that what happens to one object does not wait for another's."""

from __future__ import annotations

import threading
from collections import defaultdict


class Locks:
    """`with locks(name):`"""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: defaultdict[str, threading.RLock] = defaultdict(threading.RLock)

    def __call__(self, name: str) -> threading.RLock:
        """The lock of this name. They are never given up: there are few names, and somebody may wait for one."""
        with self._guard:
            return self._locks[name]
