"""QEMU's monitor: commands in JSON over a UNIX socket, with open files passed beside them."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

from .polling import eventually

if TYPE_CHECKING:
    from pathlib import Path

#: Seconds for QEMU to make its socket, and for a command.
_STARTING, _PATIENCE = 30.0, 60.0


class Monitor:
    """A connection to the monitor whose socket is at `path`, which may be made only now."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_PATIENCE)
        eventually(lambda: self._connects(path), "a monitor", _STARTING)
        self._lines = self._socket.makefile("rb")
        json.loads(self._lines.readline())
        self.do("qmp_capabilities")

    def _connects(self, path: Path) -> bool:
        try:
            self._socket.connect(str(path))
        except OSError:
            return False
        return True

    def do(self, command: str, **arguments: Any) -> Any:
        """Has QEMU execute a command; what it answers. An AssertionError where it refuses."""
        self._socket.sendall(self._line(command, arguments))
        return self._answer(command)

    def pass_file(self, name: str, descriptor: int) -> None:
        """Gives QEMU an open file, which later commands know by this name."""
        socket.send_fds(self._socket, [self._line("getfd", {"fdname": name})], [descriptor])
        self._answer("getfd")

    @staticmethod
    def _line(command: str, arguments: dict[str, Any]) -> bytes:
        return json.dumps({"execute": command, "arguments": arguments}).encode() + b"\n"

    def _answer(self, command: str) -> Any:
        while True:
            line = self._lines.readline()
            assert line, f"{command}: QEMU is gone"
            told = json.loads(line)
            if "error" in told:
                raise AssertionError(f"{command}: {told['error']}")
            if "return" in told:
                return told["return"]

    def close(self) -> None:
        """Ends the connection."""
        self._lines.close()
        self._socket.close()
