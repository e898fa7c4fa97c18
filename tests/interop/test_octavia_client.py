"""Every call of Octavia's REST client to a real agent, and exactly what went over the wire."""

from __future__ import annotations

import hashlib
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from octavia_models import vrrp_port
from octavia_process import Controller, Exchange, OctaviaError
from octavia_site import MEMBERS, VIP, VIP6, VIP6_NETWORK, VIP_NETWORK, Site
from support.graphs import listener, member, pool
from support.polling import eventually

from hydria.lab.client import fetch

if TYPE_CHECKING:
    from hydria.lab.backends import HttpBackend

pytest_plugins = ["octavia_fixtures"]

LVS = """net_namespace amphora-haproxy
virtual_server_group ipv4-group {
    203.0.113.10 53
}

virtual_server group ipv4-group {
    lb_algo wrr
    lb_kind NAT
    protocol UDP
    real_server 198.51.100.201 53 {
        weight 1
    }
}
"""


@pytest.fixture(scope="module")
def site(controller: Controller, directory: Path) -> Iterator[Site]:
    """One amphora, plugged into its networks, with no load balancer yet."""
    with Site(controller, directory / "client-site") as site:
        site.describe({"name": "empty", "vip_address": VIP})
        site.plug_vip(site.machine)
        site.plug_members(site.machine)
        yield site


@pytest.fixture(scope="module")
def backend(site: Site) -> HttpBackend:
    return site.http_backend("one")


def only(site: Site) -> Exchange:
    """The one request that the last command needed."""
    [exchange] = site.octavia.exchanges
    return exchange


def md5(content: str) -> str:
    return hashlib.md5(content.encode()).hexdigest()


def refused(site: Site, kind: str, method: str, *arguments: Any) -> list[Exchange]:
    """Octavia comes to this exception; the exchanges on the way. Every answer is a JSON object, as Octavia's driver needs it."""
    with pytest.raises(OctaviaError) as caught:
        site.client_call(method, *arguments)
    assert caught.value.type == kind, caught.value
    for exchange in caught.value.exchanges:
        assert exchange.type.startswith("application/json"), exchange
        assert isinstance(exchange.json(), dict), exchange
    return caught.value.exchanges


def haproxy_cfg(lb: str, backend: HttpBackend, port: int = 80) -> str:
    """A small configuration, with what Octavia's have."""
    return f"""global
    daemon
    user nobody
    log /run/rsyslog/octavia/log local0
    stats socket /var/lib/octavia/{lb}.sock mode 0666 level user
    server-state-file /var/lib/octavia/{lb}/servers-state
    maxconn 1000000

defaults
    log global
    timeout connect 5s
    timeout client 5s
    timeout server 5s

frontend {uuid.uuid4()}
    bind {VIP}:{port}
    mode http
    default_backend pool

backend pool
    mode http
    server {uuid.uuid4()} {backend.address}:{backend.port}
"""


def test_discovery(site: Site) -> None:
    assert site.client_call("get_api_version") == {"api_version": "1.0"}


def test_info(site: Site) -> None:
    info = site.client_call("get_info")
    assert {"hostname", "haproxy_version", "api_version", "keepalived_version", "ipvsadm_version"} <= info.keys()
    assert info["api_version"] == "1.0"
    assert all(number.isdecimal() for number in info["haproxy_version"].split(".")[:2])


def test_details(site: Site) -> None:
    details = site.client_call("get_details")
    types = {
        "active": bool,
        "haproxy_count": int,
        "cpu_count": int,
        "listeners": list,
        "load": list,
        "active_tuned_profiles": str,
        "topology": str,
        "topology_status": str,
        "packages": dict,
        "lvs_listener_process_count": int,
    }
    assert {name: type(details[name]) for name in types} == types
    assert {"eth1", "eth2"} <= details["networks"].keys()
    assert {"network_tx", "network_rx"} == details["networks"]["eth1"].keys()
    assert {"total", "user", "system", "soft_irq"} <= details["cpu"].keys()
    assert {"total", "free", "buffers", "cached", "swap_used", "shared", "slab"} <= details["memory"].keys()
    assert all(isinstance(value, int) for value in details["memory"].values())
    assert {"used", "available"} <= details["disk"].keys()
    assert details["topology"] == "SINGLE"


def test_no_listeners(site: Site) -> None:
    assert site.client_call("get_all_listeners") == []


