"""Invariant: whatever bytes come from the stats socket, `fastpath.stats` gives what plain Python reads in them, or the same ValueError.

Never another exception, never a crash, never a byte read that is not of the dump. `test_stats_fuzzing.py` builds the extension with address and
undefined-behaviour sanitizers, puts it first in the path, and runs this: `python stats_fuzzer.py CORPUS -max_total_time=600`.

What guides the fuzzer are the branches of the plain Python, which follows the same grammar. The first byte chooses what is read.
"""

from __future__ import annotations

import sys
from array import array

import atheris

with atheris.instrument_imports(include=["stats_oracle"]):
    import stats_oracle

PAIRS = sorted(stats_oracle.PAIRS.items())


def one_input(data: bytes) -> None:
    if not data:
        return
    name, (ours, theirs) = PAIRS[data[0] % len(PAIRS)]
    dump = data[1:]
    # Memory of the very size: a byte behind its end is not the dump's, and the sanitizer says so.
    exact = array("B", [0]) * len(dump)
    memoryview(exact)[:] = dump
    found, expected = stats_oracle.outcome(ours, exact), stats_oracle.outcome(theirs, dump)
    if found != expected:
        raise AssertionError(f"{name} of {dump!r} is {found!r}, in plain Python {expected!r}")


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
