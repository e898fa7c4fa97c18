"""`VrrpHealth`: what keepalived is told while HAProxy serves, reloads, hangs, ends, and while the amphora resigns."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import subprocess
import threading
from typing import TYPE_CHECKING, Any, cast

import pytest
from support.polling import eventually

from agent.clock import SystemClock
from agent.errors import SocketFault
from agent.paths import Paths
from agent.vrrp_health import VrrpHealth

if TYPE_CHECKING:
    from pathlib import Path

LB = "5d2f0d3e-6c1b-4a55-8d5e-0b6b7e1b6a10"


class Haproxy:
    """All that is asked of HAProxies, of one: its process, whether the master answers for its worker, whether any worker answers."""

    def __init__(self) -> None:
        self.running_pid: int | None = os.getpid()
        self.master_answers = self.worker_answers = self.vrrp = True

    def loadbalancers(self) -> list[str]:
        return [LB]

    def generations(self, _lb: str) -> Haproxy:
        return self

    def linked(self, _name: str) -> Haproxy:
        return self

    def has(self, _path: str) -> bool:
        return self.vrrp

    def process(self, _lb: str) -> Haproxy:
        return self

    def pid(self) -> int | None:
        return self.running_pid

    def running(self, _lb: str) -> bool:
        return self.master_answers

    def stats(self, _lb: str) -> Haproxy:
        return self

    def show_info(self) -> dict[str, str]:
        if not self.worker_answers:
            raise SocketFault("it does not answer")
        return {"Pid": "1"}


class Told:
    def __init__(self, directory: Path) -> None:
        self.haproxy = Haproxy()
        self.paths = Paths(directory, directory, directory, directory, directory)
        self.health = VrrpHealth(cast("Any", self.haproxy), self.paths, SystemClock())

    def look(self) -> str:
        self.health.look()
        return self.file()

    def file(self) -> str:
        path = self.paths.health(LB)
        return path.read_text().strip() if path.exists() else ""


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def test_while_it_serves_it_may_hold_the_vips(told: Told) -> None:
    assert told.look() == "0"


def test_one_that_has_ended_may_not_at_once(told: Told) -> None:
    told.look()
    told.haproxy.running_pid = None
    assert told.look() == "1"
    told.haproxy.running_pid = os.getpid()
    assert told.look() == "0"


def test_a_reload_is_no_end(told: Told) -> None:
    told.look()
    told.haproxy.master_answers = False
    assert [told.look() for _ in range(20)] == ["0"] * 20


def test_one_that_hangs_may_not_after_a_while(told: Told) -> None:
    told.look()
    told.haproxy.master_answers = told.haproxy.worker_answers = False
    assert [told.look() for _ in range(4)] == ["0", "0", "1", "1"]
    told.haproxy.worker_answers = True
    assert told.look() == "0"


def test_one_that_has_never_answered_may_not(told: Told) -> None:
    told.haproxy.master_answers = told.haproxy.worker_answers = False
    assert told.look() == "1"


def test_who_has_resigned_may_not_until_it_stands_again(told: Told) -> None:
    told.look()
    told.health.resign(LB)
    assert [told.file(), told.look(), told.look()] == ["1", "1", "1"]
    told.health.stand(LB)
    assert told.file() == "0"
    told.health.resign(LB)
    told.haproxy.running_pid = None
    told.health.stand(LB)
    assert told.file() == "1"


def test_without_vrrp_nobody_is_told(told: Told) -> None:
    told.haproxy.vrrp = False
    assert told.look() == ""


def test_the_end_of_the_process_is_seen_when_it_happens(told: Told) -> None:
    with subprocess.Popen(["sleep", "60"]) as haproxy:
        told.haproxy.running_pid = haproxy.pid
        told.health.start()
        eventually(lambda: told.file() == "0", "the first look")
        haproxy.kill()
        told.haproxy.running_pid = None
        eventually(lambda: told.file() == "1", "the look that the end causes")


def _refuse_pidfds(number: int) -> None:
    """From now on the kernel answers this thread's and its threads' pidfd_open(2) with that error (seccomp(2), a filter of four instructions)."""
    load_the_call, if_it_is, answer = 0x20, 0x15, 0x06
    fail, allow, pidfd_open = 0x00050000, 0x7FFF0000, 434
    code = [(load_the_call, 0, 0, 0), (if_it_is, 0, 1, pidfd_open), (answer, 0, 0, fail | number), (answer, 0, 0, allow)]
    instructions = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in code))
    program = ctypes.create_string_buffer(struct.pack("HP", len(code), ctypes.addressof(instructions)))
    prctl, no_new_privileges, set_filter = ctypes.CDLL(None, use_errno=True).prctl, 38, 22
    for words in ((no_new_privileges, 1, 0, 0, 0), (set_filter, 2, ctypes.byref(program), 0, 0)):
        if prctl(*words) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
def test_where_the_kernel_tells_of_no_end_it_is_seen_at_the_next_look(told: Told, capsys: pytest.CaptureFixture[str], number: int) -> None:
    errors: list[int | None] = []

    def without_the_call() -> None:
        _refuse_pidfds(number)
        try:
            os.close(os.pidfd_open(os.getpid()))
        except OSError as error:
            errors.append(error.errno)
        told.health.start()

    starting = threading.Thread(target=without_the_call)
    starting.start()
    starting.join()
    assert errors == [number]
    eventually(lambda: told.file() == "0", "the first look")
    told.haproxy.running_pid = None
    eventually(lambda: told.file() == "1", "the next look")
    # Nobody is told that something does not work which does.
    assert "cannot be told" not in "".join(capsys.readouterr())
