"""The store of a cloud without Neutron and Nova: who has which address, whoever asks, in whatever order, however many at once."""

from __future__ import annotations

import ipaddress
import itertools
import multiprocessing
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from agent.errors import ConflictError, InvalidRequest, NotFoundError
from hydria.octavia import addresses, layout
from hydria.octavia.cloud import FILE, Cloud
from hydria.octavia.cloud_things import (
    COMPUTE,
    OCTAVIA,
    AddressPair,
    Flavor,
    Network,
    Port,
    Range,
    Route,
    Rule,
    SecurityGroup,
    Server,
    Subnet,
    Wanted,
)

CIDR, POOL, GATEWAY = "203.0.113.0/28", Range("203.0.113.4", "203.0.113.9"), "203.0.113.6"


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    return Cloud.create(tmp_path / FILE)


@pytest.fixture
def small(cloud: Cloud) -> Subnet:
    return cloud.create_subnet(cloud.create_network("small").id, "small", CIDR, gateway=GATEWAY, pools=[POOL])


def addresses_of(port: Port) -> list[str]:
    return [each.ip_address for each in port.fixed_ips]


class PortsOfMany(RuleBasedStateMachine):
    """Ports come and go; `has` is what each must have, as the answers said."""

    ports: Bundle[str] = Bundle("ports")

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self.cloud = Cloud.create(Path(self._directory.name) / FILE)
        self.subnet = self.cloud.create_subnet(self.cloud.create_network("n").id, "s", CIDR, gateway=GATEWAY, pools=[POOL])
        self.has: dict[str, set[str]] = {}

    def teardown(self) -> None:
        self._directory.cleanup()

    @property
    def taken(self) -> set[str]:
        return set(itertools.chain.from_iterable(self.has.values()))

    @property
    def free(self) -> set[str]:
        pool = {f"203.0.113.{number}" for number in range(4, 10)}
        return pool - {GATEWAY} - self.taken

    @rule(target=ports, count=st.integers(1, 3))
    def any_addresses(self, count: int) -> str:
        free = self.free
        try:
            port = self.cloud.create_port(self.subnet.network_id, fixed_ips=[Wanted(self.subnet.id)] * count)
        except ConflictError:
            assert len(free) < count
            return ""
        assert set(addresses_of(port)) <= free
        assert len(set(addresses_of(port))) == count
        self.has[port.id] = set(addresses_of(port))
        return port.id

    @rule(target=ports, number=st.integers(0, 15), more=st.booleans())
    def this_address(self, number: int, more: bool) -> str:
        address = f"203.0.113.{number}"
        fine = number not in (0, 6, 15) and address not in self.taken and (not more or self.free - {address})
        wanted = [*([Wanted(self.subnet.id)] if more else []), Wanted(ip_address=address)]
        try:
            port = self.cloud.create_port(self.subnet.network_id, fixed_ips=wanted)
        except (ConflictError, InvalidRequest):
            assert not fine
            return ""
        assert fine
        assert addresses_of(port)[-1] == address
        self.has[port.id] = set(addresses_of(port))
        return port.id

    @rule(port=ports)
    def one_more(self, port: str) -> None:
        if port in self.has:
            free = self.free
            try:
                changed = self.cloud.add_fixed_ip(port, Wanted(self.subnet.id))
            except ConflictError:
                assert not free
            else:
                assert addresses_of(changed)[-1] in free
                self.has[port] = set(addresses_of(changed))

    @rule(port=ports)
    def none_of_the_subnet(self, port: str) -> None:
        if port in self.has:
            assert self.cloud.remove_fixed_ips(port, self.subnet.id).fixed_ips == ()
            self.has[port] = set()

    @rule(port=consumes(ports))
    def gone(self, port: str) -> None:
        if port in self.has:
            self.cloud.delete_port(port)
            del self.has[port]

    @invariant()
    def the_store_says_what_was_answered(self) -> None:
        kept = self.cloud.find(Port)
        assert {port.id: set(addresses_of(port)) for port in kept} == self.has
        assert len(self.taken) == sum(map(len, self.has.values()))
        assert len({port.mac_address for port in kept}) == len(kept)
        [available] = self.cloud.availability(self.subnet.network_id)
        assert (available.total, available.total - available.used) == (5, len(self.free))


TestPortsOfMany = PortsOfMany.TestCase
TestPortsOfMany.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


@given(
    pools=st.lists(st.tuples(st.integers(1, 254), st.integers(0, 20)), min_size=1, max_size=3),
    taken=st.sets(st.integers(0, 255)),
    after=st.none() | st.integers(0, 255),
)
def test_the_next_address_is_free_and_in_a_pool_and_the_nearest_after_the_last(
    pools: list[tuple[int, int]], taken: set[int], after: int | None
) -> None:
    def address(number: int) -> str:
        return f"198.51.100.{number}"

    subnet = Subnet(
        id="s",
        network_id="n",
        cidr="198.51.100.0/24",
        gateway_ip=address(1),
        pools=tuple(Range(address(first), address(min(first + more, 254))) for first, more in pools),
        after=None if after is None else address(after),
    )
    possible = {number for first, more in pools for number in range(first, min(first + more, 254) + 1)} - taken - {1}
    turn = sorted(possible, key=lambda number: (after is not None and number <= after, number))
    assert addresses.next_free(subnet, {address(number) for number in taken}) == (address(turn[0]) if turn else None)


