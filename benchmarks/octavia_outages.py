"""What clients notice while Octavia's control plane is away, and while it replaces amphorae; and how long it takes until all is well again.

* *outage*: API with worker, health manager and housekeeping are killed for longer than an amphora may be silent, and a member fails meanwhile;
* *database*: all of them run, but nobody can write to the database (somebody else has its lock), for longer than an amphora may be silent;
* *failover*: the master's power is cut, or a failover is asked for: by Hydria's driver with the lab's intervals, and by Octavia's own with Octavia's
  (a heartbeat every ten seconds, sixty without one), in turn.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from typing import Any, NamedTuple

from rich.console import Console

from benchmarks.measuring import Table
from benchmarks.octavia_labs import VIP, Api, load, octavia_lab, wait
from hydria.lab import octavia_failing
from hydria.lab.load import Aim, silence, summary
from hydria.lab.loading import Loading

REPETITIONS = 3
RATE = 100.0
#: Seconds between heartbeats and without one until an amphora is replaced: in the first two measurements, which are shorter so.
_BEATS, _PATIENCE = 1, 10
#: Seconds of an outage, and of what comes after it: an amphora that is taken for dead would be replaced by then.
_AWAY, _AFTER = 30.0, 25.0
_MEMBER = "member-2"
#: Octavia's file of a database, in the lab's directory.
_DATABASE = "octavia.sqlite"
_LOCKED = "nobody can write to the database"


class Way(NamedTuple):
    """An amphora driver, with seconds between heartbeats and until an amphora that has sent none is replaced."""

    driver: str
    beats: int
    patience: int

    @property
    def title(self) -> str:
        """As tables tell it."""
        return f"{self.driver}, {self.beats}/{self.patience} s"


WAYS = (Way("hydria", 3, 30), Way("octavia", 10, 60))


class Failover(NamedTuple):
    """Seconds in which requests were begun in vain; requests, and those lost; seconds until the load balancer had as many amphorae as before, and was ACTIVE."""

    silent: float
    requests: int
    lost: int
    whole: float


def run(repetitions: int = REPETITIONS) -> Iterator[Table]:
    yield _outages()
    yield _failovers(repetitions)


def _outages() -> Table:
    with octavia_lab("outage", pair=True, beats=_BEATS, patience=_PATIENCE) as lab:
        api = Api(lab)
        pool = api.load_balancer()
        checked = {"type": "HTTP", "delay": 2, "timeout": 1, "max_retries": 1, "max_retries_down": 1, "pool_id": pool}
        api.change("POST", "healthmonitors", {"healthmonitor": checked})
        api.active()
        members = {}
        for name in lab.octavia.places:
            members[name] = api.member(pool, name)
            api.active()
        seen = _Seen(api, pool, members)
        wait(lambda: set(seen.statuses().values()) == {"ONLINE"}, "members that are ONLINE")
        rows = [seen.outage("API, worker, health manager, housekeeping are killed", _kill, _start, "ERROR", octavia_failing.kill)]
        with closing(sqlite3.connect(lab.directory / _DATABASE, timeout=60, isolation_level=None)) as lock:
            back: Callable[[Any, str], object] = octavia_failing.heal
            rows.append(seen.outage(_LOCKED, lambda _: lock.execute("BEGIN IMMEDIATE"), lambda _: lock.execute("ROLLBACK"), "ONLINE", back))
    columns = ("outage", "away, s", "requests", "lost", "a change", "API, s", "statuses, s", "a change, s", "amphorae replaced")
    title = f"Traffic at {RATE:g} requests a second, and seconds until all is well; load {load()} on {os.cpu_count()} cores"
    return Table(title, columns, rows)


class _Seen:
    """What is seen of a load balancer whose control plane goes away."""

    def __init__(self, api: Api, pool: str, members: dict[str, str]) -> None:
        self._api = api
        self._pool = pool
        self._members = members

    def statuses(self) -> dict[str, str]:
        """Of members, by their names."""
        found = self._api.lab.ask(f"/v2.0/lbaas/pools/{self._pool}/members")["members"]
        return {one["name"]: one["operating_status"] for one in found}

    def outage(
        self, title: str, begin: Callable[[Api], object], end: Callable[[Api], object], shown: str, act: Callable[[Any, str], object]
    ) -> tuple[str | float, ...]:
        """One, in which `act` does something to a member, which the API is to show as `shown` once it can."""
        lab = self._api.lab
        were = {one["id"] for one in self._api.amphorae()}
        with Loading(lab, Aim([VIP], 80), RATE, amphorae={}) as loading:
            begin(self._api)
            began = time.monotonic()
            time.sleep(2)
            act(lab, _MEMBER)
            refused = self._change() if title == _LOCKED else "not there"
            time.sleep(max(began + _AWAY - time.monotonic(), 0))
            end(self._api)
            over = time.monotonic()
            wait(self._answers, "an answer of the API", 0.1)
            answered = time.monotonic() - over
            wait(lambda: self.statuses()[_MEMBER] == shown, f"{_MEMBER} {shown}", 0.1)
            told = time.monotonic() - over
            self._api.active()
            again = time.monotonic()
            weight = {"member": {"weight": 2 if shown == "ERROR" else 3}}
            self._api.change("PUT", f"pools/{self._pool}/members/{self._members['member-3']}", weight)
            changed = self._api.active() - again
            time.sleep(max(over + _AFTER - time.monotonic(), 0))
        found = summary(loading.results)
        replaced = len(were - {one["id"] for one in self._api.amphorae()})
        return (title, over - began, found.requests, found.failed, refused, answered, told, changed, replaced)

    def _change(self) -> str:
        """What a change is answered while nobody can write."""
        try:
            self._api.change("PUT", f"pools/{self._pool}/members/{self._members['member-3']}", {"member": {"weight": 1}})
        except (OSError, RuntimeError) as error:
            return str(error).partition(": ")[2][:60]
        return "accepted"

    def _answers(self) -> bool:
        with suppress(OSError):
            return bool(self.statuses())
        return False


def _kill(api: Api) -> None:
    for role in api.lab.roles:
        octavia_failing.kill(api.lab, role)


def _start(api: Api) -> None:
    for role in api.lab.roles:
        octavia_failing.heal(api.lab, role)


def _failovers(repetitions: int) -> Table:
    found: dict[tuple[str, Way], list[Failover]] = {}
    with ExitStack() as stack:
        labs = {}
        for way in WAYS:
            wishes: dict[str, Any] = {"driver": way.driver, "beats": way.beats, "patience": way.patience}
            api = Api(stack.enter_context(octavia_lab(f"f-{way.driver}", pair=True, members=2, **wishes)))
            pool = api.load_balancer()
            for name in api.lab.octavia.places:
                api.member(pool, name)
                api.active()
            labs[way] = api
        for _ in range(repetitions):
            for title, act in (("the master's power is cut", _cut), ("a failover is asked for", _ask)):
                for way, api in labs.items():
                    found.setdefault((title, way), []).append(_failover(api, act))
    columns = (
        "failover",
        "driver, beats",
        "times",
        "silent, median s",
        "worst",
        "requests",
        "lost",
        "most at once",
        "whole again, median s",
        "worst s",
    )
    rows: list[tuple[str | float, ...]] = []
    for (title, way), several in found.items():
        silent, whole, lost = ([getattr(one, what) for one in several] for what in ("silent", "whole", "lost"))
        sums = (sum(one.requests for one in several), sum(lost), max(lost))
        rows.append((title, way.title, len(several), statistics.median(silent), max(silent), *sums, statistics.median(whole), max(whole)))
    return Table(f"Failover of amphorae at {RATE:g} requests a second; load {load()} on {os.cpu_count()} cores", columns, rows)


def _cut(api: Api) -> set[str]:
    """Those that are to be replaced, of which the master's power is cut."""
    [master] = [one["id"] for one in api.amphorae() if one["role"] == "MASTER"]
    octavia_failing.kill(api.lab, master)
    return {master}


def _ask(api: Api) -> set[str]:
    """Both, which the API is asked to replace."""
    were = {one["id"] for one in api.amphorae()}
    api.change("PUT", f"loadbalancers/{api.lb}/failover")
    return were


def _failover(api: Api, act: Callable[[Api], set[str]]) -> Failover:
    # Both have told that they are there, and VRRP has settled.
    time.sleep(5)
    with Loading(api.lab, Aim([VIP], 80), RATE, amphorae={}) as loading:
        time.sleep(0.5)
        since, began = loading.now(), time.monotonic()
        going = act(api)

        def replaced() -> bool:
            return len(now := {one["id"] for one in api.amphorae()}) == 2 and not going & now

        wait(replaced, "another amphora", 0.2)
        whole = api.active() - began
        time.sleep(1)
    found = summary(loading.results)
    return Failover(silence(loading.results, since).seconds, found.requests, found.failed, whole)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.octavia_outages", description="Measures outages and failovers of Octavia's amphorae."
    )
    parser.add_argument("--repetitions", type=int, default=REPETITIONS, help="of each failover")
    for table in run(parser.parse_args().repetitions):
        Console(width=220).print(table.rendered())


if __name__ == "__main__":
    main()
