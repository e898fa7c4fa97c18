"""HAProxy as our child: started, reloaded and stopped by what its sockets say, and never left behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.polling import eventually

from agent.errors import DeadlineExceeded, RejectedByHaproxy, SocketFault, SystemFault
from agent.haproxy import Haproxy
from agent.stats_socket import StatsSocket
from agent.supervised import SupervisedHaproxy
from hydria.lab.backends import EchoBackend
from hydria.lab.client import Connection
from hydria.lab.ports import HeldPort

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]


class Place:
    """A bundle that passes TCP on to an echo server, and where it runs."""

    def __init__(self, directory: Path, port: int, backend: int) -> None:
        self.run_directory = directory
        self.bundle = directory / "bundle"
        self.bundle.mkdir()
        self.address = ("127.0.0.1", port)
        self._backend = backend
        self.write("first")

    def write(self, name: str, extra: str = "", port: int | None = None) -> None:
        """A configuration whose node is called `name`; `extra` at its end."""
        (self.bundle / "haproxy.cfg").write_text(
            f"global\n  default-path config\n  node {name}\n  maxconn 100\n"
            f"  stats socket {self.run_directory}/lb.sock mode 600 level admin expose-fd listeners\n"
            "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n"
            f"listen echo\n  bind 127.0.0.1:{port or self.address[1]}\n  server s 127.0.0.1:{self._backend}\n{extra}"
        )

    def haproxy(self, haproxy: Haproxy) -> SupervisedHaproxy:
        return SupervisedHaproxy(haproxy, self.bundle, self.run_directory, "lb")


@pytest.fixture
def place() -> Iterator[Place]:
    # Not pytest's directory: the path of a UNIX socket must be short.
    with tempfile.TemporaryDirectory(prefix="hydria-") as directory, EchoBackend("echo") as backend, HeldPort() as held:
        yield Place(Path(directory), held.port, backend.port)


def processes_with(word: str) -> list[str]:
    """The command lines, of all processes, that hold `word`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace") if entry.name.isdigit() else ""
        except (FileNotFoundError, ProcessLookupError):
            continue
        if word in line:
            found.append(f"{entry.name}: {line}")
    return found


def nothing_runs(place: Place) -> bool:
    return not processes_with(str(place.run_directory))


def echoes(place: Place) -> bool:
    with Connection(place.address) as connection:
        connection.send(b"hello\n")
        return json.loads(connection.receive_line())["name"] == "echo" and connection.receive_line() == b"hello\n"


def old_workers(supervised: SupervisedHaproxy) -> tuple[int, ...]:
    state = supervised._running.processes()
    assert state is not None
    return state.old_workers


def refuses(place: Place) -> bool:
    try:
        Connection(place.address).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        return False  # the listener went while we were being let in
    return False


def ended(connection: Connection) -> bool:
    try:
        return connection.receive() == b""
    except ConnectionResetError:
        return True


def test_it_serves_when_start_returns_and_not_after_stop(haproxy: Haproxy, place: Place) -> None:
    supervised = place.haproxy(haproxy)
    assert not supervised.alive()
    supervised.start()
    assert supervised.alive()
    assert echoes(place)
    assert supervised.stats.show_info()["node"] == "first"
    assert {row["svname"] for row in supervised.stats.show_stat() if row["pxname"] == "echo"} == {"FRONTEND", "BACKEND", "s"}
    supervised.stop(grace=5)
    assert not supervised.alive()
    assert nothing_runs(place)
    assert refuses(place)
    with pytest.raises(SocketFault):
        supervised.stats.show_info()


def test_it_can_be_started_again_but_not_twice(haproxy: Haproxy, place: Place) -> None:
    with place.haproxy(haproxy) as supervised:
        supervised.start()
        with pytest.raises(SystemFault, match="has been started before"):
            supervised.start()
        assert echoes(place)
        supervised.stop(grace=0)
        supervised.stop(grace=0)
        supervised.start()
        assert echoes(place)
    assert nothing_runs(place)


def test_a_reload_serves_the_new_bundle_when_it_returns(haproxy: Haproxy, place: Place) -> None:
    with place.haproxy(haproxy) as supervised:
        supervised.start()
        for name in ("second", "third", "fourth"):
            place.write(name)
            supervised.reload()
            assert supervised.stats.show_info()["node"] == name
            assert echoes(place)


def test_connections_outlive_a_reload(haproxy: Haproxy, place: Place) -> None:
    with place.haproxy(haproxy) as supervised:
        supervised.start()
        with Connection(place.address) as connection:
            connection.send(b"before\n")
            connection.receive_line()
            assert connection.receive_line() == b"before\n"
            place.write("second")
            supervised.reload()
            assert old_workers(supervised)
            connection.send(b"after\n")
            assert connection.receive_line() == b"after\n"
        eventually(lambda: not old_workers(supervised), "the old worker's end")


def test_a_reload_that_is_refused_changes_nothing_and_can_be_repeated(haproxy: Haproxy, place: Place) -> None:
    with place.haproxy(haproxy) as supervised:
        supervised.start()
        for word in ("bogus", "nonsense"):
            place.write("second", f"  {word}\n")
            with pytest.raises(RejectedByHaproxy, match="the old one serves on") as error:
                supervised.reload()
            assert f"unknown keyword '{word}'" in error.value.output
            assert ("bogus" in error.value.output) == (word == "bogus"), "only what was said about this reload"
            assert supervised.alive()
            assert echoes(place)
            assert supervised.stats.show_info()["node"] == "first"
        place.write("third")
        supervised.reload()
        assert supervised.stats.show_info()["node"] == "third"


