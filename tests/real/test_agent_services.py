"""Programs that outlive the agent: they come back when they crash, are taken over when the agent does, and go when they are stopped."""

from __future__ import annotations

import fcntl
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.namespaces import Namespace
from support.polling import eventually

from agent.clock import SystemClock
from agent.errors import DeadlineExceeded, SystemFault
from agent.services.programs import Program
from agent.services.records import Identity, identify, launch, look, recorded, session_of
from agent.services.supervised import SupervisedServices

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]


def shell(name: str, command: str, **fields: object) -> Program:
    return Program(name=name, description="a test's", arguments=("/bin/sh", "-c", command), **fields)  # type: ignore[arg-type]


SLEEPER = shell("sleeper", "echo begun; exec sleep 1000")


class Agent:
    """One start of the agent after the other, all with the same directories."""

    def __init__(self, directory: Path) -> None:
        self.run, self.state = directory / "run", directory / "state"
        self.services = SupervisedServices(self.run, self.state)

    def restart(self) -> None:
        self.services.close()
        self.services = SupervisedServices(self.run, self.state)

    def pid(self, name: str = "sleeper") -> int:
        return eventually(lambda: self.services.pid(name), f"{name} runs")  # type: ignore[return-value]

    def end(self) -> None:
        self.services.close()
        for record in self.run.glob("*.pid"):
            if identity := recorded(record):
                kill(identity)


def kill(identity: Identity) -> None:
    for one in session_of(identity):
        one.signal(signal.SIGKILL)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    made = Agent(tmp_path)
    yield made
    made.end()


def running(pid: int) -> bool:
    seen = look(pid)
    return seen is not None and seen.state not in "ZX"


def test_it_runs_from_start_to_stop(agent: Agent) -> None:
    assert agent.services.pid("sleeper") is None
    agent.services.start(SLEEPER)
    pid = agent.pid()
    assert agent.services.programs() == ("sleeper",)
    eventually(lambda: "begun" in agent.services.words("sleeper"), "its word")
    everything = [*agent.run.iterdir(), *agent.state.iterdir()]
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in everything} == dict.fromkeys(
        ("sleeper.json", "sleeper.log", "sleeper.pid"), "0o600"
    )
    agent.services.start(SLEEPER)
    assert agent.services.pid("sleeper") == pid, "what runs is not started again"
    agent.services.stop("sleeper")
    assert not running(pid)
    assert agent.services.pid("sleeper") is None
    assert agent.services.programs() == ()
    assert list(agent.state.iterdir()) == []
    agent.services.stop("sleeper")


def test_what_it_is_given(agent: Agent) -> None:
    agent.services.start(
        shell("curious", 'env | grep -v PWD; pwd; cat; ls -l /proc/$$/fd  | grep -c /; ulimit -n; echo "$0 $*"; sleep 1000')
    )
    words = eventually(lambda: (w := agent.services.words("curious")).count("\n") >= 5 and w, "its words")
    lines = str(words).splitlines()
    assert lines[0].startswith("PATH=")
    assert lines[1] == "/"
    assert lines[2] == "3", "nothing of the agent's but /dev/null and the log"
    hard = subprocess.run(["sh", "-c", "ulimit -Hn"], capture_output=True, text=True, check=True).stdout
    assert int(lines[3]) >= int(hard), "all files that the system allows"


