"""A lab's compute and network drivers, called as Octavia calls them; what they say, and what is there then."""

from __future__ import annotations

import json
import uuid
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from lab_cloud import Site, site
from lab_drivers import DriverError, Drivers, drivers, load_balancer, vip
from support.polling import eventually

from agent.errors import AgentUnreachable
from agent.network.requests import VipPlug
from agent.paths import NAMESPACE
from hydria.lab import amphora as amphorae
from hydria.lab import bridges, namespaces
from hydria.lab.pid_one import HYPERVISOR
from hydria.octavia import layout
from hydria.octavia.cloud_things import Network, Port, Route, SecurityGroup, Server, ServerGroup, Subnet, Wanted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent.client import AgentClient

OTHER = str(uuid.UUID(int=7))


@pytest.fixture(scope="module")
def place() -> Iterator[Site]:
    with site("drivers") as made:
        yield made


@pytest.fixture(scope="module")
def octavia(place: Site) -> Iterator[Drivers]:
    with drivers(place) as made:
        yield made


@pytest.fixture
def public(place: Site) -> Network:
    return place.cloud.named(Network, layout.PUBLIC)


@pytest.fixture
def subnet(place: Site) -> Subnet:
    return place.cloud.named(Subnet, "public-subnet")


def answers(client: AgentClient) -> bool:
    try:
        client.version()
    except AgentUnreachable:
        return False
    return True


def test_an_amphora_from_its_first_to_its_last_moment(octavia: Drivers, place: Site, public: Network, subnet: Subnet) -> None:
    identity = str(uuid.uuid4())
    group = place.cloud.named(SecurityGroup, layout.MANAGEMENT_GROUP)
    compute = octavia.build(identity, sec_groups=[group.name], image_tag="hydria")
    built, fault = octavia.compute("get_amphora", compute)
    assert (built["status"], built["compute_flavor"], fault) == ("ACTIVE", "hydria", None)
    # Else Octavia's API says nothing of it.
    assert str(uuid.UUID(built["image_id"])) == built["image_id"]
    assert octavia.compute("status", compute) == "UP"
    with octavia.agent(identity, built["lb_network_ip"]) as client:
        eventually(lambda: answers(client), "the agent", 60)
        # Octavia's own file was read, where Octavia puts it: the certificate is that of this amphora, and nothing is elsewhere.
        assert client.info().hostname == f"amphora-{identity}"

        made, [second] = octavia.network(
            "allocate_vip",
            load_balancer(
                "lb-1", vip(subnet_id=subnet.id, network_id=public.id), additional_vips=[vip(subnet_id=_named(place, "ipv6-public-subnet"))]
            ),
        )
        its_vip = vip(**{key: made[key] for key in ("ip_address", "subnet_id", "network_id", "port_id")}, octavia_owned=True)
        amphora = SimpleNamespace(id=identity, compute_id=compute, lb_network_ip=built["lb_network_ip"], status="ALLOCATED")
        balancer = load_balancer("lb-1", its_vip, additional_vips=[vip(ip_address=second["ip_address"])])
        with pytest.raises(DriverError, match="there is no security group lb-lb-1"):
            octavia.network("plug_aap_port", balancer, its_vip, amphora, vars_of(subnet))
        octavia.network("update_vip_sg", balancer, its_vip)
        plugged = octavia.network("plug_aap_port", balancer, its_vip, amphora, vars_of(subnet))
        port = place.cloud.get(Port, plugged["vrrp_port_id"])
        assert {each.ip_address for each in port.allowed_address_pairs} == {made["ip_address"], second["ip_address"]}
        words = {
            "subnet_cidr": subnet.cidr,
            "gateway": subnet.gateway_ip,
            "mac_address": port.mac_address,
            "vrrp_ip": plugged["vrrp_ip"],
            "mtu": 1500,
        }
        client.plug_vip(VipPlug.decode(made["ip_address"], json.dumps(words).encode()))
    machine = place.cloud.get(Server, compute).machine
    assert plugged["vrrp_ip"] in bridges.addresses(namespaces.named(place.lab.first_process(machine), NAMESPACE))

    octavia.compute("delete", compute)
    assert place.cloud.ports_of(compute) == []
    assert not place.lab.runs(machine)
    assert {port.tap} & bridges.names(place.lab.network(HYPERVISOR)) == set()
    assert not (place.lab.directory / machine).exists()
    octavia.compute("delete", compute)
    with pytest.raises(DriverError, match="ComputeStatusException"):
        octavia.compute("status", compute)

    gone = SimpleNamespace(vrrp_port_id=port.id)
    octavia.network(
        "deallocate_vip", SimpleNamespace(port_id=made["port_id"], load_balancer=load_balancer("lb-1", its_vip, amphorae=[gone]))
    )
    assert not place.cloud.find(Port, identity=port.id)
    assert not place.cloud.find(Port, identity=made["port_id"])
    assert not place.cloud.find(SecurityGroup, name="lb-lb-1")


