"""Who starts Octavia's processes, with other processes in their place."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from support.polling import eventually

from hydria.lab import calls
from hydria.lab.calls import CallError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PROGRAM = """
import os, sys, time
from pathlib import Path
from hydria.octavia.control.nursery import Nursery

directory = Path(sys.argv[1])

def forks():
    os.fork()
    (directory / f"child-{os.getpid()}").touch()
    time.sleep(1000)

def fails():
    raise ValueError("as it should")

nursery = Nursery({"forks": forks, "fails": fails, "ends": lambda: None})
nursery.start("forks")
nursery.serve(directory / "nursery.sock")
"""


@contextmanager
def nursery(directory: Path) -> Iterator[Path]:
    """Its socket."""
    place = directory / "nursery.sock"
    with (
        (directory / "log").open("wb") as log,
        subprocess.Popen([sys.executable, "-c", _PROGRAM, str(directory)], stderr=log) as process,
    ):
        try:
            yield eventually(lambda: place if place.exists() else None, "a nursery") or place
        finally:
            try:
                calls.call(place, "stop", name="forks")
            finally:
                process.kill()


def children(directory: Path) -> set[int]:
    return {int(path.name.partition("-")[2]) for path in directory.glob("child-*")}


def test_what_runs_is_ended_with_all_that_it_has_forked_and_started_again(tmp_path: Path) -> None:
    with nursery(tmp_path) as place:
        eventually(lambda: len(children(tmp_path)) == 2, "a process and its child")
        assert calls.call(place, "roles")["roles"]["forks"] in children(tmp_path)
        assert calls.call(place, "roles")["roles"]["ends"] is None
        calls.call(place, "stop", name="forks")
        assert calls.call(place, "roles")["roles"]["forks"] is None
        eventually(lambda: not any(_alive(pid) for pid in children(tmp_path)), "the end of both")
        calls.call(place, "start", name="forks")
        eventually(lambda: len(children(tmp_path)) == 4, "another one")


@pytest.mark.parametrize("name", ["fails", "ends"])
def test_what_ends_by_itself_is_told(tmp_path: Path, name: str) -> None:
    with nursery(tmp_path) as place:
        calls.call(place, "start", name=name)
        eventually(lambda: calls.call(place, "roles")["roles"][name] is None, "an end")
        assert ("as it should" in (tmp_path / "log").read_text()) == (name == "fails")


@pytest.mark.parametrize("words", [{"name": "nobody"}, {"wrong": 1}, {}])
def test_what_cannot_be_done_is_told(tmp_path: Path, words: dict[str, Any]) -> None:
    with nursery(tmp_path) as place:
        for verb in ("start", "stop"):
            with pytest.raises(CallError):
                calls.call(place, verb, **words)
        assert set(calls.call(place, "roles")["roles"]) == {"forks", "fails", "ends"}


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123
        return file.read().rpartition(")")[2].split()[0] not in "ZX"
