"""A cloud's networks and cables, as the hypervisor of a lab has them: a bridge for each network, and for each port a cable to a machine.

What is in the store comes first, and here it is made true; what is true already stays as it is.
"""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent.errors import ConflictError, SystemFault
from hydria.lab import bridges, kinds, namespaces
from hydria.lab.machine import Cable
from hydria.lab.pid_one import HYPERVISOR
from hydria.octavia import filtering
from hydria.octavia.cloud_things import Network, Port, SecurityGroup, Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from hydria.lab.lab import Lab
    from hydria.octavia.cloud import Cloud

_LOCK = "cabling.lock"
#: Is there where the kernel cannot filter what bridges pass.
_UNFILTERED = "unfiltered"


class Cabling:
    """Of the lab `lab`, as `cloud` says. Raises CallError where a machine is off, OSError, and what `Cloud` does."""

    def __init__(self, lab: Lab, cloud: Cloud) -> None:
        self._lab = lab
        self._cloud = cloud

    def join(self, namespace: Path, port: Port, interface: str | None = None, *, settled: bool = False) -> None:
        """Puts a port's cable into a namespace. `settled`: it is up there with its addresses, as whoever asks for them by DHCP has them."""
        network = self._cloud.get(Network, port.network_id)
        if network.bridge not in bridges.names(self._hypervisor):
            bridges.bridge(self._hypervisor, network.bridge)
        name = interface or port.nic
        # Whoever was ended in the middle may have left one.
        bridges.unplug(self._hypervisor, port.tap)
        bridges.cable(self._hypervisor, network.bridge, port.tap, namespace, interface=name, mac=port.mac_address)
        if settled:
            bridges.settle(namespace, name, self.addresses_of(port))
        if not port.admin_state_up:
            bridges.pull(self._hypervisor, port.tap, out=True)

    def plug(self, identity: str, server: Server, interface: str | None = None, *, settled: bool = False) -> Port:
        """Plugs a port into a machine that runs. Raises ConflictError where another one has it."""
        port = self._cloud.get(Port, identity)
        if port.device_id == server.id and port.plugged:
            return port
        if port.plugged:
            raise ConflictError(f"port {identity} is in use by {port.device_id}")
        self.join(namespaces.of_machine(self._lab.first_process(server.machine)), port, interface, settled=settled)
        kinds.found(self._lab, server.machine).plug(self.cable(port))
        plugged = self._cloud.update_port(identity, device_id=server.id, plugged=True)
        self.filter()
        return plugged

    def cable(self, port: Port, interface: str | None = None, *, settled: bool = False) -> Cable:
        """What a port has in a machine; `interface` and `settled` as they were when it was plugged."""
        return Cable(port.tap, interface or port.nic, port.mac_address, self.addresses_of(port) if settled else ())

    def addresses_of(self, port: Port) -> list[str]:
        """A port's addresses with the lengths of their subnets' prefixes."""
        prefixes = {subnet.id: subnet.cidr.partition("/")[2] for subnet in self._cloud.subnets_of(port.network_id)}
        return [f"{each.ip_address}/{prefixes[each.subnet_id]}" for each in port.fixed_ips]

    def unplug(self, identity: str) -> Port:
        """Pulls a port's cable out and takes it away; a port without one is fine."""
        port = self._cloud.get(Port, identity)
        self._announce(port)
        bridges.unplug(self._hypervisor, port.tap)
        unplugged = self._cloud.update_port(identity, device_id="", plugged=False)
        self.filter()
        return unplugged

    def set_admin_state(self, identity: str, *, up: bool) -> None:
        """Has a port pass everything that it may, or nothing."""
        port = self._cloud.update_port(identity, admin_state_up=up)
        if port.tap in bridges.names(self._hypervisor):
            bridges.pull(self._hypervisor, port.tap, out=not up)

    def networks_of(self, server: Server) -> dict[str, str]:
        """The name of each of a server's ports in the hypervisor → the bridge that it is on."""
        networks = {each.id: each.bridge for each in self._cloud.find(Network)}
        return {port.tap: networks[port.network_id] for port in self._cloud.ports_of(server.id)}

    def filter(self) -> None:
        """Has the bridges pass what ports may send and be sent, as is in the store now.

        Where the kernel has no filter for bridges it says so, once, and everything passes.
        """
        without = self._lab.directory / _UNFILTERED
        # Whoever comes second is to see what the first one has seen, and more.
        with self._alone():
            if without.exists():
                return
            ports = [port for port in self._cloud.find(Port) if port.plugged]
            try:
                bridges.filter_frames(self._hypervisor, filtering.table(ports, self._cloud.find(SecurityGroup)))
            except OSError as error:
                if self._can_filter():
                    raise
                without.touch()
                self._lab.tell(f"ports may send from any address, and everybody may speak to them: {error}")

    def _announce(self, port: Port) -> None:
        """Has the machine that a port is plugged into be without it. One that does not answer has a dead cable instead."""
        for server in self._cloud.find(Server, identity=port.device_id) if port.plugged else ():
            if self._lab.runs(server.machine):
                try:
                    kinds.found(self._lab, server.machine).unplug(port.mac_address)
                except SystemFault as error:
                    self._lab.tell(f"{server.machine} keeps an interface whose cable is gone: {error}")

    def _can_filter(self) -> bool:
        """Whether the kernel has a filter for bridges at all."""
        try:
            bridges.filter_frames(self._hypervisor, filtering.NOTHING)
        except OSError:
            return False
        return True

    @property
    def _hypervisor(self) -> Path:
        return self._lab.network(HYPERVISOR)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self._lab.directory / _LOCK).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
