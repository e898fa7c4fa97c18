"""`python -m benchmarks [NAME …] [--json FILE]`: runs all benchmarks or those named, prints their tables, and writes them as JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path

from rich.console import Console

from benchmarks import changing, compiling, failover, footprint, hashing, heartbeats, metrics, soak, stats

BENCHMARKS = {
    "changing": changing.run,
    "compiling": compiling.run,
    "failover": failover.run,
    "footprint": footprint.run,
    "hashing": hashing.run,
    "heartbeats": heartbeats.run,
    "metrics": metrics.run,
    "soak": soak.run,
    "stats": stats.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures what Hydria claims to be fast at.")
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"one of {', '.join(BENCHMARKS)}; all without")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the tables there, too")
    options = parser.parse_args()
    if unknown := set(options.names) - BENCHMARKS.keys():
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    # A table is as wide as it needs to be where nobody looks at it on a screen.
    console = Console() if os.isatty(1) else Console(width=160)
    tables = []
    for name in options.names or BENCHMARKS:
        for table in BENCHMARKS[name]():
            console.print(table.rendered())
            tables.append({"benchmark": name, **table.as_dict()})
    if options.json is not None:
        machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count()}
        temporary = options.json.with_name(options.json.name + ".new")
        temporary.write_text(json.dumps({"machine": machine, "tables": tables}, indent=2) + "\n")
        temporary.rename(options.json)


if __name__ == "__main__":
    main()
