"""A pair of amphorae under Octavia's driver: the VIP moves between them, and what one has learned the other knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from octavia_process import Controller
from octavia_site import MEMBERS, VIP, VIP6, Site
from support.agents import AgentMachine
from support.graphs import listener, pool
from support.polling import eventually

from hydria.lab.client import fetch

pytest_plugins = ["octavia_fixtures"]

ROUTE = {"destination": "192.0.2.128/25", "nexthop": "203.0.113.9"}


@pytest.fixture(params=[False, True], ids=["IPv4", "IPv6"])
def site(controller: Controller, directory: Path, request: pytest.FixtureRequest) -> Iterator[Site]:
    with Site(controller, directory / f"pair-{request.param:d}", "ACTIVE_STANDBY", by_ipv6=request.param) as site:
        yield site


def has_vip(machine: AgentMachine) -> bool:
    return {VIP, VIP6} <= machine.traffic.addresses("eth1")


def answered_by(site: Site, cookie: str) -> str | None:
    with site.client.entered():
        return fetch((site.networks[0]["ip_address"], 80), headers={"Cookie": cookie, "X-Lab-Set-Cookie": cookie}).name


def test_a_pair(site: Site) -> None:
    first, second = (network["ip_address"] for network in site.networks)
    sticky = {"type": "APP_COOKIE", "cookie_name": "SESSION"}
    backends = [site.http_backend("one"), site.http_backend("two", MEMBERS[1])]
    site.describe(
        {
            "name": "pair",
            "vip_address": first,
            "additional_vips": [{"ip_address": second}],
            "listeners": [listener("web", "servers", protocol_port=80)],
            "pools": [pool("servers", *backends, session_persistence=sticky)],
        }
    )
    networks = [network | {"host_routes": [] if ":" in network["cidr"] else [ROUTE]} for network in site.networks]
    for machine in site.machines:
        site.plug_vip(machine)
        site.plug_members(machine)
        assert not has_vip(machine)
    for machine in site.machines:
        amphora = {"model": "amphora", "of": machine.id}
        site.driver_call("update_vrrp_conf", {"model": "load_balancer"}, {"model": "network_configs", "of": networks}, amphora)
        site.update(machine)
        site.driver_call("start_vrrp_service", amphora)
    master, backup = site.machines
    eventually(lambda: has_vip(master) and not has_vip(backup), "the VIP at the master")
    learned = {f"SESSION={number}": answered_by(site, f"SESSION={number}") for number in range(8)}
    assert set(learned.values()) == {"one", "two"}

    # The sessions go to the peer before the VIP does.
    eventually(lambda: sessions(backup, site) >= 8, "the sessions at the peer")
    site.driver_call("stop_vrrp_service_on_amphora", {"model": "amphora", "of": master.id})
    eventually(lambda: has_vip(backup) and not has_vip(master), "the VIP at the backup")
    assert {cookie: answered_by(site, cookie) for cookie in learned} == learned

    site.driver_call("start_vrrp_service", {"model": "amphora", "of": master.id})
    site.driver_call("reload_vrrp_service", {"model": "load_balancer"})
    for machine in site.machines:
        details = site.client_call("get_details", machine=machine)
        assert (details["topology"], details["active"]) == ("ACTIVE_STANDBY", True)
    eventually(lambda: sorted(map(has_vip, site.machines)) == [False, True], "the VIP at one of them")
    site.driver_call("stop_vrrp_service", {"model": "load_balancer"})
    eventually(lambda: not any(map(has_vip, site.machines)), "the VIP's end")


def sessions(machine: AgentMachine, site: Site) -> int:
    """How many sessions the machine's HAProxy knows."""
    stats = machine.stats(site.graph.id)
    return stats.ask(f"show table {site.graph.pools[0].id}:{site.graph.listeners[0].id}").count("key=")