def vars_of(subnet: Subnet) -> SimpleNamespace:
    return SimpleNamespace(id=subnet.id, network_id=subnet.network_id)


def _named(place: Site, name: str) -> str:
    return place.cloud.named(Subnet, name).id


def test_an_amphora_that_is_given_its_files_as_user_data(octavia: Drivers, place: Site) -> None:
    identity = str(uuid.uuid4())
    compute = octavia.build(identity, by_user_data=True)
    [port] = place.cloud.ports_of(compute)
    with octavia.agent(identity, port.fixed_ips[0].ip_address) as client:
        eventually(lambda: answers(client), "the agent", 60)
    octavia.compute("delete", compute)


def test_the_vip_is_taken_from_amphorae_that_have_it(octavia: Drivers, place: Site, public: Network, subnet: Subnet) -> None:
    compute = octavia.build(str(uuid.uuid4()))
    made, _ = octavia.network("allocate_vip", load_balancer("lb-9", vip(subnet_id=subnet.id, network_id=public.id)))
    its_vip = vip(**{key: made[key] for key in ("ip_address", "subnet_id", "network_id", "port_id")})
    amphora = SimpleNamespace(id="of-lb-9", compute_id=compute, lb_network_ip="172.31.0.250", status="ALLOCATED")
    balancer = load_balancer("lb-9", its_vip, amphorae=[amphora])
    octavia.network("update_vip_sg", balancer, its_vip)
    plugged = octavia.network("plug_aap_port", balancer, its_vip, amphora, vars_of(subnet))
    again = octavia.network("plug_aap_port", balancer, its_vip, amphora, vars_of(subnet))
    assert again == plugged
    amphora.vrrp_port_id, amphora.vrrp_ip = plugged["vrrp_port_id"], plugged["vrrp_ip"]
    amphora.ha_port_id, amphora.ha_ip = plugged["ha_port_id"], plugged["ha_ip"]
    octavia.network("update_aap_port_sg", balancer, amphora, its_vip)
    found = octavia.network("get_network_configs", balancer)["of-lb-9"]
    assert (found["vrrp_port"]["id"], found["ha_port"]["id"]) == (plugged["vrrp_port_id"], made["port_id"])
    assert found["vip_subnet"]["cidr"] == subnet.cidr
    octavia.network("failover_preparation", amphora)
    octavia.network("unplug_vip", balancer, its_vip)
    octavia.network("unplug_vip", balancer, its_vip)
    assert not place.cloud.find(Port, identity=plugged["vrrp_port_id"])
    assert place.cloud.get(Port, made["port_id"]).fixed_ips
    octavia.network("deallocate_vip", SimpleNamespace(port_id=made["port_id"], load_balancer=balancer))
    with pytest.raises(DriverError, match="MissingVIPSecurityGroup"):
        octavia.network("update_vip", balancer)
    octavia.network("update_vip", balancer, for_delete=True)
    octavia.compute("delete", compute)


def test_an_amphora_that_lost_its_power_is_said_to_be_off(octavia: Drivers, place: Site) -> None:
    identity = str(uuid.uuid4())
    compute = octavia.build(identity)
    [port] = place.cloud.ports_of(compute)
    address = port.fixed_ips[0].ip_address
    server = place.cloud.get(Server, compute)
    amphorae.cut_power(place.lab, server.machine, place.cabling.networks_of(server))
    assert octavia.compute("status", compute) == "DOWN"
    found, _ = octavia.compute("get_amphora", compute)
    assert (found["status"], found["lb_network_ip"]) == ("SHUTOFF", address)
    octavia.compute("delete", compute)


