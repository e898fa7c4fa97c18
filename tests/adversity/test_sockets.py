"""HAProxy's sockets hang, are dead or lie: the agent says so within its limits, everybody else is served, and HAProxy serves on."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.attacked import Attacked

#: Seconds. No call may take longer: a controller waits for so long, whatever it asks.
PATIENCE = 60


def hang(connection: socket.socket, over: threading.Event) -> None:
    """Takes everything and says nothing."""
    over.wait()
    connection.close()


def trickle(connection: socket.socket, over: threading.Event) -> None:
    """Says a byte now and then."""
    while not over.wait(0.05):
        connection.sendall(b"x")


def flood(connection: socket.socket, over: threading.Event) -> None:
    """Does not come to an end."""
    while not over.is_set():
        connection.sendall(b"# pxname,svname,\nx,y,\n" * 1000)


def say(answer: bytes) -> Callable[[socket.socket, threading.Event], None]:
    def speak(connection: socket.socket, over: threading.Event) -> None:  # noqa: ARG001 - as the others
        connection.recv(1000)
        connection.sendall(answer)

    return speak


INFO = b"Name: HAProxy\nVersion: 2.6.12\nPid: 1\nUptime_sec: 1\n\n"
PROC = b"#<PID> <type> <reloads> <uptime> <version>\n%d master %s 0d00h00m01s 2.6\n# workers\n1 worker 0 0d00h00m01s 2.6\n# old workers\n# programs\n\n"

LIES = {
    "hangs": hang,
    "trickles": trickle,
    "floods": flood,
    "nothing": say(b""),
    "another's": say(INFO),
    "a master that is init": say(PROC % (1, b"0")),
    "a number beyond numbers": say(PROC % (1, b"9" * 5000)),
    "half": say(INFO[:20]),
    "unknown": say(b"Unknown command.\n"),
    "no text": say(bytes(range(256)) * 10),
    "zeros": say(bytes(100_000)),
    "quotes": say(b'# pxname,svname\n"' + b"x" * 100_000),
    "an escape": say(b"\x1b]0;x\x07# pxname\nroot\n"),
}


@contextmanager
def in_place_of(path: Path, lie: Callable[[socket.socket, threading.Event], None] | None) -> Iterator[None]:
    """At `path`, somebody who lies, or with None nobody, answers; until the block ends."""
    real = path.with_suffix(".real")
    path.rename(real)
    over = threading.Event()
    threads: list[threading.Thread] = []

    def serve(connection: socket.socket) -> None:
        assert lie is not None
        with connection:
            connection.settimeout(PATIENCE)
            try:
                lie(connection, over)
            except OSError:
                return  # enough of it

    def accept() -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            threads.append(threading.Thread(target=serve, args=(connection,)))
            threads[-1].start()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        if lie is not None:
            listener.settimeout(0.1)
            listener.listen(100)
            threads.append(threading.Thread(target=accept))
            threads[-1].start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()
            real.rename(path)


@pytest.mark.parametrize("which", ["{0.bystander}.sock", "{0.bystander}.master"])
@pytest.mark.parametrize("lie", ["dead", *(pytest.param(lie, marks=pytest.mark.slow) if lie == "trickles" else lie for lie in LIES)])
def test_a_socket_that_does_not_tell_the_truth(machine: Attacked, which: str, lie: str) -> None:
    with in_place_of(machine.run / which.format(machine), LIES.get(lie)):
        began = time.monotonic()
        [listener] = [
            found for found in machine.ask("GET", "/1.0/listeners").json if found["uuid"] in machine.text(machine.bystander).decode()
        ]
        assert listener["status"] == "ERROR"
        assert machine.ask("GET", "/1.0/details").json["haproxy_count"] == 0
        assert machine.serves()
        assert time.monotonic() - began < PATIENCE
        # The other one's are its own.
        assert machine.ask("PUT", f"/1.0/loadbalancer/{machine.victim}/certificates/x.pem", b"content").status == 200
        assert machine.ask("DELETE", f"/1.0/listeners/{machine.victim}").status == 200
    assert machine.ask("GET", "/1.0/details").json["haproxy_count"] == 1
    assert {found["status"] for found in machine.ask("GET", "/1.0/listeners").json} == {"ACTIVE"}


@pytest.mark.parametrize("which", ["sock", pytest.param("master", marks=pytest.mark.slow)])
@pytest.mark.parametrize("lie", ["hangs", pytest.param("another's", marks=pytest.mark.slow)])
def test_a_reload_in_spite_of_it(a_machine: Attacked, which: str, lie: str) -> None:
    path = a_machine.run / f"{a_machine.bystander}.{which}"
    done = threading.Event()

    def ask_others() -> None:
        while not done.wait(0.2):
            began = time.monotonic()
            assert a_machine.ask("GET", "/1.0/info").status == 200
            slowest.append(time.monotonic() - began)

    slowest: list[float] = []
    asking = threading.Thread(target=ask_others)
    asking.start()
    try:
        with in_place_of(path, LIES[lie]):
            a_machine.ask("PUT", f"/1.0/loadbalancer/{a_machine.bystander}/reload").understood()
    finally:
        done.set()
        asking.join()
    assert max(slowest) < PATIENCE / 4, "others had to wait"
    # Whoever is not believed is replaced.
    assert a_machine.ask("PUT", f"/1.0/loadbalancer/{a_machine.bystander}/reload").status == 202
    assert a_machine.serves()
    assert a_machine.ask("GET", "/1.0/details").json["haproxy_count"] == 1
    a_machine.note_processes()