def test_an_address_that_was_given_back_is_given_again_last(cloud: Cloud, small: Subnet) -> None:
    def given_to(port: Port) -> str:
        return addresses_of(port)[0]

    first = cloud.create_port(small.network_id)
    cloud.delete_port(first.id)
    later = [given_to(cloud.create_port(small.network_id)) for _ in range(5)]
    assert later == ["203.0.113.5", "203.0.113.7", "203.0.113.8", "203.0.113.9", given_to(first)]
    with pytest.raises(ConflictError, match="all addresses of subnet small"):
        cloud.create_port(small.network_id)


def _take_ports(path: Path, network: str, count: int) -> list[str]:
    cloud = Cloud(path)
    return [addresses_of(cloud.create_port(network))[0] for _ in range(count)]


def test_processes_that_ask_at_once_get_different_addresses(cloud: Cloud, tmp_path: Path) -> None:
    network = cloud.named(Network, layout.PUBLIC)
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        given = pool.starmap(_take_ports, [(tmp_path / FILE, network.id, 20)] * 4)
    found = [address for each in given for address in each]
    assert len(set(found)) == len(found) == 80


def test_who_wants_nothing_gets_an_address_of_each_family(cloud: Cloud) -> None:
    port = cloud.create_port(cloud.named(Network, layout.PUBLIC).id)
    assert addresses_of(port) == ["192.0.2.100", "2001:db8::1000"]
    assert addresses_of(cloud.create_port(cloud.named(Network, layout.MANAGEMENT).id)) == ["172.31.0.2"]


def test_addresses_are_compared_as_what_they_are(cloud: Cloud) -> None:
    network = cloud.named(Network, layout.PUBLIC)
    port = cloud.create_port(network.id, fixed_ips=[Wanted(ip_address="2001:DB8:0::77")])
    assert addresses_of(port) == ["2001:db8::77"]
    with pytest.raises(ConflictError, match="2001:db8::77 is taken"):
        cloud.create_port(network.id, fixed_ips=[Wanted(ip_address="2001:db8:0:0:0::77")])


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        (Wanted(ip_address="10.0.0.1"), "is no address of network"),
        (Wanted(ip_address="192.0.2.255"), "is no address of network"),
        (Wanted(ip_address="nowhere"), "does not appear to be"),
        (Wanted(subnet_id="other"), "has no subnet other"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(cloud: Cloud, wanted: Wanted, why: str) -> None:
    network = cloud.named(Network, layout.PUBLIC)
    fine = Wanted(ip_address="192.0.2.150")
    with pytest.raises(InvalidRequest, match=why):
        cloud.create_port(network.id, fixed_ips=[fine, wanted])
    assert cloud.find(Port) == []
    assert addresses_of(cloud.create_port(network.id, fixed_ips=[fine])) == ["192.0.2.150"]


def test_default_networks_leave_room_for_members_and_clients(cloud: Cloud) -> None:
    for subnet in cloud.find(Subnet):
        [pool] = subnet.pools
        places = (pool.first, pool.last, str(subnet.gateway_ip))
        assert all(ipaddress.ip_address(each) in ipaddress.ip_network(subnet.cidr) for each in places)
    assert cloud.named(Subnet, "private-subnet").network_id == cloud.named(Network, "private").id
    assert addresses.total(cloud.named(Subnet, "private-subnet")) == 100
    assert [each.id for each in cloud.find(Flavor)] == list(layout.FLAVORS)


def test_a_second_cloud_in_the_same_place_is_refused(cloud: Cloud, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        Cloud.create(tmp_path / FILE)
    assert cloud.find(Network)
    with pytest.raises(NotFoundError, match="no cloud at"):
        Cloud(tmp_path / "nothing").find(Network)


def test_subnets_of_a_network_do_not_overlap(cloud: Cloud, small: Subnet) -> None:
    with pytest.raises(ConflictError, match=r"overlaps 203\.0\.113\.0/28"):
        cloud.create_subnet(small.network_id, "more", "203.0.113.8/29")
    routes = [Route("10.0.0.0/8", "203.0.113.17")]
    made = cloud.create_subnet(small.network_id, "more", "203.0.113.16/29", host_routes=routes)
    assert made.pools == (Range("203.0.113.17", "203.0.113.22"),)
    assert cloud.get(Subnet, made.id).host_routes == tuple(routes)
    assert [each.name for each in cloud.subnets_of(small.network_id)] == ["small", "more"]


def test_networks_have_bridges_that_can_be_and_differ(cloud: Cloud) -> None:
    names = ["short", "short", "This is nothing for an interface", "a-name-of-16-long"]
    bridges = [cloud.create_network(name).bridge for name in names]
    assert bridges[0] == "short"
    assert len(set(bridges)) == 4
    assert all(len(each) <= 15 for each in bridges)


def test_rules_that_stay_keep_their_ids(cloud: Cloud) -> None:
    group = cloud.create_security_group("lb-1")
    http, https = (Rule(protocol="tcp", port_range_min=port, port_range_max=port) for port in (80, 443))
    [first] = cloud.set_rules(group.id, [http]).rules
    both = cloud.set_rules(group.id, [https, http, https]).rules
    assert [each.port_range_min for each in both] == [443, 80]
    assert both[1] == first
    assert both[0].id not in ("", first.id)


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (Rule(protocol="nobody"), "nobody is no protocol"),
        (Rule(protocol="256"), "256 is no protocol"),
        (Rule(protocol="icmp", port_range_min=1), "icmp has no ports 1"),
        (Rule(protocol="tcp", port_range_min=80, port_range_max=79), "tcp has no ports 80 to 79"),
        (Rule(protocol="udp", port_range_min=65536, port_range_max=65536), "udp has no ports 65536"),
        (Rule(remote_ip_prefix="2001:db8::/32"), "is not IPv4"),
        (Rule(ethertype="IPv6", remote_ip_prefix="elsewhere"), "elsewhere"),
        (Rule(ethertype="ARP"), "no security group"),
    ],
)
def test_rules_that_cannot_be_are_refused_and_those_that_are_stay(cloud: Cloud, rule: Rule, why: str) -> None:
    group = cloud.create_security_group("lb-1")
    group = cloud.set_rules(group.id, [Rule(protocol="112"), Rule(protocol="sctp", port_range_min=1, port_range_max=65535)])
    with pytest.raises(InvalidRequest, match=why):
        cloud.set_rules(group.id, [Rule(), rule])
    assert cloud.get(SecurityGroup, group.id) == group


