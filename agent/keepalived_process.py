"""`KeepalivedProcess`: one keepalived of the agent's, a configuration on the disk and a program.

keepalived is judged by whether it is still there; it has no socket to be asked, and what it logs is for people.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import structlog

from agent.clock import Clock, wait_until
from agent.configuration import Configuration, directory
from agent.errors import AgentError, RejectedByKeepalived, SystemFault
from agent.files import remove_file, replace_file
from agent.services.programs import Program, ProgramWords
from agent.services.records import identify

if TYPE_CHECKING:
    from pathlib import Path

    from agent.keepalived import Keepalived
    from agent.services.programs import Services

_LOG = structlog.get_logger("agent.keepaliveds")

#: Seconds for which keepalived must have gone on after a start or reload: it ends within a tenth of that when it cannot use its configuration.
_PROBATION = 1.0


class KeepalivedProcess:
    """One keepalived; its methods are called by one thread at a time."""

    def __init__(self, configuration: Configuration, program: Program, pid_file: Path, services: Services, clock: Clock) -> None:
        self.configuration = configuration
        self._program = program
        self._pid_file = pid_file
        self._services = services
        self._clock = clock
        self._words = ProgramWords(services, program.name)

    def upload(self, text: bytes, keepalived: Keepalived) -> None:
        """Takes in a configuration. Raises RejectedByKeepalived, with nothing changed; OSError."""
        current = self.configuration.current
        candidate = directory(current.parent) / f"{current.name}.unchecked"
        try:
            replace_file(candidate, text)
            keepalived.check(candidate, self._program.namespace)
        except RejectedByKeepalived:
            self.configuration.refuse(text)
            raise
        finally:
            remove_file(candidate)
        self.configuration.upload(text)

    def bring_up(self) -> str:
        """Has it run with what was uploaded. Where it does, nothing happens: VIPs and connections are not disturbed without a reason.

        Raises RejectedByKeepalived when it does not survive that; what ran before runs again then. SystemFault where it does not, with both
        reasons.
        """
        wanted_before = self.wanted()
        pid = self._services.pid(self._program.name)
        if not self.configuration.take() and not self.configuration.undecided() and pid is not None:
            return "runs already"
        since = self._words.position()
        try:
            if pid is None:
                directory(self._pid_file.parent)
                self._services.start(self._program)
            elif (identity := identify(pid)) is not None:
                identity.signal(signal.SIGHUP)
            self._survive(pid, since)
        except (AgentError, OSError) as reason:
            try:
                self._fall_back(wanted_before=wanted_before)
            except (AgentError, OSError) as error:
                raise SystemFault(f"{reason}\nand what ran before cannot be brought back: {error}") from reason
            raise
        self.configuration.keep()
        return "started" if pid is None else "reloaded"

    def stop(self) -> None:
        """Ends it; it takes its addresses and virtual servers with it."""
        self._services.stop(self._program.name)
        self._pid_file.unlink(missing_ok=True)

    def wanted(self) -> bool:
        """Whether it should run."""
        return self._program.name in self._services.programs()

    def running(self) -> bool:
        """Whether it runs."""
        return self._services.pid(self._program.name) is not None

    def settle(self, what: str) -> list[str]:
        """Finishes what a crash of the agent left open; what did not go well, in words, in which it is called `what`."""
        try:
            if self.wanted() and self.configuration.undecided():
                self.bring_up()
        except (AgentError, OSError) as error:
            _LOG.error("keepalived cannot be restored", what=what, error=str(error))
            return [f"{what}: {error}"]
        return []

    def _survive(self, pid: int | None, since: str) -> None:
        name = self._program.name
        expected = pid or self._services.pid(name)
        if expected is None or wait_until(lambda: self._services.pid(name) != expected, _PROBATION, self._clock):
            raise RejectedByKeepalived("keepalived does not go on with this configuration", self._words.since(since))

    def _fall_back(self, *, wanted_before: bool) -> None:
        self.configuration.give_back()
        # It may live, with a configuration that is no longer there.
        if wanted_before:
            self._services.restart(self._program)
        else:
            self._services.stop(self._program.name)
