"""One agent for each run directory."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.errors import ConflictError
from agent.instance import only_one


def test_a_second_one_is_refused_and_told_why(tmp_path: Path) -> None:
    with (
        only_one(tmp_path, SystemClock()),
        pytest.raises(ConflictError, match="another agent runs"),
        only_one(tmp_path, SystemClock(), 0.1),
    ):
        pytest.fail("two at once")
    with only_one(tmp_path, SystemClock(), 0):
        pass


def test_it_waits_for_one_that_ends(tmp_path: Path) -> None:
    let_go = threading.Event()
    taken = threading.Event()

    def hold() -> None:
        with only_one(tmp_path, SystemClock()):
            taken.set()
            let_go.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait()
    threading.Timer(0.1, let_go.set).start()
    with only_one(tmp_path, SystemClock(), 20):
        pass
    thread.join()


def test_a_program_that_was_started_does_not_hold_it(tmp_path: Path) -> None:
    with only_one(tmp_path, SystemClock()):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    try:
        # At its exec the child closes one descriptor after the other, and is known to have started a moment before the last.
        with only_one(tmp_path, SystemClock(), 5):
            pass
    finally:
        child.communicate(b"\n")
