"""From `member create` to traffic at the member, through all of Octavia: with Hydria's amphora driver and with Octavia's own, in turn in one run.

A change begins when the API is sent its POST, as `openstack loadbalancer member create` sends it (the command's own start, seconds of CPU, is no part of it).
It has come into force when a client's request is answered by the member: 48 clients begin a request every 10 ms, and with three members every third one is the new
member's. Lost is what any client asked meanwhile in vain, until the load balancer is ACTIVE again and the member has been deleted.

What Octavia's own driver uploads is changed without a reload by Hydria's agent where HAProxy can: members of a pool that is balanced in turn. HAProxy cannot where
clients are told apart by a table (Octavia's SOURCE_IP): there each change is the reload that it is for Octavia's own agent in any case. Both are measured.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

from rich.console import Console

from benchmarks.measuring import Table
from benchmarks.octavia_keeping import Keeping
from benchmarks.octavia_labs import VIP, Api, load, octavia_lab, wait
from hydria.lab.load import Aim
from hydria.lab.loading import Loading
from hydria.lab.octavia_plan import CLIENT_ADDRESSES

REPETITIONS = 200
RATE = 100.0
#: The member that comes and goes, and those that stay.
_NEW, _OLD = "member-3", ("member-1", "member-2")
#: Seconds of traffic before a change.
_BEFORE = 0.2


class Way(NamedTuple):
    """An amphora driver, and what it does."""

    driver: str
    title: str


WAYS = (Way("hydria", "hydria"), Way("octavia", "Octavia's own"))
#: Octavia's names of algorithms, and how many rounds of each are made for one of the first.
ALGORITHMS = {"SOURCE_IP": 1.0, "ROUND_ROBIN": 0.25}
_CLIENTS = [address.partition("/")[0] for address in CLIENT_ADDRESSES if "." in address]


class Created(NamedTuple):
    """Seconds from the request to the API's answer, to traffic at the member, to ACTIVE; of requests over connections of their own, all and those
    that were lost; of clients that keep their connections, requests, those that were lost, connections that were ended. Whether there was a reload when it was created.
    """

    answered: float
    traffic: float
    active: float
    requests: int
    lost: int
    asked: int
    lost_kept: int
    ended: int
    reloaded: bool


def run(repetitions: int = REPETITIONS) -> Iterator[Table]:
    """The ways take turns, so that what else a machine does is shared by both."""
    for algorithm, share in ALGORITHMS.items():
        found = measured(algorithm, max(int(repetitions * share), 1))
        yield _times(algorithm, found)
        yield _losses(algorithm, found)


def measured(algorithm: str, repetitions: int) -> dict[str, list[Created]]:
    """Driver → its rounds."""
    found: dict[str, list[Created]] = {way.driver: [] for way in WAYS}
    with ExitStack() as stack:
        labs = {way.driver: Api(stack.enter_context(octavia_lab(way.driver, driver=way.driver, members=3))) for way in WAYS}
        pools = {driver: api.load_balancer(algorithm) for driver, api in labs.items()}
        for driver, api in labs.items():
            for name in _OLD:
                api.member(pools[driver], name)
                api.active()
        for number in range(repetitions):
            for driver in sorted(labs, reverse=bool(number % 2)):
                found[driver].append(created(labs[driver], pools[driver]))
    return found


def created(api: Api, pool: str) -> Created:
    """One that is created under load, and deleted."""
    [machine] = [f"amphora-{one['id']}" for one in api.amphorae()]
    aim = Aim([VIP], 80, _CLIENTS)
    before = _workers(api, machine)
    with Keeping(api.lab, VIP, 80) as keeping, Loading(api.lab, aim, RATE, amphorae={}) as loading:
        time.sleep(_BEFORE)
        since, at = loading.now(), time.monotonic()
        member = api.member(pool, _NEW)
        answered = time.monotonic() - at
        # The API's process does the work, too: it is not asked before that is done.
        wait(lambda: any(one.member == _NEW for one in loading.results), f"traffic at {_NEW}", 0.02)
        active = api.active() - at
        reloaded = not _workers(api, machine) <= before
        api.change("DELETE", f"pools/{pool}/members/{member}")
        api.active()
    first = min(one.ended for one in loading.results if one.member == _NEW)
    lost = sum(1 for one in loading.results if one.error)
    return Created(answered, first - since, active, len(loading.results), lost, *keeping.counts, reloaded)


def _workers(api: Api, machine: str) -> set[int]:
    """Processes of HAProxy's: a reload is a new one."""
    return {one["pid"] for one in api.lab.processes(machine) if one["name"] == "haproxy"}


def _times(algorithm: str, found: dict[str, list[Created]]) -> Table:
    rows: list[tuple[str | float, ...]] = []
    for way in WAYS:
        several = found[way.driver]
        traffic = sorted(one.traffic for one in several)
        answered, active = (statistics.median(each) for each in ([one.answered for one in several], [one.active for one in several]))
        worst = (traffic[len(traffic) * 95 // 100], traffic[-1])
        reloads = sum(one.reloaded for one in several)
        rows.append((way.title, len(several), reloads, answered, statistics.median(traffic), *worst, active))
    ratio = [theirs.traffic / ours.traffic for ours, theirs in zip(found["hydria"], found["octavia"], strict=True)]
    rows.append(("Octavia's own takes times", len(ratio), "", "", statistics.median(ratio), "", "", ""))
    columns = (
        "amphora driver",
        "times",
        "reloads",
        "API's answer, median s",
        "traffic, median s",
        "95 of 100",
        "worst",
        "ACTIVE, median s",
    )
    return Table(f"{algorithm}: from member create to traffic at the member; load {load()} on {os.cpu_count()} cores", columns, rows)


def _losses(algorithm: str, found: dict[str, list[Created]]) -> Table:
    columns = (
        "amphora driver",
        "requests, a connection each",
        "lost",
        "requests over kept connections",
        "lost (kept)",
        "connections ended",
    )
    rows: list[tuple[str | float, ...]] = []
    for way in WAYS:
        several = found[way.driver]
        kept = (sum(one.asked for one in several), sum(one.lost_kept for one in several), sum(one.ended for one in several))
        rows.append((way.title, sum(one.requests for one in several), sum(one.lost for one in several), *kept))
    return Table(f"{algorithm}: requests meanwhile, in all rounds together: a member is created and deleted", columns, rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.octavia_members", description="Measures how soon a member has traffic.")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    for table in run(parser.parse_args().repetitions):
        Console(width=200).print(table.rendered())


if __name__ == "__main__":
    main()
