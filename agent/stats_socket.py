"""HAProxy's two UNIX sockets: the worker's (`StatsSocket`) and the master's (`MasterSocket`).

Both are asked one command a connection, end their answer by closing, and get a deadline and a bound
(management guide 9.3 "Unix Socket commands", 9.4 "Master CLI").
"""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from agent.clock import Clock, SystemClock
from agent.errors import SocketFault
from fastpath import stats
from fastpath.stats import Columns, Heartbeat

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

T = TypeVar("T")

#: Bytes. A server takes some 400 in `show stat`, so this is for more than a hundred thousand of them.
_LIMIT = 64 * 1024 * 1024
_CHUNK = 256 * 1024

# A number of more digits is none of HAProxy's, and Python would not read every one.
_PROCESS = re.compile(r"(\d{1,18})\s+(\w+)\s+(\d{1,18})(?:\s+\[failed: (\d{1,18})\])?\s", re.ASCII)

#: Seconds for one whole answer.
_TIMEOUT = 5.0


class _Socket:
    """One UNIX socket; `timeout` in seconds for a whole answer, `limit` in bytes."""

    #: Whether HAProxy goes on reading commands until it is told that there are no more.
    conversational = False

    def __init__(self, path: Path, timeout: float = _TIMEOUT, limit: int = _LIMIT, clock: Clock | None = None) -> None:
        self.path = path
        self.timeout = timeout
        self._limit = limit
        self._clock = clock or SystemClock()

    def ask(self, command: str, payload: bytes | None = None) -> str:
        """The whole answer to one command, as text. Raises SocketFault; ValueError for a command of more than one line."""
        return self.ask_bytes(command, payload).decode(errors="backslashreplace")

    def ask_bytes(self, command: str, payload: bytes | None = None) -> bytearray:
        """The whole answer to one command; `payload` are whole lines that belong to it, of which the first empty one would be the end.

        Raises SocketFault; ValueError for a command of more than one line, or a payload with an empty one.
        """
        if "\n" in command:
            raise ValueError(f"one command a connection, not {command!r}")
        if payload is not None and (b"\n\n" in payload or payload[:1] in (b"", b"\n") or payload[-1:] != b"\n"):
            raise ValueError(f"the payload of {command!r} is not whole lines, none of them empty")
        whole = command.encode() + (b"\n" if payload is None else b" <<\n" + payload + b"\n")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(self.timeout)
                connection.connect(str(self.path))
                connection.sendall(whole)
                if self.conversational:
                    connection.shutdown(socket.SHUT_WR)
                answer = self._read(connection)
        except TimeoutError as error:
            raise SocketFault(f"{self.path}: no whole answer to {command!r} within {self.timeout:g} s") from error
        except OSError as error:
            raise SocketFault(f"{self.path}: {command!r} cannot be asked: {error.strerror or error}") from error
        if len(answer) > self._limit:
            raise SocketFault(f"{self.path}: the answer to {command!r} is larger than {self._limit} bytes")
        return answer

    def _read(self, connection: socket.socket) -> bytearray:
        """All that comes until HAProxy closes, or until it is more than the limit. Raises OSError."""
        deadline = self._clock.monotonic() + self.timeout
        answer = bytearray()
        while len(answer) <= self._limit:
            connection.settimeout(max(deadline - self._clock.monotonic(), 0.001))
            chunk = connection.recv(_CHUNK)
            if not chunk:
                break
            answer += chunk
            if self._clock.monotonic() > deadline:
                raise TimeoutError
        return answer


class StatsSocket(_Socket):
    """The socket of a worker."""

    def heartbeat(self) -> Heartbeat:
        """What a heartbeat tells of frontends, backends and servers, from one `show stat`. Raises SocketFault.

        It is the cheapest that HAProxy can be asked for: it prints all columns of a row, whatever the format (docs/measurements/statistics.md).
        """
        return self._read_as("show stat -1 7 -1", stats.heartbeat)

    def show_stat(self, columns: Sequence[str] = ()) -> list[dict[str, str]]:
        """`show stat`: a row for each frontend, backend and server, by the names of the columns (management guide 9.1). Raises SocketFault.

        All columns, or those that are named; one that this HAProxy does not have is not in the rows.
        """

        def rows(dump: bytearray) -> list[dict[str, str]]:
            texts = stats.columns(dump, columns or stats.names(dump)).texts
            return [dict(zip(texts, row, strict=True)) for row in zip(*texts.values(), strict=True)]

        return self._read_as("show stat", rows)

    def servers_state(self, texts: Sequence[str] = (), numbers: Sequence[str] = ()) -> Columns:
        """`show servers state`: the columns that are named, by name (management guide 9.3). Raises SocketFault."""
        return self._read_as("show servers state", lambda dump: stats.servers_state(dump, texts, numbers))

    def show_info(self) -> dict[str, str]:
        """`show info`: what the worker says of itself, by name. Raises SocketFault."""
        return self._read_as("show info", stats.info).texts

    def _read_as(self, command: str, read: Callable[[bytearray], T]) -> T:
        answer = self.ask_bytes(command)
        try:
            return read(answer)
        except ValueError as error:
            raise SocketFault(f"{self.path}: `{command}` answers what cannot be read: {error}") from error


class Processes(NamedTuple):
    """What `show proc` lists: the master, how often it was reloaded and failed since the last success; workers, by process id."""

    master: int
    reloads: int
    failed: int
    workers: tuple[int, ...]
    old_workers: tuple[int, ...]


class MasterSocket(_Socket):
    """The socket of a master (`haproxy -W -S`)."""

    conversational = True

    def processes(self) -> Processes:
        """`show proc`, read."""
        return parse_processes(self.ask("show proc"))

    def reload(self) -> None:
        """Asks the master to load its configuration again; whether that went well shows in `processes`.

        HAProxy before 2.7 becomes another program image on the spot: the connection breaks, and the socket is away for a moment.
        """
        with suppress(SocketFault):
            self.ask("reload")


def parse_processes(answer: str) -> Processes:
    """Reads the answer to `show proc`; raises SocketFault where it is not one.

    Workers have a number of reloads, too: those that they have survived. A worker that went on serving after a failed reload is still
    listed as current.
    """
    section = "master"
    found: dict[str, list[int]] = {"workers": [], "old workers": []}
    master = None
    for line in answer.splitlines():
        if line.startswith("# "):
            section = line[2:].strip()
        elif match := _PROCESS.match(line):
            if match[2] == "master":
                master = (int(match[1]), int(match[3]), int(match[4] or 0))
            elif section in found:
                found[section].append(int(match[1]))
    if master is None:
        raise SocketFault(f"`show proc` answers {answer[:200]!r}")
    return Processes(*master, workers=tuple(found["workers"]), old_workers=tuple(found["old workers"]))
