"""keepalived in its two roles: `Vrrp`, one for the amphora, moves the VIPs; `Lvs`, one for each UDP or SCTP listener, balances.

Either is a `_Keepalived`: a configuration on the disk and a program. keepalived is judged by whether it is still there; it has no socket to
be asked, and what it logs is for people.
"""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

import structlog

from agent import program_names
from agent.clock import Clock, SystemClock, wait_until
from agent.configuration import Configuration, directory
from agent.errors import AgentError, NotFoundError, RejectedByKeepalived
from agent.files import remove_file, replace_file
from agent.haproxies import Listener, Status
from agent.identifiers import is_object_id
from agent.locks import Locks
from agent.services.programs import Program, ProgramWords
from agent.services.records import identify

if TYPE_CHECKING:
    from pathlib import Path

    from agent.check_scripts import CheckScripts
    from agent.keepalived import Keepalived
    from agent.paths import Paths
    from agent.services.programs import Services

_LOG = structlog.get_logger("agent.keepaliveds")

#: Seconds for which keepalived must have gone on after a start or reload: it ends within a tenth of that when it cannot use its configuration.
_PROBATION = 1.0

#: Within a line: an expression that takes empty lines for space takes minutes for very many of them.
_PROTOCOL = re.compile(rb"^[ \t]*protocol[ \t]+(\w+)", re.MULTILINE)
_VIRTUAL_SERVER = re.compile(rb"^[ \t]*virtual_server[ \t]", re.MULTILINE)


class _Keepalived:
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

        Raises RejectedByKeepalived when it does not survive that; what ran before runs again then.
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
        except (AgentError, OSError):
            self._fall_back(wanted_before=wanted_before)
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

    def settle(self) -> None:
        """Finishes what a crash of the agent left open."""
        if self.wanted() and self.configuration.undecided():
            self.bring_up()

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


class Vrrp:
    """The keepalived that speaks VRRP in the network namespace `namespace`."""

    def __init__(
        self,
        paths: Paths,
        services: Services,
        keepalived: Keepalived,
        scripts: CheckScripts,
        *,
        namespace: str | None,
        clock: Clock | None = None,
    ) -> None:
        self._keepalived = keepalived
        self._scripts = scripts
        self._locks = Locks()
        child = paths.vrrp_pid.with_suffix(".child.pid")
        arguments = ("-P", "-p", str(paths.vrrp_pid), "-r", str(child))
        program = Program(
            name=program_names.VRRP,
            description="keepalived, which moves the VIPs",
            arguments=keepalived.command(arguments, paths.vrrp_conf, namespace),
            namespace=namespace,
            reload_signal="HUP",
        )
        # It holds a password.
        self._one = _Keepalived(Configuration(paths.vrrp_conf, 0o600), program, paths.vrrp_pid, services, clock or SystemClock())

    def upload(self, text: bytes) -> None:
        """Takes in a configuration, in force from the next start or reload on. Raises RejectedByKeepalived, with nothing changed; OSError."""
        with self._locks(""):
            self._scripts.install()
            self._one.upload(text, self._keepalived)

    def config(self) -> bytes:
        """The configuration that was uploaded last and not refused. Raises NotFoundError."""
        return self._one.configuration.text()

    def start(self) -> str:
        """Has it run with what was uploaded; returns what was done. Raises NotFoundError, RejectedByKeepalived, SystemFault."""
        with self._locks(""):
            if not self._one.configuration.exists():
                raise NotFoundError("there is no VRRP configuration")
            self._scripts.install()
            return f"keepalived {self._one.bring_up()}"

    def reload(self) -> str:
        """As `start`."""
        return self.start()

    def stop(self) -> None:
        """Ends it; it gives its VIPs away. Fine where it does not run. Raises SystemFault."""
        with self._locks(""):
            self._one.stop()

    def running(self) -> bool:
        """Whether it runs."""
        return self._one.running()

    def should_run(self) -> bool:
        """Whether it should."""
        return self._one.wanted()

    def restore(self) -> list[str]:
        """As `Haproxies.restore`."""
        with self._locks(""):
            return _settle("VRRP", self._one)


