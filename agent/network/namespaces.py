"""Network namespaces: made, entered by one thread, and their settings (sysctls).

A socket belongs to the namespace in which it was made, for ever; so a thread goes in, makes it, and comes back. That is setns(2), which
moves the calling thread alone; nothing is forked, which a process with threads could not do safely.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import struct
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from agent.errors import NotFoundError, SystemFault
from agent.files import remove_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.processes import Runner

_NAMED = Path("/run/netns")
_CLONE_NEWNET = 0x40000000
#: ioctl_ns(2): of which kind a namespace is, as clone(2) has it; ENOTTY where a file is none.
_KIND = 0xB703
#: netdevice(7): ioctls, the flag of an interface that is up, and the request, a name and its flags in 40 bytes.
_GET_FLAGS, _SET_FLAGS = 0x8913, 0x8914
_UP = 0x1
_REQUEST = struct.Struct("16sH22x")
_LIBC = ctypes.CDLL(None, use_errno=True)

#: Seconds for making a namespace.
_PATIENCE = 10.0


def opened(name: str) -> BinaryIO:
    """The namespace, as an open file. Raises NotFoundError where there is none, SystemFault."""
    try:
        return (_NAMED / name).open("rb")
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no network namespace {name}") from error
    except OSError as error:
        raise SystemFault(f"the network namespace {name} cannot be opened: {error.strerror}") from error


@contextmanager
def entered(name: str | None) -> Iterator[None]:
    """The calling thread is in the namespace, or stays where it is with None. Raises NotFoundError where there is none, SystemFault."""
    if name is None:
        yield
        return
    with Path("/proc/thread-self/ns/net").open("rb") as before, opened(name) as there:
        _enter(there, name)
        try:
            yield
        finally:
            _enter(before, "that this thread came from")


def _enter(namespace: BinaryIO, name: str) -> None:
    if _LIBC.setns(namespace.fileno(), _CLONE_NEWNET):
        raise SystemFault(f"the network namespace {name} cannot be entered: {os.strerror(ctypes.get_errno())}")


def exists(name: str) -> bool:
    """Whether there is a namespace of this name, and not just a file. Raises SystemFault where that cannot be seen."""
    try:
        with opened(name) as there:
            return fcntl.ioctl(there, _KIND) == _CLONE_NEWNET
    except NotFoundError:
        return False
    except OSError as error:
        if error.errno == errno.ENOTTY:
            return False
        raise SystemFault(f"the network namespace {name} cannot be looked at: {error.strerror}") from error


def create(name: str, runner: Runner) -> None:
    """Makes a namespace, where there is none of this name. Raises SystemFault."""
    if exists(name):
        return
    # Whoever is ended while making one leaves an empty file where the namespace was to be mounted.
    remove_file(_NAMED / name)
    done = runner.run(["ip", "netns", "add", name], timeout=_PATIENCE)
    if done.code != 0:
        raise SystemFault(f"the network namespace {name} cannot be made: {done.output.strip()}")


def command(name: str, arguments: Sequence[str]) -> list[str]:
    """The command that runs another one in a namespace."""
    return ["nsenter", f"--net={_NAMED / name}", "--", *arguments]


def set_sysctl(setting: str, value: str) -> bool:
    """Gives /proc/sys/net/`setting` of the calling thread's namespace a value, where it has another; whether there is such a setting.

    Raises SystemFault where the kernel does not take it.
    """
    path = Path("/proc/sys/net", setting)
    try:
        if path.read_text(encoding="ascii").strip() != value:
            path.write_text(value, encoding="ascii")
    except FileNotFoundError:
        return False
    except OSError as error:
        raise SystemFault(f"net/{setting} cannot be set to {value}: {error.strerror}") from error
    return True


def bring_up_loopback() -> None:
    """Has the interface `lo` of the calling thread's namespace be up. Raises SystemFault."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            _, flags = _REQUEST.unpack(fcntl.ioctl(asking, _GET_FLAGS, _REQUEST.pack(b"lo", 0)))
            fcntl.ioctl(asking, _SET_FLAGS, _REQUEST.pack(b"lo", flags | _UP))
    except OSError as error:
        raise SystemFault(f"the interface lo cannot be brought up: {error.strerror}") from error
