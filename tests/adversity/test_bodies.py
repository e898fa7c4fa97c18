"""What is no request, or one that nobody in his right mind sends: refused or cut off, nothing is stored, and everybody else is served."""

from __future__ import annotations

import gzip
import hashlib
import threading
import time
from typing import TYPE_CHECKING

import pytest
from support.attacked import FINE, first_answer

from agent.routes import bodies

if TYPE_CHECKING:
    from support.attacked import Attacked

NAME = "/1.0/loadbalancer/5d2f0d3e-6c1b-4a55-8d5e-0b6b7e1b6a10/certificates/{}.pem"


def put(headers: bytes, body: bytes = b"", path: str = NAME.format("x")) -> bytes:
    return f"PUT {path} HTTP/1.1\r\nHost: x\r\n".encode() + headers + b"\r\n\r\n" + body


#: Each must be refused: answered with an error, or cut off.
MALFORMED = {
    "two lengths": put(b"Content-Length: 3\r\nContent-Length: 4", b"abcd"),
    "a length and chunks": put(b"Content-Length: 3\r\nTransfer-Encoding: chunked", b"0\r\n\r\n"),
    "a list of lengths": put(b"Content-Length: 3, 3", b"abc"),
    "a negative length": put(b"Content-Length: -1", b"abc"),
    "a signed length": put(b"Content-Length: +3", b"abc"),
    "a hexadecimal length": put(b"Content-Length: 0x3", b"abc"),
    "a length with an underscore": put(b"Content-Length: 1_0", b"abcdefghij"),
    "digits of others": put("Content-Length: ³".encode(), b"abc"),
    "a length beyond numbers": put(b"Content-Length: " + b"9" * 1000, b"abc"),
    "a length beyond the disk": put(b"Content-Length: 1000000000000", b"abc"),
    "chunks of no size": put(b"Transfer-Encoding: chunked", b"\r\nabc\r\n0\r\n\r\n"),
    "chunks of a negative size": put(b"Transfer-Encoding: chunked", b"-3\r\nabc\r\n0\r\n\r\n"),
    "chunks of a size with a prefix": put(b"Transfer-Encoding: chunked", b"0x3\r\nabc\r\n0\r\n\r\n"),
    "a chunk beyond numbers": put(b"Transfer-Encoding: chunked", b"f" * 1000 + b"\r\nabc"),
    "a chunk that is longer than told": put(b"Transfer-Encoding: chunked", b"3\r\nabcdef\r\n0\r\n\r\n"),
    "chunks with an extension without an end": put(b"Transfer-Encoding: chunked", b"3;" + b"x" * 1_000_000),
    "chunks without an end": put(b"Transfer-Encoding: chunked\r\nConnection: close", b"3\r\nabc\r\n"),
    "another coding": put(b"Transfer-Encoding: gzip", gzip.compress(b"abc")),
    "chunks within another coding": put(b"Transfer-Encoding: chunked, identity", b"3\r\nabc\r\n0\r\n\r\n"),
    "chunks twice": put(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", b"3\r\nabc\r\n0\r\n\r\n"),
    "a header that goes on": put(b"X: a\r\n b\r\nContent-Length: 3", b"abc"),
    "a header without a colon": put(b"nonsense\r\nContent-Length: 3", b"abc"),
    "a space before the colon": put(b"Content-Length : 3", b"abc"),
    "a NUL in a header": put(b"X: a\0b\r\nContent-Length: 3", b"abc"),
    "a header without a name": put(b": x\r\nContent-Length: 3", b"abc"),
    "a thousand headers": put(b"\r\n".join(b"X%d: y" % number for number in range(1000)) + b"\r\nContent-Length: 3", b"abc"),
    "a header of a megabyte": put(b"X: " + b"y" * 1_000_000 + b"\r\nContent-Length: 3", b"abc"),
    "lines without returns": b"PUT " + NAME.format("x").encode() + b" HTTP/1.1\nHost: x\nContent-Length: 3\n\nabc",
    "no version": b"PUT " + NAME.format("x").encode() + b"\r\n\r\n",
    "another version": b"PUT " + NAME.format("x").encode() + b" HTTP/3.7\r\nContent-Length: 3\r\n\r\nabc",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(100),
    "a proxy's preface": b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + put(b"Content-Length: 3", b"abc"),
    "TLS in TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "zeros": bytes(100_000),
    "a method without an end": b"A" * 100_000,
    "a tunnel": b"CONNECT 192.0.2.1:22 HTTP/1.1\r\nHost: x\r\n\r\n",
    "everything": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "an upgrade": b"GET /1.0/nowhere HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
}


@pytest.mark.parametrize("what", MALFORMED)
def test_it_is_refused(machine: Attacked, what: str) -> None:
    said = machine.send(MALFORMED[what])
    if said is not None:
        said.refused(400, 404, 405)
    assert machine.ask("GET", NAME.format("x")).status == 404
    assert machine.ask("GET", NAME.format("y")).status == 404


@pytest.mark.parametrize("cut", [1, 40, 120, -1])
def test_half_a_request_is_none(machine: Attacked, cut: int) -> None:
    whole = put(b"Content-Length: 100", b"x" * 100)
    machine.send(whole[:cut])
    assert machine.ask("GET", NAME.format("x")).status == 404


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        (NAME.format("x"), bodies.CERTIFICATE),
        ("/1.0/loadbalancer/{0.id}/{0.victim}/haproxy", bodies.CONFIGURATION),
        ("/1.0/vrrp/upload", bodies.CONFIGURATION),
        ("/1.0/certificate", bodies.OWN),
        ("/1.0/config", bodies.OWN),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large(machine: Attacked, path: str, limit: int, chunked: bool) -> None:
    path = path.format(machine)
    if chunked:
        pieces = [put(b"Transfer-Encoding: chunked", b"%x\r\n" % (limit + 1), path), *[b"x" * 65536] * (limit // 65536), b"x\r\n0\r\n\r\n"]
    else:
        pieces = [put(b"Content-Length: %d" % (limit + 1), b"", path), *[b"x" * 65536] * (limit // 65536), b"x"]
    said = machine.send(*pieces)
    # It may be that the answer is lost because it came while all this was still on its way.
    if said is not None:
        said.refused(400)
    assert machine.ask("GET", NAME.format("x")).status == 404


def test_chunks_are_as_good_as_a_length(machine: Attacked) -> None:
    said = machine.send(put(b"Transfer-Encoding: chunked", b"1\r\na\r\n2;x=y\r\nbc\r\n0\r\nX: y\r\n\r\n"))
    assert said is not None
    assert (said.status, said.headers["etag"]) == (200, hashlib.md5(b"abc").hexdigest())
    assert machine.ask("DELETE", NAME.format("x")).status == 200


def test_who_waits_to_be_asked_is_asked(machine: Attacked) -> None:
    with machine.talk() as connection:
        connection.sock.sendall(put(b"Content-Length: 3\r\nExpect: 100-continue"))
        assert connection.sock.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sock.sendall(b"abc")
        said = first_answer(connection.sock)
    assert said is not None
    assert said.status == 200
    assert machine.ask("DELETE", NAME.format("x")).status == 200


def test_requests_that_come_all_at_once(machine: Attacked) -> None:
    bodies = [b"1" * 10, b"2" * 70_000, b"", b"4"]
    sent = b"".join(put(b"Content-Length: %d" % len(body), body, NAME.format(number)) for number, body in enumerate(bodies))
    with machine.talk() as connection:
        connection.sock.sendall(sent + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        seen = b""
        while piece := connection.sock.recv(65536):
            seen += piece
    assert seen.count(b"HTTP/1.1 200 ") == 5
    places = [seen.index(hashlib.md5(body).hexdigest().encode()) for body in bodies]
    assert places == sorted(places), "in another order"
    for number in range(4):
        assert machine.ask("DELETE", NAME.format(number)).status == 200


def test_a_request_within_a_body_is_a_body(machine: Attacked) -> None:
    inner = put(b"Content-Length: 3", b"abc", NAME.format("inner"))
    said = machine.send(put(b"Content-Length: %d" % len(inner), inner, "/1.0/vrrp/nothing"))
    assert said is not None
    said.refused(400)
    assert machine.ask("GET", NAME.format("inner")).status == 404


@pytest.mark.parametrize("kind", ["", "application/json", "multipart/form-data; boundary=x", "text/html; charset=nonsense", "x" * 2000])
@pytest.mark.parametrize("coding", ["gzip", "identity", "nonsense"])
def test_what_a_body_is_said_to_be_does_not_count(machine: Attacked, kind: str, coding: str) -> None:
    content = gzip.compress(b"x" * 1_000_000)
    headers = {"Content-Type": kind, "Content-Encoding": coding}
    assert machine.ask("PUT", NAME.format("x"), content, **headers).headers["etag"] == hashlib.md5(content).hexdigest()
    machine.ask("POST", "/1.0/plug/network", content, **headers).refused(400)
    assert machine.ask("DELETE", NAME.format("x")).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 1_000_000,
        b'{"a":' * 200_000,
        b'{"mac_address":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"mac_address": 1, "mac_address": "x", "mac_address": null}',
        b'{"mac_address": "fa:16:3e:00:00:01", "mac_address": "no"}',
        b'{"mac_address": "fa:16:3e:00:00:01", "fixed_ips": [' + b'{"ip_address": "192.0.2.1"},' * 30_000 + b"1]}",
        b'{"mac_address": "fa:16:3e:00:00:01", "mtu": 1' + b"0" * 100_000 + b"}",
        b'{"mac_address": "fa:16:3e:00:00:01", "mtu": 1e' + b"9" * 1000 + b"}",
        b'{"mac_address": "\xed\xa0\x80"}',
        b'\xef\xbb\xbf{"mac_address": "fa:16:3e:00:00:01"}',
        '{"mac_address": "fa:16:3e:00:00:01"}'.encode("utf-16"),
        b'{"mac_address": "fa:16:3e:00:00:01"} {"more": 1}',
        b"NaN",
        b"{" * 100,
        b"\0" * 1000,
    ],
    ids=lambda body: repr(body[:30]),
)
@pytest.mark.parametrize("place", ["POST plug/network", "POST plug/vip/192.0.2.10", "PUT interface/127.0.0.1/rules"])
def test_json_that_is_none_or_more_than_that(machine: Attacked, body: bytes, place: str) -> None:
    method, path = place.split()
    machine.ask(method, f"/1.0/{path}", body).refused(400)


def test_clients_that_are_slow_hold_up_nobody(machine: Attacked) -> None:
    done = threading.Event()

    def dawdle(first: bytes) -> None:
        with machine.talk() as connection:
            connection.sock.sendall(first)
            while not done.wait(0.1):
                try:
                    connection.sock.sendall(b"x")
                except OSError:
                    return

    slow = [b"", b"PUT ", put(b"Content-Length: 1000", b"x"), put(b"Transfer-Encoding: chunked", b"ffff\r\n")] * 10
    threads = [threading.Thread(target=dawdle, args=(first,)) for first in slow]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            began = time.monotonic()
            assert machine.ask("GET", "/1.0/listeners").status in FINE
            # Not how long it takes, but that it does not wait for one of the limits for such clients.
            assert time.monotonic() - began < 10
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert machine.ask("GET", NAME.format("x")).status == 404
