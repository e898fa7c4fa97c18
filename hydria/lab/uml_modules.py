"""Modules of user-mode Linux, loaded by the kernel's own system call: nothing but the standard library, as in a first process of a test's."""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Where Debian has them, for each release of the kernel.
PLACE = Path("/usr/lib/uml/modules")
#: The number of the system call on amd64, which is the only machine that there is such a kernel for.
_FINIT_MODULE = 313
_LIBC = ctypes.CDLL(None, use_errno=True)


def load(names: Iterable[str]) -> None:
    """Has the kernel that this runs on have these modules, after those that they depend on; what is built into it is fine. Raises OSError."""
    files = {path.stem.replace("-", "_"): path for path in (PLACE / os.uname().release).rglob("*.ko")}
    loaded: set[str] = set()
    for name in names:
        if name in files:
            _load(name, files, loaded)


def _load(name: str, files: dict[str, Path], loaded: set[str]) -> None:
    if name in loaded:
        return
    loaded.add(name)
    path = files[name]
    depends = re.search(rb"\0depends=([^\0]*)\0", path.read_bytes())
    for other in filter(None, depends[1].decode().split(",") if depends else []):
        _load(other.replace("-", "_"), files, loaded)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if _LIBC.syscall(_FINIT_MODULE, descriptor, b"", 0):
            number = ctypes.get_errno()
            raise OSError(number, f"{path} cannot be loaded: {os.strerror(number)}")
    finally:
        os.close(descriptor)
