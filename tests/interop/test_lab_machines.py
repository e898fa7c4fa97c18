"""Amphorae of a lab that have a kernel of their own: what is asked of any of them, and what they have that others have not."""

from __future__ import annotations

import json
import signal
import socket
import uuid
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from lab_cloud import site
from lab_drivers import drivers
from support.polling import eventually

from agent.errors import AgentUnreachable, NotFoundError
from agent.network.requests import NetworkPlug
from hydria.lab import bridges, kinds, namespaces
from hydria.lab.failing import kill_program
from hydria.lab.pid_one import HYPERVISOR
from hydria.octavia import layout
from hydria.octavia.cloud_things import Network, Server, Subnet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab_cloud import Site
    from lab_drivers import Drivers

    from agent.client import AgentClient

# With an open fault, see docs/octavia-lab.md: now and then that kernel stands still when a cable has been pulled out.
pytestmark = pytest.mark.slow

#: Seconds. A kernel has to start on a kernel, and Python on that.
_STARTING = 120.0


@pytest.fixture(scope="module")
def place() -> Iterator[Site]:
    with site("machines") as made:
        yield made


@pytest.fixture(scope="module")
def octavia(place: Site) -> Iterator[Drivers]:
    with drivers(place) as made:
        yield made


def answers(client: AgentClient) -> bool:
    try:
        client.version()
    except AgentUnreachable:
        return False
    return True


def test_an_amphora_with_its_own_kernel_from_its_first_to_its_last_moment(octavia: Drivers, place: Site) -> None:
    network, subnet = place.cloud.named(Network, layout.PRIVATE), place.cloud.named(Subnet, "private-subnet")
    identity = str(uuid.uuid4())
    octavia.compute("validate_flavor", "uml")
    compute = octavia.build(identity, amphora_flavor="uml")
    built, _ = octavia.compute("get_amphora", compute)
    assert (built["status"], built["compute_flavor"], octavia.compute("status", compute)) == ("ACTIVE", "uml", "UP")
    server = place.cloud.get(Server, compute)
    machine = kinds.found(place.lab, server.machine)
    with octavia.agent(identity, built["lb_network_ip"]) as client:
        eventually(lambda: answers(client), "the agent", _STARTING)
        # The name is the machine's, the certificate that of this amphora, the kernel not this one.
        assert client.info().hostname == f"amphora-{identity}"
        [kernel] = [one["name"] for one in machine.call("processes")["processes"] if one["name"] == "kthreadd"]
        assert kernel

        # Hot plug: the agent finds an interface by its hardware address, and others find that.
        port = octavia.network("create_port", network.id, name="member", fixed_ips=[{"subnet_id": subnet.id}])
        octavia.network("plug_port", SimpleNamespace(compute_id=compute), SimpleNamespace(id=port["id"]))
        address = port["fixed_ips"][0]["ip_address"]
        words = {"mac_address": port["mac_address"], "fixed_ips": [{"ip_address": address, "subnet_cidr": subnet.cidr}]}
        client.plug_network(NetworkPlug.decode(json.dumps(words).encode()))
        assert client.interface_of(address)
        bridges.settle(place.lab.network(HYPERVISOR), network.bridge, [f"{subnet.gateway_ip}/24"])
        eventually(lambda: neighbour(place, address) == port["mac_address"], "a neighbour")

        # What is pulled out is gone there, too.
        octavia.network("delete_port", port["id"])
        with pytest.raises(NotFoundError):
            client.interface_of(address)

        # Its processes are not of this kernel, and fail all the same.
        kill_program(place.lab, server.machine, "agent")
        eventually(lambda: not answers(client), "an agent that is dead")

    # A machine whose kernel has ended is off.
    place.lab.call(server.machine, "signal", number=signal.SIGKILL, names=["linux.uml"])
    eventually(lambda: octavia.compute("status", compute) == "DOWN", "a machine that is off")
    octavia.compute("delete", compute)
    assert place.cloud.ports_of(compute) == []
    assert not place.lab.runs(server.machine)
    assert [each for each in bridges.names(place.lab.network(HYPERVISOR)) if each.startswith("tap")] == []
    assert not (place.lab.directory / server.machine).exists()


def neighbour(place: Site, address: str) -> str | None:
    """The hardware address that answers for an address, once it has been asked for."""
    with namespaces.inside(place.lab.network(HYPERVISOR)), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.sendto(b"", (address, 9))
    return bridges.neighbours(place.lab.network(HYPERVISOR)).get(address)
