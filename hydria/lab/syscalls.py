"""What Python 3.11 has no words for: unshare(2), setns(2), mount(2), and that a process dies with its parent (prctl(2)). All raise OSError."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NEW_MOUNTS, NEW_NAMES, NEW_IPC, NEW_PIDS, NEW_NET = 0x00020000, 0x04000000, 0x08000000, 0x20000000, 0x40000000

READ_ONLY, BIND, RECURSIVE, PRIVATE = 0x1, 0x1000, 0x4000, 0x40000

_PARENT_DEATH_SIGNAL = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


def unshare(kinds: int) -> None:
    """Gives the calling process namespaces of its own; that of process ids to its children only."""
    _done(_LIBC.unshare(kinds), "unshare")


def enter(descriptor: int, kind: int) -> None:
    """Puts the calling thread into a namespace."""
    _done(_LIBC.setns(descriptor, kind), "setns")


def mount(source: str, target: Path | str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mounts something, or changes what is mounted."""
    words = [word.encode() or None for word in (source, os.fspath(target), kind)]
    _done(_LIBC.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), options.encode() or None), f"mount on {target}")


def die_with_parent(signal: int) -> None:
    """The calling process gets a signal when its parent ends."""
    _done(_LIBC.prctl(_PARENT_DEATH_SIGNAL, ctypes.c_ulong(signal), 0, 0, 0), "prctl")


def _done(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
