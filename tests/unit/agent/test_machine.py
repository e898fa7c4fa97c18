"""What the machine is like, in the types of the contract, from files as the kernel writes them."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.errors import ProgramMissing
from agent.machine import Machine
from agent.processes import Finished, LocalRunner

STAT = "cpu  100 1 50 1000 5 0 7 0 0 0\ncpu0 50 0 25 500 2 0 3 0 0 0\nintr 1\n"
MEMINFO = """MemTotal:        1000 kB
MemFree:          200 kB
MemAvailable:     300 kB
Buffers:           10 kB
Cached:            20 kB
SwapCached:         1 kB
Shmem:              2 kB
Slab:               3 kB
HugePages_Total:    0
"""


class Versions:
    """Programs that say which version they are, and how often they were asked."""

    def __init__(self, **said: str) -> None:
        self.said = said
        self.asked: list[str] = []

    def run(self, arguments: Sequence[str], /, *, timeout: float) -> Finished:  # noqa: ARG002 - the interface's
        name = Path(arguments[0]).name
        self.asked.append(name)
        if name not in self.said:
            raise ProgramMissing(name)
        return Finished(0, self.said[name])

    start = LocalRunner.start


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path, text in (("proc/stat", STAT), ("proc/meminfo", MEMINFO), ("proc/loadavg", "0.50 0.25 0.12 1/200 12345\n")):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


def test_measurements(root: Path) -> None:
    found = dict(Machine(Versions(), root / "haproxy", root).measurements())
    assert found.pop("cpu_count") >= 1
    disk = found.pop("disk")
    assert all(isinstance(disk[key], int) and disk[key] > 0 for key in ("used", "available"))
    assert found == {
        "cpu": {"total": 1163, "user": "100", "system": "50", "soft_irq": "7"},
        "memory": {"total": 1000, "free": 200, "buffers": 10, "cached": 20, "swap_used": 1, "shared": 2, "slab": 3},
        "load": ["0.50", "0.25", "0.12"],
        "active_tuned_profiles": "",
    }


def test_tuned_profiles(root: Path) -> None:
    (root / "etc/tuned").mkdir(parents=True)
    (root / "etc/tuned/active_profile").write_text("virtual-guest amphora\n")
    assert Machine(Versions(), root / "haproxy", root).measurements()["active_tuned_profiles"] == "virtual-guest amphora"


def test_versions_are_asked_once_for_each_file_that_a_program_has_been(root: Path) -> None:
    haproxy = root / "haproxy"
    runner = Versions(haproxy="HAProxy version 2.6.12-1+deb12u3 2025/10/03 - https://haproxy.org/\n")
    machine = Machine(runner, haproxy, root)
    assert machine.info()["haproxy_version"] == ""
    haproxy.touch()
    for _ in range(3):
        assert machine.info()["haproxy_version"] == "2.6.12"
    assert runner.asked.count("haproxy") == 1
    runner.said["haproxy"] = "HAProxy version 3.0.5\n"
    haproxy.unlink()
    haproxy.touch()
    assert machine.info()["haproxy_version"] == "3.0.5"


def test_info_of_this_machine() -> None:
    info = Machine(LocalRunner(), Path("/usr/sbin/haproxy")).info()
    assert info["hostname"] == socket.gethostname()
    assert info["api_version"] == "1.0"
    # As Octavia's controller reads them.
    assert all(int(part) >= 0 for part in info["haproxy_version"].split(".")[:2])
    assert info["keepalived_version"].count(".") == 2
    assert isinstance(info["ipvsadm_version"], str)
