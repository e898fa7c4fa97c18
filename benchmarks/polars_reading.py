"""Polars' side of `stats`, run by the Python of `.venv/octavia` with a dump and the way to read: for each line read, reads once, prints the seconds."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import polars as pl

COLUMNS = ["pxname", "svname", "status", "weight", "scur", "stot", "bin", "bout", "ereq"]
NUMBERS = dict.fromkeys(COLUMNS[3:], pl.UInt64)


def main() -> None:
    # The heading's "# " is HAProxy's, not CSV's.
    text = Path(sys.argv[1]).read_bytes()[2:]
    types = NUMBERS if sys.argv[2] == "numbers" else None
    for _ in sys.stdin:
        begin = time.perf_counter()
        read = pl.read_csv(text, columns=COLUMNS, schema_overrides=types, infer_schema=False)
        seconds = time.perf_counter() - begin
        if read.width != len(COLUMNS):
            raise RuntimeError(f"polars read {read.columns}")
        print(seconds, flush=True)


if __name__ == "__main__":
    main()
