"""Units: what is written, what systemctl is told, and what systemd-analyze thinks of it. No systemd runs here."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.errors import SystemFault
from agent.processes import Finished
from agent.services.programs import Program
from agent.services.systemd import SystemdServices, unit_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PRIVILEGES = (Path(__file__).parents[3] / "docs" / "privileges.md").read_text()
HAPROXY = Program(
    name="haproxy-x",
    description="HAProxy of load balancer x, 100%",
    arguments=("/usr/sbin/haproxy", "-W", "-db", "-L", "a b$%", "-f", "/etc/hosts"),
    namespace="amphora-haproxy",
    reload_signal="USR2",
)
PLAIN = Program(name="plain", description="plain", arguments=("/bin/sleep", "7"), patience=2.5, files=1000)


class Recorder:
    """Answers as systemctl and journalctl would, and remembers what it was asked."""

    def __init__(self, answers: Mapping[str, Finished] | None = None) -> None:
        self.asked: list[str] = []
        self._answers = answers or {}

    def run(self, arguments: Sequence[str], /, *, timeout: float) -> Finished:
        assert timeout > 0
        self.asked.append(" ".join(arguments))
        return next((answer for start, answer in self._answers.items() if self.asked[-1].startswith(start)), Finished(0, ""))

    def start(self, arguments: Sequence[str], /, *, output: Path) -> None:
        raise AssertionError((arguments, output))


def made(directory: Path, answers: Mapping[str, Finished] | None = None) -> tuple[SystemdServices, Recorder]:
    runner = Recorder(answers)
    return SystemdServices(directory, runner), runner  # type: ignore[arg-type]


@pytest.mark.parametrize("program", [HAPROXY, PLAIN])
def test_systemd_has_nothing_to_say_against_it(program: Program, tmp_path: Path) -> None:
    unit = tmp_path / f"{program.name}.service"
    unit.write_bytes(unit_text(program))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, ""), unit.read_text()


def test_programs_are_shut_in_as_far_as_they_can_be(tmp_path: Path) -> None:
    unit = tmp_path / "haproxy-x.service"
    unit.write_bytes(unit_text(HAPROXY))
    judged = subprocess.run(["systemd-analyze", "security", "--offline=true", unit], capture_output=True, text=True, check=False)
    [score] = re.findall(r"exposure level for \S+: (\S+)", judged.stdout)
    [told] = re.findall(r"the same settings\. Exposure: (\S+) ", PRIVILEGES)
    # Newer systemd judges more; worse than what is written down it must not become.
    assert float(score) <= float(told)


def test_what_is_written() -> None:
    lines = unit_text(HAPROXY).decode().splitlines()
    assert lines[0].startswith("# Made by Hydria.")
    for line in (
        "Description=HAProxy of load balancer x, 100%%",
        "NetworkNamespacePath=/run/netns/amphora-haproxy",
        'ExecStart=/usr/sbin/haproxy -W -db -L "a b$$%%" -f /etc/hosts',
        "ExecReload=/bin/kill -USR2 $MAINPID",
        "TimeoutStopSec=10",
        "LimitNOFILE=2600000",
    ):
        assert line in lines
    plain = unit_text(PLAIN).decode()
    assert "NetworkNamespacePath" not in plain
    assert "Reload" not in plain
    assert "TimeoutStopSec=3\n" in plain


def test_start_and_stop(tmp_path: Path) -> None:
    services, runner = made(tmp_path)
    services.start(HAPROXY)
    assert runner.asked == [
        "systemctl daemon-reload",
        "systemctl enable --quiet --no-reload haproxy-x.service",
        "systemctl start haproxy-x.service",
    ]
    assert services.programs() == ("haproxy-x",)

    runner.asked.clear()
    services.start(HAPROXY)
    assert runner.asked == ["systemctl enable --quiet --no-reload haproxy-x.service", "systemctl start haproxy-x.service"]

    runner.asked.clear()
    services.start(Program(name="haproxy-x", description="other", arguments=("/bin/true",)))
    assert runner.asked == [
        "systemctl stop haproxy-x.service",
        "systemctl daemon-reload",
        "systemctl enable --quiet --no-reload haproxy-x.service",
        "systemctl start haproxy-x.service",
    ]

    runner.asked.clear()
    services.stop("haproxy-x")
    assert runner.asked == [
        "systemctl disable --quiet --no-reload haproxy-x.service",
        "systemctl stop haproxy-x.service",
        "systemctl daemon-reload",
    ]
    assert services.programs() == ()
    runner.asked.clear()
    services.stop("haproxy-x")
    assert runner.asked == []


def test_another_definition_is_there_only_when_nothing_runs_by_the_one_before(tmp_path: Path) -> None:
    """An agent that is killed between the two would take what runs by the old one for what runs by the new one, for ever."""
    services, runner = made(tmp_path)
    services.start(HAPROXY)
    unit = tmp_path / "haproxy-x.service"
    before, seen = unit.read_bytes(), []
    run = runner.run

    class Looking(Recorder):
        def run(self, arguments: Sequence[str], /, *, timeout: float) -> Finished:
            seen.append((arguments[1], unit.read_bytes() == before))
            return run(arguments, timeout=timeout)

    SystemdServices(tmp_path, Looking()).start(Program(name="haproxy-x", description="other", arguments=("/bin/true",)))  # type: ignore[arg-type]
    assert seen[:2] == [("stop", True), ("daemon-reload", False)]


def test_a_restart_leaves_the_unit_where_it_is(tmp_path: Path) -> None:
    services, runner = made(tmp_path)
    services.start(PLAIN)
    runner.asked.clear()
    services.restart(PLAIN)
    assert runner.asked == [
        "systemctl stop plain.service",
        "systemctl enable --quiet --no-reload plain.service",
        "systemctl start plain.service",
    ]
    services.stop("plain")
    runner.asked.clear()
    services.restart(PLAIN)
    assert runner.asked == [
        "systemctl daemon-reload",
        "systemctl enable --quiet --no-reload plain.service",
        "systemctl start plain.service",
    ]


def test_units_of_others_are_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / "ssh.service").write_text("[Unit]\n")
    (tmp_path / "dangling.service").symlink_to(tmp_path / "nothing")
    services, runner = made(tmp_path)
    services.start(PLAIN)
    assert services.programs() == ("plain",)
    runner.asked.clear()
    services.restore()
    assert runner.asked == [
        "systemctl daemon-reload",
        "systemctl enable --quiet --no-reload plain.service",
        "systemctl start --no-block plain.service",
    ]


def test_what_systemd_knows(tmp_path: Path) -> None:
    services, _ = made(
        tmp_path,
        {
            "systemctl show --property MainPID --value plain": Finished(0, f"{os.getpid()}\n"),
            "systemctl show --property NRestarts --value plain": Finished(0, "3\n"),
            "systemctl show": Finished(0, "0\n"),
            "journalctl -u plain.service -n 1": Finished(0, "something\n-- cursor: s=1;i=2\n"),
            "journalctl --quiet -u plain.service -n 200 -o cat --after-cursor=s=1;i=2": Finished(0, "since\n"),
            "journalctl --quiet -u plain.service -n 200 -o cat": Finished(0, "ever\n"),
        },
    )
    assert (services.pid("plain"), services.restarts("plain"), services.pid("other"), services.restarts("other")) == (
        os.getpid(),
        3,
        None,
        0,
    )
    assert services.position("plain") == "s=1;i=2"
    assert services.words("plain", services.position("plain")) == "since\n"
    assert services.words("plain") == "ever\n"


def test_systemd_is_not_asked_again_as_long_as_the_process_is_there(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "1000"]) as process:
        services, runner = made(tmp_path, {"systemctl show --property MainPID": Finished(0, f"{process.pid}\n")})
        assert [services.pid("plain"), services.pid("plain")] == [process.pid] * 2
        assert len(runner.asked) == 1
        process.kill()
        process.wait()
        services.pid("plain")
        assert len(runner.asked) == 2
        services.stop("plain")


def test_what_systemd_refuses_is_told(tmp_path: Path) -> None:
    services, _ = made(tmp_path, {"systemctl start": Finished(1, "Job failed\n")})
    with pytest.raises(SystemFault, match=r"systemctl start plain\.service failed: Job failed"):
        services.start(PLAIN)
