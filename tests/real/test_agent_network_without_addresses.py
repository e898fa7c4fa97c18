"""Interfaces that no address was given for: the network gives them, by DHCP and by routers' advertisements."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from support.agent_machine import MACS, Machine, fixed, machine_in
from support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def router(machine: Machine, tap: str) -> Iterator[None]:
    """Gives addresses of 10.0.2.0/24, and advertises 2001:db8:2::/64."""
    arguments = [f"--interface={tap}", "--bind-interfaces", "--dhcp-range=10.0.2.50,10.0.2.99,1h", "--dhcp-range=2001:db8:2::,ra-only"]
    nothing_else = ["--conf-file=/dev/null", "--keep-in-foreground", "--port=0", "--leasefile-ro", "--pid-file=", "--user=root"]
    with machine.hypervisor.entered():
        daemon = subprocess.Popen(["dnsmasq", *nothing_else, "--enable-ra", *arguments], stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        daemon.kill()
        daemon.wait()


def test_they_come_of_the_network_until_some_are_given(tmp_path: Path) -> None:
    with machine_in(tmp_path) as machine:
        tap = machine.cable(MACS[2], "10.0.2.1/24", "2001:db8:2::1/64")
        with router(machine, tap):
            assert machine.plug_network(MACS[2]) == "Plugged on interface eth2"
            expected = "2001:db8:2:0:f816:3eff:fe00:2/64"
            try:
                eventually(lambda: len(machine.placed("eth2")) == 2, "an address of each family")
                assert expected in machine.placed("eth2")
                before = machine.placed("eth2")
                machine.restore()
                assert machine.placed("eth2") == before
            finally:
                machine.plug_network(MACS[2], fixed("10.0.2.5", "10.0.2.0/24"))
            # What was learnt of a router ends when the router said it would; nothing new is learnt.
            eventually(lambda: machine.placed("eth2") - {expected} == {"10.0.2.5/24"}, "the fixed address alone")
            assert machine.inside.run("sysctl", "-n", "net.ipv6.conf.eth2.accept_ra").strip() == "0"


def test_a_vip_without_an_address_of_the_amphora_s_own(tmp_path: Path) -> None:
    with machine_in(tmp_path) as machine:
        tap = machine.cable(MACS[1], "10.0.2.1/24", "2001:db8:2::1/64")
        with router(machine, tap):
            machine.plug_vip("10.0.2.10", subnet_cidr="10.0.2.0/24", gateway="10.0.2.1", vrrp_ip=None)
            try:
                eventually(lambda: len(machine.placed("eth1")) == 2, "the VIP and one by DHCP")
                assert "10.0.2.10/32" in machine.placed("eth1")
                assert machine.inside.run("sysctl", "-n", "net.ipv6.conf.eth1.accept_ra").strip() == "0"
            finally:
                machine.plug_network(MACS[1], fixed("10.0.2.20", "10.0.2.0/24"))
            assert machine.placed("eth1") == {"10.0.2.10/32", "10.0.2.20/24"}
