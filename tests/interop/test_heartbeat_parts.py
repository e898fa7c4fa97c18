"""Heartbeats of any size, judged by Octavia's own receiver and its database: the truth within one beat, and nothing marked wrong on the way."""

from __future__ import annotations

import random
import socket
import uuid
from typing import TYPE_CHECKING

import pytest
from health_manager import HealthManager, State

from agent.heartbeat.message import LARGEST, ListenerState, PoolState, document, seal
from agent.heartbeat.telling import COMFORT, Teller

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "a key of some length"

#: What the database is to say for a member that is like this.
TRUTH = {
    "UP": "ONLINE",
    "UP 1/3": "ONLINE",
    "DOWN": "ERROR",
    "DOWN 1/2": "ERROR",
    "MAINT": "OFFLINE",
    "DRAIN": "DRAINING",
    "no check": "NO_MONITOR",
}


class Amphora:
    """A load balancer of pools with so many members each, all of one status, and its heart."""

    def __init__(self, manager: HealthManager, pools: int, members: int, status: str, listeners: int = 2) -> None:
        self.manager = manager
        self.id, self.lb = str(uuid.uuid4()), str(uuid.uuid4())
        self.listeners = [str(uuid.uuid4()) for _ in range(listeners)]
        self.pools = {str(uuid.uuid4()): {str(uuid.uuid4()): status for _ in range(members)} for _ in range(pools)}
        self.teller = Teller()
        self.sent = 0
        self.sizes: list[int] = []
        manager.describe(self.id, self.lb, self.listeners, self.pools)

    def beat(self, *, lose: int | None = None) -> Iterator[State]:
        """Sends a beat; what the database says after each datagram. The one with the number `lose` gets lost."""
        listeners = {each: ListenerState("OPEN", 1) for each in self.listeners}
        # A pool is there once for each listener that uses it.
        pools = {
            f"{pool}:{listener}": PoolState("UP" if any(not each.startswith("DOWN") for each in members.values()) else "DOWN", members)
            for pool, members in self.pools.items()
            for listener in self.listeners
        }
        parts = self.teller.parts(len(listeners), pools, lambda part, number: seal(document(self.id, number, listeners, part), KEY))
        self.sizes = []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for number, part in enumerate(parts):
                assert len(part.datagram) <= LARGEST
                self.sizes.append(len(part.datagram))
                self.teller.sent(part)
                if number == lose:
                    continue
                out.sendto(part.datagram, (self.manager.endpoint.address, self.manager.endpoint.port))
                self.sent += 1
                yield self.manager.after(self.sent)

    def beaten(self) -> State:
        """The state after a whole beat."""
        return [*self.beat()][-1]

    def wrong(self, state: State, *, coarse: bool = False) -> dict[str, str]:
        """Members for which the database does not say what is; where `coarse`, healthy ones may read as unmonitored."""
        return {
            member: state.status["member"][member]
            for members in self.pools.values()
            for member, status in members.items()
            if state.status["member"][member] != TRUTH[status]
            and not (coarse and status.startswith("UP") and state.status["member"][member] == "NO_MONITOR")
        }

    def change(self, count: int, status: str, rng: random.Random) -> None:
        """Some members become something else."""
        where = [(members, member) for members in self.pools.values() for member in members]
        for members, member in rng.sample(where, count):
            members[member] = status


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HealthManager]:
    with HealthManager(tmp_path_factory.mktemp("health") / "octavia", KEY) as started:
        yield started


