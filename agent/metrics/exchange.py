"""One question for metrics, from the proxy in between, and its answer: HTTP as little as it needs to be (RFC 9112).

An answer comes in pieces, and whether it came whole shows at its end: what breaks in the middle is for the client no answer at all.
"""

from __future__ import annotations

import re
import socket
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from agent.metrics.translation import MetricsError, Ours, Translation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from http.client import HTTPResponse

    from agent.clock import Clock

#: Bytes that are read at once, and of a request.
_PIECE, LONGEST = 256 * 1024, 16 * 1024

#: Seconds for the whole of it, and for each step of either side.
DEADLINE, STEP = 120.0, 10.0

#: What is asked for: of all that HAProxy has, what Octavia has names for.
_SCOPES = "scope=global&scope=frontend&scope=backend&scope=server"

#: A question of the client's own is asked as it is (HAProxy's README of promex): `scope=…`, `no-maint`.
_QUERY = re.compile(r"[\w&=,.*!-]{1,1000}", re.ASCII)

_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _RefusalError(Exception):
    """The question cannot be answered; with this status."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


class _Question(NamedTuple):
    query: str
    chunked: bool
    body: bool


class Exchange:
    """Answers questions with what `ask()`, a connection to HAProxy's exporter, says, and lines of ours (see `Translation`)."""

    def __init__(self, ask: Callable[[], socket.socket], extra: Callable[[], Mapping[bytes, Ours]], clock: Clock) -> None:
        self._ask = ask
        self._extra = extra
        self._clock = clock

    def answer(self, client: socket.socket) -> None:
        """Answers one question; the connection is for whoever called to close. Raises OSError where the client is to blame."""
        end = self._clock.monotonic() + DEADLINE
        try:
            question = self._question(client, end)
            self._relay(client, question, end)
        except _RefusalError as refused:
            client.settimeout(STEP)
            client.sendall(f"HTTP/1.1 {refused.status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())

    def _question(self, client: socket.socket, end: float) -> _Question:
        head = b""
        while b"\r\n\r\n" not in head:
            client.settimeout(self._step(end))
            piece = client.recv(LONGEST)
            if not piece:
                raise _RefusalError("400 Bad Request")
            head += piece
            if len(head) > LONGEST:
                raise _RefusalError("431 Request Header Fields Too Large")
        words = head.partition(b"\r\n")[0].decode(errors="replace").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            raise _RefusalError("400 Bad Request")
        method, target, version = words
        path, _, query = target.partition("?")
        if path != "/metrics":
            raise _RefusalError("404 Not Found")
        if method not in ("GET", "HEAD"):
            raise _RefusalError("405 Method Not Allowed")
        if query and not _QUERY.fullmatch(query):
            raise _RefusalError("400 Bad Request")
        return _Question(query or _SCOPES, chunked=version != "HTTP/1.0", body=method == "GET")

    def _relay(self, client: socket.socket, question: _Question, end: float) -> None:
        # Half a megabyte that an agent without such a listener does without.
        from http.client import HTTPException, HTTPResponse  # noqa: PLC0415

        try:
            with closing(self._ask()) as exporter, closing(HTTPResponse(exporter, method="GET")) as said:
                exporter.settimeout(self._step(end))
                exporter.sendall(f"GET /metrics?{question.query} HTTP/1.1\r\nHost: metrics\r\nConnection: close\r\n\r\n".encode())
                said.begin()
                if said.status != 200:
                    raise _RefusalError("502 Bad Gateway")
                self._stream(client, exporter, said, question, end)
        except (ConnectionRefusedError, FileNotFoundError) as error:
            raise _RefusalError("503 Service Unavailable") from error
        except HTTPException as error:
            raise OSError(f"HAProxy's exporter does not end its answer: {error!r}") from error
        except MetricsError as error:
            raise OSError(f"HAProxy's exporter gives no metrics: {error}") from error

    def _stream(self, client: socket.socket, exporter: socket.socket, said: HTTPResponse, question: _Question, end: float) -> None:
        how = "Transfer-Encoding: chunked\r\n" if question.chunked else ""
        client.settimeout(self._step(end))
        client.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: {_TYPE}\r\nCache-Control: no-cache\r\n{how}Connection: close\r\n\r\n".encode())
        if not question.body:
            return
        translation = Translation(self._extra())
        while piece := said.read(_PIECE):
            _send(client, b"".join(translation.feed(piece)), chunked=question.chunked)
            exporter.settimeout(self._step(end))
            client.settimeout(self._step(end))
        _send(client, translation.end(), chunked=question.chunked)
        if question.chunked:
            client.sendall(b"0\r\n\r\n")

    def _step(self, end: float) -> float:
        """Seconds for the next step. Raises TimeoutError when there are none left."""
        left = end - self._clock.monotonic()
        if left <= 0:
            raise TimeoutError("no whole answer in time")
        return min(left, STEP)


def _send(client: socket.socket, piece: bytes, *, chunked: bool) -> None:
    if piece:
        client.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
