"""Programs are run with a deadline, and end when whoever started them does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.polling import eventually

from agent.errors import DeadlineExceeded, ProgramMissing, SystemFault
from agent.processes import LocalRunner

ROOT = Path(__file__).resolve().parents[3]


def running(pid: int) -> bool:
    """Whether the process is there and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def pid_from(file: Path) -> int:
    return int(eventually(lambda: file.exists() and file.read_text().strip(), f"a process id in {file.name}"))


def test_run_gives_exit_code_and_both_outputs_in_order() -> None:
    finished = LocalRunner().run(["sh", "-c", "echo one; echo two >&2; echo three; exit 7"], timeout=10)
    assert finished == (7, "one\ntwo\nthree\n")


def test_a_program_has_no_input_and_only_a_path_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAPROXY_SURPRISE", "yes")
    output = LocalRunner().run(["sh", "-c", "cat; env"], timeout=10).output
    assert "HAPROXY_SURPRISE" not in output
    assert "PATH=" in output


def test_output_that_is_not_utf_8_is_shown_as_it_can_be() -> None:
    assert LocalRunner().run(["printf", r"a\377b"], timeout=10).output == "a\\xffb"


def test_a_program_that_does_not_end_is_killed(tmp_path: Path) -> None:
    with pytest.raises(DeadlineExceeded, match="sh did not end within"):
        LocalRunner().run(["sh", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 600"], timeout=2)
    assert not running(pid_from(tmp_path / "pid"))


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(ProgramMissing, match="no-such-program"):
        LocalRunner().run(["/no-such-program"], timeout=10)


def test_a_file_that_is_no_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemFault, match="cannot be run"):
        LocalRunner().run([str(tmp_path)], timeout=10)


def test_the_signal_that_ended_a_program_is_named() -> None:
    with pytest.raises(SystemFault, match="SIGSEGV"):
        LocalRunner().run(["sh", "-c", "kill -SEGV $$"], timeout=10)


def test_a_child_tells_how_it_ended(tmp_path: Path) -> None:
    child = LocalRunner().start(["sh", "-c", "echo words; exit 3"], output=tmp_path / "log")
    assert eventually(child.exit_code) == 3
    child.signal(signal.SIGTERM)  # nobody is left to take it, and it hits nobody else
    child.end()
    assert child.exit_code() is not None
    assert (tmp_path / "log").read_text() == "words\n"


def test_a_signal_reaches_the_child_and_shows_in_its_end(tmp_path: Path) -> None:
    child = LocalRunner().start(["sleep", "600"], output=tmp_path / "log")
    assert child.exit_code() is None
    child.signal(signal.SIGUSR1)
    assert eventually(child.exit_code) == -signal.SIGUSR1
    child.end()


def test_end_takes_everything_that_the_child_started(tmp_path: Path) -> None:
    script = f"trap '' TERM; sleep 600 & echo $! > {tmp_path}/grandchild; wait"
    child = LocalRunner().start(["sh", "-c", script], output=tmp_path / "log")
    grandchild = pid_from(tmp_path / "grandchild")
    child.end()
    child.end()
    assert not running(child.pid)
    eventually(lambda: not running(grandchild), "the grandchild's end")


def test_end_takes_what_a_dead_child_left_behind(tmp_path: Path) -> None:
    child = LocalRunner().start(["sh", "-c", f"sleep 600 & echo $! > {tmp_path}/grandchild"], output=tmp_path / "log")
    grandchild = pid_from(tmp_path / "grandchild")
    assert eventually(lambda: child.exit_code() is not None)
    assert running(grandchild)
    child.end()
    eventually(lambda: not running(grandchild), "the grandchild's end")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_child_ends_when_its_parent_is_ended(tmp_path: Path, number: signal.Signals) -> None:
    code = (
        "import sys, time; from pathlib import Path; from agent.processes import LocalRunner\n"
        f"child = LocalRunner().start(['sleep', '600'], output=Path({str(tmp_path)!r}) / 'log')\n"
        f"Path({str(tmp_path)!r}, 'pid').write_text(str(child.pid))\n"
        "time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)
    pid = pid_from(tmp_path / "pid")
    assert running(pid)
    parent.send_signal(number)
    parent.wait()
    eventually(lambda: not running(pid), "the child's end")
