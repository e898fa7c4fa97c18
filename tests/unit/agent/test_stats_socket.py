"""Answers of HAProxy's sockets: whole, in time, within bounds, or an error that says which of these failed."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from agent.errors import SocketFault
from agent.stats_socket import MasterSocket, Processes, StatsSocket, parse_processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def answering(path: Path, answer: Callable[[socket.socket], None]) -> Iterator[None]:
    """A server that takes one connection and does with it what `answer` does."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            thread.join()


def until_line(connection: socket.socket) -> bytes:
    got = b""
    while not got.endswith(b"\n"):
        got += connection.recv(1)
    return got


def saying(text: str) -> Callable[[socket.socket], None]:
    """Waits for the command, then answers with this."""

    def answer(connection: socket.socket) -> None:
        until_line(connection)
        connection.sendall(text.encode())

    return answer


def send_on(connection: socket.socket, chunk: bytes, pause: float) -> None:
    """Sends until the other side has gone."""
    until_line(connection)
    never = threading.Event()
    while not never.wait(pause):
        connection.sendall(chunk)


def test_the_answer_is_everything_until_the_end_however_it_is_cut(tmp_path: Path) -> None:
    asked: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        asked.append(until_line(connection))
        for byte in "añb\n\n".encode():
            connection.sendall(bytes([byte]))

    with answering(tmp_path / "s", answer):
        assert StatsSocket(tmp_path / "s").ask("show something") == "añb\n\n"
    assert asked == [b"show something\n"]


def test_a_large_answer_is_read_whole(tmp_path: Path) -> None:
    with answering(tmp_path / "s", saying("x" * 3_000_000)):
        assert StatsSocket(tmp_path / "s").ask("show stat") == "x" * 3_000_000


def test_an_answer_may_not_be_larger_than_the_limit(tmp_path: Path) -> None:
    with answering(tmp_path / "s", saying("x" * 1001)), pytest.raises(SocketFault, match="larger than 1000 bytes"):
        StatsSocket(tmp_path / "s", limit=1000).ask("show stat")


def test_an_endless_answer_is_not_read_to_its_end(tmp_path: Path) -> None:
    def answer(connection: socket.socket) -> None:
        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            send_on(connection, b"x" * 65536, 0)

    with answering(tmp_path / "s", answer), pytest.raises(SocketFault, match="larger than"):
        StatsSocket(tmp_path / "s", limit=1_000_000).ask("show stat")


def test_silence_ends_at_the_deadline(tmp_path: Path) -> None:
    silence = threading.Event()

    def answer(_connection: socket.socket) -> None:
        silence.wait()

    with answering(tmp_path / "s", answer):
        with pytest.raises(SocketFault, match=r"no whole answer to 'show stat' within 0\.1 s"):
            StatsSocket(tmp_path / "s", timeout=0.1).ask("show stat")
        silence.set()


def test_a_trickle_does_not_prolong_the_deadline(tmp_path: Path) -> None:
    def answer(connection: socket.socket) -> None:
        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            send_on(connection, b"x", 0.02)

    with answering(tmp_path / "s", answer), pytest.raises(SocketFault, match="no whole answer"):
        StatsSocket(tmp_path / "s", timeout=0.2).ask("show stat")


def test_a_socket_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SocketFault, match=r"/s: 'show stat' cannot be asked: No such file"):
        StatsSocket(tmp_path / "s").ask("show stat")


def test_a_socket_that_nobody_listens_to_is_named(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "s"))
    with pytest.raises(SocketFault, match="Connection refused"):
        StatsSocket(tmp_path / "s").ask("show stat")


def test_a_path_that_is_too_long_is_an_error_like_others(tmp_path: Path) -> None:
    with pytest.raises(SocketFault, match="too long"):
        StatsSocket(tmp_path / ("s" * 200)).ask("show stat")


