"""Whether a pair fails over for no reason: `python -m benchmarks.steady [--seconds N] [--adverts 50,100,250,1000]`.

A pair for each interval of VRRP's messages, side by side, while as many processes as there are processors do nothing but compute. Whatever moves
is a false failover. Not part of `make bench`: it takes an hour to say something.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from contextlib import ExitStack

from rich.console import Console

from benchmarks.failover_labs import pair, transitions
from benchmarks.measuring import Table

_BUSY = "while :; do :; done"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.steady", description="Counts failovers that nothing has caused.")
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--adverts", default="50,100,250,1000", help="intervals in ms")
    parser.add_argument("--busy", type=int, default=os.cpu_count() or 1, help="processes that compute meanwhile")
    options = parser.parse_args()
    with ExitStack() as stack:
        labs = {int(each): stack.enter_context(pair(f"s{each}", int(each))) for each in options.adverts.split(",")}
        before = {interval: transitions(lab) for interval, lab in labs.items()}
        busy = [subprocess.Popen(["sh", "-c", _BUSY]) for _ in range(options.busy)]
        loads = []
        try:
            until = time.monotonic() + options.seconds
            while (left := until - time.monotonic()) > 0:
                time.sleep(min(left, 10))
                loads.append(os.getloadavg()[0])
        finally:
            for one in busy:
                one.kill()
                one.wait()
        rows: list[tuple[str | float, ...]] = [(f"{interval} ms", transitions(lab) - before[interval]) for interval, lab in labs.items()]
    title = f"{options.seconds:g} s, {options.busy} busy processes of ours, load of the machine {min(loads):.1f} to {max(loads):.1f}"
    Console(width=160).print(Table(title, ("a message every", "false failovers"), rows).rendered())


if __name__ == "__main__":
    main()
