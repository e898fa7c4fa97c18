"""Runs `stats_fuzzer.py` for ten minutes, against an extension with sanitizers."""

from __future__ import annotations

import csv
import io
import json
import lzma
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

#: The columns that are read; one row of them.
BEAT = ("pxname", "svname", "scur", "stot", "bin", "bout", "ereq", "status", "weight", "type")

ROOT = Path(__file__).parents[2]
SECONDS = 600

#: The sanitizer's run-time library is the fuzzer's own, so it is not linked; undefined behaviour needs none, it is a trap.
SANITIZERS = ["-fsanitize=address,undefined", "-fsanitize-undefined-trap-on-error", "-fsanitize-coverage=trace-cmp"]


def sanitized(directory: Path) -> None:
    """Builds `fastpath.stats` there."""
    package = directory / "fastpath"
    package.mkdir()
    (package / "__init__.py").touch()
    c_file, library = package / "stats.c", package / f"stats{sysconfig.get_config_var('EXT_SUFFIX')}"
    subprocess.run([sys.executable, "-m", "cython", "-3", "fastpath/stats.pyx", "-o", c_file], cwd=ROOT, check=True)
    include = f"-I{sysconfig.get_path('include')}"
    made = package / "stats.o"
    subprocess.run(
        ["gcc", *SANITIZERS, "-O1", "-g", "-fno-omit-frame-pointer", "-fwrapv", "-fPIC", include, "-c", c_file, "-o", made], check=True
    )
    subprocess.run(["gcc", "-shared", made, "-o", library], check=True)
    assert b"__asan_report_load" in library.read_bytes()


def seeds(directory: Path) -> None:
    """What real HAProxy has printed, behind the number of what reads it (by name: columns, heartbeat, info, servers_state).

    Without what nobody looks at, and in pieces: the fuzzer can try much in little time.
    """
    directory.mkdir()
    for path in sorted((ROOT / "tests" / "vectors" / "stats").glob("*.json.xz")):
        dumps = json.loads(lzma.decompress(path.read_bytes()))
        rows = list(csv.DictReader(io.StringIO(dumps["show stat"][2:])))
        kept = [*BEAT, "last_chk", "lastsess"]
        pieces = [[2, *dumps["show info"].splitlines()[at : at + 4]] for at in range(0, 40, 4)]
        for row in rows:
            out = io.StringIO()
            csv.writer(out, lineterminator=",").writerow([row[name] for name in kept])
            pieces += [[reader, "# " + ",".join(kept) + ",", out.getvalue()] for reader in (0, 1)]
        _, heading, *servers = dumps["show servers state"].splitlines()
        pieces += [[3, "1", heading, *servers[at : at + 2]] for at in range(len(servers) - 2)]
        for number, (reader, *lines) in enumerate(pieces):
            text = "".join(f"{line}\n" for line in [*lines, ""])
            (directory / f"{path.stem}-{number}").write_bytes(bytes([int(reader)]) + text.encode("latin-1"))


@pytest.mark.slow
def test_any_bytes_are_read_as_in_plain_python_and_no_other_memory_is_touched(tmp_path: Path) -> None:
    sanitized(tmp_path)
    seeds(tmp_path / "corpus")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, (tmp_path, ROOT / "tests" / "property", ROOT))),
        # Must be in the process before Python is.
        "LD_PRELOAD": str(Path(sysconfig.get_path("platlib")) / "asan_with_fuzzer.so"),
        # Python keeps what it made until its end; its own allocator would hide from the sanitizer what is behind an object.
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",
        "PYTHONMALLOC": "malloc",
    }
    fuzzer = Path(__file__).with_name("stats_fuzzer.py")
    seconds = os.environ.get("HYDRIA_FUZZ_SECONDS", str(SECONDS))
    command: list[str | Path] = [
        sys.executable,
        fuzzer,
        tmp_path / "corpus",
        f"-max_total_time={seconds}",
        "-max_len=512",
        f"-artifact_prefix={tmp_path}/",
    ]
    with (tmp_path / "log").open("wb") as log:
        finished = subprocess.run(command, env=environment, cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT, check=False)
    words = (tmp_path / "log").read_text(errors="backslashreplace")
    assert finished.returncode == 0, words[-6000:]
    done = re.search(r"Done (\d+) runs", words)
    assert done, words[-6000:]
    assert int(done[1]) > 1000, words[-6000:]
