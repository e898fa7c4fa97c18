"""What the programs of an amphora are called: the names that operators know from Octavia's units."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from agent.paths import Paths

#: The keepalived that speaks VRRP.
VRRP = "octavia-keepalived"
_HAPROXY = "haproxy-"
_LVS = "octavia-keepalivedlvs-"


def haproxy(lb: str) -> str:
    """A load balancer's HAProxy."""
    return _HAPROXY + lb


def lvs(listener: str) -> str:
    """The keepalived of a UDP or SCTP listener."""
    return _LVS + listener


def balancing(name: str, paths: Paths) -> tuple[str, Path] | None:
    """For a program that balances: what it is, and the file with its process id. None for others."""
    if name.startswith(_LVS):
        return "keepalived", paths.lvs_pid(name.removeprefix(_LVS))
    return ("haproxy", paths.haproxy_pid(name.removeprefix(_HAPROXY))) if name.startswith(_HAPROXY) else None