@pytest.mark.parametrize(
    ("pools", "members", "status"),
    [(0, 0, "UP"), (3, 5, "UP"), (10, 250, "UP"), (10, 20, "no check"), (40, 100, "no check"), (30, 100, "MAINT"), (1, 2700, "UP")],
)
def test_what_fits_is_exact_after_every_datagram(manager: HealthManager, pools: int, members: int, status: str) -> None:
    amphora = Amphora(manager, pools, members, status)
    if status == "no check":
        # Octavia itself makes them so.
        manager.have_all("member", "NO_MONITOR")
    rng = random.Random(7)
    for changed in (None, "DOWN", "DRAIN", "MAINT", status):
        if pools and changed:
            amphora.change(min(7, pools * members), changed, rng)
        for state in amphora.beat():
            assert amphora.wrong(state) == {}
            assert state.complaints == []
            assert state.health is not None
            assert set(state.status["listener"].values()) == {"ONLINE"}
        some_down = [any(each.startswith("DOWN") for each in each_pool.values()) for each_pool in amphora.pools.values()]
        assert list(state.status["pool"].values()).count("DEGRADED") == sum(some_down)
        assert state.status["load_balancer"][amphora.lb] == ("DEGRADED" if any(some_down) else "ONLINE")


def test_unmonitored_members_rest_and_a_message_stays_small(manager: HealthManager) -> None:
    amphora = Amphora(manager, 20, 500, "no check")
    manager.have_all("member", "NO_MONITOR")
    first = [amphora.wrong(state) for state in amphora.beat()]
    assert not any(first)
    for _ in range(3):
        amphora.beaten()
        assert len(amphora.sizes) == 1
        assert amphora.sizes[0] <= COMFORT
    rng = random.Random(1)
    for status in ("MAINT", "DOWN", "no check", "UP"):
        amphora.change(50, status, rng)
        state = amphora.beaten()
        assert amphora.wrong(state) == {}
        assert state.complaints == []


@pytest.mark.parametrize(("pools", "members"), [(1, 20_000), (100, 200), (1, 3_500)])
def test_more_than_a_datagram_can_tell_apart_is_as_true_as_the_receiver_allows(manager: HealthManager, pools: int, members: int) -> None:
    amphora = Amphora(manager, pools, members, "UP")
    state = amphora.beaten()
    assert amphora.wrong(state, coarse=True) == {}
    rng = random.Random(3)
    for status in ("DOWN", "DRAIN", "MAINT", "UP", "UP 1/3"):
        amphora.change(60, status, rng)
        for state in amphora.beat():
            assert amphora.wrong(state, coarse=True) == {}
        assert len(amphora.sizes) == 1
        assert amphora.sizes[0] <= COMFORT + 8_000
    assert state.complaints == []
    assert state.status["load_balancer"][amphora.lb] == "DEGRADED"
    # What a datagram that was lost has left untold comes to be told with the next ones.
    amphora.change(60, "MAINT", rng)
    assert [*amphora.beat(lose=0)] == []
    assert amphora.wrong(amphora.beaten(), coarse=True) == {}


def test_growing_beyond_a_datagram_marks_none_of_those_that_were_there_wrong(manager: HealthManager) -> None:
    amphora = Amphora(manager, 1, 2_600, "UP")
    assert amphora.wrong(amphora.beaten()) == {}
    [pool] = amphora.pools
    old = dict(amphora.pools[pool])
    new = [str(uuid.uuid4()) for _ in range(4_000)]
    manager.add_members(pool, new)
    amphora.pools[pool] |= dict.fromkeys(new, "UP")
    for state in amphora.beat():
        assert not amphora.wrong(state, coarse=True).keys() & old.keys()
    assert amphora.wrong(state, coarse=True) == {}
    # And back, to where there is some room again.
    for each in [*new, *list(old)[:600]]:
        del amphora.pools[pool][each]
    state = amphora.beaten()
    assert amphora.wrong(state) == {}
    assert state.complaints == []


def test_more_members_down_than_a_datagram_holds_leave_pools_and_load_balancer_true(manager: HealthManager) -> None:
    amphora = Amphora(manager, 5, 2_000, "DOWN")
    state = amphora.beaten()
    assert set(state.status["pool"].values()) == {"ERROR"}
    assert state.status["load_balancer"][amphora.lb] == "ERROR"
    assert set(amphora.wrong(state).values()) == {"OFFLINE"}
    assert len(amphora.wrong(state)) == amphora.teller.cut
    assert state.complaints == []
