"""A connection to one worker of HAProxy that lasts as long as the worker does, and makes it last until we have seen its end.

`HeldWorker` is one to the worker that serves. It is in HAProxy's interactive mode (management guide 9.3, "prompt"), where an answer ends with a prompt
on a line of its own. Only what nobody outside has a say in is asked there: what servers answered to a check could look like a prompt.

`OldWorker` is a worker that had been replaced when we came. Nobody can connect to it any more; the master passes single commands on, which do
not keep it. What the last of its connections have moved may be lost.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, NamedTuple

from agent.errors import SocketFault
from agent.stats_socket import MasterSocket
from fastpath import stats
from fastpath.stats import Frontend

if TYPE_CHECKING:
    from pathlib import Path

    from agent.clock import Clock

_COUNTERS = "show stat -1 1 -1"
_PROMPT = b"\n> "
_CHUNK = 64 * 1024
_LIMIT = 16 * 1024 * 1024

#: Seconds for an answer.
_TIMEOUT = 2.0

#: Seconds that HAProxy is to wait for our next command before it closes; its default, 10, is less than a beat may take.
_PATIENCE = 86_400


class Life(NamedTuple):
    """`stopping`: it has been replaced and serves what connections it has. `idle`: nothing but us keeps it."""

    pid: int
    stopping: bool
    idle: bool


class HeldWorker:
    """Connects to the worker that has the socket at `path` now. Raises SocketFault, as everything here."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            try:
                self._connection.settimeout(_TIMEOUT)
                self._connection.connect(str(path))
            except OSError as error:
                raise SocketFault(f"{path}: {error.strerror or error}") from error
            self._ask("prompt")
            self._ask(f"set timeout cli {_PATIENCE}")
            self.pid = self.life().pid
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Lets it go."""
        self._connection.close()

    def life(self) -> Life:
        """What it says of itself."""
        try:
            numbers = stats.info(self._ask("show info"), ("Pid", "Stopping", "Jobs", "Unstoppable Jobs")).numbers
            ours = 1
            return Life(numbers["Pid"], numbers["Stopping"] != 0, numbers["Jobs"] - numbers["Unstoppable Jobs"] <= ours)
        except (ValueError, KeyError) as error:
            raise SocketFault(f"{self._path}: `show info` answers what cannot be read: {error}") from error

    def frontends(self) -> list[Frontend]:
        """Its counters."""
        try:
            return stats.heartbeat(self._ask(_COUNTERS)).frontends
        except ValueError as error:
            raise SocketFault(f"{self._path}: `show stat` answers what cannot be read: {error}") from error

    def _ask(self, command: str) -> bytes:
        deadline = self._clock.monotonic() + _TIMEOUT
        answer = bytearray()
        try:
            self._connection.settimeout(_TIMEOUT)
            self._connection.sendall(command.encode() + b"\n")
            while not answer.endswith(_PROMPT):
                self._connection.settimeout(max(deadline - self._clock.monotonic(), 0.001))
                chunk = self._connection.recv(_CHUNK)
                if not chunk:
                    raise SocketFault(f"{self._path}: the worker has gone")
                answer += chunk
                if len(answer) > _LIMIT or self._clock.monotonic() > deadline:
                    raise SocketFault(f"{self._path}: no whole answer to {command!r} within {_TIMEOUT:g} s and {_LIMIT} bytes")
        except OSError as error:
            raise SocketFault(f"{self._path}: {command!r} cannot be asked: {error.strerror or error}") from error
        return bytes(answer[: -len(_PROMPT) + 1])


class OldWorker:
    """As `HeldWorker`, through the master whose socket is at `path`, and not held. Raises SocketFault where it has gone."""

    def __init__(self, path: Path, pid: int, clock: Clock) -> None:
        self.pid = pid
        self._master = MasterSocket(path, timeout=_TIMEOUT, clock=clock)

    def close(self) -> None:
        """Nothing."""

    def life(self) -> Life:
        """It is stopping, and goes by itself."""
        return Life(self.pid, stopping=True, idle=False)

    def frontends(self) -> list[Frontend]:
        """Its counters."""
        try:
            return stats.heartbeat(self._master.ask_bytes(f"@!{self.pid} {_COUNTERS}")).frontends
        except ValueError as error:
            # The master says in words that it knows no such worker.
            raise SocketFault(f"the old worker {self.pid} has gone") from error
