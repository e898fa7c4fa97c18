"""Heartbeats of many amphorae into Octavia's health manager: which are accepted, which amphorae it takes for dead, and what it can do no more of first.

Amphorae are simulated: their rows are in Octavia's database, and this process sends their heartbeats, as the agent words, packs and signs them, evenly in each
interval. The health manager is Octavia's own, with its default intervals and its default number of processes, on the database that a lab has.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from agent.heartbeat.counters import Counts
from agent.heartbeat.message import ListenerState, PoolState, document, seal
from benchmarks.measuring import Table
from benchmarks.octavia_labs import PYTHON, load, wait

COUNTS = (1000, 2000, 3000)
#: Octavia's defaults: seconds between heartbeats, and without one until an amphora is dead.
_INTERVAL, _TIMEOUT = 10, 60
#: Seconds of heartbeats: the health manager looks for dead amphorae only after `_TIMEOUT`.
SECONDS = 100
_SIDE = Path(__file__).with_name("octavia_fleet_side.py")
_KEY = "fleet"


class Beaten(NamedTuple):
    """Of so many amphorae: heartbeats sent a second; those that the kernel had no room for; amphorae with a health of the last interval and a half at the end;
    heartbeats that came too late to count; amphorae taken for dead; milliseconds of CPU of a heartbeat, by process.
    """

    amphorae: int
    rate: float
    dropped: int
    fresh: int
    late: int
    dead: int
    cpu: dict[str, float]


def run(counts: tuple[int, ...] = COUNTS, seconds: int = SECONDS) -> Iterator[Table]:
    found = [beaten(count, seconds) for count in counts]
    columns = ("amphorae", "sent a second", "dropped by the kernel", "up to date at the end", "ignored, too late", "taken for dead")
    rows: list[tuple[str | float, ...]] = [(one.amphorae, one.rate, one.dropped, one.fresh, one.late, one.dead) for one in found]
    yield Table(f"Heartbeats every {_INTERVAL} s; load {load()} on {os.cpu_count()} cores", columns, rows)
    names = list(found[0].cpu)
    costs: list[tuple[str | float, ...]] = [(one.amphorae, *(one.cpu[name] for name in names)) for one in found]
    # Where heartbeats were not worked on, the cost of one is not what is measured. A core has nothing left at so many amphorae, where one does a kind of work.
    if whole := [one for one in found if one.fresh == one.amphorae and not one.late]:
        last = whole[-1].cpu
        costs.append(("amphorae that a core would do", *(1000 * _INTERVAL / last[name] if last[name] else "" for name in names)))
        costs.append(("of all kinds", 1000 * _INTERVAL / sum(last.values()), *("" for _ in names[1:])))
    yield Table("CPU of a heartbeat that was sent, ms, by processes of the health manager", ("amphorae", *names), costs)


def beaten(count: int, seconds: int) -> Beaten:
    """One fleet, for so long."""
    with tempfile.TemporaryDirectory() as directory:
        base = Path(directory)
        database = base / "octavia.sqlite"
        made = subprocess.run([PYTHON, "-W", "ignore", _SIDE, "rows", database, str(count)], stdout=subprocess.PIPE, check=True)
        amphorae = [json.loads(line) for line in made.stdout.splitlines()]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        (base / "octavia.conf").write_text(_configuration(database, port))
        command: list[str | Path] = [PYTHON, "-W", "ignore", _SIDE, "manager", base / "octavia.conf"]
        with (base / "manager.log").open("wb") as log, subprocess.Popen(command, stderr=log, start_new_session=True) as manager:
            try:
                wait(lambda: _inode(port) is not None, "a health manager")
                _renew(database)
                before = {name: _cpu(pids) for name, pids in _processes(manager.pid).items()}
                sent, took = _send(amphorae, port, seconds)
                fresh, dead = _state(database)
                dropped = _drops(port)
                used = {name: _cpu(pids) - before.get(name, 0.0) for name, pids in _processes(manager.pid).items()}
            finally:
                os.killpg(manager.pid, signal.SIGKILL)
        said = (base / "manager.log").read_text(errors="replace")
    late = said.count("was processed too slowly")
    return Beaten(
        count, sent / took, dropped, fresh, late, dead, {name: 1000 * each / max(sent - dropped, 1) for name, each in used.items()}
    )


def _configuration(database: Path, port: int) -> str:
    sections: dict[str, dict[str, Any]] = {
        "DEFAULT": {"transport_url": "fake://", "use_stderr": True},
        "database": {"connection": f"sqlite:///{database}?timeout=60", "pool_timeout": "", "sqlite_synchronous": False},
        "controller_worker": {
            "amphora_driver": "amphora_noop_driver",
            "compute_driver": "compute_noop_driver",
            "network_driver": "network_noop_driver",
            "event_notifications": False,
        },
        "health_manager": {
            "bind_ip": "127.0.0.1",
            "bind_port": port,
            "heartbeat_key": _KEY,
            "heartbeat_interval": _INTERVAL,
            "heartbeat_timeout": _TIMEOUT,
        },
    }
    return "".join(f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in each.items()) for name, each in sections.items())


def _send(amphorae: list[dict[str, Any]], port: int, seconds: int) -> tuple[int, float]:
    """Sends heartbeats for so long; how many, and how long it was."""
    begin, sent = time.monotonic(), 0
    rate = len(amphorae) / _INTERVAL
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        sending.connect(("127.0.0.1", port))
        while (now := time.monotonic() - begin) < seconds:
            if sent >= now * rate:
                time.sleep(0.002)
                continue
            round_, place = divmod(sent, len(amphorae))
            one = amphorae[place]
            listeners = {one["listener"]: ListenerState("OPEN", 3, Counts(1000, 5000, 10))}
            pools = {f"{one['pool']}:{one['listener']}": PoolState("UP", dict.fromkeys(one["members"], "UP"))}
            sending.send(seal(document(one["amphora"], round_, listeners, pools), _KEY))
            sent += 1
    return sent, time.monotonic() - begin


def _renew(database: Path) -> None:
    """Amphorae have been heard of now, and not when their rows were made."""
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        connection.execute("UPDATE amphora_health SET last_update = strftime('%Y-%m-%d %H:%M:%f', 'now') || '000'")


def _state(database: Path) -> tuple[int, int]:
    """Amphorae that are up to date, and those that are taken for dead: being replaced, or older than allowed."""
    with closing(sqlite3.connect(database, timeout=60)) as connection:
        new, old = (f"datetime('now', '-{seconds} seconds')" for seconds in (_INTERVAL * 1.5, _TIMEOUT))
        [fresh] = connection.execute(f"SELECT count(*) FROM amphora_health WHERE last_update > {new}").fetchone()
        [dead] = connection.execute(f"SELECT count(*) FROM amphora_health WHERE busy OR last_update < {old}").fetchone()
    return int(fresh), int(dead)


def _processes(manager: int) -> dict[str, list[int]]:
    """What its processes are for → their ids: of its two children the first one receives, and has workers for health, then as many for statistics."""
    first, *others = _children(manager)
    workers = _children(first)
    half = len(workers) // 2
    return {"receives": [first], "health": workers[:half], "statistics": workers[half:], "looks for the dead": others}


def _children(pid: int) -> list[int]:
    """In the order in which they were made."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if int(_stat(int(entry.name))[1]) == pid:
                    found.append(int(entry.name))
    return sorted(found)


def _cpu(pids: list[int]) -> float:
    """Seconds of CPU that they have had."""
    return sum(int(each) for pid in pids for each in _stat(pid)[11:13]) / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    """What /proc tells of a process after its name: its state, its parent, …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _line(port: int) -> list[str] | None:
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{port:04X}"):
            return fields
    return None


def _inode(port: int) -> str | None:
    fields = _line(port)
    return fields[9] if fields else None


def _drops(port: int) -> int:
    fields = _line(port)
    return int(fields[-1]) if fields else 0


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.octavia_fleet", description="Measures how many amphorae a health manager can listen to."
    )
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    options = parser.parse_args()
    for table in run(tuple(options.counts), options.seconds):
        Console(width=160).print(table.rendered())


if __name__ == "__main__":
    main()
