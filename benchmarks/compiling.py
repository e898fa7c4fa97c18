"""From JSON text to all files: beside Octavia's renderer on the same load balancer, growth, memory, and the command's start.

Octavia (PyPI's, in an environment of its own, `.venv/octavia`) starts from ready objects and ends with text; Hydria starts from JSON and
ends with files, checked, with a source map and a digest. They run in turn, so that both see the same machine.
"""

from __future__ import annotations

import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import compiler
from benchmarks.measuring import Table

ROOT = Path(__file__).parent.parent
OCTAVIA = ROOT / ".venv" / "octavia" / "bin" / "python"
ROUNDS = 15


def run() -> Iterator[Table]:
    yield _beside_octavia()
    yield _growth()
    yield _start()


def graph(listeners: int, members: int) -> bytes:
    """A load balancer as its API's JSON: so many HTTP listeners, each with a monitored pool of so many members."""
    dice = random.Random(7)

    def identifier() -> str:
        return str(uuid.UUID(int=dice.getrandbits(128), version=4))

    def pool(number: int) -> dict[str, object]:
        return {
            "id": identifier(),
            "name": f"pool-{number}",
            "protocol": "HTTP",
            "lb_algorithm": "ROUND_ROBIN",
            "healthmonitor": {"id": identifier(), "type": "HTTP", "delay": 5, "timeout": 3, "max_retries": 2, "url_path": "/health"},
            "members": [
                {
                    "id": identifier(),
                    "name": f"member-{place}",
                    "address": f"10.{number % 256}.{place // 256 % 256}.{place % 256}",
                    "protocol_port": 8080 + place // 65536,
                    "weight": 1,
                    "backup": False,
                    "admin_state_up": True,
                    "subnet_id": identifier(),
                }
                for place in range(members)
            ],
        }

    listening = [
        {
            "id": identifier(),
            "name": f"listener-{number}",
            "protocol": "HTTP",
            "protocol_port": 8000 + number,
            "insert_headers": {"X-Forwarded-For": "true"},
            "default_pool": pool(number),
        }
        for number in range(listeners)
    ]
    return json.dumps({"loadbalancer": {"id": identifier(), "name": "lb", "vip_address": "192.0.2.1", "listeners": listening}}).encode()


def _compile(text: bytes) -> compiler.Bundle:
    bundle = compiler.build(compiler.load(text))
    if not bundle.ok:
        raise RuntimeError(str(bundle.problems[0]))
    return bundle


def _seconds(text: bytes) -> float:
    begin = time.perf_counter()
    _compile(text)
    return time.perf_counter() - begin


_TURNS = """
import sys
from benchmarks import compiling
text = open(sys.argv[1], "rb").read()
compiling._compile(text)
for _ in sys.stdin:
    print(compiling._seconds(text), flush=True)
"""


def _beside_octavia() -> Table:
    """Each in a process of its own, in turn."""
    octavia: list[float] = []
    hydria: list[float] = []
    with tempfile.NamedTemporaryFile() as text, ExitStack() as stack:
        text.write(graph(100, 200))
        text.flush()
        begin = partial(subprocess.Popen, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        peer = stack.enter_context(begin([OCTAVIA, "-W", "ignore", "benchmarks/octavia_rendering.py", "100", "200"]))
        ours = stack.enter_context(begin([sys.executable, "-c", _TURNS, text.name]))
        for _ in range(ROUNDS):
            for process, seconds in ((peer, octavia), (ours, hydria)):
                if process.stdin is None or process.stdout is None:
                    raise RuntimeError("a pipe is missing")
                process.stdin.write("\n")
                process.stdin.flush()
                seconds.append(float(process.stdout.readline()))
        for process in (peer, ours):
            if process.stdin is not None:
                process.stdin.close()
    rows: list[tuple[str | float, ...]] = [
        ("Octavia: ready objects → text", statistics.median(octavia) * 1000, min(octavia) * 1000, 1.0),
        (
            "Hydria: JSON → checked files, map, digest",
            statistics.median(hydria) * 1000,
            min(hydria) * 1000,
            statistics.median(octavia) / statistics.median(hydria),
        ),
    ]
    return Table("100 listeners of 200 members each", ("what", "median ms", "best ms", "times as fast"), rows)


_GROW = """
import sys, tracemalloc
from benchmarks import compiling
compiling._compile(compiling.graph(1, 1))
text = sys.stdin.buffer.read()
seconds = min(compiling._seconds(text) for _ in range(3))
tracemalloc.start()
compiling._compile(text)
print(seconds, tracemalloc.get_traced_memory()[1])
"""


def _growth() -> Table:
    """Each size in a process of its own. Memory is the most that Python had allocated at once, without the text that is read."""
    rows: list[tuple[str | float, ...]] = []
    for listeners, members in ((1, 20), (1, 200), (10, 200), (100, 200), (100, 1000), (100, 2000)):
        text = graph(listeners, members)
        finished = subprocess.run([sys.executable, "-c", _GROW], input=text, capture_output=True, check=True, cwd=ROOT)
        seconds, peak = map(float, finished.stdout.split())
        count = listeners * members
        rows.append((f"{count:,} members", seconds * 1000, seconds / count * 1e6, peak / count))
    return Table("growth", ("size", "ms", "µs a member", "peak bytes a member"), rows)


def _start() -> Table:
    """CPU time of the command's start, as its children's user and system time."""
    seconds = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "hydria", "--help"], capture_output=True, check=True, cwd=ROOT)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return Table("start", ("what", "CPU s"), [("hydria --help", min(seconds))])
