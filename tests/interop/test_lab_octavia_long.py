"""A user's day with a lab of Octavia's, with the command line alone: a pair under load, failovers that are wanted and that are not, outages, the end."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from octavia_cloud import User, UserError, octavia_lab
from support.polling import eventually

from agent.errors import NotFoundError
from hydria.lab import failing, octavia_failing
from hydria.lab.load import Aim, summary
from hydria.lab.loading import Loading

pytestmark = pytest.mark.slow

VIP = "192.0.2.10"
#: Seconds until an amphora that is silent has been replaced.
_REPLACED = 180


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with octavia_lab("long", pair=True, beats=1, patience=10) as made:
        made.loadbalancer("create", "--name", "lb", "--vip-subnet-id", "public-subnet", "--vip-address", VIP, "--wait")
        made.loadbalancer("listener", "create", "--name", "web", "--protocol", "HTTP", "--protocol-port", "80", "--wait", "lb")
        pool = ("--name", "servers", "--protocol", "HTTP", "--lb-algorithm", "ROUND_ROBIN", "--listener", "web", "--wait")
        made.loadbalancer("pool", "create", *pool)
        monitor = ("--type", "HTTP", "--delay", "2", "--timeout", "1", "--max-retries", "1", "--url-path", "/health", "--wait", "servers")
        made.loadbalancer("healthmonitor", "create", "--name", "health", *monitor)
        for name, (address, _) in made.lab.octavia.places.items():
            member = ("--subnet-id", "private-subnet", "--address", address, "--protocol-port", "80", "--wait", "servers")
            made.loadbalancer("member", "create", "--name", name, *member)
        yield made


def by_role(user: User) -> dict[str, str]:
    """Role → id of the amphora that is in use."""
    return {one["role"]: one["id"] for one in user.amphorae(status="ALLOCATED")}


def statuses(user: User) -> dict[str, str]:
    """What operating statuses the load balancer, and its members by their names, have."""
    shown: dict[str, Any] = user.loadbalancer("status", "show", "lb")["loadbalancer"]
    pool = shown["listeners"][0]["pools"][0]
    return {"lb": shown["operating_status"], **{member["name"]: member["operating_status"] for member in pool["members"]}}


def test_a_pair_serves_and_tells_how_members_are(user: User) -> None:
    assert set(by_role(user)) == {"MASTER", "BACKUP"}
    names = set(user.lab.octavia.places)
    eventually(lambda: {user.answers(VIP) for _ in names} == names, "an answer of each member")
    eventually(lambda: set(statuses(user).values()) == {"ONLINE"}, "members that are ONLINE", 60)
    octavia_failing.kill(user.lab, "member-2")
    eventually(lambda: statuses(user)["member-2"] == "ERROR", "a member in ERROR", 60)
    assert statuses(user)["lb"] == "DEGRADED"
    assert octavia_failing.heal(user.lab) == ["member member-2 back"]
    eventually(lambda: set(statuses(user).values()) == {"ONLINE"}, "members that are ONLINE again", 60)


def test_monitors_of_pools_that_were_empty_check_by_http(user: User) -> None:
    user.lab.attendant("answer", names=["member-1"], path="/health", status=500)
    eventually(lambda: statuses(user)["member-1"] == "ERROR", "a member in ERROR", 60)
    user.lab.attendant("answer", names=["member-1"], path="/health", status=200)
    eventually(lambda: statuses(user)["member-1"] == "ONLINE", "a member ONLINE", 60)


def test_statistics_are_those_of_the_traffic(user: User) -> None:
    def total() -> int:
        return int(user.loadbalancer("stats", "show", "lb")["total_connections"])

    before = total()
    for _ in range(20):
        assert user.get(VIP).status == 200
    eventually(lambda: total() - before == 20, "20 connections counted", 30)


def test_programs_of_an_amphora_come_back_and_its_networks_are_healed(user: User) -> None:
    master = by_role(user)["MASTER"]
    programs: tuple[failing.What, ...] = ("haproxy", "keepalived")
    for what in programs:
        octavia_failing.kill(user.lab, master, what)
        eventually(lambda: user.answers(VIP), "an answer", 30)
    octavia_failing.kill(user.lab, master, "network")
    eventually(lambda: user.answers(VIP), "an answer of the other one", 30)
    assert octavia_failing.heal(user.lab) == [f"amphora-{master}: network back"]
    eventually(lambda: user.answers(VIP), "an answer", 30)
    for unknown in ("amphora-9", "member-9"):
        with pytest.raises(NotFoundError):
            octavia_failing.kill(user.lab, unknown)


def test_a_master_without_an_agent_is_replaced(user: User) -> None:
    was = by_role(user)
    octavia_failing.kill(user.lab, was["MASTER"], "agent")
    eventually(lambda: was["MASTER"] not in by_role(user).values() and len(by_role(user)) == 2, "another amphora", _REPLACED)
    user.active(user.loadbalancer("show", "lb")["id"])
    eventually(lambda: user.answers(VIP), "an answer", 30)


def test_a_master_without_power_is_replaced(user: User) -> None:
    was = by_role(user)
    octavia_failing.kill(user.lab, was["MASTER"])
    eventually(lambda: user.answers(VIP), "an answer of the other one", 30)

    def replaced() -> bool:
        now = by_role(user)
        return len(now) == 2 and was["MASTER"] not in now.values()

    eventually(replaced, "another amphora", _REPLACED)
    user.active(user.loadbalancer("show", "lb")["id"])
    assert was["BACKUP"] in by_role(user).values()
    assert user.answers(VIP)


def test_a_failover_that_is_wanted_replaces_both_and_loses_little(user: User) -> None:
    was = set(by_role(user).values())
    with Loading(user.lab, Aim([VIP], 80), rate=20, amphorae={}) as loading:
        user.loadbalancer("failover", "--wait", "lb")
    assert not was & set(by_role(user).values())
    assert user.answers(VIP)
    found = summary(loading.results)
    assert found.requests > 100
    assert found.failed < found.requests / 10, found


def test_an_outage_of_the_control_plane_does_not_touch_traffic(user: User) -> None:
    for role in user.lab.roles:
        octavia_failing.kill(user.lab, role)
    assert [user.get(VIP).status for _ in range(20)] == [200] * 20
    assert sorted(octavia_failing.heal(user.lab)) == ["api started", "health-manager started", "housekeeping started"]
    user.loadbalancer("member", "set", "--weight", "5", "--wait", "servers", "member-3")
    assert user.answers(VIP)
    eventually(lambda: set(statuses(user).values()) == {"ONLINE"}, "members that are ONLINE", 60)


def test_what_cannot_be_is_told(user: User) -> None:
    with pytest.raises(UserError, match="nowhere"):
        user.loadbalancer("create", "--vip-subnet-id", "nowhere")
    with pytest.raises(UserError):
        user.loadbalancer("create", "--vip-subnet-id", "public-subnet", "--vip-address", "203.0.113.1")


def test_nothing_is_left_of_a_load_balancer_that_is_deleted(user: User) -> None:
    user.loadbalancer("delete", "--cascade", "--wait", "lb")
    assert user.loadbalancer("list") == []
    assert user.openstack("port", "list") == []
    assert [machine for machine in user.lab.machines if user.lab.runs(machine)] == []
    assert user.answers(VIP) is None


def test_several_load_balancers_at_once() -> None:
    """What asks, works, receives heartbeats and looks after it all writes to one database."""
    with octavia_lab("busy", members=1) as user, ThreadPoolExecutor(4) as pool:
        names = [f"lb-{number}" for number in range(4)]

        def life(name: str) -> str | None:
            made = user.loadbalancer("create", "--name", name, "--vip-subnet-id", "public-subnet", "--wait")
            user.loadbalancer("listener", "create", "--name", name, "--protocol", "HTTP", "--protocol-port", "80", "--wait", name)
            answer = user.get(made["vip_address"]).status
            user.loadbalancer("delete", "--cascade", "--wait", name)
            return f"{made['provisioning_status']} {answer}"

        assert list(pool.map(life, names)) == ["ACTIVE 503"] * len(names)
        assert user.loadbalancer("list") == []
        assert "database is locked" not in (user.lab.directory / "control.log").read_text(errors="replace")


def test_octavias_own_driver_drives_the_same_amphorae() -> None:
    with octavia_lab("own", driver="octavia", members=1) as user:
        user.loadbalancer("create", "--name", "lb", "--vip-subnet-id", "public-subnet", "--vip-address", VIP, "--wait")
        user.loadbalancer("listener", "create", "--name", "web", "--protocol", "HTTP", "--protocol-port", "80", "--wait", "lb")
        pool = ("--name", "servers", "--protocol", "HTTP", "--lb-algorithm", "ROUND_ROBIN", "--listener", "web", "--wait")
        user.loadbalancer("pool", "create", *pool)
        address, _ = user.lab.octavia.places["member-1"]
        user.loadbalancer(
            "member", "create", "--subnet-id", "private-subnet", "--address", address, "--protocol-port", "80", "--wait", "servers"
        )
        assert user.answers(VIP) == "member-1"
        was = by_role(user)
        user.loadbalancer("failover", "--wait", "lb")
        assert by_role(user).keys() == was.keys() == {"STANDALONE"}
        assert by_role(user) != was
        assert user.answers(VIP) == "member-1"
        assert "hydria.octavia.driver" not in user.log()
        user.loadbalancer("delete", "--cascade", "--wait", "lb")
        assert [machine for machine in user.lab.machines if user.lab.runs(machine)] == []
