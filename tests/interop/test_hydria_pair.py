"""Pairs under Hydria's driver: also one of which an amphora takes Octavia's contract alone, as there is one while a fleet is moved."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydria_driven import AGENT_OF_1_0, asked, of, ways
from octavia_process import OUR_DRIVER, Controller
from octavia_site import MEMBERS, VIP, Site
from support.agents import AgentMachine
from support.graphs import listener, pool
from support.polling import eventually

from hydria.lab.client import fetch

pytest_plugins = ["octavia_fixtures"]


@pytest.mark.parametrize("mixed", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["one of each kind", "both Hydria's"])
def test_a_pair(mixed: bool, controller: Controller, directory: Path) -> None:
    """VRRP is Octavia's for both; what one has learned of clients, the other knows."""
    with Site(
        controller, directory / f"hydria-pair-{mixed:d}", "ACTIVE_STANDBY", driver=OUR_DRIVER, last_agent=AGENT_OF_1_0 if mixed else None
    ) as site:
        ours, other = site.machines
        sticky = {"type": "APP_COOKIE", "cookie_name": "SESSION"}
        backends = [site.http_backend("one"), site.http_backend("two", MEMBERS[1])]
        site.describe(
            {
                "name": "pair",
                "vip_address": VIP,
                "listeners": [listener("web", "servers", protocol_port=80)],
                "pools": [pool("servers", *backends, session_persistence=sticky)],
            }
        )
        for machine in site.machines:
            site.plug_vip(machine)
            site.plug_members(machine)
            networks = {"model": "network_configs", "of": site.networks[:1]}
            site.driver_call("update_vrrp_conf", {"model": "load_balancer"}, networks, of(machine))
            site.driver_call("start_vrrp_service", of(machine))
        conf = (ours.base / "vrrp" / "octavia-keepalived.conf").read_bytes()
        site.driver_call("update", {"model": "load_balancer"})
        assert ways(site) == [("2.0", "start")]
        assert asked(other, "/2.0/loadbalancers") == (404 if mixed else [site.graph.id])
        # It is what Octavia has sent, before and after.
        assert (ours.base / "vrrp" / "octavia-keepalived.conf").read_bytes() == conf
        assert b"auth_pass" in conf

        # Which of them has it first is for VRRP to say: it began before there was anything to balance.
        eventually(lambda: sorted(map(has_vip, site.machines)) == [False, True], "the VIP at one of them")
        peer, holder = sorted(site.machines, key=has_vip)
        # Whoever has just got the VIP may still be finding out where the members are.
        eventually(lambda: {answered_by(site, "OTHER=1") for _ in range(4)} == {"one", "two"}, "answers of both members")
        learned = {f"SESSION={number}": answered_by(site, f"SESSION={number}") for number in range(8)}
        assert set(learned.values()) == {"one", "two"}
        eventually(lambda: sessions(peer, site) >= 8, "the sessions at the peer")
        site.driver_call("stop_vrrp_service_on_amphora", of(holder))
        eventually(lambda: has_vip(peer) and not has_vip(holder), "the VIP at the peer")
        assert {cookie: answered_by(site, cookie) for cookie in learned} == learned


def has_vip(machine: AgentMachine) -> bool:
    return VIP in machine.traffic.addresses("eth1")


def answered_by(site: Site, cookie: str) -> str | None:
    with site.client.entered():
        return fetch((VIP, 80), headers={"Cookie": cookie, "X-Lab-Set-Cookie": cookie}).name


def sessions(machine: AgentMachine, site: Site) -> int:
    """How many sessions the machine's HAProxy knows."""
    return machine.stats(site.graph.id).ask(f"show table {site.graph.pools[0].id}:{site.graph.listeners[0].id}").count("key=")
