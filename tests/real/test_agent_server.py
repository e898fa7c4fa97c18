"""The agent's HTTP server as it really is: gunicorn in processes of its own, mutual TLS, clients that behave in every way."""

from __future__ import annotations

import json
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.fake_agent import AMPHORA, Certified, pem
from support.polling import eventually

from agent.routes import bodies
from agent.worker import BUSY, IDLE, STRANGERS
from hydria.lab.certificates import Authority, Certificate
from hydria.lab.ports import HeldPort

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).resolve().parents[1]


class Running:
    """A server in processes of its own, over collaborators that remember."""

    def __init__(self, directory: Path, host: str, *options: str, **settings: Any) -> None:
        self.directory = directory
        self.files = Certified(directory, **settings)
        self.controller = self.files.clients.client("controller")
        self._held = HeldPort(("::",))
        self.port = self._held.port
        self.log = directory / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "support.fake_agent_server", str(directory), host, str(self.port), *options],
                cwd=TESTS,
                stdout=log,
                stderr=log,
            )

    def said(self, event: str) -> list[dict[str, Any]]:
        """The log's lines about an event."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def wait(self) -> None:
        eventually(lambda: self.said("serving") or self.process.poll() is not None, "serving")
        assert self.process.poll() is None, self.log.read_text()

    def context(self, certificate: Certificate | None = None, authority: Authority | None = None) -> ssl.SSLContext:
        return (authority or self.files.servers).client_context(certificate=certificate or self.controller)

    def connect(self, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> ssl.SSLSocket:
        raw = socket.create_connection((host, self.port), timeout=20)
        return (context or self.context()).wrap_socket(raw, server_hostname=AMPHORA)

    def request(self, method: str, path: str, body: bytes | None = None, **connecting: Any) -> tuple[int, Any]:
        with self.connect(**connecting) as connection:
            return ask(connection, method, path, body)

    def stop(self) -> None:
        if self.process.poll() is None:
            (self.directory / "go").touch()
            self.process.terminate()
        self.process.wait(timeout=40)
        self._held.close()


def ask(connection: ssl.SSLSocket, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    """One request over a connection that may be used again."""
    client = HTTPConnection("agent")
    client.sock = connection
    client.request(method, path, body, headers)
    answer = client.getresponse()
    return answer.status, json.loads(answer.read())


def read(connection: ssl.SSLSocket) -> tuple[int, Any]:
    """The answer to what was sent by hand."""
    answer = HTTPResponse(connection)
    try:
        answer.begin()
    except BaseException:
        answer.close()
        raise
    assert answer.headers["Content-Type"] == "application/json"
    return answer.status, json.loads(answer.read())


@contextmanager
def running(directory: Path, host: str = "::", *options: str, **settings: Any) -> Iterator[Running]:
    server = Running(directory, host, *options, **settings)
    try:
        server.wait()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One that is asked by tests that leave it as it is."""
    with running(tmp_path_factory.mktemp("server"), agent_request_read_timeout=3) as server:
        yield server


# --- who is served ---


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_controller_is_served_by_ipv4_and_ipv6(server: Running, host: str) -> None:
    assert server.request("GET", "/", host=host) == (200, {"api_version": "1.0"})


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_strangers_are_refused(server: Running, version: ssl.TLSVersion) -> None:
    nobody = server.files.servers.client_context()
    another = server.context(Authority("clients").client("controller"))
    a_server = server.context(server.files.servers.server("controller"))
    for context in (nobody, another, a_server):
        context.minimum_version = context.maximum_version = version
        with pytest.raises(ssl.SSLError, match=r"alert"), server.connect(context) as connection:
            ask(connection, "GET", "/")


def test_old_versions_of_tls_are_refused(server: Running) -> None:
    context = server.context()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        server.connect(context)


def test_tls_1_3_only_where_the_settings_say_so(tmp_path: Path) -> None:
    with running(tmp_path, agent_tls_protocol="TLSv1.3") as server:
        context = server.context()
        assert server.request("GET", "/")[0] == 200
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(ssl.SSLError):
            server.connect(context)


def test_plain_http_gets_nothing(server: Running) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with suppress(ConnectionResetError):
            assert b"api_version" not in connection.recv(1000)


