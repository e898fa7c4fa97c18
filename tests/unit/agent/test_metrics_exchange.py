"""A question for metrics and its answer, over real sockets: bounds, refusals, and answers that break off."""

from __future__ import annotations

import http.client
import socket
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.polling import eventually

from agent.metrics.exporters import Exporters
from agent.metrics.places import Place, Places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

METRICS = b"# HELP haproxy_process_listeners x\n# TYPE haproxy_process_listeners gauge\nhaproxy_process_listeners 1\n"
WHOLE = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(METRICS), METRICS)


@contextmanager
def exporter(path: Path, answer: bytes | Callable[[socket.socket], None]) -> Iterator[list[bytes]]:
    """A HAProxy that says this to whoever asks; and what it was asked."""
    asked: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    asked.append(client.recv(65536))
                    if callable(answer):
                        answer(client)
                    else:
                        client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield asked
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(Place(str(tmp_path / "raw")), Place(str(tmp_path / "prom")))


@pytest.fixture
def exporters(places: Places) -> Iterator[Exporters]:
    running = Exporters(extra=dict)
    running.follow([places])
    yield running
    running.close()


def ask(places: Places, request: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(places.ours.address)
        client.sendall(request)
        return b"".join(iter(lambda: client.recv(65536), b""))


def get(path: str, version: str = "1.1", method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/{version}\r\nHost: x\r\n\r\n".encode()


@pytest.mark.usefixtures("exporters")
class TestAnswers:
    def test_a_whole_answer_says_that_it_is_whole(self, places: Places) -> None:
        with exporter(Path(places.exporter.address), WHOLE), socket.socket(socket.AF_UNIX) as client:
            client.connect(places.ours.address)
            client.sendall(get("/metrics"))
            answer = http.client.HTTPResponse(client)
            answer.begin()
            assert answer.status == 200
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            assert answer.read().decode().splitlines()[1:] == [
                "# TYPE octavia_loadbalancer_listeners gauge",
                "octavia_loadbalancer_listeners 1",
            ]

    def test_http_1_0_gets_it_without_chunks(self, places: Places) -> None:
        with exporter(Path(places.exporter.address), WHOLE):
            answer = ask(places, get("/metrics", "1.0"))
        assert b"chunked" not in answer
        assert answer.endswith(b"\noctavia_loadbalancer_listeners 1\n")

    def test_head_gets_no_body(self, places: Places) -> None:
        with exporter(Path(places.exporter.address), WHOLE):
            head, _, body = ask(places, get("/metrics", method="HEAD")).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert body == b""

    @pytest.mark.parametrize(
        ("path", "asked"),
        [
            ("/metrics", b"/metrics?scope=global&scope=frontend&scope=backend&scope=server "),
            ("/metrics?scope=server&no-maint", b"/metrics?scope=server&no-maint "),
        ],
    )
    def test_what_haproxy_is_asked_for(self, places: Places, path: str, asked: bytes) -> None:
        with exporter(Path(places.exporter.address), WHOLE) as questions:
            ask(places, get(path))
        assert [asked in question for question in questions] == [True]

    @pytest.mark.parametrize(
        ("request_", "status"),
        [
            (get("/"), 404),
            (get("/metrics/"), 404),
            (get("/metrics?" + "a" * 1001), 400),
            (get("/metrics?a%0d%0aX:y"), 400),
            (get("/metrics", method="POST"), 405),
            (b"hello\r\n\r\n", 400),
            (b"GET /metrics SPDY/1\r\n\r\n", 400),
            (b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 5000, 431),
            (get("/metrics"), 503),
        ],
    )
    def test_what_cannot_be_answered(self, places: Places, request_: bytes, status: int) -> None:
        assert ask(places, request_).startswith(f"HTTP/1.1 {status} ".encode())

    @pytest.mark.parametrize(
        "said",
        [
            WHOLE[:-5],
            WHOLE.partition(METRICS)[0] + METRICS[:-9],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ],
    )
    def test_an_answer_that_breaks_off_does_not_look_whole(self, places: Places, said: bytes) -> None:
        with exporter(Path(places.exporter.address), said):
            assert not ask(places, get("/metrics")).endswith(b"0\r\n\r\n")

    @pytest.mark.parametrize("said", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"])
    def test_an_exporter_that_does_not_answer_is_no_answer(self, places: Places, said: bytes) -> None:
        with exporter(Path(places.exporter.address), said):
            assert not ask(places, get("/metrics")).startswith(b"HTTP/1.1 200")


def test_so_many_at_once_and_no_more(exporters: Exporters, places: Places) -> None:  # noqa: ARG001 - it runs
    go_on = threading.Event()

    def answer(client: socket.socket) -> None:
        client.sendall(WHOLE[:40])
        go_on.wait()

    with exporter(Path(places.exporter.address), answer):
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(4)]
        try:
            for each in waiting:
                each.connect(places.ours.address)
                each.sendall(get("/metrics"))
            eventually(lambda: ask(places, get("/")).startswith(b"HTTP/1.1 503 "), "a refusal")
        finally:
            go_on.set()
            for each in waiting:
                each.close()
        eventually(lambda: ask(places, get("/")).startswith(b"HTTP/1.1 404 "), "room")


def test_nobody_listens_when_it_is_over(exporters: Exporters, places: Places) -> None:
    exporters.follow([places])
    assert ask(places, get("/")).startswith(b"HTTP/1.1 404 ")
    exporters.follow([])
    assert not Path(places.ours.address).exists()
    exporters.follow([places])
    assert ask(places, get("/")).startswith(b"HTTP/1.1 404 ")


def test_a_file_that_is_no_socket_is_left_alone(places: Places) -> None:
    Path(places.ours.address).write_text("precious")
    exporters = Exporters(extra=dict)
    exporters.follow([places])
    exporters.close()
    assert Path(places.ours.address).read_text() == "precious"
