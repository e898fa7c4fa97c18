"""From one network to servers in another one: by TCP to the first address that answers, by UNIX sockets, and nobody is kept waiting for nobody."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from support.namespaces import Namespace
from support.polling import eventually

from hydria.lab.octavia_servers import Route
from hydria.lab.pid_one import DESCRIPTORS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BY_TCP, BY_UNIX, NOWHERE = 20_001, 20_002, 20_003


def echo(listening: socket.socket) -> None:
    """Answers each connection with what it sends, in capitals."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:  # the test is over
                return
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    def talk(connection: socket.socket) -> None:
        with connection:
            while received := connection.recv(1000):
                connection.sendall(received.upper())

    threading.Thread(target=serve, daemon=True).start()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Namespace]:
    with ExitStack() as stack:
        # Only an address by which nobody answers comes before.
        by_tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        by_unix = stack.enter_context(socket.socket(socket.AF_UNIX))
        by_unix.bind(str(tmp_path / "server"))
        by_unix.listen()
        for listening in (by_tcp, by_unix):
            echo(listening)
            stack.callback(listening.shutdown, socket.SHUT_RDWR)
        there = stack.enter_context(Namespace("relayed"))
        here, directory = os.open("/proc/self/ns/net", os.O_RDONLY), os.open(tmp_path, os.O_PATH)
        for each in (here, directory):
            stack.callback(os.close, each)
        routes = [
            Route(BY_TCP, ("127.0.0.9", "127.0.0.1"), by_tcp.getsockname()[1], ""),
            Route(BY_UNIX, (), 0, "server"),
            Route(NOWHERE, ("127.0.0.9",), by_tcp.getsockname()[1], ""),
        ]
        with there.entered():
            relay = subprocess.Popen(
                [sys.executable, "-m", "hydria.lab.relay", str(tmp_path), *map(str, routes)],
                env={**os.environ, DESCRIPTORS: f"{here} {directory}"},
                pass_fds=(here, directory),
                stdout=subprocess.DEVNULL,
            )
        stack.enter_context(relay)
        stack.callback(relay.kill)
        eventually(lambda: str(NOWHERE) in there.run("ss", "-ltn"), "a relay that listens")
        yield there


def connected(there: Namespace, port: int) -> socket.socket:
    with there.entered():
        return socket.create_connection(("127.0.0.1", port), timeout=20)


@pytest.mark.parametrize("port", [BY_TCP, BY_UNIX])
def test_what_is_said_comes_to_the_server_and_its_answers_back(lab: Namespace, port: int) -> None:
    with connected(lab, port) as first, connected(lab, port) as second:
        for connection, word in ((first, b"one"), (second, b"two"), (first, b"three")):
            connection.sendall(word)
            assert connection.recv(100) == word.upper()


def test_where_nobody_answers_the_connection_ends(lab: Namespace) -> None:
    with connected(lab, NOWHERE) as connection:
        assert connection.recv(100) == b""