def test_an_amphora_that_is_deleted_says_so_to_its_pair(octavia: Drivers, place: Site, tmp_path: Path) -> None:
    """Its keepalived has the time that it takes for that."""
    compute = octavia.build(str(uuid.uuid4()))
    machine = place.cloud.get(Server, compute).machine
    said, keepalived = tmp_path / "said", tmp_path / "keepalived"
    keepalived.write_text(f"#!/bin/sh\ntrap 'sleep 0.3; echo gone >{said}; exit' TERM\necho there >{said}\nwhile :; do sleep 0.05; done\n")
    keepalived.chmod(0o755)
    place.lab.call(machine, "run", command=[str(keepalived)], log=str(tmp_path / "log"))
    eventually(said.exists, "its program runs")
    octavia.compute("delete", compute)
    assert said.read_text() == "gone\n"
    assert not place.lab.runs(machine)


def test_what_cannot_be_built_leaves_nothing(octavia: Drivers, place: Site) -> None:
    before = place.cloud.find(Server), place.cloud.find(Port), sorted(place.lab.machines)
    with pytest.raises(DriverError, match=f"ComputeBuildException.*Network {OTHER}"):
        octavia.build(str(uuid.uuid4()), network_ids=[OTHER])
    with pytest.raises(DriverError, match=r"ComputeBuildException.*SecurityGroup nobody"):
        octavia.build(str(uuid.uuid4()), sec_groups=["nobody"])
    assert (place.cloud.find(Server), place.cloud.find(Port), sorted(place.lab.machines)) == before


def test_ports_are_plugged_into_and_out_of_an_amphora_that_runs(octavia: Drivers, place: Site, public: Network) -> None:
    compute = octavia.build(str(uuid.uuid4()))
    server = place.cloud.get(Server, compute)
    amphora = SimpleNamespace(compute_id=compute)
    namespace = place.namespace(server)
    port = octavia.network("create_port", public.id, name="member", fixed_ips=[{"subnet_id": _named(place, "public-subnet")}])
    assert (port["status"], port["device_owner"], len(port["fixed_ips"])) == ("DOWN", "Octavia", 1)
    there = place.cloud.get(Port, port["id"])
    octavia.network("plug_port", amphora, SimpleNamespace(id=port["id"]))
    octavia.network("plug_port", amphora, SimpleNamespace(id=port["id"]))
    assert there.nic in bridges.names(namespace)
    found = octavia.network("plug_fixed_ip", port["id"], _named(place, "ipv6-public-subnet"))
    assert [":" in each["ip_address"] for each in found["fixed_ips"]] == [False, True]
    assert len(octavia.network("unplug_fixed_ip", port["id"], _named(place, "ipv6-public-subnet"))["fixed_ips"]) == 1
    interfaces = octavia.network("get_plugged_networks", compute)
    assert [each["port_id"] for each in interfaces if each["network_id"] == public.id] == [port["id"]]
    octavia.network("set_port_admin_state_up", port["id"], False)
    assert octavia.network("get_port", port["id"])["status"] == "DOWN"
    octavia.network("unplug_network", compute, public.id)
    assert there.nic not in bridges.names(namespace)
    octavia.network("delete_port", port["id"])
    octavia.network("delete_port", port["id"])

    attached = octavia.compute("attach_network_or_port", compute, network_id=public.id, ip_address="192.0.2.77")
    assert attached["fixed_ips"][0]["ip_address"] == "192.0.2.77"
    with pytest.raises(DriverError, match="ComputePortInUseException"):
        octavia.compute("attach_network_or_port", compute, network_id=public.id, ip_address="192.0.2.77")
    octavia.compute("detach_port", compute, attached["port_id"])
    assert not place.cloud.find(Port, identity=attached["port_id"])
    for wrong, what in (({"port_id": OTHER}, "Port"), ({"network_id": OTHER}, "Network")):
        with pytest.raises(DriverError, match=f"NotFound: {what} {OTHER}"):
            octavia.compute("attach_network_or_port", compute, **wrong)
    with pytest.raises(DriverError, match="AmphoraNotFound"):
        octavia.network("plug_port", SimpleNamespace(compute_id=OTHER), SimpleNamespace(id=port["id"]))
    octavia.compute("delete", compute)