def test_it_runs_in_its_namespace(agent: Agent) -> None:
    with Namespace("there") as there:
        agent.services.start(shell("inside", "exec sleep 1000", namespace=there.name))
        pid = agent.pid("inside")
        eventually(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n", "sleep")
        assert Path(f"/proc/{pid}/ns/net").stat().st_ino == Path("/run/netns", there.name).stat().st_ino
        agent.services.stop("inside")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_it_comes_back(agent: Agent, number: signal.Signals) -> None:
    agent.services.start(SLEEPER)
    for restarts in (1, 2):
        pid = agent.pid()
        os.kill(pid, number)
        eventually(lambda pid=pid: agent.services.pid("sleeper") not in (None, pid), "another one")  # type: ignore[misc]
        assert agent.services.restarts("sleeper") == restarts
    assert not Path(f"/proc/{pid}").exists(), "and the one before is laid to rest"


def test_what_a_crash_leaves_behind_goes_before_it_comes_back(agent: Agent) -> None:
    agent.services.start(shell("parent", "sleep 1001 & sleep 1002 & echo $!; wait"))
    child = int(eventually(lambda: agent.services.words("parent"), "its word"))
    os.kill(agent.pid("parent"), signal.SIGKILL)
    eventually(lambda: not running(child), "the end of the child")


def test_one_that_cannot_run_is_tried_ever_more_rarely(agent: Agent, capsys: pytest.CaptureFixture[str]) -> None:
    begin = time.monotonic()
    agent.services.start(shell("broken", "echo no way; exit 3"))
    eventually(lambda: agent.services.restarts("broken") >= 3, "three more attempts")
    # 0.1 + 0.2 + 0.4: it takes at least that long; how much longer is not asked.
    assert time.monotonic() - begin > 0.65
    said = capsys.readouterr().out
    assert "code=3" in said
    assert "no way" in said
    agent.services.stop("broken")


def test_another_definition_replaces_it(agent: Agent) -> None:
    agent.services.start(SLEEPER)
    pid = agent.pid()
    agent.services.start(shell("sleeper", "exec sleep 2000"))
    assert not running(pid)
    eventually(lambda: b"2000" in Path(f"/proc/{agent.pid()}/cmdline").read_bytes(), "the other command")


def test_a_restart_ends_what_runs(agent: Agent) -> None:
    agent.services.restart(SLEEPER)
    pid = agent.pid()
    agent.services.restart(SLEEPER)
    assert not running(pid)
    assert agent.pid() != pid
    assert agent.services.programs() == ("sleeper",)


class KilledError(Exception):
    """The agent is no more."""


class LastMoment(SystemClock):
    """The agent is killed as soon as it waits for something."""

    def sleep(self, seconds: float, /) -> None:  # noqa: ARG002 - see `Clock`
        raise KilledError


@pytest.mark.parametrize("way", ["start", "restart"])
def test_one_that_is_to_run_again_does_so_when_the_agent_is_killed_before(tmp_path: Path, way: str) -> None:
    agent = Agent(tmp_path)
    agent.services.start(shell("sleeper", "trap 'echo asked' TERM; echo begun; while :; do sleep 0.05; done", patience=0.3))
    eventually(lambda: "begun" in agent.services.words("sleeper"), "its word")
    agent.services.close()
    dying = SupervisedServices(agent.run, agent.state, LastMoment())
    with pytest.raises(KilledError):
        getattr(dying, way)(SLEEPER)
    agent.restart()
    assert agent.services.programs() == ("sleeper",)
    eventually(lambda: "asked" in agent.services.words("sleeper"), "the end that had begun")
    agent.services.restore()
    assert agent.pid()
    agent.services.stop("sleeper")
    agent.end()


def test_one_that_does_not_listen_is_killed_with_its_children(agent: Agent) -> None:
    agent.services.start(shell("deaf", "trap '' TERM; sleep 1001 & echo $!; while :; do sleep 1; done", patience=0.3))
    child = int(eventually(lambda: agent.services.words("deaf"), "its word"))
    pid = agent.pid("deaf")
    agent.services.stop("deaf")
    assert not running(pid)
    assert not running(child)


def test_a_restarted_agent_takes_it_over(agent: Agent) -> None:
    agent.services.start(SLEEPER)
    pid = agent.pid()
    agent.restart()
    assert agent.services.pid("sleeper") == pid
    agent.services.restore()
    assert agent.services.pid("sleeper") == pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    eventually(lambda: agent.services.pid("sleeper") not in (None, pid), "another one")
    agent.services.stop("sleeper")
    assert agent.services.pid("sleeper") is None


def test_after_a_reboot_it_runs_again(agent: Agent) -> None:
    agent.services.start(SLEEPER)
    pid = agent.pid()
    agent.services.close()
    kill(Identity(pid, 0))
    os.waitpid(pid, 0)
    for file in agent.run.iterdir():
        file.unlink()
    agent.restart()
    assert agent.services.pid("sleeper") is None
    agent.services.restore()
    assert agent.pid() != pid


def test_a_process_that_has_its_number_is_not_taken_for_it(agent: Agent) -> None:
    agent.services.start(SLEEPER)
    pid = agent.pid()
    agent.services.close()
    kill(Identity(pid, 0))
    os.waitpid(pid, 0)
    # What somebody else's process would look like: same number, another start; and a record of another uptime.
    record = agent.run / "sleeper.pid"
    boot, stat = record.read_text().split(" ", 1)
    time.sleep(0.05)  # the kernel tells starts in hundredths of a second
    with subprocess.Popen(["sleep", "1000"]) as other, ExitStack() as stack:
        stack.callback(other.kill)
        mine = identify(other.pid)
        assert mine is not None
        record.write_text(f"{boot} {stat.replace(str(pid), str(other.pid))}")
        agent.restart()
        assert agent.services.pid("sleeper") is None
        record.write_text(f"another-boot {Path('/proc', str(other.pid), 'stat').read_text()}")
        agent.restart()
        assert agent.services.pid("sleeper") is None
        agent.services.restore()
        agent.services.stop("sleeper")
        assert running(other.pid)


def test_one_whose_stop_was_interrupted_goes_when_the_agent_starts(agent: Agent) -> None:
    agent.services.start(SLEEPER)
    pid = agent.pid()
    agent.services.close()
    (agent.state / "sleeper.json").unlink()
    agent.restart()
    agent.services.restore()
    assert not running(pid)
    assert list(agent.run.iterdir()) == []


def test_what_cannot_be_brought_back_does_not_keep_the_others_away(agent: Agent) -> None:
    agent.services.start(SLEEPER)
    agent.services.start(shell("another", "exec sleep 1000"))
    agent.services.close()
    for name in ("sleeper", "another"):
        kill(Identity(agent.pid(name), 0))
    (agent.run / "another.log").unlink()
    (agent.run / "another.log").mkdir()
    (agent.run / "unknown.pid").write_text("nonsense")
    agent.restart()
    agent.services.restore()
    assert agent.pid("sleeper")
    assert agent.services.pid("another") is None
    assert not (agent.run / "unknown.pid").exists()
    (agent.run / "another.log").rmdir()
    assert agent.pid("another"), "it is tried again"


def test_it_outlives_the_agent(tmp_path: Path) -> None:
    agent = Agent(tmp_path)
    code = (
        "import sys; from pathlib import Path\n"
        "from agent.services.programs import Program; from agent.services.supervised import SupervisedServices\n"
        "services = SupervisedServices(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "services.start(Program(name='sleeper', description='', arguments=('/bin/sleep', '1000')))\n"
        "print(services.pid('sleeper'), flush=True)\n"
        "sys.stdin.read()\n"
    )
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
        with subprocess.Popen(
            [sys.executable, "-c", code, str(agent.run), str(agent.state)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            assert process.stdout is not None
            pid = int(process.stdout.readline())
            process.send_signal(number)
            process.wait()
        agent.restart()
        assert agent.services.pid("sleeper") == pid, number.name
    agent.services.stop("sleeper")
    assert not running(pid)


def test_an_agent_that_is_killed_at_any_moment_leaves_nothing_unknown(tmp_path: Path) -> None:
    """Starts and stops, killed at random moments: what runs is what the next agent knows of, once each."""
    word = f"hydria-{os.getpid()}-unknown"
    agent = Agent(tmp_path)
    code = (
        "import sys; from pathlib import Path\n"
        "from agent.services.programs import Program; from agent.services.supervised import SupervisedServices\n"
        "services = SupervisedServices(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "services.restore()\n"
        "print('begin', flush=True)\n"
        "while True:\n"
        "    for name in ('one', 'two'):\n"
        "        services.start(Program(name=name, description='', arguments=('/bin/sh', '-c', 'sleep 1000; : ' + sys.argv[3])))\n"
        "    services.stop('one'); services.stop('two')\n"
    )
    dice = random.Random(5)
    for _ in range(15):
        # One agent at a time: this one would bring back what that one stops.
        agent.services.close()
        with subprocess.Popen(
            [sys.executable, "-c", code, str(agent.run), str(agent.state), word],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(dice.uniform(0, 0.15))
            process.kill()
            process.wait()
        agent.restart()
        agent.services.restore()
        known = {agent.pid(name) for name in agent.services.programs()}
        eventually(lambda known=known: sessions_with(word) == known, f"only {known} runs")  # type: ignore[misc]
    for name in agent.services.programs():
        agent.services.stop(name)
    assert sessions_with(word) == set()
    agent.services.close()


def sessions_with(word: str) -> set[int]:
    """The leaders of the sessions in which a process has `word` in its command line."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
        except (FileNotFoundError, ProcessLookupError):
            continue
        if word.encode() in line and (seen := look(int(entry.name))) and b"python" not in line and seen.state not in "ZX":
            found.add(seen.session)
    return found


@pytest.mark.parametrize("name", ["", "../x", "A", "a b", "a.service", "-a", "a" * 200])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(SystemFault, match="name"):
        shell(name, "true")
    with pytest.raises(SystemFault, match="name"):
        shell("fine", "true", namespace=f"{name}/")


@pytest.mark.parametrize("text", ["", "{", '{"name": "other", "description": "", "arguments": []}', "\xff", "[" * 100_000])
def test_one_that_is_damaged_does_not_keep_the_others_away(agent: Agent, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    agent.services.start(SLEEPER)
    agent.services.start(shell("another", "exec sleep 1000"))
    before = agent.pid()
    agent.services.close()
    kill(Identity(agent.pid("another"), 0))
    damaged = agent.state / "sleeper.json"
    damaged.write_text(text, "latin-1")
    agent.restart()
    [told] = agent.services.restore()
    assert f"{damaged} does not tell of a program (" in told
    assert "sleeper.json does not tell of a program (" in "".join(capsys.readouterr())
    assert agent.pid("another")
    assert damaged.read_text("latin-1") == text
    assert (agent.services.pid("sleeper"), agent.services.programs()) == (before, ("another", "sleeper")), "what runs, runs on"
    kill(Identity(before, 0))
    os.waitpid(before, 0)
    assert agent.services.pid("sleeper") is None
    agent.services.start(SLEEPER)
    assert agent.pid("sleeper") != before
    agent.restart()
    assert agent.services.restore() == []


def test_one_that_is_damaged_can_be_stopped(agent: Agent) -> None:
    agent.services.start(SLEEPER)
    pid = agent.pid()
    (agent.state / "sleeper.json").write_text("")
    agent.restart()
    agent.services.stop("sleeper")
    assert not running(pid)
    assert (agent.services.programs(), agent.services.restore(), list(agent.state.iterdir())) == ((), [], [])


class Hurried(SystemClock):
    """Five seconds pass at once."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead

    def sleep(self, seconds: float, /) -> None:
        self.ahead += 5
        super().sleep(seconds)


def test_nobody_waits_for_ever_for_a_record(agent: Agent) -> None:
    agent.services.start(SLEEPER)
    agent.services.start(shell("another", "exec sleep 1000"))
    pid = agent.pid()
    agent.services.close()
    kill(Identity(agent.pid("another"), 0))
    record = agent.run / "sleeper.pid"
    with record.open("rb") as held:
        # As a process that was stopped before it could write its record would.
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(DeadlineExceeded, match=r"sleeper\.pid is not written"):
            recorded(record, Hurried())
        with pytest.raises(DeadlineExceeded, match=r"sleeper\.pid is not written"):
            launch(SLEEPER, record, agent.run / "sleeper.log", Hurried())
        agent.services = SupervisedServices(agent.run, agent.state, Hurried())
        agent.services.restore()
        assert agent.pid("another")
    assert agent.pid() == pid, "it is taken over as soon as it can be seen, and no second one is started"
