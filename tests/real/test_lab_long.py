"""Labs in which a lot goes wrong, again and again: all converges, nothing accumulates, and nobody is told what is not so. Minutes each."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from support.labs import graph, healed, lab
from support.polling import eventually

from hydria.lab import bridges, failing
from hydria.lab.load import Result
from hydria.lab.loading import Loading, aim
from hydria.lab.looking import look
from hydria.lab.namespaces import inside
from hydria.lab.topology import Wishes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hydria.lab.lab import Lab

pytestmark = pytest.mark.slow

CYCLES = 100
RATE = 40.0
MEMBERS, ROUNDS = 200, 12
DELAY = 2


def inventory(pair: Lab) -> dict[str, dict[str, Any]]:
    """What there is on the master and on the standby: processes, addresses, rules, packet filters, files in /run/hydria; nothing where there is no
    one master.
    """
    holders = pair.holders()
    if len(holders) != 1:
        return {}
    [master] = holders
    found = {}
    for one in pair.plan.amphorae:
        with inside(pair.traffic(one.name)):
            said = [
                subprocess.run(words, capture_output=True, text=True, check=True).stdout for words in (["ip", "rule"], ["ip", "-6", "rule"])
            ]
            said.append(subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout)
        own = {one.address, *(address.partition("/")[0] for address in one.members)}
        listed = subprocess.run(
            ["ls", f"/proc/{pair.first_process(one.name)}/root/run/hydria"], capture_output=True, text=True, check=True
        ).stdout
        found["master" if one.name == master else "standby"] = {
            "processes": Counter(each["name"] for each in pair.processes(one.name)),
            "addresses": sorted(each for each in bridges.addresses(pair.traffic(one.name)) - own if not each.startswith("fe80")),
            "rules": said,
            "files": listed.split(),
        }
    return found


def states(pair: Lab) -> set[tuple[int, str]]:
    """Generation and state, as the agents say."""
    with pair.driving() as clients:
        told = [client.loadbalancer_status(pair.plan.lb) for client in clients.values()]
    return {(one.generation, one.state) for one in told}


def unexplained(results: Sequence[Result], windows: Sequence[tuple[float, float]]) -> list[Result]:
    """Failed requests that were in progress at no time at which something was wrong."""
    return [one for one in results if one.error and not any(one.began <= end and one.ended >= begin for begin, end in windows)]


def test_a_hundred_failures_converge() -> None:
    chance = random.Random(9)
    with lab("cycles") as pair, Loading(pair, aim(pair), RATE) as loading:
        healed(pair)
        before = inventory(pair)
        windows: list[tuple[float, float]] = []
        for cycle in range(CYCLES):
            amphora, what = chance.choice(pair.plan.amphorae).name, chance.choice(failing.WHATS)
            begin = loading.now()
            failing.kill(pair, amphora, what)
            time.sleep(chance.uniform(0, 1))
            healed(pair)
            eventually(lambda: inventory(pair) == before, f"cycle {cycle}, {what} of {amphora}: all as it was before", 30)
            eventually(lambda: states(pair) == {(1, "ACTIVE")}, f"cycle {cycle}, {what} of {amphora}: both serve the same", 30)
            windows.append((begin, loading.now()))
    results = loading.results
    assert unexplained(results, windows) == []
    failed = Counter(one.error for one in results if one.error)
    sys.stdout.write(f"{CYCLES} failures, {len(results)} requests, of which failed: {dict(failed)}\n")


def test_what_heartbeats_tell_of_members_that_flap_is_so() -> None:
    """A third of them fail and recover; those that are known to be down are sent nothing."""
    chance = random.Random(10)
    described = graph()
    described["listeners"] = described["listeners"][:1]
    described["pools"][0] |= {
        "healthmonitor": {"type": "HTTP", "delay": DELAY, "timeout": 1, "max_retries": 1, "max_retries_down": 1, "url_path": "/health"},
        "session_persistence": None,
    }
    with lab("flapping", Wishes(members=MEMBERS), described) as pair, Loading(pair, aim(pair), RATE):
        names = [one.name for one in pair.plan.backends]
        down: set[str] = set()
        lags = []
        for _ in range(ROUNDS):
            flapping = set(chance.sample(names, MEMBERS // 3))
            pair.attendant("answer", names=sorted(flapping - down), path="/health", status=503)
            pair.attendant("answer", names=sorted(flapping & down), path="/health", status=200)
            down ^= flapping
            lags.append(until_told(pair, down))
            sent = answered(pair)
            time.sleep(DELAY)
            assert {name for name, count in answered(pair).items() if count > sent[name]} & down == set()
    sys.stdout.write(f"heartbeats were right after {sorted(round(lag, 1) for lag in lags)} s; checks every {DELAY} s, beats every second\n")


def until_told(pair: Lab, down: set[str]) -> float:
    """Seconds until heartbeats of both tell what is so."""
    began = time.monotonic()
    eventually(lambda: wrong(pair, down) == [], "heartbeats of both that tell what is so", 60)
    return time.monotonic() - began


def wrong(pair: Lab, down: set[str]) -> list[str]:
    """Members of which not both amphorae tell what is so."""
    return [
        one.name
        for one in look(pair).members
        if len(one.told) != 2 or any(state.startswith("UP") == (one.name in down) for state in one.told.values())
    ]


def answered(pair: Lab) -> dict[str, int]:
    return {one.name: one.answered for one in look(pair).members}