def test_a_reload_onto_a_port_that_is_taken_keeps_the_old_one(haproxy: Haproxy, place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, place.haproxy(haproxy) as supervised:
        supervised.start()
        place.write("second", port=taken.getsockname()[1])
        with pytest.raises(RejectedByHaproxy, match="Address already in use"):
            supervised.reload()
        assert echoes(place)
        assert supervised.stats.show_info()["node"] == "first"


def test_a_start_that_fails_says_it_in_haproxy_s_words(haproxy: Haproxy, place: Place) -> None:
    place.write("first", "  bogus\n")
    supervised = place.haproxy(haproxy)
    with pytest.raises(RejectedByHaproxy, match="did not start") as error:
        supervised.start()
    assert "unknown keyword 'bogus'" in error.value.output
    assert not supervised.alive()
    assert nothing_runs(place)
    place.write("second")
    with supervised:
        supervised.start()
        assert echoes(place)


def test_a_port_that_is_taken_is_told(haproxy: Haproxy, place: Place) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place.write("first", port=taken.getsockname()[1])
        with pytest.raises(RejectedByHaproxy, match="Address already in use"):
            place.haproxy(haproxy).start()
    assert nothing_runs(place)


def test_what_is_not_ready_in_time_is_stopped(tmp_path: Path, place: Place) -> None:
    # A program that runs but never opens a socket.
    idle = tmp_path / "haproxy"
    idle.write_text("#!/bin/sh\necho waiting for nothing\nwhile :; do sleep 1; done\n")
    idle.chmod(0o755)
    with pytest.raises(DeadlineExceeded, match=r"did not serve within 2 s(.|\n)*waiting for nothing"):
        place.haproxy(Haproxy(idle)).start(timeout=2)
    assert nothing_runs(place)


def test_sockets_left_by_another_do_not_count(haproxy: Haproxy, place: Place) -> None:
    other = place.haproxy(haproxy)
    other.start()
    os.kill(other._child.pid if other._child else 0, signal.SIGKILL)
    other.stop(grace=0)
    assert (place.run_directory / "lb.sock").exists()
    with place.haproxy(haproxy) as supervised:
        supervised.start()
        assert echoes(place)


def test_a_graceful_stop_waits_for_connections_but_takes_no_more(haproxy: Haproxy, place: Place) -> None:
    with place.haproxy(haproxy) as supervised:
        supervised.start()
        with Connection(place.address) as connection:
            connection.send(b"one\n")
            connection.receive_line()
            assert connection.receive_line() == b"one\n"
            stopping = threading.Thread(target=supervised.stop, args=(60,))
            stopping.start()
            eventually(lambda: refuses(place), "the listener's end")
            connection.send(b"two\n")
            assert connection.receive_line() == b"two\n"
        stopping.join()
    assert nothing_runs(place)


def test_the_grace_is_limited(haproxy: Haproxy, place: Place) -> None:
    with place.haproxy(haproxy) as supervised:
        supervised.start()
        with Connection(place.address) as connection:
            connection.send(b"one\n")
            connection.receive_line()
            assert connection.receive_line() == b"one\n"
            supervised.stop(grace=0.3)
            assert nothing_runs(place)
            assert ended(connection)


def test_one_that_does_not_listen_to_signals_is_killed(tmp_path: Path, haproxy: Haproxy, place: Place) -> None:
    deaf = tmp_path / "haproxy"
    deaf.write_text(f"#!/bin/sh\ntrap '' TERM USR1\n{haproxy.binary} \"$@\" &\nwhile :; do wait; done\n")
    deaf.chmod(0o755)
    supervised = place.haproxy(Haproxy(deaf))
    with pytest.raises(DeadlineExceeded):  # its master is not the process that we started
        supervised.start(timeout=1)
    assert nothing_runs(place)


def test_a_worker_that_dies_is_noticed(haproxy: Haproxy, place: Place) -> None:
    with place.haproxy(haproxy) as supervised:
        supervised.start()
        os.kill(int(supervised.stats.show_info()["Pid"]), signal.SIGKILL)
        eventually(lambda: not supervised.alive(), "the master's end")
        assert "exited with code 137" in supervised.words()
        with pytest.raises(SystemFault, match="does not run"):
            supervised.reload()
    assert nothing_runs(place)


def test_a_master_that_is_killed_leaves_no_worker(haproxy: Haproxy, place: Place) -> None:
    with place.haproxy(haproxy) as supervised:
        supervised.start()
        assert supervised._child is not None
        os.kill(supervised._child.pid, signal.SIGKILL)
        eventually(lambda: not supervised.alive(), "the master's end")
    eventually(lambda: nothing_runs(place), "the worker's end")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("reloaded", [False, True])
def test_it_ends_with_whoever_started_it(haproxy: Haproxy, place: Place, number: signal.Signals, reloaded: bool) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from agent.haproxy import Haproxy; from agent.supervised import SupervisedHaproxy\n"
        "binary, bundle, run, reloaded = sys.argv[1:]\n"
        "supervised = SupervisedHaproxy(Haproxy(Path(binary)), Path(bundle), Path(run), 'lb')\n"
        "supervised.start()\n"
        "if reloaded: supervised.reload()\n"
        "print('serving', flush=True)\n"
        "time.sleep(600)\n"
    )
    arguments = [str(haproxy.binary), str(place.bundle), str(place.run_directory), "yes" if reloaded else ""]
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"serving\n"
        worker = StatsSocket(place.run_directory / "lb.sock").show_info()["Pid"]
        assert Path("/proc", worker).exists()
        parent.send_signal(number)
        parent.wait()
    eventually(lambda: nothing_runs(place), "the end of HAProxy")