def test_certificates(site: Site) -> None:
    lb, name, content = str(uuid.uuid4()), "a" * 40 + ".pem", site.machine.issue().bundle_pem.decode()
    refused(site, "NotFound", "get_cert_md5sum", lb, name)
    site.client_call("upload_cert_pem", lb, name, content)
    assert (only(site).status, only(site).etag, only(site).json()) == (200, md5(content), {"message": "OK"})
    assert site.client_call("get_cert_md5sum", lb, name) == md5(content)
    assert (site.machine.base / "certs" / lb / name).read_text() == content
    for _ in range(2):
        site.client_call("delete_cert_pem", lb, name)
        assert only(site).status == 200
    refused(site, "NotFound", "get_cert_md5sum", lb, name)
    refused(site, "InvalidRequest", "upload_cert_pem", lb, "x.txt", content)


def test_a_load_balancers_life(site: Site, backend: HttpBackend) -> None:
    lb = str(uuid.uuid4())
    text = haproxy_cfg(lb, backend)
    [gone] = refused(site, "NotFound", "start_listener", lb)
    assert gone.status == 404
    site.client_call("upload_config", lb, text)
    assert (only(site).status, only(site).etag, only(site).json()) == (202, md5(text), {"message": "OK"})
    status, body = site.machine.get(f"/1.0/loadbalancer/{lb}/haproxy")
    assert (status, body.decode()) == (200, text)
    for action in ("start_listener", "start_listener", "reload_listener"):
        site.client_call(action, lb)
        assert only(site).status == 202
        assert {"message", "details"} <= only(site).json().keys()
        with site.client.entered():
            assert fetch((VIP, 80)).name == "one"
    [shown] = site.client_call("get_all_listeners")
    assert (shown["status"], shown["type"]) == ("ACTIVE", "HTTP")
    assert site.client_call("get_details")["haproxy_count"] == 1
    site.client_call("delete_listener", lb)
    assert only(site).status == 200
    with site.client.entered(), pytest.raises(ConnectionRefusedError):
        fetch((VIP, 80))
    site.client_call("delete_listener", lb)
    assert only(site).status == 200
    assert site.client_call("get_all_listeners") == []


def test_what_haproxy_refuses_does_no_harm(site: Site, backend: HttpBackend) -> None:
    lb = str(uuid.uuid4())
    site.client_call("upload_config", lb, haproxy_cfg(lb, backend))
    site.client_call("start_listener", lb)
    [answer] = refused(site, "InvalidRequest", "upload_config", lb, haproxy_cfg(lb, backend) + "    serve me well\n")
    assert answer.status == 400
    assert answer.json()["message"] == "Invalid request"
    assert "serve" in answer.json()["details"]
    site.client_call("reload_listener", lb)
    with site.client.entered():
        assert fetch((VIP, 80)).name == "one"
    site.client_call("delete_listener", lb)


def test_a_reload_of_what_is_stopped_starts_it(site: Site, backend: HttpBackend) -> None:
    lb = str(uuid.uuid4())
    site.client_call("upload_config", lb, haproxy_cfg(lb, backend))
    site.client_call("reload_listener", lb)
    assert only(site).status == 202
    with site.client.entered():
        assert fetch((VIP, 80)).name == "one"
    site.client_call("delete_listener", lb)


def test_a_port_that_is_taken_is_told_and_costs_nothing(site: Site, backend: HttpBackend) -> None:
    lb = str(uuid.uuid4())
    site.client_call("upload_config", lb, haproxy_cfg(lb, backend))
    site.client_call("start_listener", lb)
    with site.machine.traffic.entered():
        somebody = socket.create_server((VIP, 81))
    with somebody:
        taken = haproxy_cfg(lb, backend) + f"\nfrontend {uuid.uuid4()}\n    bind {VIP}:81\n    mode http\n    default_backend pool\n"
        site.client_call("upload_config", lb, taken)
        with pytest.raises(OctaviaError, match=r"Address already in use|cannot bind") as caught:
            site.client_call("reload_listener", lb)
        assert caught.value.type in ("InternalServerError", "InvalidRequest")
        with site.client.entered():
            assert fetch((VIP, 80)).name == "one"
    site.client_call("delete_listener", lb)


def test_an_lvs_listener_is_uploaded_read_and_deleted(site: Site) -> None:
    listener_id = str(uuid.uuid4())
    refused(site, "NotFound", "reload_listener", listener_id)
    site.client_call("upload_udp_config", listener_id, LVS)
    assert (only(site).status, only(site).etag, only(site).json()) == (200, md5(LVS), {"message": "OK"})
    assert site.machine.get(f"/1.0/listeners/{listener_id}/udp_listener") == (200, LVS.encode())
    site.client_call("delete_listener", listener_id)
    assert only(site).status == 200
    assert site.machine.get(f"/1.0/listeners/{listener_id}/udp_listener")[0] == 404