def test_one_command_a_connection(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one command"):
        StatsSocket(tmp_path / "s").ask("show stat\nshutdown sessions")


def test_show_stat_gives_a_row_by_the_names_of_the_columns(tmp_path: Path) -> None:
    text = '# pxname,svname,status,last_chk,\nweb,FRONTEND,OPEN,,\napp,"one, two",DOWN,"said ""no""",\n\n'
    with answering(tmp_path / "s", saying(text)):
        assert StatsSocket(tmp_path / "s").show_stat() == [
            {"pxname": "web", "svname": "FRONTEND", "status": "OPEN", "last_chk": ""},
            {"pxname": "app", "svname": "one, two", "status": "DOWN", "last_chk": 'said "no"'},
        ]


@pytest.mark.parametrize("text", ["", "Permission denied\n", "pxname,svname\n"])
def test_what_is_not_statistics_is_refused(tmp_path: Path, text: str) -> None:
    with (
        answering(tmp_path / "s", saying(text)),
        pytest.raises(SocketFault, match="`show stat` answers"),
    ):
        StatsSocket(tmp_path / "s").show_stat()


@pytest.mark.parametrize("length", [60, 90, 100])
def test_an_answer_that_breaks_off_is_an_error_not_less(tmp_path: Path, length: int) -> None:
    text = "# pxname,svname,status,type,weight,scur,stot,bin,bout,ereq,\nweb,FRONTEND,OPEN,0,,1,2,3,4,5,\na,s,UP,2,1,0,0,0,0,,\n\n"
    with answering(tmp_path / "s", saying(text)):
        assert [each.name for each in StatsSocket(tmp_path / "s").heartbeat().frontends] == ["web"]
    (tmp_path / "s").unlink()
    with answering(tmp_path / "s", saying(text[:length])), pytest.raises(SocketFault, match=f"byte {length}: the dump ends here"):
        StatsSocket(tmp_path / "s").heartbeat()


def test_show_info_gives_values_by_name(tmp_path: Path) -> None:
    text = "Name: HAProxy\nPid: 12\nnode: a: b\nempty: \n\n"
    with answering(tmp_path / "s", saying(text)):
        assert StatsSocket(tmp_path / "s").show_info() == {"Name": "HAProxy", "Pid": "12", "node": "a: b", "empty": ""}


def test_the_master_is_told_that_there_are_no_more_commands(tmp_path: Path) -> None:
    def answer(connection: socket.socket) -> None:
        until_line(connection)
        assert connection.recv(1) == b""
        connection.sendall(b"5334 master 0 [failed: 0] 0d00h00m00s 2.6.12\n")

    with answering(tmp_path / "s", answer):
        assert MasterSocket(tmp_path / "s").processes().master == 5334


def test_a_reload_may_break_the_connection(tmp_path: Path) -> None:
    asked: list[bytes] = []
    with answering(tmp_path / "s", lambda c: asked.append(until_line(c))):
        MasterSocket(tmp_path / "s").reload()
    assert asked == [b"reload\n"]
    MasterSocket(tmp_path / "nobody").reload()


HEADING = "#<PID>          <type>          <reloads>       <uptime>        <version>      \n"
MASTER = "5334            master          2 [failed: 1]   0d00h00m02s     2.6.12-1+deb12u4\n"


def test_show_proc_with_everything() -> None:
    answer = (
        f"{HEADING}{MASTER}# workers\n"
        "5479            worker          1               0d00h00m01s     2.6.12-1+deb12u4\n"
        "# old workers\n"
        "5359            worker          2               0d00h10m01s     2.6.12-1+deb12u4\n"
        "5360            worker          3               0d00h10m01s     2.6.12-1+deb12u4\n"
        "# programs\n"
        "1244            foo             0               0d00h00m00s     -\n\n"
    )
    assert parse_processes(answer) == Processes(5334, 2, 1, (5479,), (5359, 5360))


def test_show_proc_of_a_version_without_the_count_of_failures() -> None:
    answer = f"{HEADING}1162            master          5               0d00h02m07s     2.4.0\n# workers\n# programs\n\n"
    assert parse_processes(answer) == Processes(1162, 5, 0, (), ())


@pytest.mark.parametrize(
    "answer", ["", "Unknown command\n", HEADING, f"{HEADING}# workers\n12 worker 0 0d 2.6\n", f"{HEADING}1 master {'9' * 5000} 0d 2.6\n"]
)
def test_what_is_not_show_proc_is_refused(answer: str) -> None:
    with pytest.raises(SocketFault, match="`show proc` answers"):
        parse_processes(answer)
