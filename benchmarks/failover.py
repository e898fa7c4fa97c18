"""How long a VIP is not answered when something fails: a pair as Hydria has it, beside keepalived with the defaults of Octavia's controller.

What is measured is what clients see: requests are begun every 10 ms, whatever became of the last ones; the time in which they are begun in vain, from
the first that fails, or is answered only at a second attempt of the client's kernel, until one is answered at once. `python -m benchmarks.failover` runs this alone, with --repetitions.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from rich.console import Console

from benchmarks.failover_labs import VIP, as_octavia, pair, settled
from benchmarks.measuring import Table
from hydria.lab import failing
from hydria.lab.lab import Lab
from hydria.lab.load import outage, silence, summary
from hydria.lab.loading import Loading, aim
from hydria.lab.switching import switch

REPETITIONS = 20
RATE = 100.0
#: Seconds of load before and, once there is an answer again, after; and how long to wait for that.
_BEFORE, _AFTER, _LONGEST = 0.5, 1.0, 30.0


class Failure(NamedTuple):
    """What is done to the master."""

    title: str
    act: Callable[[Lab, str], object]


FAILURES = (
    Failure("silent death: its ports on the bridges go down", lambda lab, master: failing.kill(lab, master, "cable")),
    Failure("its HAProxy is killed", lambda lab, master: failing.kill(lab, master, "haproxy")),
    Failure("its keepalived is killed", lambda lab, master: failing.kill(lab, master, "keepalived")),
)


class Failed(NamedTuple):
    seconds: float
    requests: int


def run(repetitions: int = REPETITIONS) -> Iterator[Table]:
    """Hydria's figures and Octavia's alternate, so that what else a machine does is shared by both."""
    columns = ("the master", "keepalived as", "repetitions", "median s", "worst s", "requests lost: median", "worst")
    rows: list[tuple[str | float, ...]] = []
    with pair("hydria") as hydria, pair("octavia") as octavia:
        as_octavia(octavia)
        for failure in FAILURES:
            found: dict[str, list[Failed]] = {"Hydria": [], "Octavia": []}
            for number in range(repetitions):
                found["Hydria"].append(measured(hydria, failure.act))
                if number % 3 == 0:
                    found["Octavia"].append(measured(octavia, failure.act))
            rows += [_row(failure.title, whose, several) for whose, several in found.items()]
        switches = [measured(hydria, lambda lab, _: switch(lab)) for _ in range(repetitions)]
        rows.append(_row("a switch that is wanted", "Hydria", switches))
    yield Table(f"Seconds in which {VIP} does not answer, at {RATE:g} requests a second", columns, rows)


def measured(lab: Lab, act: Callable[[Lab, str], object]) -> Failed:
    """One failure, and all made good again."""
    master = settled(lab)
    with Loading(lab, aim(lab), RATE) as loading:
        time.sleep(_BEFORE)
        since = loading.now()
        act(lab, master)
        while outage(loading.results, since) is None and loading.now() < since + _LONGEST:
            time.sleep(0.01)
        time.sleep(_AFTER)
    return Failed(silence(loading.results, since).seconds, summary(loading.results).failed)


def _row(title: str, whose: str, found: list[Failed]) -> tuple[str | float, ...]:
    seconds = sorted(one.seconds for one in found)
    lost = sorted(one.requests for one in found)
    return (title, whose, len(found), statistics.median(seconds), seconds[-1], statistics.median(lost), lost[-1])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.failover", description="Measures failovers.")
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    for table in run(parser.parse_args().repetitions):
        Console(width=160).print(table.rendered())


if __name__ == "__main__":
    main()
