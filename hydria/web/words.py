"""Statuses in the words of Octavia's API, and how good they are; numbers as people read them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

#: good: it serves; warn: somebody should look; bad: it does not; quiet: it is not meant to, or nobody knows.
Tone = Literal["good", "warn", "bad", "quiet"]

_TONES: dict[str, Tone] = {"ONLINE": "good", "DEGRADED": "warn", "DRAINING": "warn", "ERROR": "bad"}
_MEMBER = {"UP": "ONLINE", "DOWN": "ERROR", "DRAIN": "DRAINING", "MAINT": "OFFLINE", "no check": "NO_MONITOR", "NOLB": "DRAINING"}
_LISTENER = {"OPEN": "ONLINE", "FULL": "DEGRADED"}
#: What makes what is above it DEGRADED.
_AMISS = {"ERROR", "DEGRADED"}


def tone(status: str) -> Tone:
    """Of an operating status."""
    return _TONES.get(status, "quiet")


def member(said: str) -> str:
    """What HAProxy, or IPVS, says of a server → its operating status."""
    return _MEMBER.get(said.partition(" (")[0], said)


def pool(said: str, members: Iterable[str]) -> str:
    """What is said of a pool with members of these operating statuses."""
    found = set(members)
    if said == "DOWN":
        return "ERROR" if "ERROR" in found else "OFFLINE" if found <= {"OFFLINE"} else "ERROR"
    return "DEGRADED" if found & _AMISS else "ONLINE"


def listener(said: str, pools: Iterable[str]) -> str:
    """What is said of a listener with pools of these operating statuses."""
    own = _LISTENER.get(said, "OFFLINE")
    return "DEGRADED" if own == "ONLINE" and set(pools) & _AMISS else own


def balancer(state: str, listeners: Iterable[str]) -> str:
    """What an agent says of a load balancer with listeners of these operating statuses."""
    if state != "ACTIVE":
        return state
    found = set(listeners)
    return "DEGRADED" if found & _AMISS else "ONLINE" if found - {"OFFLINE"} else "OFFLINE"


def number(value: float, unit: str = "") -> str:
    """Three digits that count: 0.52, 17.3, and 1234 B/s as 1.23 kB/s."""
    prefixes = iter(("", "k", "M", "G"))
    prefix = next(prefixes)
    while abs(value) >= 999.5 and (larger := next(prefixes, "")):
        value, prefix = value / 1000, larger
    digits = 0 if value == int(value) and not prefix else 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:.{digits}f} {prefix}{unit}".rstrip()


def duration(milliseconds: float) -> str:
    """In milliseconds, or in seconds where there are any."""
    return f"{milliseconds:.0f} ms" if milliseconds < 999.5 else f"{milliseconds / 1000:.1f} s"


def percent(share: float) -> str:
    """Not 0 for something, nor 100 for not quite all."""
    return f"{share:.1%}" if 0.0005 <= share < 0.9995 or share in (0.0, 1.0) else f"{share:.3%}"
