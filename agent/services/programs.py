"""`Program`: a program that outlives the agent; `Services`: whoever keeps such programs running."""

from __future__ import annotations

import re
from typing import Literal, Protocol

import msgspec

from agent.errors import SystemFault

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,100}", re.ASCII)

#: File descriptors that a program should be allowed: HAProxy needs two for each of Octavia's 1 000 000 connections, and more.
FILES = 2_600_000


#: Seconds that a program has to end by itself.
PATIENCE = 10.0


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """`name` is a file name and a unit's name; `arguments` begin with the program's absolute path.

    It runs in the network namespace that is called `namespace`, or where the agent is. It gets SIGTERM and `patience` seconds to end by
    itself; then whatever is left of it is killed. `reload_signal` is what has it load its configuration again.
    """

    name: str
    description: str
    arguments: tuple[str, ...]
    namespace: str | None = None
    reload_signal: Literal["HUP", "USR2"] | None = None
    patience: float = PATIENCE
    files: int = FILES

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise SystemFault(f"{self.name!r} cannot be a program's name")
        if self.namespace is not None and (self.namespace in ("", ".", "..") or "/" in self.namespace):
            raise SystemFault(f"{self.namespace!r} cannot be a network namespace's name")


class Services(Protocol):
    """Keeps programs running; safe to be called from several threads, as long as each program is one thread's at a time."""

    def start(self, program: Program, /) -> None:
        """Has it run from now on: again when it ends by itself, and after a reboot. Where it runs already, as it is, nothing happens.

        It runs when this returns, which does not mean that it works. Raises SystemFault.
        """

    def restart(self, program: Program, /) -> None:
        """As `start`, but one that runs is ended before. Whoever is killed meanwhile leaves one that should run. Raises SystemFault."""

    def stop(self, name: str, /) -> None:
        """Has it run no more, and returns when nothing of it does. Fine where it is unknown. Raises SystemFault."""

    def pid(self, name: str, /) -> int | None:
        """The process id of a program that runs now."""

    def restarts(self, name: str, /) -> int:
        """How often it had to be started again since it was started, as far as this is known."""

    def programs(self) -> tuple[str, ...]:
        """The names of those that should run."""

    def position(self, name: str, /) -> str:
        """Where the words of a program end now: see `agent.log_file.Words`."""

    def words(self, name: str, since: str = "", /) -> str:
        """The last that it said after `since`."""

    def restore(self) -> list[str]:
        """Has all run that should, and nothing else of ours: after a reboot, and whenever the agent starts.

        What nobody knows any more how to run is told, in words, and left alone.
        """


class ProgramWords:
    """What one program says: see `agent.log_file.Words`."""

    def __init__(self, services: Services, name: str) -> None:
        self._services = services
        self._name = name

    def position(self) -> str:
        """Where its words end now."""
        return self._services.position(self._name)

    def since(self, position: str, /) -> str:
        """The last of what it said after that."""
        return self._services.words(self._name, position)