def test_a_vip_may_be_a_port_of_the_users(octavia: Drivers, place: Site, public: Network, subnet: Subnet) -> None:
    own = place.cloud.create_port(public.id, name="mine", fixed_ips=[Wanted(ip_address="192.0.2.20")])
    wanted = vip(ip_address="192.0.2.20", subnet_id=subnet.id, network_id=public.id, port_id=own.id)
    made, more = octavia.network("allocate_vip", load_balancer("lb-2", wanted))
    assert (made["port_id"], made["ip_address"], made["octavia_owned"], more) == (own.id, "192.0.2.20", False, [])
    with pytest.raises(DriverError, match=r"AllocateVIPException: .*192\.0\.2\.21"):
        octavia.network("allocate_vip", load_balancer("lb-2", vip(**{**vars(wanted), "ip_address": "192.0.2.21"})))
    with pytest.raises(DriverError, match="VIPInUseException"):
        octavia.network("allocate_vip", load_balancer("lb-3", vip(**{**vars(wanted), "port_id": None})))
    octavia.network("deallocate_vip", SimpleNamespace(port_id=own.id, load_balancer=load_balancer("lb-2", wanted)))
    assert place.cloud.get(Port, own.id) == own


def test_what_is_looked_up_is_in_octavias_words(octavia: Drivers, place: Site, public: Network, subnet: Subnet) -> None:
    routed = place.cloud.create_subnet(
        place.cloud.create_network("routed").id, "routed", "203.0.113.0/24", host_routes=[Route("10.0.0.0/8", "203.0.113.9")]
    )
    assert octavia.network("get_subnet", routed.id)["host_routes"] == [{"destination": "10.0.0.0/8", "nexthop": "203.0.113.9"}]
    found = octavia.network("get_network", public.id)
    assert (found["name"], found["mtu"], subnet.id in found["subnets"]) == ("public", 1500, True)
    assert octavia.network("get_network_by_name", "public")["id"] == public.id
    assert octavia.network("get_subnet_by_name", "public-subnet")["cidr"] == "192.0.2.0/24"
    room = octavia.network("get_network_ip_availability", SimpleNamespace(id=public.id))
    [of_subnet] = [each for each in room["subnet_ip_availability"] if each["subnet_id"] == subnet.id]
    assert of_subnet["total_ips"] == 100
    policy = place.cloud.create_qos_policy("slow")
    port = place.cloud.create_port(public.id, name="named", device_id="device")
    assert octavia.network("qos_enabled") is True
    octavia.network("apply_qos_on_port", policy.id, port.id)
    assert octavia.network("get_port", port.id)["qos_policy_id"] == octavia.network("get_qos_policy", policy.id)["id"]
    assert octavia.network("get_port_by_name", "named")["id"] == port.id
    assert octavia.network("get_port_by_net_id_device_id", public.id, "device")["id"] == port.id
    group = place.cloud.named(SecurityGroup, layout.MANAGEMENT_GROUP)
    assert octavia.network("get_security_group", group.name)["id"] == octavia.network("get_security_group_by_id", group.id)["id"]
    for method, kind in (("get_network", "Network"), ("get_subnet", "Subnet"), ("get_port", "Port"), ("get_qos_policy", "QosPolicy")):
        with pytest.raises(DriverError, match=f"{kind}NotFound"):
            octavia.network(method, OTHER)
    with pytest.raises(DriverError, match="SecurityGroupNotFound"):
        octavia.network("get_security_group", "nobody")


def test_flavors_zones_and_groups_of_servers(octavia: Drivers, place: Site) -> None:
    octavia.compute("validate_flavor", layout.FLAVORS[0])
    octavia.compute("validate_availability_zone", layout.ZONES[0])
    for method in ("validate_flavor", "validate_availability_zone"):
        with pytest.raises(DriverError, match=r"InvalidSubresource: .* none not found"):
            octavia.compute(method, "none")
    made: Any = octavia.compute("create_server_group", "lb", "anti-affinity")
    assert place.cloud.get(ServerGroup, made["id"]).policy == "anti-affinity"
    octavia.compute("delete_server_group", made["id"])
    octavia.compute("delete_server_group", made["id"])
    assert place.cloud.find(ServerGroup) == []
