"""User-mode Linux: a kernel that is a process, which has what the kernel here may not have (IPVS, SCTP). How it is started, and asked while it runs."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from agent.clock import SystemClock, wait_until
from agent.errors import SystemFault
from agent.processes import ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAM = "linux.uml"
_REGISTERS = Path(__file__).with_name("uml_registers.c")
#: The monitor's datagrams (arch/um/include/shared/mconsole.h): magic, version, length and text; error, whether more follows, length and text.
_ASKED, _ANSWERED = struct.Struct("=III512s"), struct.Struct("=III512s")
_MAGIC, _VERSION = 0xCAFEBABE, 2
#: Seconds until a kernel answers, which it does before its first program runs.
_PATIENCE = 60.0


class Nic(NamedTuple):
    """An interface of the kernel's: what it is tied to (`transport`), by its name here, and its hardware address."""

    number: int
    transport: str
    interface: str
    mac: str

    @property
    def setting(self) -> str:
        """In the words of the kernel."""
        return f"{name(self.number)}:transport={self.transport},ifname={self.interface},depth=64,mac={self.mac}"


def name(number: int) -> str:
    """What the kernel calls an interface."""
    return f"vec{number}"


def why_not() -> str | None:
    """The reason why there is none here; None where there is."""
    return None if shutil.which(PROGRAM, path=ENVIRONMENT["PATH"]) else f"{PROGRAM} is not installed (Debian: user-mode-linux)"


def environment(directory: Path) -> dict[str, str]:
    """With which it runs; what is needed for that goes into `directory`. Raises SystemFault."""
    library = directory / "registers.so"
    compiler = shutil.which("cc", path=ENVIRONMENT["PATH"])
    found = {"TMPDIR": "/dev/shm", "HOME": str(directory), **ENVIRONMENT}  # noqa: S108 - where its memory is
    if compiler is None:  # on a processor with few registers it runs all the same
        return found
    made = subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, _REGISTERS], capture_output=True, text=True, check=False)
    if made.returncode:
        raise SystemFault(f"{_REGISTERS.name} cannot be compiled: {made.stderr.strip()[:500]}")
    return {**found, "LD_PRELOAD": str(library)}


def on_our_files(memory: str, init: str, words: Mapping[str, str] | None = None) -> list[str]:
    """The command that runs it on this machine's files, with `init` as its first program, whose environment has these `words`. More of the
    kernel's words may follow, and after `--` the arguments of `init`.
    """
    root = ("root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw", "quiet")
    more = [f"{name}={value}" for name, value in (words or {}).items()]
    return [PROGRAM, f"mem={memory}", *root, "con=null", "con0=null,fd:1", f"init={init}", *more]


def ask(place: Path, command: str) -> str:
    """Has the monitor at the socket `place` do something (uml_mconsole(1)); its words. The calling thread is in the kernel's network, where
    the answer comes. Raises SystemFault, OSError.
    """
    if not wait_until(place.exists, _PATIENCE, SystemClock()):
        raise SystemFault(f"{PROGRAM} does not start")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asking:
        asking.bind("")  # any name, in the network's own list of them
        asking.settimeout(_PATIENCE)
        asking.sendto(_ASKED.pack(_MAGIC, _VERSION, len(command), command.encode()), str(place))
        error, _, length, text = _ANSWERED.unpack(asking.recv(_ANSWERED.size).ljust(_ANSWERED.size, b"\0"))
    said: str = text[:length].decode(errors="replace").rstrip("\0")
    if error:
        raise SystemFault(f"{PROGRAM} refuses {command!r}: {said}")
    return said