def test_a_group_that_is_in_use_stays(cloud: Cloud) -> None:
    group = cloud.create_security_group("lb-1")
    network = cloud.named(Network, layout.PUBLIC).id
    port = cloud.create_port(network, security_group_ids=[group.id])
    with pytest.raises(ConflictError, match=port.id):
        cloud.delete_security_group(group.id)
    cloud.update_port(port.id, security_group_ids=())
    cloud.delete_security_group(group.id)
    with pytest.raises(NotFoundError):
        cloud.create_port(network, security_group_ids=[group.id])
    assert group.id not in {each.id for each in cloud.find(SecurityGroup)}


def test_a_port_says_whether_anything_comes_through(cloud: Cloud) -> None:
    port = cloud.create_port(cloud.named(Network, layout.PUBLIC).id, address_pairs=[AddressPair("192.0.2.10")])
    assert port.status == "DOWN"
    assert cloud.update_port(port.id, plugged=True).status == "ACTIVE"
    assert cloud.update_port(port.id, admin_state_up=False).status == "DOWN"
    with pytest.raises(InvalidRequest, match="mac_address"):
        cloud.update_port(port.id, mac_address="02:00:00:00:00:01")


def test_a_server_goes_with_the_ports_that_were_made_for_it(cloud: Cloud) -> None:
    server = cloud.create_server("amphora-1")
    own = cloud.create_port(cloud.named(Network, layout.MANAGEMENT).id, device_id=server.id, device_owner=COMPUTE)
    other = cloud.create_port(cloud.named(Network, layout.PUBLIC).id, device_owner=OCTAVIA)
    cloud.update_port(other.id, device_id=server.id, plugged=True)
    assert {each.id for each in cloud.ports_of(server.id)} == {own.id, other.id}
    cloud.delete_server(server.id)
    [left] = cloud.find(Port)
    assert (left.id, left.device_id, left.plugged, left.fixed_ips) == (other.id, "", False, other.fixed_ips)
    assert addresses_of(own) == ["172.31.0.2"]
    with pytest.raises(NotFoundError):
        cloud.get(Server, server.id)


def test_machines_of_servers_have_names_that_can_be_and_differ(cloud: Cloud) -> None:
    names = ["amphora-1", "amphora-1", "../elsewhere", "Ä"]
    machines = [cloud.create_server(name).machine for name in names]
    assert machines[0] == "amphora-1"
    assert len(set(machines)) == 4
    assert all(each.isascii() and "/" not in each for each in machines)


def test_hardware_addresses_differ_also_where_ids_end_alike(tmp_path: Path) -> None:
    numbers = itertools.count(1)

    def alike() -> str:
        number = next(numbers)
        return f"00000000-0000-0000-{number:04x}-{number // 4:012x}"

    cloud = Cloud.create(tmp_path / FILE, alike)
    network = cloud.named(Network, layout.PUBLIC).id
    macs = [cloud.create_port(network).mac_address for _ in range(12)]
    assert len(set(macs)) == 12
    assert all(each.startswith("fa:16:3e:") for each in macs)
