"""Servers of a cloud as machines of its lab: each an amphora, whose disk has what Octavia gives it at boot."""

from __future__ import annotations

import shutil
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

from agent.clock import SystemClock, wait_until
from agent.errors import NotFoundError, SystemFault
from agent.files import create_file
from agent.paths import STATE
from hydria.lab import amphora as amphorae
from hydria.lab import bridges
from hydria.lab.kinds import KINDS, found
from hydria.lab.machine import PlainMachine
from hydria.lab.pid_one import HYPERVISOR
from hydria.octavia.cabling import Cabling
from hydria.octavia.cloud_things import COMPUTE, Port, Server

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from hydria.lab.lab import Lab
    from hydria.octavia.cloud import Cloud

#: What a machine has of its own; the rest is everybody's.
_PLACES = ("/etc/octavia", "/var/lib/octavia", str(STATE))
_CONFIGURATION = "etc/octavia/amphora-agent.conf"
#: Seconds.
_RESIGNING = 2.0


class Machines:
    """Of the lab `lab`, as `cloud` says. Raises CallError, OSError, SystemFault, and what `Cloud` does."""

    def __init__(self, lab: Lab, cloud: Cloud) -> None:
        self.cloud = cloud
        self.cabling = Cabling(lab, cloud)
        self._lab = lab

    def build(
        self, name: str, networks: Sequence[str], ports: Sequence[str], groups: Sequence[str], files: Mapping[str, str], **more: Any
    ) -> Server:
        """A new machine that runs, on these networks and with these ports. `files` (path → content) are on its disk; `more`: see `Server`.

        What fails leaves nothing but the agent's log, if it has come to that.
        """
        server = self.cloud.create_server(name, **more)
        try:
            for network in networks:
                self.cloud.create_port(network, device_id=server.id, device_owner=COMPUTE, security_group_ids=groups)
            for port in ports:
                self.cloud.update_port(port, device_id=server.id)
            self._furnish(server, files)
            self._switch_on(server, self.cloud.ports_of(server.id))
        except BaseException:
            self.delete(server.id)
            raise
        return self.cloud.set_server(server.id, "ACTIVE")

    def cut_power(self, identity: str) -> None:
        """Switches a machine off, at once; fine where it is."""
        server = self.cloud.get(Server, identity)
        amphorae.cut_power(self._lab, server.machine, self.cabling.networks_of(server))

    def status(self, server: Server) -> Server:
        """The server as it is at this moment: one that should run and does not is in SHUTOFF."""
        if server.status == "ACTIVE" and not self._lab.runs(server.machine):
            return self.cloud.set_server(server.id, "SHUTOFF")
        return server

    def delete(self, identity: str) -> bool:
        """Ends a machine, and forgets it and its disk; whether there was one."""
        try:
            server = self.cloud.get(Server, identity)
        except NotFoundError:
            return False
        if self._lab.runs(server.machine):
            self._resign(server)
        self.cut_power(identity)
        for port in self.cloud.ports_of(identity):
            bridges.unplug(self._lab.network(HYPERVISOR), port.tap)
        shutil.rmtree(self.disk(server), ignore_errors=True)
        (self._lab.directory / f"{server.machine}.sock").unlink(missing_ok=True)
        self.cloud.delete_server(identity)
        self.cabling.filter()
        return True

    def _resign(self, server: Server) -> None:
        """Has its keepalived say that it goes (priority 0, RFC 9568 5.2.4), so that the other of a pair need not conclude it from three silent intervals."""
        machine = found(self._lab, server.machine)
        with suppress(SystemFault, OSError):  # it goes anyway, whatever is wrong with it
            going = set(machine.call("signal", number=signal.SIGTERM, names=["keepalived"])["pids"])
            wait_until(lambda: going.isdisjoint(one["pid"] for one in machine.call("processes")["processes"]), _RESIGNING, SystemClock())

    def disk(self, server: Server) -> Path:
        """What stays of a machine when it is switched off."""
        return self._lab.directory / server.machine

    def log(self, server: Server) -> Path:
        """What its agent says; it stays when the machine is deleted, because that is when somebody wants to know."""
        return self._lab.directory / f"{server.machine}.log"

    def _furnish(self, server: Server, files: Mapping[str, str]) -> None:
        disk = self.disk(server)
        for place in _PLACES:
            (disk / place.lstrip("/")).mkdir(parents=True)
        for name, content in files.items():
            path = disk / name.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            create_file(path, content.encode(), 0o600)

    def _switch_on(self, server: Server, ports: Sequence[Port]) -> None:
        disk = self.disk(server)
        machine = KINDS.get(server.flavor_id, PlainMachine)(self._lab, server.machine)
        machine.switch_on({place: str(disk / place.lstrip("/")) for place in _PLACES})
        # Those that it has from its start, whose addresses it is told of by whoever starts it.
        own = {port.id: f"mgmt{number}" for number, port in enumerate(port for port in ports if port.device_owner == COMPUTE)}
        cables = []
        for port in sorted(ports, key=lambda port: port.id not in own):
            self.cabling.plug(port.id, server, own.get(port.id))
            cables.append(self.cabling.cable(port, own.get(port.id), settled=port.id in own))
        machine.start(cables, amphorae.agent_command(disk / _CONFIGURATION, STATE, restoring=False), self.log(server))
