"""`Additions`: what a PROMETHEUS listener tells besides what HAProxy says: how the machine fares, as Octavia has it, and UDP and SCTP listeners."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from agent.errors import AgentError
from agent.metrics.lvs import samples
from agent.metrics.translation import Ours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent.statistics import Row

_LOG = structlog.get_logger("agent.metrics")

_MEMORY = re.compile(r"^(MemTotal|MemAvailable):\s+(\d+)", re.MULTILINE)


class Additions:
    """`lvs()` gives UDP and SCTP listeners with their pools and members. `proc` is where the kernel tells of itself."""

    def __init__(self, lvs: Callable[[], Iterable[Row]] = list, proc: Path = Path("/proc")) -> None:
        self._lvs = lvs
        self._proc = proc

    def __call__(self) -> dict[bytes, Ours]:
        """By their names. What cannot be had is missing, and the log tells."""
        found: dict[bytes, Ours] = {}
        for part in (self._machine, self._listeners):
            try:
                found |= part()
            except (AgentError, OSError, ValueError, KeyError) as error:
                _LOG.warning("metrics are missing", error=str(error))
        return found

    def _machine(self) -> dict[bytes, Ours]:
        load = float((self._proc / "loadavg").read_text(encoding="ascii").split()[0])
        memory = {name: int(size) for name, size in _MEMORY.findall((self._proc / "meminfo").read_text(encoding="ascii"))}
        used = 1 - memory["MemAvailable"] / memory["MemTotal"]
        values = {
            b"octavia_loadbalancer_cpu": (b"Load of the machine's processors in the last minute, in percent", load / (os.cpu_count() or 1)),
            b"octavia_loadbalancer_memory": (b"Memory of the machine that is in use, in percent", used),
        }
        return {name: Ours(says, b"gauge", b"%b %.1f\n" % (name, value * 100)) for name, (says, value) in values.items()}

    def _listeners(self) -> dict[bytes, Ours]:
        found = {}
        for each in samples(self._lvs()):
            if lines := "".join(each.lines()):
                name = f"{each.name}_total" if each.kind == "counter" else each.name
                found[name.encode()] = Ours(each.help.encode(), each.kind.encode(), lines.encode())
        return found
