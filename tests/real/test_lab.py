"""The lab's own servers and ports: what every other test through real connections rests on."""

from __future__ import annotations

import json
import socket
import threading

import pytest

from hydria.lab.backends import EchoBackend, HttpBackend
from hydria.lab.certificates import Authority
from hydria.lab.client import Connection, NoAnswerError, fetch, request_bytes
from hydria.lab.ports import HeldPort, sharing_socket

BOTH = ("127.0.0.1", "::1")


def test_a_held_port_is_refused_until_somebody_shares_it() -> None:
    with HeldPort(BOTH) as held:
        for address in BOTH:
            with pytest.raises(ConnectionRefusedError):
                Connection((address, held.port))
            with sharing_socket(address, held.port) as listening:
                listening.listen()
                Connection((address, held.port)).close()


def test_a_held_port_is_held_once() -> None:
    with HeldPort(("::1",)) as held, socket.socket(socket.AF_INET6) as other:
        with pytest.raises(OSError, match="in use"):
            other.bind(("::1", held.port))
        ports = [HeldPort(BOTH) for _ in range(50)]
        try:
            assert len({port.port for port in [*ports, held]}) == 51
        finally:
            for port in ports:
                port.close()


def test_an_http_backend_tells_what_reached_it() -> None:
    with HttpBackend("one") as backend:
        address = (backend.address, backend.port)
        answer = fetch(address, "/a#b?c", method="POST", headers={"X-Odd": b"\xff", "Content-Length": "0"}, source="127.0.0.9")
        seen = answer.json()
        assert (seen["name"], seen["method"], seen["target"], seen["arrival"]["peer"]) == ("one", "POST", "/a#b?c", "127.0.0.9")
        assert ["X-Odd", "\xff"] in seen["headers"]
        assert fetch(address, headers={"X-Lab-Status": "418"}).status == 418
        backend.statuses["/health"] = 503
        assert [fetch(address, target).status for target in ("/health?x", "/")] == [503, 200]
        assert [request.target for request in backend.requests] == ["/a#b?c", "/", "/health?x", "/"]


def test_a_backend_keeps_a_connection_and_reads_chunks() -> None:
    with HttpBackend("one") as backend, Connection((backend.address, backend.port)) as connection:
        body = b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
        answer = connection.exchange(b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        assert answer.json()["body"] == "abcde"
        assert connection.exchange(request_bytes("/again", method="HEAD"), head=True).status == 200


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n", (1, "192.0.2.1", 1000, "192.0.2.2", 80)),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 1000 80\r\n", (1, "2001:db8::1", 1000, "2001:db8::2", 80)),
        (b"PROXY UNKNOWN\r\n", (1, "", 0, "", 0)),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\1\xc0\0\2\2\3\xe8\0\x50", (2, "192.0.2.1", 1000, "192.0.2.2", 80)),
        (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", (2, "", 0, "", 0)),
    ],
)
def test_a_proxy_header_is_understood(header: bytes, expected: tuple[int, str, int, str, int]) -> None:
    with HttpBackend("one") as backend, Connection((backend.address, backend.port)) as connection:
        proxy = connection.exchange(header + request_bytes()).json()["arrival"]["proxy"]
        assert tuple(proxy.values()) == (*expected, None)


def test_a_proxy_header_tells_of_the_clients_tls() -> None:
    version, name = b"\x21\0\x07TLSv1.3", b"\x22\0\x03ann"
    tls = b"\x07\0\0\0\0" + version + name
    rest = b"\xc0\0\2\1\xc0\0\2\2\3\xe8\0\x50\x04\0\x01x\x20" + len(tls).to_bytes(2) + tls
    with HttpBackend("one") as backend, Connection((backend.address, backend.port)) as connection:
        header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + len(rest).to_bytes(2) + rest
        proxy = connection.exchange(header + request_bytes()).json()["arrival"]["proxy"]
        assert proxy["tls"] == {"version": "TLSv1.3", "client_certificate": True, "verified": True, "common_name": "ann"}


def test_tls_tells_names_and_certificates() -> None:
    authority = Authority()
    server, client = authority.server("a.example"), authority.client("ann", organisation="North")
    with HttpBackend("one", tls=server.server_context(client_ca=authority)) as backend:
        address = (backend.address, backend.port)
        answer = fetch(address, tls=authority.client_context(certificate=client, alpn=["http/1.1"]), server_name="asked.example")
        tls = answer.json()["arrival"]["tls"]
        assert (tls["server_name"], tls["alpn"], tls["client"]) == ("asked.example", "http/1.1", "CN=ann,O=North")
        assert answer.certificate == server.der
        with pytest.raises((OSError, NoAnswerError)):
            fetch(address, tls=authority.client_context())


def test_a_backend_that_refuses_cuts_its_connections_and_keeps_its_port() -> None:
    with EchoBackend("one") as backend:
        address = (backend.address, backend.port)
        with Connection(address) as connection:
            connection.send(b"x\n")
            assert json.loads(connection.receive_line())["name"] == "one"
            assert connection.receive_line() == b"x\n"
            backend.refuse()
            assert connection.receive() == b""
        with pytest.raises(ConnectionRefusedError):
            Connection(address)
        backend.accept()
        with Connection(address) as connection:
            connection.send(b"y\n")
            assert json.loads(connection.receive_line())["name"] == "one"


def test_a_backend_leaves_no_thread_and_no_port_behind() -> None:
    before = threading.active_count()
    with HttpBackend("one") as backend, Connection((backend.address, backend.port)):
        assert threading.active_count() > before
    assert threading.active_count() == before
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((backend.address, backend.port))


def test_secrets_are_not_shown() -> None:
    certificate = Authority().server("a.example")
    assert "PRIVATE" in certificate.bundle_pem.decode()
    assert repr(certificate) == "Certificate(CN=a.example,O=Hydria lab)"
