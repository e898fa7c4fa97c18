"""What the machine is like: names, versions and how much of it is in use. Types and units are those of Octavia's agent."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.errors import SystemFault
from agent.processes import Runner

API_VERSION = "1.0"

_VERSION = re.compile(r"\d+(?:\.\d+)+")

#: Where distributions put it.
KEEPALIVED = Path("/usr/sbin/keepalived")

#: Seconds for a program to say which version it is.
_DEADLINE = 10.0

#: What `details` calls it → what /proc/meminfo does; both in kB.
_MEMORY = {
    "total": "MemTotal",
    "free": "MemFree",
    "buffers": "Buffers",
    "cached": "Cached",
    "swap_used": "SwapCached",
    "shared": "Shmem",
    "slab": "Slab",
}


class Machine:
    """The machine. `haproxy` is the program; `root` is what is looked at as `/`."""

    def __init__(self, runner: Runner, haproxy: Path, root: Path = Path("/")) -> None:
        self._runner = runner
        self._haproxy = haproxy
        self._root = root
        self._versions: dict[tuple[str, int], str] = {}

    def info(self) -> Mapping[str, str]:
        """Names and versions; a version is "" where the program is not installed."""
        return {
            "hostname": socket.gethostname(),
            "haproxy_version": self._version(str(self._haproxy), "-v"),
            "api_version": API_VERSION,
            "keepalived_version": self._version(str(KEEPALIVED), "--version"),
            "ipvsadm_version": self._version("/sbin/ipvsadm", "--version"),
        }

    def measurements(self) -> Mapping[str, Any]:
        """Processors, memory, disk and load. Raises OSError."""
        disk = os.statvfs(self._root)
        return {
            "cpu_count": os.cpu_count() or 1,
            "cpu": self._processors(),
            "memory": self._memory(),
            "disk": {"used": (disk.f_blocks - disk.f_bfree) * disk.f_frsize, "available": disk.f_bavail * disk.f_frsize},
            "load": self._read("proc/loadavg").split()[:3],
            "active_tuned_profiles": self._tuned_profiles(),
        }

    def _processors(self) -> dict[str, int | str]:
        """Ticks since the start. That all but `total` are strings is what Octavia's agent has made of it."""
        ticks = self._read("proc/stat").splitlines()[0].split()[1:]
        return {"total": sum(map(int, ticks)), "user": ticks[0], "system": ticks[2], "soft_irq": ticks[6]}

    def _memory(self) -> dict[str, int]:
        found = dict(re.findall(r"^(\w+):\s*(\d+) kB", self._read("proc/meminfo"), re.MULTILINE))
        return {name: int(found.get(kernels, 0)) for name, kernels in _MEMORY.items()}

    def _tuned_profiles(self) -> str:
        with suppress(FileNotFoundError):
            return self._read("etc/tuned/active_profile").strip()
        return ""

    def _read(self, path: str) -> str:
        with (self._root / path).open(encoding="utf-8", errors="replace") as file:
            return file.read(256 * 1024)

    def _version(self, program: str, option: str) -> str:
        """Asked once for each file that the program has been."""
        try:
            key = program, Path(program).stat().st_mtime_ns
            if key not in self._versions:
                found = _VERSION.search(self._runner.run([program, option], timeout=_DEADLINE).output)
                self._versions[key] = found[0] if found else ""
            return self._versions[key]
        except (OSError, SystemFault):
            return ""