def test_strangers_do_not_fill_the_log(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
                connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                with suppress(ConnectionResetError):
                    connection.recv(1000)
        with socket.create_connection(("::1", server.port), timeout=20) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        eventually(lambda: len(server.said("handshake refused")) == 2, "both sources")
        assert {told["client"] for told in server.said("handshake refused")} == {"::ffff:127.0.0.1", "::1"}
        server.stop()
        assert [told["times"] for told in server.said("handshake refused")] == [1, 1, 19]
        assert "HTTP_REQUEST" in server.said("handshake refused")[-1]["reason"]


def test_a_session_is_not_resumed(server: Running) -> None:
    with server.connect() as connection:
        ask(connection, "GET", "/")
        session = connection.session
        assert session is None or not session.has_ticket


@pytest.mark.parametrize(("host", "other"), [("127.0.0.1", "::1"), ("::1", "127.0.0.1")])
def test_an_address_that_is_asked_for_is_the_only_one(tmp_path: Path, host: str, other: str) -> None:
    with running(tmp_path, host) as server:
        assert server.request("GET", "/", host=host)[0] == 200
        with pytest.raises(ConnectionRefusedError):
            server.request("GET", "/", host=other)


def test_one_whose_socket_does_not_refuse_strangers_does_not_serve(tmp_path: Path) -> None:
    server = Running(tmp_path, "::", "--careless")
    try:
        # Served or not is decided some seconds later; until then nobody is.
        connection = eventually(partial(connected, server), "a connection")
        assert connection is not None
        with connection, pytest.raises(OSError, match=r"closed|reset"):
            ask(connection, "GET", "/")
        assert server.process.wait(timeout=30) == 3
        [told] = server.said("nothing is served: it is not proven that strangers are refused")
        assert "without a certificate was not refused" in told["reason"]
    finally:
        server.stop()


@pytest.mark.parametrize("broken", ["server.pem", "client_ca.pem"])
def test_one_without_its_files_does_not_serve(tmp_path: Path, broken: str) -> None:
    server = Running(tmp_path, "::")
    (tmp_path / broken).write_text("nonsense")
    try:
        assert server.process.wait(timeout=30) == 3
        assert server.said("nothing is served: it is not proven that strangers are refused")
    finally:
        server.stop()


# --- requests ---


def test_a_connection_is_used_again(server: Running) -> None:
    with server.connect() as connection:
        for _ in range(5):
            assert ask(connection, "GET", "/1.0/listeners") == (200, [])
        assert ask(connection, "PUT", "/1.0/vrrp/nothing", b"body that nobody reads")[0] == 400
        assert ask(connection, "GET", "/")[0] == 200


def test_requests_that_come_all_at_once_are_answered_in_order(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3 + b"GET /1.0/nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.count(b"HTTP/1.1 200 OK") == 3
    assert received.count(b"HTTP/1.1 404 NOT FOUND") == 1


def test_a_large_body_comes_whole_and_a_larger_one_gets_an_answer(server: Running) -> None:
    with server.connect() as connection:
        assert ask(connection, "PUT", "/1.0/vrrp/upload", b"x" * bodies.CONFIGURATION)[0] == 200
        status, answer = ask(connection, "PUT", "/1.0/vrrp/upload", b"x" * (bodies.CONFIGURATION + 1))
        assert (status, answer["http_code"]) == (400, 400)
        status, answer = ask(connection, "PUT", "/1.0/certificate", b"x" * bodies.CONFIGURATION)
        assert str(bodies.OWN) in answer["error"]
        assert ask(connection, "GET", "/")[0] == 200


def test_a_body_in_chunks(server: Running) -> None:
    chunk = b"%x\r\n%s\r\n" % (100_000, b"x" * 100_000)
    head = b"PUT /1.0/%s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with server.connect() as connection:
        connection.sendall(head % b"vrrp/upload" + chunk * 3 + b"0\r\n\r\n")
        assert read(connection)[0] == 200
        connection.sendall(head % b"certificate" + chunk * 3 + b"0\r\n\r\n")
        status, answer = read(connection)
        assert status == 400
        assert str(bodies.OWN) in answer["error"]


def test_a_client_that_asks_whether_to_send(server: Running) -> None:
    with server.connect() as connection:
        connection.sendall(b"PUT /1.0/vrrp/upload HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"body")
        assert read(connection)[0] == 200


@pytest.mark.parametrize(
    "request_head",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"get / HTTP/1.1\r\n\r\n",
        b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"x" * 10_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\nExpect: tea\r\n\r\n",
        b"PUT /1.0/vrrp/upload HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"PUT /1.0/vrrp/upload HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"PUT /1.0/vrrp/upload HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"PUT /1.0/vrrp/upload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"GET / HTTP/1.1\r\nSCRIPT_NAME: /x\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off\r\nX: \x00\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
    ids=lambda head: repr(head[:40]),
)
def test_what_is_no_request_gets_400_as_json(server: Running, request_head: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(request_head)
        status, answer = read(connection)
    assert (status, answer["http_code"]) == (400, 400)


@pytest.mark.parametrize("head", [b"Content-Length: 100\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n64\r\n"])
def test_a_body_that_breaks_off_is_not_taken_for_a_whole_one(server: Running, head: bytes) -> None:
    before = len(server.said("request"))
    with server.connect() as connection:
        connection.sendall(b"PUT /1.0/vrrp/upload HTTP/1.1\r\nHost: x\r\n" + head + b"half a body")
        socket.socket.shutdown(connection, socket.SHUT_WR)
        # TLS has ended without saying so, so the answer may not get through.
        with suppress(OSError):
            assert read(connection)[0] == 400
    [request] = eventually(lambda: server.said("request")[before:], "the request's line in the log")
    assert request["status"] == 400


# --- clients that take their time ---


def test_slow_clients_hold_up_nobody(server: Running) -> None:
    with ExitStack() as stack:
        hello = client_hello(server)
        for number in range(STRANGERS):
            raw = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=20))
            raw.sendall(hello[: number % 3 * 50])
        slow = [stack.enter_context(server.connect()) for _ in range(BUSY - 2)]
        for number, connection in enumerate(slow):
            head = b"PUT /1.0/vrrp/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf"
            connection.sendall(head[: 20 if number % 2 else len(head)])
        began = time.monotonic()
        for _ in range(20):
            assert server.request("GET", "/")[0] == 200
        # Not how fast, but that nobody's deadline had to be waited for.
        assert time.monotonic() - began < 3


def test_a_stranger_makes_room_for_others_and_a_crowd_of_them_for_a_controller(server: Running) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=20))
        for _ in range(3 * STRANGERS):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=20))
        assert server.request("GET", "/")[0] == 200
        # Before its ten seconds are over.
        first.settimeout(5)
        assert first.recv(1) == b""


