"""Who starts Octavia's processes: it has imported all that they need and forks, so that each is there at once, also when it is started again.

It answers at a socket (see `hydria.lab.calls`): `roles`, `start`, `stop`. What ends by itself is not started again: somebody is to see that.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from hydria.lab.calls import serve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path


class Nursery:
    """`roles`: name → what its process does, for as long as it lives. Nothing runs yet."""

    def __init__(self, roles: Mapping[str, Callable[[], None]]) -> None:
        self._roles = roles
        self._pids: dict[str, int] = {}

    def start(self, name: str) -> dict[str, Any]:
        """Starts one; fine where it runs. Raises KeyError."""
        life = self._roles[name]
        if self._running(name) is None:
            sys.stdout.flush()
            if (pid := os.fork()) == 0:
                _live(life)
            self._pids[name] = pid
        return {}

    def stop(self, name: str, number: int = signal.SIGKILL) -> dict[str, Any]:
        """Ends one with all that it has forked, and returns when it is gone; fine where it does not run. Raises KeyError."""
        if name not in self._roles:
            raise KeyError(name)
        if (pid := self._running(name)) is not None:
            # Each is a process group of its own.
            os.killpg(pid, number)
            os.waitpid(pid, 0)
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            del self._pids[name]
        return {}

    def roles(self) -> dict[str, Any]:
        """Name → its process's id, None where it does not run."""
        return {"roles": {name: self._running(name) for name in self._roles}}

    def serve(self, place: Path) -> NoReturn:
        """Answers at a socket, for ever."""
        serve(place, {"start": self.start, "stop": self.stop, "roles": self.roles})

    def _running(self, name: str) -> int | None:
        pid = self._pids.get(name)
        if pid is not None and os.waitpid(pid, os.WNOHANG) != (0, 0):
            del self._pids[name]
            return None
        return pid


def _live(life: Callable[[], None]) -> NoReturn:
    """The new process, until its end: nothing of what forked it goes on in it."""
    try:
        os.setpgid(0, 0)
        life()
    except BaseException:  # noqa: BLE001 - whatever it is, it is told, and this process must not go on as what it was
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)
