"""How a machine's first process, or whatever else answers in a lab, is asked: a JSON object in a packet at a UNIX socket, and one back."""

from __future__ import annotations

import json
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from agent.errors import SystemFault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

#: Bytes of a packet: what a UNIX socket takes by default, and a bit less.
LARGEST = 200_000

#: Open files that may go along with a packet.
MOST_DESCRIPTORS = 4

#: Seconds. An agent's machine takes a moment to boot while others are busy.
_PATIENCE = 60.0


class CallError(SystemFault):
    """It was not done, and why."""


def call(path: Path, do: str, /, *, giving: Sequence[int] = (), **words: Any) -> dict[str, Any]:
    """Has something done at the socket `path`, to which these descriptors are given; what came of it. Raises CallError."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
            asking.settimeout(_PATIENCE)
            asking.connect(str(path))
            socket.send_fds(asking, [json.dumps({"do": do, **words}).encode()], list(giving))
            answer: dict[str, Any] = json.loads(asking.recv(LARGEST) or b'{"error": "no answer"}')
    except OSError as error:
        raise CallError(f"{path.stem} does not answer: {error.strerror or error}") from error
    if "error" in answer:
        raise CallError(f"{path.stem}: {answer['error']}")
    return answer


def process_behind(path: Path) -> int:
    """The id, here, of the process that listens at the socket `path` (SO_PEERCRED, unix(7)). Raises CallError."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
            asking.connect(str(path))
            pid: int = struct.unpack("3i", asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
            return pid
    except OSError as error:
        raise CallError(f"{path.stem} does not answer: {error.strerror or error}") from error


def listen(path: Path) -> socket.socket:
    """A socket for its owner alone. It has its name, which may have been another's, only when it takes calls: who sees the one may do the other."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    listener.bind(str(new))
    new.chmod(0o600)
    listener.listen(16)
    new.rename(path)
    return listener


def serve(path: Path, verbs: Mapping[str, Callable[..., dict[str, Any]]]) -> NoReturn:
    """Does at the socket `path`, for ever, what whoever may open it asks for: one thing after the other. A verb that raises is an error's answer."""
    listener = listen(path)
    while True:
        with listener.accept()[0] as asking:
            asking.settimeout(10)
            with suppress(OSError):
                asking.send(_answer(asking.recv(LARGEST), verbs))


def _answer(asked: bytes, verbs: Mapping[str, Callable[..., dict[str, Any]]]) -> bytes:
    try:
        words = json.loads(asked)
        return json.dumps(verbs[words.pop("do")](**words)).encode()
    except (KeyError, TypeError, ValueError, OSError) as error:
        return json.dumps({"error": repr(error)}).encode()
