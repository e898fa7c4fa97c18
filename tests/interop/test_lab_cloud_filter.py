"""What a lab's networks pass: what ports may send, and who may begin to speak to them. Real machines, real frames."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from lab_cloud import Site, site

from agent.errors import ConflictError
from hydria.lab import bridges
from hydria.lab.pid_one import HYPERVISOR
from hydria.octavia.cloud_things import AddressPair, Network, Rule, Server, Wanted
from hydria.octavia.rules import rules_of

if TYPE_CHECKING:
    from collections.abc import Iterator

VIP, VIP6 = "192.0.2.10", "2001:db8::10"


@pytest.fixture(scope="module")
def place() -> Iterator[Site]:
    with site("filter") as made:
        yield made


@pytest.fixture
def public(place: Site) -> str:
    return place.cloud.named(Network, "public").id


@pytest.fixture(scope="module")
def client(place: Site) -> Server:
    """A machine with a port that nothing is said of."""
    server = place.machine("client")
    port = place.cloud.create_port(
        place.cloud.named(Network, "public").id, fixed_ips=[Wanted(ip_address="192.0.2.201"), Wanted(ip_address="2001:db8::201")]
    )
    place.plug(port, server, "192.0.2.202/24")
    return server


def test_a_vip_is_of_no_use_without_its_address_pair(place: Site, public: str, client: Server) -> None:
    amphora = place.machine("with-vip")
    port = place.plug(place.cloud.create_port(public), amphora, f"{VIP}/24", f"{VIP6}/64")
    own, own6 = (each.ip_address for each in port.fixed_ips)
    assert place.reaches(client, "192.0.2.201", amphora, own, 80)
    assert place.reaches(client, "2001:db8::201", amphora, own6, 80)
    assert place.silent(client, "192.0.2.201", amphora, VIP, 80)
    assert place.silent(client, "2001:db8::201", amphora, VIP6, 80)
    place.cloud.update_port(port.id, allowed_address_pairs=(AddressPair(VIP), AddressPair(VIP6)))
    place.cabling.filter()
    assert place.reaches(client, "192.0.2.201", amphora, VIP, 80)
    assert place.reaches(client, "2001:db8::201", amphora, VIP6, 80)
    # An address that is nobody's is as bad where it begins to speak.
    assert place.silent(client, "192.0.2.202", amphora, VIP, 80)


def test_groups_say_who_may_begin_to_speak(place: Site, public: str, client: Server) -> None:
    amphora = place.machine("with-group")
    group = place.cloud.create_security_group("lb-1")
    port = place.plug(place.cloud.create_port(public, security_group_ids=[group.id]), amphora)
    own, own6 = (each.ip_address for each in port.fixed_ips)

    def let_in(*rules: Rule) -> None:
        place.cloud.set_rules(group.id, rules)
        place.cabling.filter()

    assert place.silent(client, "192.0.2.201", amphora, own, 80)
    # What it begins itself is answered.
    assert place.reaches(amphora, own, client, "192.0.2.201", 8080)
    assert place.reaches(amphora, own6, client, "2001:db8::201", 8080)
    http: dict[str, Any] = {"protocol": "tcp", "port_range_min": 80, "port_range_max": 80}
    let_in(Rule(**http))
    assert place.reaches(client, "192.0.2.201", amphora, own, 80)
    assert place.silent(client, "192.0.2.201", amphora, own, 81)
    assert place.silent(client, "2001:db8::201", amphora, own6, 80)
    let_in(Rule(**http, remote_ip_prefix="192.0.2.0/25"), Rule(**http, ethertype="IPv6", remote_ip_prefix="2001:db8::/32"))
    assert place.silent(client, "192.0.2.201", amphora, own, 80)
    assert place.reaches(client, "2001:db8::201", amphora, own6, 80)
    let_in(Rule(**http, remote_group_id=group.id))
    assert place.silent(client, "192.0.2.201", amphora, own, 80)
    peer = place.machine("peer")
    [address, _] = place.plug(place.cloud.create_port(public, security_group_ids=[group.id]), peer).fixed_ips
    assert place.reaches(peer, address.ip_address, amphora, own, 80)


def test_a_port_that_is_down_passes_nothing(place: Site, public: str, client: Server) -> None:
    amphora = place.machine("down")
    port = place.plug(place.cloud.create_port(public), amphora)
    [own, _] = (each.ip_address for each in port.fixed_ips)
    assert place.reaches(client, "192.0.2.201", amphora, own, 80)
    place.cabling.set_admin_state(port.id, up=False)
    assert place.silent(client, "192.0.2.201", amphora, own, 80)
    place.cabling.set_admin_state(port.id, up=True)
    assert place.reaches(client, "192.0.2.201", amphora, own, 80)


def test_cables_are_where_ports_are_and_nowhere_else(place: Site, client: Server) -> None:
    network = place.cloud.create_network("another")
    place.cloud.create_subnet(network.id, "another", "203.0.113.0/24")
    server = place.machine("moved")
    port = place.cabling.plug(place.cloud.create_port(network.id).id, server)
    assert (port.status, port.device_id) == ("ACTIVE", server.id)
    assert {port.nic} <= bridges.names(place.namespace(server))
    # Who plugs again what is plugged has what he wants, and nobody else gets it.
    assert place.cabling.plug(port.id, server) == port
    with pytest.raises(ConflictError, match=server.id):
        place.cabling.plug(port.id, client)
    assert place.cabling.unplug(port.id).status == "DOWN"
    assert port.nic not in bridges.names(place.namespace(server))
    # What was left by somebody who was ended in the middle is in nobody's way.
    bridges.cable(place.lab.network(HYPERVISOR), network.bridge, port.tap, place.namespace(server), interface="left")
    place.cabling.plug(port.id, client)
    assert port.nic in bridges.names(place.namespace(client))
    place.cabling.unplug(port.id)
    assert port.tap not in bridges.names(place.lab.network(HYPERVISOR))


def test_a_network_keeps_its_hardware_address_while_cables_come_and_go(place: Site) -> None:
    hypervisor, network = place.lab.network(HYPERVISOR), place.cloud.create_network("lasting")
    server = place.machine("coming")

    def address() -> Any:
        with bridges._links(hypervisor) as links:
            [found] = links.get_links(ifname=network.bridge)
            return found.get_attr("IFLA_ADDRESS")

    bridges.bridge(hypervisor, network.bridge)
    before = address()
    port = place.cabling.plug(place.cloud.create_port(network.id).id, server)
    assert address() == before
    place.cabling.unplug(port.id)
    assert address() == before


def _listener(protocol: str, port: int, peer: int, cidrs: list[str] | None = None, status: str = "ACTIVE") -> SimpleNamespace:
    allowed = [SimpleNamespace(cidr=each) for each in cidrs or ()]
    return SimpleNamespace(protocol=protocol, protocol_port=port, peer_port=peer, allowed_cidrs=allowed, provisioning_status=status)


def _load_balancer(*listeners: SimpleNamespace, topology: str = "SINGLE", groups: tuple[str, ...] = ()) -> SimpleNamespace:
    vip = SimpleNamespace(ip_address=VIP, sg_ids=list(groups))
    return SimpleNamespace(vip=vip, additional_vips=[SimpleNamespace(ip_address=VIP6)], topology=topology, listeners=list(listeners))


def _told(rules: list[Rule]) -> set[tuple[Any, ...]]:
    return {(each.ethertype, each.protocol, each.port_range_min, each.remote_ip_prefix, each.remote_group_id) for each in rules}


def test_rules_open_listeners_for_those_whom_they_allow() -> None:
    found = rules_of(
        _load_balancer(
            _listener("HTTP", 80, 1025),
            _listener("UDP", 53, 1026, ["192.0.2.0/24", "2001:db8::/32", "10.0.0.0/8"]),
            _listener("SCTP", 90, 1027, status="PENDING_DELETE"),
        )
    )
    peers = {(family, "tcp", port, None, None) for family in ("IPv4", "IPv6") for port in (1025, 1026)}
    assert _told(found) == peers | {
        ("IPv4", "tcp", 80, None, None),
        ("IPv6", "tcp", 80, None, None),
        ("IPv4", "udp", 53, "192.0.2.0/24", None),
        ("IPv4", "udp", 53, "10.0.0.0/8", None),
        ("IPv6", "udp", 53, "2001:db8::/32", None),
    }
    assert len(found) == 9


def test_rules_of_a_pair_let_its_amphorae_speak_to_each_other() -> None:
    found = rules_of(_load_balancer(_listener("TCP", 80, 1025), topology="ACTIVE_STANDBY"), "group")
    assert {("IPv4", "112", None, None, "group"), ("IPv4", "51", None, None, "group")} <= _told(found)
    assert ("IPv4", "tcp", 1025, None, "group") in _told(found)


def test_rules_leave_listeners_to_groups_of_the_users_own() -> None:
    assert _told(rules_of(_load_balancer(_listener("HTTP", 80, 1025), groups=("mine",)))) == {
        ("IPv4", "tcp", 1025, None, None),
        ("IPv6", "tcp", 1025, None, None),
    }
