"""`python -m benchmarks.soak [--changes N] [--reloads M] [--minutes T] [--json FILE]`: a load balancer that is changed all the time, under load.

Random changes of members, weights and certificates go to an agent while wrk asks over connections that stay and clients have long
connections open. Beside it, one after the other in the same run: the beginning of the same changes, each by a reload, which is how
Octavia's agent makes every change. (There, a timeout changes each time too: nothing that a running HAProxy can be told.)
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.footprint import MACHINE, NAMESPACES, ROOT
from benchmarks.measuring import Table

#: Where nobody says how many.
CHANGES, RELOADS = 10_000, 1_000
#: Beside other benchmarks.
_FEW = 200

_ROWS: dict[str, Callable[[dict[str, Any]], float]] = {
    "changes": lambda seen: seen["changes"],
    "of them without a reload": lambda seen: seen["ways"].get("runtime", 0),
    "HTTP requests": lambda seen: seen["requests"],
    "of them failed": lambda seen: seen["failed"],
    "long connections opened": lambda seen: seen["long"]["opened"],
    "of them broken": lambda seen: seen["long"]["broken"],
    "workers, most": lambda seen: max(look["workers"] for look in seen["looks"]),
    "workers, at the end": lambda seen: seen["looks"][-1]["workers"],
    "HAProxy's memory at first, MB": lambda seen: quarter(seen, "haproxy_mb", last=False),
    "in the last quarter, MB": lambda seen: quarter(seen, "haproxy_mb"),
    "the agent's memory at first, MB": lambda seen: quarter(seen, "agent_mb", last=False),
    "in the last quarter, MB ": lambda seen: quarter(seen, "agent_mb"),
    "CPU of the agent for a change, ms": lambda seen: 1000 * seen["cpu"]["agent"] / seen["changes"],
    "CPU of HAProxy for 1 000 requests, ms": lambda seen: 1e6 * seen["cpu"]["haproxy"] / seen["requests"],
    "requests a second": lambda seen: seen["requests"] / seen["seconds"],
    "a change takes, median, ms": lambda seen: seen["median_ms"],
    "a change takes, 99 of 100, ms": lambda seen: seen["p99_ms"],
}


def run() -> Iterator[Table]:
    """Few of them."""
    yield table([soaked("commands", _FEW), soaked("reloads", _FEW)])


def soaked(way: str, changes: int, minutes: float = 24 * 60) -> dict[str, Any]:
    """What came of changes by `commands` or by `reloads`; of fewer where the time is over before."""
    command = [
        *NAMESPACES,
        "sh",
        "-ec",
        MACHINE,
        "sh",
        sys.executable,
        "-m",
        "benchmarks.soak_inside",
        way,
        str(changes),
        str(60 * minutes),
    ]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def quarter(seen: Mapping[str, Any], of: str, *, last: bool = True) -> float:
    """The median of the first looks at something, or of the last."""
    looks = seen["looks"]
    few = max(1, len(looks) // 4)
    values = sorted(look[of] for look in (looks[-few:] if last else looks[:few]))
    return float(values[len(values) // 2])


def table(ways: list[dict[str, Any]]) -> Table:
    rows: list[tuple[str | float, ...]] = [(name.strip(), *(read(seen) for seen in ways)) for name, read in _ROWS.items()]
    return Table("A load balancer under load that is changed all the time", ("", *(f"by {seen['way']}" for seen in ways)), rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description="Changes a load balancer under load, again and again.")
    parser.add_argument("--changes", type=int, default=CHANGES, help="by commands (default: %(default)s)")
    parser.add_argument("--reloads", type=int, default=RELOADS, help="of the same changes, by reloads (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=24 * 60, help="for either, at most")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all that was seen there")
    options = parser.parse_args()
    seen = [soaked("commands", options.changes, options.minutes), soaked("reloads", options.reloads, options.minutes)]
    Console(width=160).print(table(seen).rendered())
    if options.json is not None:
        options.json.write_text(json.dumps({"table": table(seen).as_dict(), "ways": seen}, indent=2) + "\n")


if __name__ == "__main__":
    main()
