"""What keepalived's configuration of a UDP or SCTP listener says that the kernel does not know: whose id is which address.

It is read as Octavia's controller renders it (`# Configuration for Member <id>` before each `real_server`, `# Member <id> is disabled`) and as
Hydria does (`# member <id>`).
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import NamedTuple

_UUID = r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
_COMMENT = re.compile(rf"#\s*(?:Configuration for )?(Listener|Pool|Member)\s+{_UUID}(\s+is disabled)?\s*", re.IGNORECASE)
_CHECK = re.compile(r"(?:MISC|TCP|HTTP|SSL|UDP|SMTP|DNS|PING|FILE|BFD)_(?:CHECK|GET)")


class Place(NamedTuple):
    """An address as the kernel has it: 4 or 16 bytes, and a port."""

    address: bytes
    port: int


class LvsConf(NamedTuple):
    """`pool` is None where it is disabled or there is none. `members`: where each is; None for one that is disabled."""

    disabled: bool
    protocol: str
    virtual: tuple[Place, ...]
    pool: str | None
    members: dict[str, Place | None]
    monitored: bool


def parse(text: str) -> LvsConf:
    """Reads a configuration. What it does not know, it passes over; raises ValueError where an address is none."""
    reader = _Reader()
    for line in map(str.strip, text.splitlines()):
        if comment := _COMMENT.fullmatch(line):
            reader.comment(comment[1].lower(), comment[2].lower(), off=comment[3] is not None)
        elif line and line[0] not in "#!":
            reader.directive(line.split())
    return LvsConf(reader.disabled, reader.protocol, tuple(reader.virtual), reader.pool, reader.members, reader.monitored)


class _Reader:
    def __init__(self) -> None:
        self.disabled = self.monitored = False
        self.protocol = "UDP"
        self.virtual: list[Place] = []
        self.pool: str | None = None
        self.members: dict[str, Place | None] = {}
        self._member: str | None = None  # that the next real server is
        self._in_group = False

    def comment(self, kind: str, identity: str, *, off: bool) -> None:
        if kind == "listener":
            self.disabled = off
        elif kind == "pool":
            self.pool = None if off else identity
        elif off:
            self.members[identity] = None
        else:
            self._member = identity

    def directive(self, words: list[str]) -> None:
        if words[0] == "virtual_server_group":
            self._in_group = True
        elif words[0] == "}":
            self._in_group = False
        elif self._in_group and len(words) == 2:
            self.virtual.append(_place(words[0], words[1]))
        elif words[0] == "protocol" and len(words) == 2:
            self.protocol = words[1].upper()
        elif words[0] == "real_server" and len(words) >= 3 and self._member is not None:
            self.members[self._member] = _place(words[1], words[2])
            self._member = None
        elif _CHECK.fullmatch(words[0]):
            self.monitored = True


def _place(address: str, port: str) -> Place:
    return Place(ip_address(address).packed, int(port))
