"""One member's weight, or one member more, of 2 000: Hydria's way and a reload, in turn on the same machine.

A change begins when the request is sent. It has come into force when the running HAProxy shows it on its socket, and is over with the answer.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measuring import Table

ROOT = Path(__file__).parent.parent

#: A machine as far as an agent can see: its own processes and network, nothing in /run, /var/lib and /var/log.
_NAMESPACES = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--")
_MACHINE = """\
for place in /run /var/log; do mount -t tmpfs none $place; done
mount --bind "$1" /var/lib
shift
mkdir -p /run/netns /var/lib/octavia/certs
ip link set lo up
exec "$@"
"""

#: Way → what it is, and the reload that does the same.
WAYS = {
    "weight": ("a weight, PUT of the graph", "weight by reload"),
    "addition": ("a member more, PUT of the graph", "addition by reload"),
    "weight by reload": ("a weight, upload and reload", "weight by reload"),
    "addition by reload": ("a member more, upload and reload", "addition by reload"),
    "programs": ("a weight, the programs that Octavia's agent runs", "weight by reload"),
}


def run() -> Iterator[Table]:
    found = measured()
    yield _latencies(found)
    yield _steps(found)


def measured() -> dict[str, list[dict[str, Any]]]:
    """Way → its rounds, each with the milliseconds until `effect` and `answer`, and those of its `steps`."""
    # The agent's files are on a real disk, which is waited for.
    with tempfile.TemporaryDirectory() as directory:
        inside = [sys.executable, "-m", "benchmarks.changing_inside"]
        command = [*_NAMESPACES, "sh", "-ec", _MACHINE, "sh", directory, *inside]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, list[dict[str, Any]]] = json.loads(done.stdout)
    return found


def _latencies(found: dict[str, list[dict[str, Any]]]) -> Table:
    rendering = _median(found["rendering"], "effect")
    rows: list[tuple[str | float, ...]] = []
    for way, (name, by_reload) in WAYS.items():
        effect, reload = _median(found[way], "effect"), _median(found[by_reload], "effect")
        best = min(each["effect"] for each in found[way])
        rows.append((name, effect, best, _median(found[way], "answer"), reload / effect, (reload + rendering) / effect))
    rows.append(("Octavia's rendering of such a text", rendering, min(each["effect"] for each in found["rendering"]), "", "", ""))
    columns = ("change", "effect, median ms", "best", "answer, median", "reload takes times", "with the rendering")
    return Table("One change among 2,000 members", columns, rows)


def _steps(found: dict[str, list[dict[str, Any]]]) -> Table:
    kinds = ("weight", "addition")
    names = dict.fromkeys(name for kind in kinds for each in found[kind] for name in each["steps"])
    rows: list[tuple[str | float, ...]] = [
        (name, *(statistics.median(each["steps"].get(name, 0.0) for each in found[kind]) for kind in kinds)) for name in names
    ]
    return Table("Steps of such a PUT, as its answer tells them, median ms", ("step", *kinds), rows)


def _median(rounds: list[dict[str, Any]], what: str) -> float:
    return float(statistics.median(each[what] for each in rounds))
