"""The agent's network after a reboot; and whether neighbours hear of its addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.agent_machine import GATEWAY4, GATEWAY6, MACS, VIP4, VIP6, VRRP4, VRRP6, Machine, fixed, machine_in
from support.polling import eventually

from agent.clock import SystemClock
from agent.errors import SystemFault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BACKENDS = "10.0.2.0/24"
STRANGER = "02:00:00:00:00:99"


class Slept(SystemClock):
    """Knows for how many seconds it was asked to let pass."""

    slept = 0.0

    def sleep(self, seconds: float, /) -> None:
        self.slept += seconds
        super().sleep(seconds)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with machine_in(tmp_path) as machine:
        yield machine


def plugged(machine: Machine) -> None:
    """A VIP of both families on eth1, members behind eth2 and eth3."""
    for mac in MACS[1:4]:
        machine.cable(mac)
    machine.plug_vip(mtu=1400, additional_vips=[fixed(VIP6, "2001:db8::/64", gateway=GATEWAY6)])
    machine.plug_network(MACS[2], fixed("10.0.2.5", BACKENDS, host_routes=[{"destination": "10.8.0.0/16", "nexthop": "10.0.2.1"}]))
    machine.plug_network(MACS[3], fixed("10.0.3.5", "10.0.3.0/24"), fixed("2001:db8:3::5", "2001:db8:3::/64"))
    machine.set_rules("eth1", ("TCP", None, 80), ("TCP", "2001:db8:c::/48", 443))


def shown(machine: Machine, *but: str) -> dict[str, Any]:
    interfaces = [name for name in ("eth1", "eth2", "eth3") if name not in but]
    return {
        "interfaces": {
            name: (machine.placed(name), [(link["address"], link["mtu"]) for link in machine.inside.ip_json(f"link show dev {name}")])
            for name in interfaces
        },
        "routes": {route for table in ("main", "1") for route in machine.routes(table) if not any(name in route for name in but)},
        "rules": machine.rules(),
        "filter": machine.inside.run("nft", "list", "ruleset"),
        "forwarding": machine.inside.run("sysctl", "-n", "net.ipv4.ip_forward"),
    }


class TestRestoring:
    def test_after_a_reboot_everything_is_as_before(self, machine: Machine) -> None:
        plugged(machine)
        before = shown(machine)
        assert len(before["interfaces"]["eth1"][0]) == 3
        machine.reboot()
        machine.restore()
        assert shown(machine) == before
        machine.restore()
        assert shown(machine) == before

    def test_what_cannot_be_found_is_told_after_the_rest_is_done(self, machine: Machine) -> None:
        plugged(machine)
        before = shown(machine, "eth2")
        machine.reboot("eth2")
        machine.paths.interface("eth7").write_text('{"name": "eth7", "addresses": []}')
        machine.paths.interface("not an interface").write_text("{}")
        with pytest.raises(SystemFault) as told:
            machine.restore()
        found, missing = sorted(str(told.value).splitlines())
        assert "eth7.json cannot be used: Object missing required field `mac`" in found
        assert f"none here has the hardware address {MACS[2]}" in missing
        after = shown(machine, "eth2")
        shut = "chain eth7"
        assert shut in after["filter"]
        assert {**after, "filter": ""} == {**before, "filter": ""}
        assert {status.name: bool(status.problem) for status in machine.network.status()} == {
            "eth1": False,
            "eth2": True,
            "eth3": False,
            "eth7": True,
        }

    def test_a_stranger_under_the_name_of_one_of_ours(self, machine: Machine) -> None:
        plugged(machine)
        machine.reboot("eth1")
        machine.network.prepare()
        machine.inside.ip("link add eth1 type veth peer name other")
        with pytest.raises(SystemFault, match="another eth1"):
            machine.restore()
        assert machine.placed("eth1") == set()
        assert machine.placed("eth2") == {"10.0.2.5/24"}

    def test_one_that_is_absent_keeps_its_name_for_when_it_comes_back(self, machine: Machine) -> None:
        plugged(machine)
        before = shown(machine)
        machine.reboot("eth2")
        with pytest.raises(SystemFault, match=MACS[2]):
            machine.restore()
        machine.cable(MACS[4])
        assert machine.plug_network(MACS[4], fixed("10.0.4.5", "10.0.4.0/24")) == "Plugged on interface eth4"
        machine.cable(MACS[2])
        machine.restore()
        after = shown(machine)
        assert after["interfaces"] == before["interfaces"]
        assert before["routes"] <= after["routes"]

    def test_many_that_are_absent_are_waited_for_once(self, tmp_path: Path) -> None:
        clock = Slept()
        with machine_in(tmp_path, clock) as machine:
            plugged(machine)
            machine.reboot("eth1", "eth2", "eth3")
            clock.slept = 0.0
            with pytest.raises(SystemFault) as told:
                machine.restore()
        assert len(str(told.value).splitlines()) == 3
        assert 0 < clock.slept < 3

    def test_what_was_taken_away_comes_back(self, machine: Machine) -> None:
        plugged(machine)
        before = shown(machine)
        machine.inside.ip("link set eth1 down")  # takes the routes and the IPv6 addresses along
        machine.inside.ip("address flush dev eth2")
        machine.inside.ip(f"rule del from {VIP4}")
        machine.inside.run("nft", "flush", "ruleset")
        machine.restore()
        assert shown(machine) == before

    def test_without_anything_plugged(self, machine: Machine) -> None:
        machine.restore()
        assert "UP" in machine.inside.ip_json("link show dev lo")[0]["flags"]


class TestNeighbours:
    """Somebody sends to an address by a hardware address that was right before a failover."""

    def known(self, machine: Machine, tap: str) -> dict[str, str]:
        return {entry["dst"]: entry["lladdr"] for entry in machine.hypervisor.ip_json(f"neigh show dev {tap}") if "lladdr" in entry}

    def mislead(self, machine: Machine, tap: str, *addresses: str) -> None:
        for address in addresses:
            machine.hypervisor.ip(f"neigh replace {address} lladdr {STRANGER} dev {tap} nud reachable")

    def hears(self, machine: Machine, tap: str, mac: str, *addresses: str) -> None:
        expected = dict.fromkeys(addresses, mac)
        eventually(lambda: self.known(machine, tap).items() >= expected.items(), f"{mac} of {addresses}")

    def test_they_hear_of_a_vip_that_is_plugged_restored_and_announced(self, machine: Machine) -> None:
        tap = machine.cable(MACS[1], f"{GATEWAY4}/24", f"{GATEWAY6}/64")
        addresses = (VRRP4, VIP4, VIP6)
        self.mislead(machine, tap, *addresses)
        machine.plug_vip(additional_vips=[fixed(VIP6, "2001:db8::/64", gateway=GATEWAY6)])
        self.hears(machine, tap, MACS[1], *addresses)
        for again in (machine.network.announce, machine.restore, lambda: machine.network.reconcile("eth1")):
            self.mislead(machine, tap, *addresses)
            again()
            self.hears(machine, tap, MACS[1], *addresses)

    def test_they_hear_of_members_interfaces(self, machine: Machine) -> None:
        tap = machine.cable(MACS[2], "10.0.2.1/24", "2001:db8:2::1/64")
        self.mislead(machine, tap, "10.0.2.5", "2001:db8:2::5")
        machine.plug_network(MACS[2], fixed("10.0.2.5", BACKENDS), fixed("2001:db8:2::5", "2001:db8:2::/64"))
        self.hears(machine, tap, MACS[2], "10.0.2.5", "2001:db8:2::5")

    def test_a_vip_of_keepalived_s_is_not_announced(self, machine: Machine) -> None:
        tap = machine.cable(MACS[1], f"{GATEWAY4}/24", f"{GATEWAY6}/64")
        machine.plug_vip(VIP6, active_standby=True)
        machine.inside.ip(f"address add {VIP6}/128 dev eth1 nodad")
        self.mislead(machine, tap, VIP6, VRRP6)
        machine.network.announce()
        self.hears(machine, tap, MACS[1], VRRP6)
        assert self.known(machine, tap)[VIP6] == STRANGER

    def test_before_there_is_a_namespace(self, machine: Machine) -> None:
        machine.network.announce()
        assert VRRP4 not in str(machine.network.status())
