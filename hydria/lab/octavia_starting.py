"""From Octavia's first process to the moment when a user can ask for something: who may ask is made known meanwhile."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from agent.errors import SystemFault
from agent.files import create_file
from hydria.lab import keystone
from hydria.lab.calls import CallError
from hydria.lab.octavia_plan import CONTROL_LOG, MEMBERS_LOG, MEMBERS_SOCKET
from hydria.lab.pid_one import HYPERVISOR

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from hydria.lab.octavia_lab import OctaviaLab

#: Seconds for Octavia to start, on a machine that has other things to do; for one question; between two looks.
_STARTING, _ASKING, _BETWEEN = 240.0, 2.0, 0.05
#: Characters of a log that are told.
_TOLD = 2000


def await_octavia(lab: OctaviaLab) -> None:
    """Returns when the API answers, its other processes run, and members are there. Raises SystemFault."""
    until = time.monotonic() + _STARTING
    if lab.octavia.keystone:
        _until(lab, until, lambda: _tells(lab))
        lab.identity.furnish(keystone.passwords(lab.directory), lab.octavia.endpoint)
        for who in (keystone.ADMIN, keystone.USER):
            text = f"{keystone.shell(lab.environment_of(who))}\n"
            create_file(lab.directory / keystone.SHELL.format(who), text.encode(), 0o600)
    _until(lab, until, lambda: _serves(lab) and (lab.directory / MEMBERS_SOCKET).exists())


def _until(lab: OctaviaLab, until: float, condition: Callable[[], bool]) -> None:
    while not condition():
        if time.monotonic() > until or not _runs(lab):
            said = "\n".join(_end_of(lab.directory / log) for log in (CONTROL_LOG, MEMBERS_LOG))
            raise SystemFault(f"Octavia does not start; it said:\n{said}")
        time.sleep(_BETWEEN)


def _tells(lab: OctaviaLab) -> bool:
    """Whether Keystone does."""
    try:
        lab.identity.token(keystone.ADMIN, keystone.passwords(lab.directory).admin)
        return None not in lab.roles.values()
    except (OSError, SystemFault):
        return False


def _serves(lab: OctaviaLab) -> bool:
    try:
        lab.ask("/v2.0/lbaas/providers", _ASKING)
        return None not in lab.roles.values()
    except (OSError, CallError):
        return False


def _runs(lab: OctaviaLab) -> bool:
    """Whether whoever starts Octavia's processes is there, and none of these has ended."""
    if not any("hydria.octavia.control" in one["command"] for one in lab.processes(HYPERVISOR)):
        return False
    try:
        return None not in lab.roles.values()
    except CallError:  # not yet
        return True


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-_TOLD:] if log.exists() else ""