def test_an_lvs_listener_is_started_where_the_kernel_can(site: Site) -> None:
    listener_id = str(uuid.uuid4())
    site.client_call("upload_udp_config", listener_id, LVS)
    if Path("/proc/net/ip_vs").exists():
        site.client_call("reload_listener", listener_id)
        assert only(site).status == 202
    else:
        with pytest.raises(OctaviaError, match=r"IPVS|ip_vs"):
            site.client_call("reload_listener", listener_id)
    [shown] = site.client_call("get_all_listeners")
    assert (shown["uuid"], shown["type"]) == (listener_id, "UDP")
    site.client_call("delete_listener", listener_id)


def test_the_status_of_one_listener_is_no_longer_asked_for(site: Site) -> None:
    """The client still has a call for it, which agents of 1.0 do not know."""
    assert [exchange.status for exchange in refused(site, "InvalidRequest", "get_listener_status", str(uuid.uuid4()))] == [405]


def test_interfaces(site: Site) -> None:
    for address, interface in ((VIP, "eth1"), (VIP6, "eth1"), ("198.51.100.21", "eth2"), ("2001:db8:2::21", "eth2")):
        site.client_call("get_interface", address)
        assert (only(site).status, only(site).json()["interface"]) == (200, interface)
    refused(site, "NotFound", "get_interface", "192.0.2.77")
    refused(site, "InvalidRequest", "get_interface", "not-an-address")


def test_a_second_plug_of_the_vip_is_a_conflict(site: Site) -> None:
    plan = {"subnet_cidr": "203.0.113.0/24", "gateway": "203.0.113.1", "mac_address": site.mac(site.machine, 1)}
    [answer] = refused(site, "Conflict", "plug_vip", VIP, plan)
    assert answer.status == 409


def test_an_interface_that_is_not_there_yet_is_asked_for_again(site: Site) -> None:
    vip = {"subnet_cidr": "203.0.113.0/24", "gateway": "203.0.113.1", "mac_address": "fa:16:3e:99:99:99"}
    network = {"mac_address": "fa:16:3e:99:99:99", "fixed_ips": [], "mtu": 1500}
    for method, arguments in (("plug_vip", [VIP, vip]), ("plug_network", [network])):
        exchanges = refused(site, "TimeOutException", method, *arguments)
        assert [exchange.status for exchange in exchanges] == [404, 404]
        assert all("No suitable network interface found" in exchange.json()["details"] for exchange in exchanges)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("plug_vip", [VIP, {"subnet_cidr": "203.0.113.0/24", "gateway": "203.0.113.1"}]),
        ("plug_vip", [VIP, {"subnet_cidr": "all of it", "gateway": "203.0.113.1", "mac_address": "fa:16:3e:99:99:99"}]),
        ("plug_vip", ["none", {"subnet_cidr": "203.0.113.0/24", "gateway": "203.0.113.1", "mac_address": "fa:16:3e:99:99:99"}]),
        ("plug_network", [{"fixed_ips": []}]),
        ("set_interface_rules", [VIP, [{"protocol": "TCP", "cidr": None, "port": 70000}]]),
        ("set_interface_rules", [VIP, [{"protocol": "GRE", "cidr": None, "port": 1}]]),
        ("set_interface_rules", [VIP, [{"protocol": "TCP", "cidr": None, "port": 1, "more": 1}]]),
    ],
)
def test_what_cannot_be_meant_is_refused(site: Site, method: str, arguments: list[Any]) -> None:
    assert refused(site, "InvalidRequest", method, *arguments)[-1].status == 400


def test_a_network_plugged_again_is_changed(site: Site) -> None:
    site.tell_of_members(site.machine, 1400)
    assert only(site).status == 202
    assert site.machine.traffic.ip_json("link show dev eth2")[0]["mtu"] == 1400
    site.tell_of_members(site.machine, 1450)
    assert site.machine.traffic.ip_json("link show dev eth2")[0]["mtu"] == 1450
    assert site.machine.traffic.addresses("eth2") == {"198.51.100.21", "2001:db8:2::21"}


def test_the_vips_interface_takes_further_addresses(site: Site) -> None:
    """As when members are on a further subnet of the VIP's port: Octavia tells about it once more, of additional VIPs nothing."""
    amphora, traffic = {"model": "amphora", "of": site.machine.id}, site.machine.traffic
    before = traffic.addresses("eth1")
    further: dict[str, Any] = {"ip_address": "192.0.2.130", "cidr": "192.0.2.128/25", "gateway_ip": None, "host_routes": []}
    own = {**VIP_NETWORK, "ip_address": site.vrrp_address(site.machine)}
    for fixed_ips, expected in (([own, further], before | {"192.0.2.130"}), ([own], before)):
        port = {"id": vrrp_port(site.machine.id), "mac_address": site.mac(site.machine, 1), "mtu": 1450, "fixed_ips": fixed_ips}
        networks = {"model": "network_config", "of": [VIP_NETWORK, VIP6_NETWORK]}
        site.driver_call("post_network_plug", amphora, {"model": "port", "of": port}, networks)
        # Of additional VIPs, Octavia says nothing here.
        assert traffic.addresses("eth1") == expected


