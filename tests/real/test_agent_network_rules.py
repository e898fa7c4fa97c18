"""Interface rules and masquerading of the agent, with traffic: who comes in, who does not, and as whom packets leave."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from support.agent_machine import GATEWAY4, GATEWAY6, MACS, VIP4, VIP6, VRRP4, Machine, fixed, machine_in
from support.namespaces import Namespace
from support.polling import eventually

from agent.errors import NotFoundError, SystemFault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Clients with addresses of their own, in the hypervisor.
NEAR, FAR, NEAR6 = "192.0.2.51", "203.0.113.51", "2001:db8::51"

TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with machine_in(tmp_path) as machine:
        tap = machine.cable(MACS[1], f"{GATEWAY4}/24", f"{GATEWAY6}/64", f"{NEAR}/32", f"{FAR}/32", f"{NEAR6}/128")
        machine.hypervisor.ip(f"route replace {VIP4} dev {tap}")
        yield machine


def plug(machine: Machine, **more: Any) -> None:
    machine.plug_vip(additional_vips=[fixed(VIP6, "2001:db8::/64", gateway=GATEWAY6)], **more)


@contextmanager
def listening(machine: Machine, address: str, port: int, kind: int = TCP) -> Iterator[socket.socket]:
    with machine.inside.entered():
        server = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    with server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        server.settimeout(2)
        if kind == TCP:
            server.listen()
        yield server


def connected(machine: Machine, target: str, port: int, source: str) -> socket.socket | None:
    """A connection from there, or None where packets are dropped."""
    with machine.hypervisor.entered():
        client = socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET)
    client.bind((source, 0))
    client.settimeout(0.6)
    try:
        client.connect((target, port))
    except TimeoutError:
        client.close()
        return None
    return client


def comes_in(machine: Machine, target: str, port: int, source: str) -> bool:
    client = connected(machine, target, port, source)
    if client is None:
        return False
    client.close()
    return True


def datagram_comes_in(machine: Machine, server: socket.socket, source: str) -> bool:
    with machine.hypervisor.entered():
        client = socket.socket(server.family, UDP)
    with client:
        client.bind((source, 0))
        client.sendto(b"hello", server.getsockname()[:2])
    try:
        return bool(server.recvfrom(100)[1][0] == source)
    except TimeoutError:
        return False


def test_only_what_the_rules_say(machine: Machine) -> None:
    plug(machine)
    with listening(machine, VIP4, 80), listening(machine, VIP4, 81), listening(machine, VIP6, 80), listening(machine, VIP6, 81):
        for source, vip in ((NEAR, VIP4), (FAR, VIP4), (NEAR6, VIP6)):
            assert comes_in(machine, vip, 80, source)
        machine.set_rules("eth1", ("TCP", f"{NEAR}/32", 80), ("TCP", "2001:db8::/64", 80), ("TCP", None, 81))
        assert comes_in(machine, VIP4, 80, NEAR)
        assert not comes_in(machine, VIP4, 80, FAR)
        assert comes_in(machine, VIP6, 80, NEAR6)
        assert comes_in(machine, VIP4, 81, FAR)
        assert comes_in(machine, VIP6, 81, NEAR6)
        machine.set_rules("eth1", ("TCP", "0.0.0.0/0", 80))
        assert comes_in(machine, VIP4, 80, FAR)
        assert not comes_in(machine, VIP6, 80, NEAR6)
        machine.set_rules("eth1")
        assert not comes_in(machine, VIP4, 80, NEAR)


def test_datagrams(machine: Machine) -> None:
    plug(machine)
    with listening(machine, VIP4, 53, UDP) as server, listening(machine, VIP6, 53, UDP) as server6:
        machine.set_rules("eth1", ("UDP", f"{NEAR}/32", 53), ("SCTP", None, 53), ("vrrp", f"{FAR}/32", 112))
        assert datagram_comes_in(machine, server, NEAR)
        assert not datagram_comes_in(machine, server, FAR)
        assert not datagram_comes_in(machine, server6, NEAR6)


def test_connections_that_there_are_go_on(machine: Machine) -> None:
    plug(machine)
    machine.set_rules("eth1", ("TCP", None, 80))
    with listening(machine, VIP4, 80) as server:
        client = connected(machine, VIP4, 80, NEAR)
        assert client is not None
        accepted, _ = server.accept()
        machine.set_rules("eth1")
        with client, accepted:
            client.sendall(b"still")
            accepted.settimeout(2)
            assert accepted.recv(10) == b"still"
        assert not comes_in(machine, VIP4, 80, NEAR)


def test_they_hold_after_a_reboot_and_for_their_interface_alone(machine: Machine) -> None:
    tap = machine.cable(MACS[2], "10.0.2.1/24")
    plug(machine)
    machine.plug_network(MACS[2], fixed("10.0.2.5", "10.0.2.0/24"))
    machine.set_rules("eth1", ("TCP", f"{NEAR}/32", 80))
    machine.reboot()
    machine.restore()
    assert tap in machine.hypervisor.ip("link")
    with listening(machine, VIP4, 80), listening(machine, "10.0.2.5", 80):
        assert comes_in(machine, VIP4, 80, NEAR)
        assert not comes_in(machine, VIP4, 80, FAR)
        assert comes_in(machine, "10.0.2.5", 80, "10.0.2.1")


def test_an_interface_without_a_switch_s_filter_is_shut_until_there_are_rules(machine: Machine) -> None:
    plug(machine, is_sriov=True)
    with listening(machine, VIP4, 80):
        assert not comes_in(machine, VIP4, 80, NEAR)
        machine.set_rules("eth1", ("TCP", None, 80))
        assert comes_in(machine, VIP4, 80, NEAR)
        machine.plug_network(MACS[1], fixed(VRRP4, "192.0.2.0/24", gateway=GATEWAY4), is_sriov=True)
        assert comes_in(machine, VIP4, 80, NEAR)


def test_others_tables_stay(machine: Machine) -> None:
    plug(machine)
    machine.inside.run("nft", "add", "table", "inet", "somebodys")
    machine.set_rules("eth1", ("TCP", None, 80))
    machine.set_rules("eth1", ("TCP", None, 81))
    assert "table inet somebodys" in machine.inside.run("nft", "list", "tables")


def test_rules_that_cannot_be_loaded_are_not_kept(machine: Machine) -> None:
    plug(machine)
    machine.set_rules("eth1", ("TCP", None, 80))
    before = machine.paths.interface("eth1").read_bytes()
    # The namespace is gone, so there is nothing that could take them.
    machine.inside.close()
    with pytest.raises(SystemFault):
        machine.set_rules("eth1", ("TCP", None, 81))
    assert machine.paths.interface("eth1").read_bytes() == before
    with pytest.raises(NotFoundError):
        machine.set_rules("eth9", ("TCP", None, 80))


def test_forwarded_datagrams_leave_with_this_machine_s_address(machine: Machine) -> None:
    """As LVS forwards: who answers does not know the way to the client, but to this machine."""
    machine.cable(MACS[2])
    plug(machine)
    machine.plug_network(MACS[2], fixed("10.0.2.5", "10.0.2.0/24"), fixed("2001:db8:2::5", "2001:db8:2::/64"))
    with Namespace("member") as place:
        machine.hypervisor.ip(f"link set tap2 netns {place.name}")
        for words in ("link set tap2 up", "address add 10.0.2.9/24 dev tap2", "address add 2001:db8:2::9/64 dev tap2"):
            place.ip(words)
        for target, client, own, via in (
            ("10.0.2.9", NEAR, "10.0.2.5", VRRP4),
            ("2001:db8:2::9", NEAR6, "2001:db8:2::5", VIP6),
        ):
            network = f"{target}/{128 if ':' in target else 32}"
            machine.hypervisor.ip(f"route replace {network} via {via} dev tap1")
            family = socket.AF_INET6 if ":" in target else socket.AF_INET
            with place.entered():
                server = socket.socket(family, UDP)
            with machine.hypervisor.entered():
                sender = socket.socket(family, UDP)
            with server, sender:
                server.bind((target, 53))
                server.settimeout(0.5)
                sender.bind((client, 0))

                def seen(server: socket.socket = server, sender: socket.socket = sender, target: str = target) -> str:
                    sender.sendto(b"hello", (target, 53))
                    try:
                        return str(server.recvfrom(100)[1][0])
                    except TimeoutError:
                        return ""

                assert eventually(seen) == own
