"""What it takes to change a running HAProxy: nothing, commands at its socket (management guide 9.3), a reload, or a restart.

Rules: all of this is data. Whoever executes commands needs to know nothing of load balancers: each has its text, the answer that
means that HAProxy took it, and what must be seen afterwards; whoever reads has the object, the field and the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import msgspec

#: A command that says nothing when it went well.
SILENCE = r"\A\s*\Z"


class Reason(msgspec.Struct, frozen=True, order=True):
    """Why something must be: the object, by HAProxy's name for it; the directive or option; and what is the matter with it."""

    object: str
    field: str
    why: str

    def __str__(self) -> str:
        return f"{self.object}: {self.field}: {self.why}"


class ServerIs(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """A server as `show servers state` shows it; None for what nobody promised. `maintenance`: it gets nothing, or it gets its share."""

    backend: str
    server: str
    address: str | None = None
    port: int | None = None
    weight: int | None = None
    id: int | None = None
    check_address: str | None = None
    check_port: int | None = None
    maintenance: bool | None = None
    checked: bool | None = None


class ServerGone(msgspec.Struct, frozen=True, tag=True):
    """There is no such server."""

    backend: str
    server: str


class ServerLimit(msgspec.Struct, frozen=True, tag=True):
    """Connections that a server may have, as `show stat` shows them."""

    backend: str
    server: str
    maxconn: int


class FrontendLimit(msgspec.Struct, frozen=True, tag=True):
    """Connections that a frontend may have, as `show stat` shows them."""

    frontend: str
    maxconn: int


class ProcessLimit(msgspec.Struct, frozen=True, tag=True):
    """Connections that the process may have, as `show info` shows them."""

    maxconn: int


class CertificateIs(msgspec.Struct, frozen=True, tag=True):
    """The certificate that HAProxy has for a file, and uses: SHA-1 in hex, upper case."""

    file: str
    fingerprint: str


class AuthoritiesAre(msgspec.Struct, frozen=True, tag=True):
    """The certificates that HAProxy has for a file of authorities: SHA-1 of each."""

    file: str
    fingerprints: frozenset[str]


class RevocationsAre(msgspec.Struct, frozen=True, tag=True):
    """The serial numbers that HAProxy has for a file of revocation lists, in hex, without leading zeros."""

    file: str
    serials: frozenset[str]


class CrtListIs(msgspec.Struct, frozen=True, tag=True):
    """The lines of a crt-list, each the certificate's file and the names that it answers to; in any order."""

    file: str
    lines: tuple[tuple[str, ...], ...]


class PatternsAre(msgspec.Struct, frozen=True, tag=True):
    """The patterns that HAProxy has for a file of them."""

    file: str
    patterns: frozenset[str]


Confirmation = (
    ServerIs
    | ServerGone
    | ServerLimit
    | FrontendLimit
    | ProcessLimit
    | CertificateIs
    | AuthoritiesAre
    | RevocationsAre
    | CrtListIs
    | PatternsAre
)


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One command for the socket, and the object and field that it is for.

    `payload`: what follows it, whole lines, none of them empty. `answer`: a regular expression that the answer of one that was taken has;
    the values of its named groups are put for `{name}` in the commands that follow. `patient`: until it is answered so, it is to be
    asked again: connections must end first; `nudge` is asked in between, now and then, to end those that nobody uses. `confirm`: what must hold when all commands have been executed. `undo`: what takes back what
    this one began, should one that follows fail, until one that `settles` it.
    """

    text: str
    object: str
    field: str
    payload: bytes | None = None
    answer: str = SILENCE
    patient: bool = False
    nudge: str | None = None
    confirm: tuple[Confirmation, ...] = ()
    undo: str | None = None
    settles: bool = False

    def __repr__(self) -> str:
        return f"Command({self.text!r}{'' if self.payload is None else ', payload=<hidden>'}, {self.object!r}, {self.field!r})"

    def __str__(self) -> str:
        return self.text if self.payload is None else f"{self.text} <<{len(self.payload)} bytes>>"


class NoOp(msgspec.Struct, frozen=True, tag=True):
    """What runs is what is wanted. `later`: differences that change nothing for anybody, and come into force with the next reload."""

    later: tuple[Reason, ...] = ()


class Commands(msgspec.Struct, frozen=True, tag=True):
    """The commands, in order; and `later` as for `NoOp`."""

    commands: tuple[Command, ...]
    later: tuple[Reason, ...] = ()


class Reload(msgspec.Struct, frozen=True, tag=True):
    """A new worker must take over, for all of these reasons."""

    reasons: tuple[Reason, ...]


class Restart(msgspec.Struct, frozen=True, tag=True):
    """A new process must take over: the master itself has read what has changed, and keeps it."""

    reasons: tuple[Reason, ...]


Plan = NoOp | Commands | Reload | Restart


class Phase(IntEnum):
    """The order of commands: what is needed comes before what needs it, and new servers before old ones go."""

    FILES = 0
    LIMITS = 1
    ADD = 2
    CHANGE = 3
    STOP = 4
    REMOVE = 5
    FORGET = 6


class Draft:
    """A plan in the making."""

    def __init__(self) -> None:
        self._commands: dict[Phase, list[Command]] = {phase: [] for phase in Phase}
        self._reload: dict[tuple[str, str], list[str]] = {}
        self._restart: list[Reason] = []
        self._later: list[Reason] = []

    def command(self, phase: Phase, *commands: Command) -> None:
        """Commands of a phase, behind those that it has."""
        self._commands[phase] += commands

    def reload(self, name: str, field: str, why: str) -> None:
        """That what the field of the object has become needs a reload. Many objects with one reason become one reason."""
        self._reload.setdefault((field, why), []).append(name)

    def restart(self, name: str, field: str, why: str) -> None:
        """That it needs a restart."""
        self._restart.append(Reason(name, field, why))

    def later(self, name: str, field: str, why: str) -> None:
        """That it can wait for the next reload."""
        self._later.append(Reason(name, field, why))

    def plan(self) -> Plan:
        """What all of it comes to."""
        reasons = tuple(Reason(_together(names), field, why) for (field, why), names in self._reload.items())
        if self._restart:
            return Restart((*self._restart, *reasons))
        if reasons:
            return Reload(reasons)
        commands = tuple(command for phase in Phase for command in self._commands[phase])
        return Commands(commands, tuple(self._later)) if commands else NoOp(tuple(self._later))


def _together(names: Sequence[str]) -> str:
    named = list(dict.fromkeys(names))
    return named[0] if len(named) == 1 else f"{named[0]} and {len(named) - 1} more"
