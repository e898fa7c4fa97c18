"""keepalived in its two roles: `Vrrp`, one for the amphora, moves the VIPs; `Lvs`, one for each UDP or SCTP listener, balances."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING

from agent import program_names
from agent.clock import Clock, SystemClock
from agent.configuration import Configuration
from agent.errors import NotFoundError, RejectedByKeepalived, SystemFault
from agent.haproxies import Listener, Status
from agent.heartbeat.ipvs import Ipvs
from agent.identifiers import is_object_id
from agent.keepalived_process import KeepalivedProcess
from agent.locks import Locks
from agent.services.programs import Program

if TYPE_CHECKING:
    from pathlib import Path

    from agent.check_scripts import CheckScripts
    from agent.keepalived import Keepalived
    from agent.paths import Paths
    from agent.services.programs import Services

#: Within a line: an expression that takes empty lines for space takes minutes for very many of them.
_PROTOCOL = re.compile(rb"^[ \t]*protocol[ \t]+(\w+)", re.MULTILINE)
_VIRTUAL_SERVER = re.compile(rb"^[ \t]*virtual_server[ \t]", re.MULTILINE)


class _Role:
    """What both have: `namespace` is the network namespace that keepalived works in."""

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

    def _process(
        self, name: str, description: str, role: tuple[str, str], configuration: Configuration, pid_file: Path
    ) -> KeepalivedProcess:
        """`role`: the option by which keepalived does nothing else, and the one that says where its child's process id goes."""
        only, child = role
        arguments = (only, "-p", str(pid_file), child, str(pid_file.with_suffix(".child.pid")))
        program = Program(
            name=name,
            description=description,
            arguments=self._keepalived.command(arguments, configuration.current, self._namespace),
            namespace=self._namespace,
            reload_signal="HUP",
        )
        return KeepalivedProcess(configuration, program, pid_file, self._services, self._clock)


class Vrrp(_Role):
    """The keepalived that speaks VRRP in the network namespace `namespace`."""

    @cached_property
    def _one(self) -> KeepalivedProcess:
        return self._process(
            program_names.VRRP,
            "keepalived, which moves the VIPs",
            ("-P", "-r"),
            # It holds a password.
            Configuration(self._paths.vrrp_conf, 0o600),
            self._paths.vrrp_pid,
        )

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
            return self._one.settle("VRRP")


class Lvs(_Role):
    """The keepaliveds of UDP and SCTP listeners. Ids have been through `agent.identifiers`."""

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
            try:
                done = self._one(listener).bring_up()
            except RejectedByKeepalived as error:
                if Ipvs(self._namespace).there():
                    raise
                raise SystemFault(f"the kernel has no IPVS (ip_vs), without which UDP and SCTP cannot be balanced; {error}") from error
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
                problems += self._one(listener).settle(f"listener {listener}")
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

    def _one(self, listener: str) -> KeepalivedProcess:
        return self._process(
            program_names.lvs(listener),
            f"keepalived of UDP or SCTP listener {listener}",
            ("-C", "-c"),
            Configuration(self._paths.lvs_conf(listener), 0o644),
            self._paths.lvs_pid(listener),
        )
