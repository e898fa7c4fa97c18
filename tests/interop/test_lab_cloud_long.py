"""Load balancers that Octavia makes of a lab's machines and networks, through its API and worker, with traffic: what the networks are asked for."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from octavia_cloud import User, octavia_lab
from support.labs import left_of
from support.polling import eventually

from agent.paths import NAMESPACE
from hydria.lab import bridges, namespaces
from hydria.lab.load import Aim
from hydria.lab.loading import Loading
from hydria.lab.pid_one import HYPERVISOR
from hydria.octavia import layout
from hydria.octavia.cloud import FILE, Cloud
from hydria.octavia.cloud_things import Network, Port, Route, Rule, SecurityGroup, Server, Subnet, Wanted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hydria.lab.load import Result

pytestmark = pytest.mark.slow

VIP, VIP6 = "192.0.2.10", "2001:db8::10"
#: Requests a second.
RATE = 50.0
#: Seconds for an amphora to be replaced, on a machine that has other things to do.
PATIENCE = 180


class Site:
    """A lab, its cloud, and one load balancer."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.lab = user.lab
        self.cloud = Cloud(user.lab.directory / FILE)
        self.id = ""

    def api(self, method: str, path: str, document: Any = None) -> Any:
        """What Octavia's API answers."""
        body = None if document is None else json.dumps(document).encode()
        asked = urllib.request.Request(
            f"{self.lab.octavia.endpoint}/v2.0/{path}", body, {"Content-Type": "application/json"}, method=method
        )
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from error
        return json.loads(text) if text else None

    def subnet(self, name: str) -> str:
        """The id of a subnet."""
        return self.cloud.named(Subnet, name).id

    def create(self, cidrs: tuple[str, ...] = ("192.0.2.0/24", "2001:db8::/64"), **more: Any) -> None:
        """A load balancer with a VIP of each family, a listener, and a member."""
        member = {"address": self.lab.octavia.places["member-1"][0], "protocol_port": 80, "subnet_id": self.subnet("private-subnet")}
        pool = {"name": "servers", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": [member]}
        listener = {
            "name": "web",
            "protocol": "HTTP",
            "protocol_port": 80,
            "allowed_cidrs": list(cidrs),
            "default_pool": pool,
        }
        words = {
            "name": "lb",
            "vip_subnet_id": self.subnet("public-subnet"),
            "vip_address": VIP,
            "additional_vips": [{"subnet_id": self.subnet("ipv6-public-subnet"), "ip_address": VIP6}],
            "listeners": [listener],
        }
        self.id = self.api(
            "POST", "lbaas/loadbalancers", {"loadbalancer": {key: value for key, value in {**words, **more}.items() if value is not None}}
        )["loadbalancer"]["id"]
        self.user.active(self.id)

    def servers(self) -> list[Server]:
        """Machines that there are."""
        return self.cloud.find(Server)

    def traffic(self, server: Server) -> Any:
        """Where an amphora has its traffic."""
        return namespaces.named(self.lab.first_process(server.machine), NAMESPACE)

    def holders(self) -> list[Server]:
        """Amphorae that have the VIPs."""
        running = [one for one in self.servers() if self.lab.runs(one.machine)]
        return [one for one in running if {VIP, VIP6} <= bridges.addresses(self.traffic(one))]

    def serves(self) -> bool:
        """Whether both VIPs are answered at."""
        return self.user.answers(VIP) is not None and self.user.answers(VIP6) is not None

    def add_member(self, address: str, subnet: str) -> str:
        """The path of a new member; the load balancer is ACTIVE again."""
        [pool] = self.api("GET", "lbaas/pools")["pools"]
        words = {"address": address, "protocol_port": 80, "subnet_id": subnet}
        made = self.api("POST", f"lbaas/pools/{pool['id']}/members", {"member": words})["member"]
        self.user.active(self.id)
        return f"lbaas/pools/{pool['id']}/members/{made['id']}"

    def remove_member(self, path: str) -> None:
        """And the load balancer is ACTIVE again."""
        self.api("DELETE", path)
        self.user.active(self.id)

    def fail_over(self) -> None:
        """As `openstack loadbalancer failover`; returns when it is done."""
        before = {one.id for one in self.servers()}
        self.api("PUT", f"lbaas/loadbalancers/{self.id}/failover")
        eventually(lambda: not before & {one.id for one in self.servers()}, "all amphorae replaced", PATIENCE)
        self.user.active(self.id)

    def loaded(self) -> Loading:
        """Clients make requests meanwhile."""
        return Loading(self.lab, Aim([VIP, VIP6], 80), RATE, amphorae={})

    def silent(self, source: str, address: str = VIP) -> bool:
        """Whether nobody answers a client at an address."""
        try:
            self.user.get(address, source=source)
        except TimeoutError:
            return True
        return False

    def delete(self) -> None:
        """And nothing of it is left."""
        self.api("DELETE", f"lbaas/loadbalancers/{self.id}?cascade=true")
        eventually(lambda: self.servers() == [] and self.cloud.find(Port) == [], "nothing left", PATIENCE)
        assert [one.name for one in self.cloud.find(SecurityGroup)] == [layout.MANAGEMENT_GROUP]
        assert not [name for name in bridges.names(self.lab.network(HYPERVISOR)) if name.startswith("tap")]
        assert [path for path in self.lab.directory.iterdir() if path.is_dir() and path.name.startswith("amphora-")] == []


@contextmanager
def site(label: str, **wishes: Any) -> Iterator[Site]:
    with octavia_lab(label, members=2, **wishes) as user:
        yield Site(user)
        name = user.lab.name
    assert left_of(name) == []


def test_a_pair_with_vips_of_both_families_and_members_on_more_networks() -> None:
    with site("long-pair", pair=True, patience=3600) as here:
        here.create()
        eventually(lambda: len(here.holders()) == 1 and here.serves(), "one of a pair serves", 60)
        assert {port.status for port in here.cloud.find(Port) if port.device_id in {one.id for one in here.servers()}} == {"ACTIVE"}

        # A member on another network: both get an interface there while they run, with the routes of its subnet.
        network = here.cloud.create_network("far")
        far = here.cloud.create_subnet(
            network.id, "far", "203.0.113.0/24", gateway="203.0.113.1", host_routes=[Route("10.9.0.0/16", "203.0.113.7")]
        )
        made = here.add_member("203.0.113.99", far.id)
        for server in here.servers():
            [port] = [each for each in here.cloud.ports_of(server.id) if each.network_id == network.id]
            assert port.fixed_ips[0].ip_address in bridges.addresses(here.traffic(server))
            assert "10.9.0.0/16" in _routes(here, server)
        here.remove_member(made)
        assert not [each for each in here.cloud.find(Port) if each.network_id == network.id]

        # A member on another subnet of a network that they are on: their ports get an address more, and have one less afterwards.
        made = here.add_member(here.lab.octavia.places["member-2"][1], here.subnet("ipv6-private-subnet"))
        assert eventually(lambda: {here.user.answers(VIP) for _ in range(2)} == {"member-1", "member-2"}, "both members")
        here.remove_member(made)
        private = here.cloud.named(Network, layout.PRIVATE).id
        assert [len(port.fixed_ips) for port in here.cloud.find(Port) if port.network_id == private] == [1, 1]

        with here.loaded() as loading:
            here.fail_over()
            eventually(lambda: len(here.holders()) == 1 and here.serves(), "one of the new pair serves", 60)
            whole = loading.now()
            eventually(lambda: loading.now() > whole + 3, "some more requests")
        assert len(here.servers()) == 2
        assert failed_after(loading.results, whole) == []
        here.delete()


def test_a_single_amphora_is_replaced_while_it_has_the_vips() -> None:
    with site("long-single", patience=3600) as here:
        here.create()
        eventually(here.serves, "it serves", 60)
        [server] = here.servers()
        with here.loaded() as loading:
            here.fail_over()
            eventually(here.serves, "the new one serves", 60)
            whole = loading.now()
            eventually(lambda: loading.now() > whole + 3, "some more requests")
        assert failed_after(loading.results, whole) == []
        [new] = here.servers()
        assert new.id != server.id
        here.delete()


def test_networks_let_in_whom_listeners_allow_and_groups_of_the_users() -> None:
    # Octavia's own driver leaves allowed CIDRs to the network.
    with site("long-groups", driver="octavia", patience=3600) as here:
        here.create()
        eventually(here.serves, "it serves", 60)
        [listener] = here.api("GET", "lbaas/listeners")["listeners"]
        here.api("PUT", f"lbaas/listeners/{listener['id']}", {"listener": {"allowed_cidrs": ["192.0.2.201/32"]}})
        here.user.active(here.id)
        assert here.user.get(VIP, source="192.0.2.201").status == 200
        assert here.silent("192.0.2.202")
        here.delete()

        # A VIP that is the user's own port, in a group of his own.
        public = here.cloud.named(Network, layout.PUBLIC)
        own = here.cloud.create_port(public.id, name="mine", fixed_ips=[Wanted(ip_address=VIP)])
        group = here.cloud.create_security_group("mine")
        http = Rule(protocol="tcp", port_range_min=80, port_range_max=80, remote_ip_prefix="192.0.2.202/32")
        here.cloud.set_rules(group.id, [http])
        nothing: dict[str, Any] = {"vip_address": None, "vip_subnet_id": None, "additional_vips": []}
        here.create((), vip_port_id=own.id, vip_sg_ids=[group.id], **nothing)
        assert eventually(lambda: here.user.get(VIP, source="192.0.2.202").status == 200, "it serves whom the group lets in")
        assert here.silent("192.0.2.201")
        here.api("DELETE", f"lbaas/loadbalancers/{here.id}?cascade=true")
        eventually(lambda: here.servers() == [], "no amphora", PATIENCE)
        eventually(lambda: here.cloud.find(Port) == [here.cloud.get(Port, own.id)], "the user's port only")
        assert here.cloud.get(Port, own.id).fixed_ips == own.fixed_ips
        assert here.cloud.get(SecurityGroup, group.id).rules == here.cloud.named(SecurityGroup, "mine").rules


def failed_after(results: list[Result], moment: float) -> list[Result]:
    """Of the requests that were begun later those that failed."""
    later = [one for one in results if one.began > moment]
    assert later
    return [one for one in later if one.error]


def _routes(here: Site, server: Server) -> str:
    with bridges._links(here.traffic(server)) as links:
        return " ".join(f"{one.get_attr('RTA_DST')}/{one['dst_len']}" for one in links.get_routes())