class Lvs:
    """The keepaliveds of UDP and SCTP listeners. Ids have been through `agent.identifiers`."""

    def __init__(
        self,
        paths: Paths,
        services: Services,
        keepalived: Keepalived,
        scripts: CheckScripts,
        *,
        namespace: str | None,
        clock: Clock | None = None,
    ) -> None:
        self._paths = paths
        self._services = services
        self._keepalived = keepalived
        self._scripts = scripts
        self._namespace = namespace
        self._clock = clock or SystemClock()
        self._locks = Locks()

    def upload(self, listener: str, text: bytes) -> None:
        """Takes in a configuration, in force from the next start or reload on. Raises RejectedByKeepalived, with nothing changed; OSError."""
        with self._locks(listener):
            self._scripts.install()
            self._one(listener).upload(text, self._keepalived)

    def config(self, listener: str) -> bytes:
        """The configuration that was uploaded last and not refused. Raises NotFoundError."""
        return self._one(listener).configuration.text()

    def start(self, listener: str) -> str:
        """Has it run with what was uploaded; returns what was done. Raises NotFoundError, RejectedByKeepalived, SystemFault."""
        with self._locks(listener):
            self._must_exist(listener)
            self._scripts.install()
            done = self._one(listener).bring_up()
            self._scripts.follow()
        return f"keepalived for listener {listener} {done}"

    def reload(self, listener: str) -> str:
        """As `start`."""
        return self.start(listener)

    def stop(self, listener: str) -> None:
        """Ends it. Raises NotFoundError, SystemFault."""
        with self._locks(listener):
            self._must_exist(listener)
            self._stop(listener)

    def delete(self, listener: str) -> None:
        """Ends it and removes its configuration; fine where there is none. Raises SystemFault, OSError."""
        with self._locks(listener):
            self._stop(listener)
            self._one(listener).configuration.remove()

    def ids(self) -> list[str]:
        """The listeners that have a configuration."""
        pattern = self._paths.lvs_conf("*")
        before, _, after = pattern.name.partition("*")
        names = [path.name.removeprefix(before).removesuffix(after) for path in pattern.parent.glob(pattern.name)]
        return sorted(name for name in names if is_object_id(name))

    def running(self, listener: str) -> bool:
        """Whether it runs."""
        return self._one(listener).running()

    def listeners(self) -> list[Listener]:
        """All of them: OFFLINE when nobody wants it to run, or it has nothing to balance; ERROR when it should run and does not."""
        found = []
        for listener in self.ids():
            try:
                text = self._one(listener).configuration.current.read_bytes()
            except FileNotFoundError:  # it is being deleted
                continue
            kind = _PROTOCOL.search(text)
            found.append(Listener(self._status(listener, text), listener, kind[1].decode().upper() if kind else "UDP"))
        return found

    def restore(self) -> list[str]:
        """As `Haproxies.restore`."""
        problems = []
        for listener in self.ids():
            with self._locks(listener):
                problems += _settle(f"listener {listener}", self._one(listener))
        self._scripts.follow()
        return problems

    def _status(self, listener: str, text: bytes) -> Status:
        one = self._one(listener)
        if not one.wanted():
            return "OFFLINE"
        if not one.running():
            return "ERROR"
        return "ACTIVE" if _VIRTUAL_SERVER.search(text) else "OFFLINE"

    def _stop(self, listener: str) -> None:
        self._scripts.follow(without=program_names.lvs(listener))
        self._one(listener).stop()

    def _must_exist(self, listener: str) -> None:
        if not self._one(listener).configuration.exists():
            raise NotFoundError(f"there is no UDP or SCTP listener {listener}")

    def _one(self, listener: str) -> _Keepalived:
        conf, pid_file = self._paths.lvs_conf(listener), self._paths.lvs_pid(listener)
        child = pid_file.with_suffix(".child.pid")
        program = Program(
            name=program_names.lvs(listener),
            description=f"keepalived of UDP or SCTP listener {listener}",
            arguments=self._keepalived.command(("-C", "-p", str(pid_file), "-c", str(child)), conf, self._namespace),
            namespace=self._namespace,
            reload_signal="HUP",
        )
        return _Keepalived(Configuration(conf, 0o644), program, pid_file, self._services, self._clock)


def _settle(what: str, one: _Keepalived) -> list[str]:
    try:
        one.settle()
    except (AgentError, OSError) as error:
        _LOG.error("keepalived cannot be restored", what=what, error=str(error))
        return [f"{what}: {error}"]
    return []
