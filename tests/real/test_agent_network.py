"""The agent's network on the real kernel: interfaces that are plugged, and what becomes of them in the namespace."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.agent_machine import GATEWAY4, GATEWAY6, MACS, VIP4, VIP6, VRRP4, VRRP6, Machine, fixed, machine_in, vip_plan
from support.polling import eventually

from agent.clock import SystemClock
from agent.errors import ConflictError, InterfaceNotReady, InvalidRequest, NotFoundError, SystemFault
from agent.network.interfaces import Interface, InterfaceFiles
from agent.network.words import Mac

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BACKENDS = "10.0.2.0/24"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with machine_in(tmp_path) as machine:
        yield machine


class TestPluggingTheVip:
    def test_in_a_single_amphora(self, machine: Machine) -> None:
        machine.cable(MACS[1])
        assert machine.plug_vip(mtu=1400) == f"VIPs plugged on interface eth1: {VIP4}"
        [link] = machine.inside.ip_json("link show dev eth1")
        assert (link["mtu"], link["address"], "UP" in link["flags"]) == (1400, MACS[1], True)
        assert machine.placed("eth1") == {f"{VRRP4}/24", f"{VIP4}/32"}
        assert machine.routes() == {f"default via {GATEWAY4} dev eth1"}
        assert machine.routes("1") == {f"default via {GATEWAY4} dev eth1", f"192.0.2.0/24 dev eth1 src {VIP4}"}
        assert machine.rules() == {f"from {VIP4} lookup 1 proto 72"}

    def test_in_a_pair_the_vip_is_keepalived_s(self, machine: Machine) -> None:
        machine.cable(MACS[1])
        machine.plug_vip(active_standby=True)
        assert machine.placed("eth1") == {f"{VRRP4}/24"}
        assert (machine.routes(), machine.routes("1"), machine.rules()) == ({f"default via {GATEWAY4} dev eth1"}, set(), set())
        machine.inside.ip(f"address add {VIP4}/32 dev eth1")
        machine.inside.ip(f"rule add from {VIP4} table 1 priority 100 protocol 18")
        machine.inside.ip(f"route add default via {GATEWAY4} dev eth1 onlink table 1 proto 18")
        machine.network.reconcile("eth1")
        assert f"{VIP4}/32" in machine.placed("eth1")
        assert len(machine.rules()) == len(machine.routes("1")) == 1

    def test_of_ipv6_it_can_be_used_at_once(self, machine: Machine) -> None:
        machine.cable(MACS[1])
        machine.plug_vip(VIP6)
        assert machine.placed("eth1") == {f"{VRRP6}/64", f"{VIP6}/128"}
        assert machine.routes() == {f"default via {GATEWAY6} dev eth1"}
        assert machine.routes("1") == {f"default via {GATEWAY6} dev eth1", f"2001:db8::/64 dev eth1 src {VIP6}"}
        assert machine.rules() == {f"from {VIP6} lookup 1 proto 72"}

    def test_additional_ones_of_other_subnets_and_families(self, machine: Machine) -> None:
        machine.cable(MACS[1])
        more = [
            fixed(VIP6, "2001:db8::/64", gateway=GATEWAY6, host_routes=[{"destination": "2001:db8:5::/48", "nexthop": "2001:db8::5"}]),
            fixed("198.51.100.10", "198.51.100.0/24", gateway="198.51.100.1"),
        ]
        assert machine.plug_vip(additional_vips=more) == f"VIPs plugged on interface eth1: {VIP4}, {VIP6}, 198.51.100.10"
        assert machine.placed("eth1") == {f"{VRRP4}/24", f"{VIP4}/32", f"{VIP6}/128", "198.51.100.10/32"}
        common = {
            f"default via {GATEWAY4} dev eth1",
            f"default via {GATEWAY6} dev eth1",
            "2001:db8:5::/48 via 2001:db8::5 dev eth1",
        }
        assert machine.routes() == common | {"2001:db8::/64 dev eth1", "198.51.100.0/24 dev eth1"}
        assert machine.routes("1") == common | {
            f"2001:db8::/64 dev eth1 src {VIP6}",
            f"192.0.2.0/24 dev eth1 src {VIP4}",
            "198.51.100.0/24 dev eth1 src 198.51.100.10",
        }
        assert machine.rules() == {f"from {vip} lookup 1 proto 72" for vip in (VIP4, VIP6, "198.51.100.10")}

    def test_host_routes(self, machine: Machine) -> None:
        machine.cable(MACS[1])
        routes = [{"destination": "203.0.113.0/24", "nexthop": "192.0.2.3"}, {"destination": "10.9.0.0/16", "nexthop": "198.18.0.1"}]
        machine.plug_vip(host_routes=routes)
        expected = {"203.0.113.0/24 via 192.0.2.3 dev eth1", "10.9.0.0/16 via 198.18.0.1 dev eth1"}
        assert expected <= machine.routes()
        assert expected <= machine.routes("1")

    def test_a_route_that_the_kernel_refuses_is_told_and_the_rest_is_done(self, machine: Machine) -> None:
        machine.cable(MACS[1])
        told = machine.plug_vip(host_routes=[{"destination": "203.0.113.0/24", "nexthop": VRRP4}])
        assert "the route 203.0.113.0/24 via 192.0.2.20 cannot be added to eth1: " in told
        assert machine.placed("eth1") == {f"{VRRP4}/24", f"{VIP4}/32"}
        assert f"default via {GATEWAY4} dev eth1" in machine.routes("1")

    def test_a_second_time_is_a_conflict_and_changes_nothing(self, machine: Machine) -> None:
        machine.cable(MACS[1])
        machine.plug_vip()
        before = machine.paths.interface("eth1").read_bytes()
        with pytest.raises(ConflictError):
            machine.plug_vip("192.0.2.99", mtu=1300)
        assert machine.paths.interface("eth1").read_bytes() == before
        assert machine.placed("eth1") == {f"{VRRP4}/24", f"{VIP4}/32"}

    def test_one_that_was_cut_short_is_finished_by_the_next_attempt(self, machine: Machine) -> None:
        machine.cable(MACS[1])
        machine.network.prepare()
        plan = vip_plan()
        InterfaceFiles(machine.paths.interfaces).write(Interface(name="eth1", mac=plan.mac_address, vip=plan.vip))
        machine.root.ip(f"link set ens1 netns {machine.inside.name} name eth1")
        with pytest.raises(ConflictError):
            machine.plug_vip()
        assert machine.placed("eth1") == {f"{VRRP4}/24", f"{VIP4}/32"}

    def test_another_interface_in_its_place_is_not_touched(self, machine: Machine) -> None:
        machine.network.prepare()
        machine.inside.ip("link add eth1 type veth peer name other")
        machine.cable(MACS[1])
        with pytest.raises(SystemFault, match="another eth1"):
            machine.plug_vip()
        assert machine.placed("eth1") == set()
        assert machine.network.status() == []

    def test_an_address_that_another_machine_has(self, machine: Machine) -> None:
        tap = machine.cable(MACS[1], f"{VRRP6}/64")
        with pytest.raises(SystemFault, match=f"another machine has {VRRP6}, so eth1 cannot use it"):
            machine.plug_vip(VIP6)
        assert machine.placed("eth1") == {f"{VIP6}/128"}
        assert [status.missing for status in machine.network.status()] == [(f"{VRRP6}/64",)]
        with pytest.raises(SystemFault, match="another machine has"):
            machine.plug_vip(VIP6)  # not a conflict, which a controller would take for "done"
        machine.hypervisor.ip(f"address del {VRRP6}/64 dev {tap}")
        machine.network.reconcile("eth1")
        assert machine.placed("eth1") == {f"{VRRP6}/64", f"{VIP6}/128"}

    def test_a_vip_that_the_amphora_has_which_this_one_replaces(self, machine: Machine) -> None:
        machine.cable(MACS[1], f"{VIP6}/64")
        machine.plug_vip(VIP6)
        assert machine.placed("eth1") == {f"{VRRP6}/64", f"{VIP6}/128"}
        assert [status.missing for status in machine.network.status()] == [()]


class TestArrival:
    def test_one_that_is_not_there(self, machine: Machine) -> None:
        machine.pci_rescan.touch()
        with pytest.raises(InterfaceNotReady, match=r"^No suitable network interface found"):
            machine.plug_vip()
        assert machine.pci_rescan.read_text() == "1"
        with pytest.raises(InterfaceNotReady, match=r"^No suitable network interface found"):
            machine.plug_network(MACS[2])
        assert machine.network.status() == []

    def test_one_that_appears_a_little_later(self, tmp_path: Path) -> None:
        class Busy(SystemClock):
            """Plugs the cable while somebody waits."""

            def __init__(self) -> None:
                self.meanwhile: Callable[[], object] | None = None

            def sleep(self, seconds: float, /) -> None:
                if self.meanwhile:
                    self.meanwhile()
                    self.meanwhile = None
                super().sleep(seconds)

        clock = Busy()
        with machine_in(tmp_path, clock) as machine:
            clock.meanwhile = lambda: machine.cable(MACS[1])
            machine.plug_vip()
            assert machine.placed("eth1") == {f"{VRRP4}/24", f"{VIP4}/32"}


class TestPluggingNetworks:
    def test_names_addresses_and_routes(self, machine: Machine) -> None:
        for mac in MACS[2:4]:
            machine.cable(mac)
        routes = [{"destination": "10.8.0.0/16", "nexthop": "10.0.2.1"}]
        two = [fixed("10.0.2.5", BACKENDS, gateway="10.0.2.1", host_routes=routes), fixed("2001:db8:2::5", "2001:db8:2::/64")]
        assert machine.plug_network(MACS[2], *two, mtu=1450) == "Plugged on interface eth2"
        assert machine.plug_network(MACS[3], fixed("10.0.3.5", "10.0.3.0/24")) == "Plugged on interface eth3"
        assert machine.placed("eth2") == {"10.0.2.5/24", "2001:db8:2::5/64"}
        assert machine.placed("eth3") == {"10.0.3.5/24"}
        assert machine.inside.ip_json("link show dev eth2")[0]["mtu"] == 1450
        assert machine.routes() == {"10.8.0.0/16 via 10.0.2.1 dev eth2"}
        assert machine.rules() == set()

    def test_again_with_other_addresses(self, machine: Machine) -> None:
        """What was ours goes, what is not stays; and the address that stays is not lost with the one whose secondary it was."""
        machine.cable(MACS[2])
        old = [{"destination": "10.7.0.0/16", "nexthop": "10.0.2.1"}, {"destination": "10.8.0.0/16", "nexthop": "10.0.2.1"}]
        first = [fixed("10.0.2.5", BACKENDS, host_routes=old), fixed("10.0.2.6", BACKENDS), fixed("2001:db8:2::5", "2001:db8:2::/64")]
        machine.plug_network(MACS[2], *first)
        machine.inside.ip("address add 10.0.2.77/24 dev eth2")
        machine.inside.ip("route add 10.77.0.0/16 via 10.0.2.1")
        machine.inside.ip("rule add from 10.0.2.77 table 5 priority 300")
        new = [{"destination": "10.8.0.0/16", "nexthop": "10.0.2.2"}]
        second = [fixed("10.0.2.6", BACKENDS, host_routes=new), fixed("10.0.4.5", "10.0.4.0/24")]
        assert machine.plug_network(MACS[2], *second, mtu=1400) == "Updated existing interface eth2"
        assert machine.placed("eth2") == {"10.0.2.6/24", "10.0.4.5/24", "10.0.2.77/24"}
        assert machine.routes() == {"10.8.0.0/16 via 10.0.2.2 dev eth2", "10.77.0.0/16 via 10.0.2.1 dev eth2"}
        assert machine.rules() == {"from 10.0.2.77 lookup 5"}
        assert machine.inside.ip_json("link show dev eth2")[0]["mtu"] == 1400
        assert "former" not in json.loads(machine.paths.interface("eth2").read_text())

    def test_further_subnets_on_the_vip_s_port(self, machine: Machine) -> None:
        machine.cable(MACS[1])
        machine.plug_vip()
        own = fixed(VRRP4, "192.0.2.0/24", gateway=GATEWAY4)
        info = {"vip": VIP4, "subnet_cidr": "192.0.2.0/24", "gateway": GATEWAY4, "vrrp_ip": VRRP4, "mac_address": MACS[1]}
        told = machine.plug_network(MACS[1], own, fixed("10.0.5.5", "10.0.5.0/24", gateway="10.0.5.1"), vip_net_info=info)
        assert told == "Updated existing interface eth1"
        assert machine.placed("eth1") == {f"{VRRP4}/24", f"{VIP4}/32", "10.0.5.5/24"}
        assert machine.routes() == {f"default via {GATEWAY4} dev eth1"}
        assert machine.rules() == {f"from {VIP4} lookup 1 proto 72"}
        machine.plug_network(MACS[1], own)  # an older controller, which does not tell about the VIP
        assert machine.placed("eth1") == {f"{VRRP4}/24", f"{VIP4}/32"}
        machine.plug_network(MACS[1], own, vip_net_info={**info, "vip": "192.0.2.11"})
        assert machine.placed("eth1") == {f"{VRRP4}/24", "192.0.2.11/32"}
        assert machine.rules() == {"from 192.0.2.11 lookup 1 proto 72"}

    def test_additional_vips_stay_when_a_further_subnet_is_plugged(self, machine: Machine) -> None:
        """Octavia's controller leaves them out then, without meaning that they shall go."""
        machine.cable(MACS[1])
        machine.plug_vip(additional_vips=[fixed(VIP6, "2001:db8::/64", gateway=GATEWAY6)])
        info = {"vip": VIP4, "subnet_cidr": "192.0.2.0/24", "gateway": GATEWAY4, "vrrp_ip": VRRP4, "additional_vips": []}
        machine.plug_network(MACS[1], fixed(VRRP4, "192.0.2.0/24"), fixed("10.0.5.5", "10.0.5.0/24"), vip_net_info=info)
        assert machine.placed("eth1") == {f"{VRRP4}/24", f"{VIP4}/32", f"{VIP6}/128", "10.0.5.5/24"}
        assert machine.rules() == {f"from {vip} lookup 1 proto 72" for vip in (VIP4, VIP6)}

    def test_a_name_stays_with_its_hardware(self, machine: Machine) -> None:
        for mac in MACS[2:5]:
            machine.cable(mac)
        machine.plug_network(MACS[2], fixed("10.0.2.5", BACKENDS))
        machine.plug_network(MACS[3], fixed("10.0.3.5", "10.0.3.0/24"))
        machine.inside.ip(f"link set eth3 netns {machine.root.name} name ens9")
        machine.inside.ip("link del eth2")
        assert machine.plug_network(MACS[3], fixed("10.0.3.5", "10.0.3.0/24")) == "Plugged on interface eth3"
        assert machine.plug_network(MACS[4], fixed("10.0.4.5", "10.0.4.0/24")) == "Plugged on interface eth4"
        told = {status.name: (status.mac, bool(status.problem)) for status in machine.network.status()}
        assert told == {"eth2": (MACS[2], True), "eth3": (MACS[3], False), "eth4": (MACS[4], False)}

    def test_from_many_threads_at_once(self, machine: Machine) -> None:
        macs = MACS[2:8]
        for mac in macs:
            machine.cable(mac)
        told: list[str] = []
        threads = [
            threading.Thread(target=lambda mac, last: told.append(machine.plug_network(mac, fixed(f"10.0.2.{last}", BACKENDS))), args=pair)
            for pair in zip(macs, range(10, 20), strict=False)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(told) == [f"Plugged on interface eth{number}" for number in range(2, 8)]
        assert all(not status.missing and not status.problem for status in machine.network.status())


class TestLooking:
    def test_before_there_is_anything(self, machine: Machine) -> None:
        assert machine.network.counters() == {}
        assert machine.network.status() == []
        with pytest.raises(NotFoundError):
            machine.network.interface_of(VIP4)
        with pytest.raises(NotFoundError):
            machine.network.reconcile("eth1")

    def test_whose_an_address_is(self, machine: Machine) -> None:
        for mac in MACS[1:3]:
            machine.cable(mac)
        machine.plug_vip(VIP6, active_standby=True)
        machine.plug_network(MACS[2], fixed("10.0.2.5", BACKENDS))
        assert machine.network.interface_of("10.0.2.5") == "eth2"
        assert machine.network.interface_of("2001:0DB8:0::20") == "eth1"
        assert machine.network.interface_of(VIP6) == "eth1"  # although keepalived has not given it
        with pytest.raises(NotFoundError):
            machine.network.interface_of("10.0.2.6")
        for wrong in ("eth1", "10.0.2.5/24", "10.0.2", "fe80::1%eth1", ""):
            with pytest.raises(InvalidRequest):
                machine.network.interface_of(wrong)

    def test_counters(self, machine: Machine) -> None:
        machine.cable(MACS[1], f"{GATEWAY4}/24")
        machine.plug_vip()
        sent, received = machine.network.counters()["eth1"]
        for place, target in ((machine.hypervisor, VIP4), (machine.inside, GATEWAY4)):
            with place.entered(), socket.socket(type=socket.SOCK_DGRAM) as sender:
                for _ in range(3):
                    sender.sendto(bytes(1000), (target, 9))
        eventually(lambda: machine.network.counters()["eth1"][1] >= received + 3000)
        now = machine.network.counters()
        assert now.keys() == {"eth1"}
        assert now["eth1"][0] >= sent + 3000


def test_reconciling_again_changes_nothing(machine: Machine, tmp_path: Path) -> None:
    for mac in MACS[1:3]:
        machine.cable(mac)
    routes = [{"destination": "203.0.113.0/24", "nexthop": "192.0.2.3"}]
    machine.plug_vip(mtu=1400, host_routes=routes, additional_vips=[fixed(VIP6, "2001:db8::/64", gateway=GATEWAY6)])
    machine.plug_network(MACS[2], fixed("10.0.2.5", BACKENDS), fixed("2001:db8:2::5", "2001:db8:2::/64"))
    # The kernel tells when it has found out that nobody else has a link-local address.
    eventually(lambda: not machine.inside.ip("-6 address show tentative"), "addresses that are nobody else's")
    said = tmp_path / "monitor"
    with said.open("w") as output, machine.inside.entered():
        monitor = subprocess.Popen(["ip", "-o", "monitor", "link", "address", "route", "rule"], stdout=output)
    try:
        # It listens when it tells about something.
        def listening() -> bool:
            # Not `replace`: the kernel tells nobody of a route that is replaced by the same.
            machine.inside.ip("route add 198.18.1.0/24 dev lo")
            machine.inside.ip("route del 198.18.1.0/24 dev lo")
            return bool(said.read_text())

        eventually(listening)
        machine.network.reconcile("eth1")
        machine.network.reconcile("eth2")
        machine.restore()
        machine.inside.ip("route add 198.18.2.0/24 dev lo")
        eventually(lambda: "198.18.2.0/24" in said.read_text())
    finally:
        monitor.kill()
        monitor.wait()
    assert [line for line in said.read_text().splitlines() if not re.match(r"(Deleted )?198\.18\.[12]\.0/24 dev lo", line)] == []


def test_settings_of_the_namespace(machine: Machine) -> None:
    machine.network.prepare()
    machine.network.prepare()
    for setting in ("ipv4.ip_forward", "ipv6.conf.all.forwarding", "ipv4.ip_nonlocal_bind", "ipv6.ip_nonlocal_bind"):
        assert machine.inside.run("sysctl", "-n", f"net.{setting}").strip() == "1"
    assert "UP" in machine.inside.ip_json("link show dev lo")[0]["flags"]


def test_what_is_left_of_a_namespace_that_was_never_finished(machine: Machine) -> None:
    machine.root.run("touch", f"/run/netns/{machine.inside.name}")
    machine.network.prepare()
    assert "UP" in machine.inside.ip_json("link show dev lo")[0]["flags"]


def test_hardware_that_nobody_has() -> None:
    with pytest.raises(ValueError, match="hardware address"):
        Mac.parse("ff:ff:ff:ff:ff:ff")


def test_a_namespace_that_cannot_be_looked_at_is_not_taken_for_absent(machine: Machine) -> None:
    place = Path("/run/netns", machine.inside.name)
    place.symlink_to(place.name)  # to itself
    try:
        for look in (machine.network.status, machine.network.counters, machine.network.prepare):
            with pytest.raises(SystemFault, match=f"the network namespace {machine.inside.name} cannot be opened: "):
                look()
        assert place.is_symlink()
    finally:
        place.unlink(missing_ok=True)
