"""A cloud in a lab without any control plane: a hypervisor, machines without agents, and what makes cables of ports."""

from __future__ import annotations

import socket
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from support.labs import lab_name

from hydria.lab import amphora as amphorae
from hydria.lab import bridges, namespaces, record
from hydria.lab.building import launch
from hydria.lab.lab import Lab
from hydria.lab.ports import family_of
from hydria.octavia.cabling import Cabling
from hydria.octavia.cloud import FILE, Cloud
from hydria.octavia.cloud_things import Port, Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Seconds for what is not to be answered, and for a neighbour that has to be found first.
_SILENCE, _FINDING = 1.0, 5.0


class Site:
    """`cabling` is what is tested; the rest is there to see what it does."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.cloud = Cloud.create(lab.directory / FILE)
        self.cabling = Cabling(lab, self.cloud)

    def machine(self, name: str) -> Server:
        """One that is on, without an agent."""
        server = self.cloud.create_server(name)
        amphorae.switch_on(self.lab, server.machine)
        return server

    def namespace(self, server: Server) -> Path:
        """Its network."""
        return namespaces.of_machine(self.lab.first_process(server.machine))

    def plug(self, port: Port, server: Server, *more: str) -> Port:
        """Plugs it, and has it be up with its addresses and these (`address/prefix`)."""
        plugged = self.cabling.plug(port.id, server, settled=True)
        if more:
            bridges.settle(self.namespace(server), port.nic, more)
        return plugged

    def reaches(self, client: Server, source: str, server: Server, address: str, port: int, *, within: float = _FINDING) -> bool:
        """Whether a connection from an address comes to a machine's."""
        with self._listening(server, address, port):
            until = time.monotonic() + within
            while time.monotonic() < until:
                with namespaces.inside(self.namespace(client)), socket.socket(family_of(address), socket.SOCK_STREAM) as asking:
                    asking.settimeout(_SILENCE)
                    asking.bind((source, 0))
                    with suppress(TimeoutError):
                        asking.connect((address, port))
                        return True
        return False

    def silent(self, client: Server, source: str, server: Server, address: str, port: int) -> bool:
        """Whether one does not."""
        return not self.reaches(client, source, server, address, port, within=_SILENCE)

    @contextmanager
    def _listening(self, server: Server, address: str, port: int) -> Iterator[None]:
        with namespaces.inside(self.namespace(server)):
            listener = socket.create_server((address, port), family=family_of(address))
        with listener:
            yield


@contextmanager
def site(label: str) -> Iterator[Site]:
    """One that is up; gone afterwards, whatever happened."""
    name = lab_name(label)
    directory = record.begin(name)
    try:
        launch(directory)
        yield Site(Lab(directory))
    finally:
        record.end(name)
