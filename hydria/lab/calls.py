"""How a machine's first process, or whatever else answers in a lab, is asked: a JSON object in a packet at a UNIX socket, and one back."""

from __future__ import annotations

import json
import socket
import struct
from typing import TYPE_CHECKING, Any

from agent.errors import SystemFault

if TYPE_CHECKING:
    from collections.abc import Sequence
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
