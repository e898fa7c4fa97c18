"""Nothing is left of a lab of Octavia's, however it ends; such labs do not know of each other; the command as a user has it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from octavia_cloud import User
from octavia_process import PYTHON
from support.labs import lab_name, left_of
from support.polling import eventually

from hydria.lab import record
from hydria.lab.octavia_lab import found
from hydria.lab.octavia_plan import CONTROL_SOCKET

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def name() -> Iterator[str]:
    made = lab_name("octavia-ends")
    yield made
    record.end(made)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "hydria", "lab", *arguments]


def up(name: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    asked = command("octavia", "up", "--name", name, "--python", str(PYTHON), *arguments)
    return subprocess.Popen(asked, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), cwd=ROOT, text=True, capture_output=True, check=False)


def ended(process: subprocess.Popen[str], seconds: float = 120) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


@pytest.mark.slow
def test_two_labs_side_by_side(name: str) -> None:
    other = lab_name("octavia-other")
    try:
        making = [up(each, "--members", "1", "--json") for each in (name, other)]
        told = [json.loads(ended(each)[1]) for each in making]
        assert told[0]["endpoint"] != told[1]["endpoint"]
        users = [User(found(each)) for each in (name, other)]
        made = [user.loadbalancer("create", "--vip-subnet-id", "public-subnet", "--name", user.lab.name) for user in users]
        # The same address, in networks of their own.
        assert len({each["vip_address"] for each in made}) == 1
        assert [user.active(each["id"])["name"] for user, each in zip(users, made, strict=True)] == [name, other]
        assert run("octavia", "down", "--name", name).returncode == 0
        assert left_of(name) == []
        assert [each["name"] for each in users[1].loadbalancer("list")] == [other]
        assert users[1].amphorae()[0]["status"] == "ALLOCATED"
    finally:
        record.end(other)
    assert left_of(other) == []


@pytest.mark.slow
def test_a_shell_is_told_what_openstack_wants_to_know(name: str) -> None:
    code, out, err = ended(up(name))
    assert code == 0, err
    listed = f"{out}\n{PYTHON.with_name('openstack')} subnet list -f value -c Name"
    shown = subprocess.run(["sh", "-c", listed], capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]}).stdout
    assert "public-subnet" in shown.split()
    assert "2001:db8:1::11" in run("shell", "members", "ip", "-br", "address", "--name", name).stdout
    assert "192.0.2.201" in run("shell", "clients", "ip", "-br", "address", "--name", name).stdout
    refused = run("load", "--name", name)
    assert (refused.returncode, "Octavia" in refused.stderr) == (3, True)
    assert run("octavia", "status", "--name", name).returncode == 0
    assert run("kill", "health-manager", "--name", name).returncode == 0
    status = run("octavia", "status", "--json", "--name", name)
    assert (status.returncode, json.loads(status.stdout)["processes"]["health-manager"]) == (3, None)
    assert run("heal", "--name", name).stdout == "health-manager started\n"
    taken = ended(up(name))
    assert (taken[0], "there is a lab" in taken[2]) == (3, True)
    port = found(name).octavia.port
    other = lab_name("octavia-port")
    taken = ended(up(other, "--port", str(port)))
    assert (taken[0], "Address already in use" in taken[2], left_of(other)) == (3, True, [])


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupted_up_leaves_nothing(name: str, number: signal.Signals) -> None:
    making = up(name)
    eventually((record.place(name) / "members.sock").exists, "a lab that is being made", 60)
    making.send_signal(number)
    assert ended(making)[0] == 128 + number
    assert left_of(name) == []


@pytest.mark.slow
@pytest.mark.parametrize("file", ["hypervisor.pid", CONTROL_SOCKET])
def test_down_removes_what_a_killed_up_has_left(name: str, file: str) -> None:
    making = up(name, start_new_session=True)
    eventually((record.place(name) / file).exists, f"{file} of a lab that is being made", 60)
    os.killpg(making.pid, signal.SIGKILL)
    ended(making)
    assert left_of(name)
    assert run("octavia", "down", "--name", name).returncode == 0
    assert left_of(name) == []


def test_an_octavia_that_does_not_start_is_told_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\n[ "$1" = -c ] && echo lacks && exit 0\necho it is broken >&2\nexit 1\n')
    python.chmod(0o755)
    refused = run("octavia", "up", "--name", name, "--python", str(python))
    assert (refused.returncode, "Octavia does not start" in refused.stderr, "it is broken" in refused.stderr) == (3, True, True)
    assert left_of(name) == []


def test_an_interpreter_without_octavia_is_told_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    for python, word in (
        (sys.executable, "lacks octavia"),
        (str(tmp_path / "none"), "cannot be run"),
        (shutil.which("false") or "", "is no Python that works: asked what it has, it ended with 1"),
    ):
        refused = run("octavia", "up", "--name", name, "--python", python)
        assert (refused.returncode, word in refused.stderr) == (3, True), refused.stderr
    without = {key: value for key, value in os.environ.items() if key != "HYDRIA_OCTAVIA_PYTHON"}
    refused = subprocess.run(command("octavia", "up", "--name", name), cwd=ROOT, text=True, capture_output=True, check=False, env=without)
    assert (refused.returncode, "pip install 'hydria[octavia]'" in refused.stderr) == (3, True)
    assert left_of(name) == []
