"""Nothing is left of a lab, however it ends; labs do not know of each other."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from support.labs import get, graph, lab_name, left_of, whole
from support.polling import eventually

from hydria.cli import _run
from hydria.cli.output import Output
from hydria.lab import record
from hydria.lab.lab import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
#: One listener, no TLS: what is up soonest.
SMALL = {"name": "small", "vip_address": "192.0.2.10", "listeners": graph()["listeners"][:1], "pools": graph()["pools"]}


@pytest.fixture
def small(tmp_path: Path) -> str:
    path = tmp_path / "graph.json"
    path.write_text(json.dumps({"loadbalancer": SMALL}))
    return str(path)


@pytest.fixture
def name() -> Iterator[str]:
    made = lab_name("ends")
    yield made
    record.end(made)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "hydria", "lab", *arguments]


class Said(NamedTuple):
    returncode: int
    stderr: str


def run(*arguments: str) -> Said:
    """The command, in this process."""
    told = io.StringIO()
    with redirect_stderr(told), redirect_stdout(io.StringIO()):
        code = _run(["lab", *arguments], Output())
    return Said(code, told.getvalue())


def host() -> tuple[str, ...]:
    """What this machine's own network and mounts are."""
    shown = (("ip", "-br", "link"), ("ip", "-br", "address"), ("ip", "route"), ("nft", "list", "tables"))
    return (
        *(subprocess.run(one, capture_output=True, text=True, check=True).stdout for one in shown),
        Path("/proc/self/mountinfo").read_text(),
    )


def test_two_labs_side_by_side_and_nothing_of_them_on_this_machine(small: str) -> None:
    one, two = lab_name("one"), lab_name("two")
    try:
        making = [subprocess.Popen(command("up", small, "--name", name, "--topology", "single"), cwd=ROOT) for name in (one, two)]
        assert [each.wait(180) for each in making] == [0, 0]
        labs = [Lab(record.found(name)) for name in (one, two)]
        assert all(whole(each) for each in labs)
        for each in labs:
            assert each.directory.name not in host()[-1]
            assert not any("amphora" in line or "172.31.255" in line for line in host()[:3])
        # The same addresses, and yet another load balancer.
        assert run("kill", "m0", "--name", one).returncode == 0
        assert [each.attendant("members")["members"]["m0"][0] for each in labs] == [False, True]
        refused = run("up", small, "--name", one)
        assert (refused.returncode, "there is a lab" in refused.stderr) == (3, True)
        assert run("down", "--name", one).returncode == 0
        assert left_of(one) == []
        assert get(labs[1]).status == 200
    finally:
        for name in (one, two):
            record.end(name)
    assert left_of(two) == []


@pytest.mark.parametrize(
    "file",
    [pytest.param("launcher.pid", marks=pytest.mark.slow), pytest.param("hypervisor.pid", marks=pytest.mark.slow), "amphora-1.sock"],
)
def test_down_removes_what_a_killed_up_has_left(small: str, name: str, file: str) -> None:
    making = subprocess.Popen(command("up", small, "--name", name), cwd=ROOT, start_new_session=True)
    eventually((record.place(name) / file).exists, f"{file} of a lab that is being made", 60)
    os.killpg(making.pid, signal.SIGKILL)
    making.wait()
    assert left_of(name)
    unusable = run("status", "--name", name)
    assert (unusable.returncode, "broken off" in unusable.stderr) == (3, True)
    assert run("down", "--name", name).returncode == 0
    assert left_of(name) == []


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupted_up_leaves_nothing(small: str, name: str, number: signal.Signals) -> None:
    making = subprocess.Popen(command("up", small, "--name", name), cwd=ROOT)
    eventually((record.place(name) / "amphora-1.sock").exists, "a lab that is being made", 60)
    making.send_signal(number)
    assert making.wait(60) == 128 + number
    assert left_of(name) == []


def test_what_cannot_be_is_told_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps({"loadbalancer": {**SMALL, "frobnicate": 1}}))
    refused = run("up", str(bad), "--name", name)
    assert (refused.returncode, "[unknown-field]" in refused.stderr) == (1, True)
    # It loads, and the agent refuses it.
    bad.write_text(json.dumps({"loadbalancer": {**SMALL, "listeners": [*SMALL["listeners"], SMALL["listeners"][0]]}}))
    refused = run("up", str(bad), "--name", name)
    assert (refused.returncode, "[duplicate-port]" in refused.stderr) == (1, True)
    assert run("down", "--name", name).returncode == 3
    assert run("status", "--name", "Not a name").returncode == 3
    assert left_of(name) == []