def test_an_idle_connection_makes_room_for_others(server: Running) -> None:
    with ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for _ in range(IDLE + 5)]
        assert connections[0].recv(1) == b""
        assert ask(connections[-1], "GET", "/")[0] == 200


def test_a_body_has_its_time(server: Running) -> None:
    """`agent_request_read_timeout` is 3 s here: for all of it, not for each piece."""
    with server.connect() as connection:
        connection.sendall(b"PUT /1.0/vrrp/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
        began = time.monotonic()
        connection.settimeout(0.2)
        answer = b""
        while time.monotonic() - began < 15 and not answer:
            connection.sendall(b"x")
            with suppress(TimeoutError):
                answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 400 ")


def test_a_client_that_goes_away_in_the_middle(server: Running) -> None:
    for _ in range(20):
        connection = server.connect()
        connection.sendall(b"GET / HTTP/1.1\r\nHost")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    assert server.request("GET", "/")[0] == 200
    assert not server.said("connection failed")


# --- its own certificate ---


def test_a_new_certificate_is_used_at_once_and_others_are_refused(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        kept = server.connect()
        assert ask(kept, "GET", "/")[0] == 200
        for number in range(5):
            another = server.files.servers.server(AMPHORA)
            assert ask(kept, "PUT", "/1.0/certificate", pem(another)) == (202, {"message": "OK"}), number
            with server.connect() as connection:
                assert connection.getpeercert(binary_form=True) == another.der
                assert ask(connection, "GET", "/")[0] == 200
            status, answer = ask(kept, "PUT", "/1.0/certificate", pem(server.files.servers.server("somebody-else")))
            assert status == 400
            assert "Hostname mismatch" in answer["details"]
            with server.connect() as connection:
                assert connection.getpeercert(binary_form=True) == another.der
        kept.close()


def test_certificates_change_under_traffic_and_no_connection_fails(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        seen: set[bytes] = set()
        failures: list[Exception] = []
        over = threading.Event()

        def traffic() -> None:
            while not over.is_set():
                try:
                    with server.connect() as connection:
                        seen.add(connection.getpeercert(binary_form=True) or b"")
                        assert ask(connection, "GET", "/")[0] == 200
                except (OSError, AssertionError) as error:
                    failures.append(error)

        threads = [threading.Thread(target=traffic) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(25):
                another = server.files.servers.server(AMPHORA)
                assert server.request("PUT", "/1.0/certificate", pem(another))[0] == 202
                eventually(lambda der=another.der: der in seen, "the new certificate")  # type: ignore[misc]
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert failures == []


def test_the_clients_authority_may_change_too(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        new = Authority("clients")
        server.files.client_ca.write_bytes(new.certificate_pem)
        with pytest.raises(ssl.SSLError, match="alert"):
            server.request("GET", "/")
        assert server.request("GET", "/", context=server.context(new.client("controller")))[0] == 200


@pytest.mark.parametrize(("spoilt", "said"), [(None, "No such file"), (b"nonsense", "NO_CERTIFICATE|NO_START_LINE|PEM")])
def test_that_its_own_files_cannot_be_used_is_not_told_as_a_clients_fault(tmp_path: Path, spoilt: bytes | None, said: str) -> None:
    with running(tmp_path) as server:
        content = server.files.server_pem.read_bytes()
        server.files.server_pem.unlink()
        if spoilt is not None:
            server.files.server_pem.write_bytes(spoilt)
        with pytest.raises(OSError):  # noqa: PT011 - however TLS says that it is over
            server.request("GET", "/")
        (told,) = server.said("the agent's certificate or its clients' authority cannot be used")
        assert told["level"] == "error"
        assert re.search(said, told["error"])
        server.files.server_pem.write_bytes(content)
        assert server.request("GET", "/")[0] == 200
        with pytest.raises(OSError):  # noqa: PT011
            server.request("GET", "/", context=server.context(Authority("clients").client("controller")))
        assert len(server.said("the agent's certificate or its clients' authority cannot be used")) == 1


def test_no_key_and_no_body_is_in_the_log(tmp_path: Path) -> None:
    with running(tmp_path, "::", "--debug") as server:
        content = pem(server.files.servers.server(AMPHORA))
        assert server.request("PUT", "/1.0/certificate", content)[0] == 202
        assert server.request("PUT", "/1.0/certificate", content[:-200])[0] == 400
        assert server.request("PUT", "/1.0/config", server.files.text(heartbeat_key="very-secret").encode())[0] == 202
        assert server.request("PUT", "/1.0/vrrp/upload?token=very-secret", b"auth_pass very-secret")[0] == 200
    log = server.log.read_text()
    assert "/1.0/vrrp/upload" in log
    for secret in ("very-secret", "PRIVATE KEY", "BEGIN CERTIFICATE"):
        assert secret not in log


# --- its end ---


def test_a_request_in_progress_is_answered_before_the_end(tmp_path: Path) -> None:
    with running(tmp_path) as server, server.connect() as idle, server.connect() as connection:
        connection.sendall(b"PUT /1.0/vrrp/start HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        eventually((tmp_path / "began").exists)
        server.process.terminate()
        assert idle.recv(1) == b""
        (tmp_path / "go").touch()
        assert read(connection) == (202, {"message": "OK", "details": "waited"})
        assert server.process.wait(timeout=20) == 0
        with pytest.raises(ConnectionRefusedError):
            server.connect()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_an_urgent_end_waits_for_nobody(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path) as server, server.connect() as connection:
        connection.sendall(b"PUT /1.0/vrrp/start HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
        eventually((tmp_path / "began").exists)
        server.process.send_signal(number)
        assert server.process.wait(timeout=20) == 0


def test_a_terminal_that_goes_away_ends_it_and_signals_of_gunicorns_main_process_do_not(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        for number in (signal.SIGWINCH, signal.SIGUSR1):
            server.process.send_signal(number)
        assert server.request("GET", "/")[0] == 200
        server.process.send_signal(signal.SIGHUP)
        assert server.process.wait(timeout=20) == 0


def test_it_is_one_process_and_the_forger_has_ended(server: Running) -> None:
    task = Path(f"/proc/{server.process.pid}/task")
    assert [child for thread in task.iterdir() for child in (thread / "children").read_text().split()] == []


def connected(server: Running) -> ssl.SSLSocket | None:
    """A connection, as soon as somebody listens."""
    try:
        return server.connect()
    except ConnectionRefusedError:
        return None


def client_hello(server: Running) -> bytes:
    """The first words of a client."""
    sent = ssl.MemoryBIO()
    connection = server.context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname=AMPHORA)
    with suppress(ssl.SSLWantReadError):
        connection.do_handshake()
    return sent.read()