def test_rules_let_in_what_they_say(site: Site, backend: HttpBackend) -> None:
    lb = str(uuid.uuid4())
    site.client_call("upload_config", lb, haproxy_cfg(lb, backend))
    site.client_call("start_listener", lb)
    for cidr, answered in (("203.0.113.100/32", True), ("203.0.113.200/32", False), (None, True)):
        site.client_call("set_interface_rules", VIP, [{"protocol": "TCP", "cidr": cidr, "port": 80}])
        assert (only(site).status, only(site).json()) == (200, {"message": "OK"})
        with site.client.entered():
            assert reached(VIP) is answered, cidr
    refused(site, "NotFound", "set_interface_rules", "192.0.2.77", [])
    site.client_call("delete_listener", lb)


def reached(address: str) -> bool:
    try:
        return fetch((address, 80), patience=2).status == 200
    except (TimeoutError, ConnectionRefusedError):
        return False


def test_vrrp_calls(site: Site) -> None:
    text = """vrrp_instance one {
    interface eth1
    virtual_router_id 1
    priority 100
    advert_int 1
    unicast_src_ip 203.0.113.21
    unicast_peer {
        203.0.113.22
    }
    virtual_ipaddress {
        203.0.113.99
    }
}
"""
    site.client_call("upload_vrrp_config", text)
    assert (only(site).status, only(site).etag, only(site).json()) == (200, md5(text), {"message": "OK"})
    for action in ("start_vrrp", "start_vrrp", "reload_vrrp"):
        site.client_call(action)
        assert only(site).status == 202
        assert {"message", "details"} <= only(site).json().keys()
    eventually(lambda: "203.0.113.99" in site.machine.traffic.addresses("eth1"), "the address of who is alone")
    site.client_call("stop_vrrp")
    assert only(site).status == 202
    eventually(lambda: "203.0.113.99" not in site.machine.traffic.addresses("eth1"), "the end of the address")


def test_the_agents_certificate_is_changed_under_way(site: Site) -> None:
    certificate = site.machine.issue()
    site.client_call("update_cert_for_rotation", certificate.bundle_pem.decode())
    assert (only(site).status, only(site).json()) == (202, {"message": "OK"})
    with site.machine.connection(site.trust.controller()) as connection:
        assert connection.sock.getpeercert(binary_form=True) == certificate.der
    stranger = site.trust.agents.server(str(uuid.uuid4()))
    with pytest.raises(OctaviaError):
        site.client_call("update_cert_for_rotation", stranger.bundle_pem.decode())
    assert site.client_call("get_api_version") == {"api_version": "1.0"}


def test_the_agents_configuration_is_changed_under_way(site: Site) -> None:
    text = site.octavia.command("agent_config", amphora_id=site.machine.id, topology="ACTIVE_STANDBY")
    site.client_call("update_agent_config", text)
    assert (only(site).status, only(site).json()) == (202, {"message": "OK"})
    assert site.client_call("get_details")["topology"] == "ACTIVE_STANDBY"
    site.client_call("update_agent_config", text.replace("ACTIVE_STANDBY", "SINGLE"))
    assert site.client_call("get_details")["topology"] == "SINGLE"


def test_a_controller_of_another_installation_is_not_served(site: Site) -> None:
    stranger = site.trust.agents.client("stranger")
    for certificate in (None, stranger):
        with pytest.raises(OSError, match=r"alert|reset|EOF"), site.machine.connection(certificate) as connection:  # noqa: PT012
            connection.request("GET", "/1.0/info")
            connection.getresponse()


def test_ids_that_are_none_are_refused(site: Site, backend: HttpBackend) -> None:
    for lb, kind in (("x", "InvalidRequest"), ("..%2F..%2Fetc", "NotFound")):
        refused(site, kind, "upload_config", lb, haproxy_cfg(lb, backend))
        refused(site, kind, "start_listener", lb)


def test_graphs_of_the_api_come_to_life(site: Site, backend: HttpBackend) -> None:
    """The least of `test_octavia_driver`: what Octavia renders by itself."""
    site.describe(
        {
            "name": "small",
            "vip_address": VIP,
            "listeners": [listener("web", "servers", protocol_port=80)],
            "pools": [pool("servers", member(backend, address=MEMBERS[0]))],
        }
    )
    site.update()
    with site.client.entered():
        assert fetch((VIP, 80)).name == "one"
    site.driver_call("delete", {"model": "listener", "of": site.graph.listeners[0].id})
