"""Small real servers that say who they are and what reached them: the members behind a load balancer that is tried out.

Each runs in threads of its own, on a port that the kernel chose or that was given. `HttpBackend` answers every request with JSON; `EchoBackend` introduces
itself with one line of JSON and then echoes. Both understand a PROXY protocol header (versions 1 and 2) in front of anything, and speak
TLS where they are given a context. A request may ask for a particular answer through the headers in `HttpBackend`.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from cryptography import x509

from hydria.lab.ports import HeldPort, sharing_socket

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEPT_REQUESTS = 2000
_LONGEST_LINE = 65536
_V1 = b"PROXY "
_V2 = b"\r\n\r\n\0\r\nQUIT\n"
_PP2_SSL, _PP2_SSL_VERSION, _PP2_SSL_CN = 0x20, 0x21, 0x22


@dataclass(frozen=True)
class ProxyTls:
    """What a PROXY header of version 2 said of the client's TLS (its specification, 2.2.6): `verified` that the client's certificate is good."""

    version: str | None
    client_certificate: bool
    verified: bool
    common_name: str | None


@dataclass(frozen=True)
class ProxyHeader:
    """What a PROXY protocol header said. The addresses are "" where the header is LOCAL or UNKNOWN (a health check)."""

    version: int
    source: str = ""
    source_port: int = 0
    destination: str = ""
    destination_port: int = 0
    tls: ProxyTls | None = None


@dataclass(frozen=True)
class Tls:
    """How a TLS connection came about: its version, the server name and protocol that the client asked for, the client certificate's subject."""

    version: str
    server_name: str | None
    alpn: str | None
    client: str | None


@dataclass(frozen=True)
class Arrival:
    """How a connection reached the server: the peer's address, and what came before the first byte of the conversation."""

    peer: str
    proxy: ProxyHeader | None
    tls: Tls | None


@dataclass(frozen=True)
class Request:
    """One HTTP request as it arrived. Bytes beyond ASCII are shown as Latin-1, so that every byte is one character."""

    method: str
    target: str
    version: str
    headers: tuple[tuple[str, str], ...]
    body: str
    arrival: Arrival

    def header(self, name: str) -> str | None:
        """The value of the first header of this name (whatever its case), or None."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class _TlsSocket(ssl.SSLSocket):
    """Remembers the server name that the client asked for; the `ssl` module tells it only to a callback."""

    requested: str | None = None

    def __del__(self) -> None:
        # wrap_socket drops it unclosed when the peer has reset the connection before.
        self.close()


def _remember_server_name(connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
    if isinstance(connection, _TlsSocket):
        connection.requested = name


class Backend(ABC):
    """A server named `name` on `address` and a port of its own. A context manager: leaving it ends every thread and connection."""

    def __init__(self, name: str, *, address: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.name = name
        self.address = address
        self._tls = tls
        if tls is not None:
            tls.sslsocket_class = _TlsSocket
            tls.sni_callback = _remember_server_name
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._listener: socket.socket | None = None
        self._port = HeldPort((address,), port)
        self.port = self._port.port
        self.accept()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def connections(self) -> int:
        """How many connections it has at this moment, also those on which nothing was said yet."""
        with self._lock:
            return len(self._connections)

    @property
    def accepts(self) -> bool:
        """Whether it takes connections."""
        with self._lock:
            return self._listener is not None

    def accept(self) -> None:
        """Takes connections, as it does from the beginning; ends what `refuse` began."""
        with self._lock:
            if self._listener is None:
                self._listener = sharing_socket(self.address, self.port)
                self._listener.listen(128)
                self._start(self._accept_connections, self._listener)

    def refuse(self) -> None:
        """Ends every connection and refuses new ones, as a server does whose process has gone; the port stays this server's."""
        with self._lock:
            listener, self._listener = self._listener, None
            if listener is not None:
                # Wakes the thread in accept(); close alone would leave it there.
                listener.shutdown(socket.SHUT_RDWR)
                listener.close()
            for connection in self._connections:
                with suppress(OSError):
                    # Not SSLSocket's own shutdown: it takes the TLS state away from the thread that is reading.
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def close(self) -> None:
        """Ends everything, waits for it, and lets the port go."""
        self.refuse()
        while threads := self._running():
            for thread in threads:
                thread.join()
        self._port.close()

    @abstractmethod
    def converse(self, connection: socket.socket, arrival: Arrival) -> None:
        """Serves one connection until it ends."""

    def _running(self) -> list[threading.Thread]:
        with self._lock:
            return list(self._threads)

    def _start(self, target: Any, *arguments: Any) -> None:
        """Runs `target` in a thread that is known until it ends. The caller holds the lock."""
        thread = threading.Thread(target=self._until_done, args=(target, *arguments), name=f"{self.name}:{self.port}")
        self._threads.add(thread)
        thread.start()

    def _until_done(self, target: Any, *arguments: Any) -> None:
        try:
            target(*arguments)
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())

    def _accept_connections(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, peer = listener.accept()
            except OSError:
                return  # refuse() has shut it down
            with self._lock:
                if self._listener is not listener:
                    connection.close()
                    return
                self._connections.add(connection)
                self._start(self._serve, connection, peer[0])

    def _serve(self, connection: socket.socket, peer: str) -> None:
        try:
            proxy = _read_proxy_header(connection)
            if self._tls is None:
                self.converse(connection, Arrival(peer, proxy, None))
            else:
                self._serve_tls(connection, self._tls, peer, proxy)
        except OSError:
            pass  # the other side has gone, or never meant to talk: a health check, a refused handshake
        finally:
            self._forget(connection)

    def _serve_tls(self, connection: socket.socket, context: ssl.SSLContext, peer: str, proxy: ProxyHeader | None) -> None:
        secured = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        try:
            with self._lock:
                # wrap_socket has taken the descriptor; refuse() must find it where it is now.
                self._connections.add(secured)
                if self._listener is None:
                    return
            secured.do_handshake()
            self.converse(secured, Arrival(peer, proxy, _describe(secured)))
        finally:
            self._forget(secured)

    def _forget(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.discard(connection)
        connection.close()


class HttpBackend(Backend):
    """Answers every HTTP/1 request with JSON: the server's name and the `Request` as it arrived. Keeps the last requests in `requests`.

    `statuses` maps a path (without query) to the code it is answered with, 200 where it has none: `statuses["/health"] = 503` fails a
    health check. `answered` counts requests, but for those to the path `checked_at`. A request may ask: `X-Lab-Status: 404` for a code, `X-Lab-Set-Cookie: a=b` for a cookie, `X-Lab-Header: A: b` for a
    header, `X-Lab-Delay: 0.5` for a pause in seconds before the answer. HAProxy itself adds none of these.
    """

    def __init__(self, name: str, *, address: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.statuses: dict[str, int] = {}
        self.requests: deque[Request] = deque(maxlen=_KEPT_REQUESTS)
        self.checked_at = ""
        self.answered = 0
        super().__init__(name, address=address, port=port, tls=tls)

    def converse(self, connection: socket.socket, arrival: Arrival) -> None:
        """Answers requests until the client or a `Connection: close` ends it."""
        with connection.makefile("rb") as stream:
            while (request := _read_request(stream, arrival)) is not None and self._answer(connection, request):
                pass

    def _answer(self, connection: socket.socket, request: Request) -> bool:
        """Answers one request; whether another may follow."""
        self.requests.append(request)
        if request.target.partition("?")[0] != self.checked_at:
            with self._lock:
                self.answered += 1
        time.sleep(float(request.header("X-Lab-Delay") or 0))
        status = int(request.header("X-Lab-Status") or self.statuses.get(request.target.partition("?")[0], 200))
        body = json.dumps({"name": self.name, **asdict(request)}).encode()
        lines = [
            f"HTTP/1.1 {status} {_reason(status)}",
            f"Server: {self.name}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
        ]
        if cookie := request.header("X-Lab-Set-Cookie"):
            lines.append(f"Set-Cookie: {cookie}")
        if header := request.header("X-Lab-Header"):
            lines.append(header)
        keep = request.version == "HTTP/1.1" and (request.header("Connection") or "").lower() != "close"
        if not keep:
            lines.append("Connection: close")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        connection.sendall(head if request.method == "HEAD" else head + body)
        return keep


class EchoBackend(Backend):
    """Says one line of JSON (name, peer, PROXY header, TLS) after the first bytes that it gets, then echoes everything.

    `open` is the number of connections that it serves at this moment.
    """

    def __init__(self, name: str, *, address: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.open = 0
        super().__init__(name, address=address, port=port, tls=tls)

    def converse(self, connection: socket.socket, arrival: Arrival) -> None:
        """Echoes until the client ends it."""
        with self._lock:
            self.open += 1
        try:
            introduced = False
            while data := connection.recv(_LONGEST_LINE):
                if not introduced:
                    about = {"name": self.name, "arrival": asdict(arrival)}
                    connection.sendall(json.dumps(about).encode() + b"\n")
                    introduced = True
                connection.sendall(data)
        finally:
            with self._lock:
                self.open -= 1


def _describe(connection: ssl.SSLSocket) -> Tls:
    certificate = connection.getpeercert(binary_form=True)
    return Tls(
        version=connection.version() or "",
        server_name=connection.requested if isinstance(connection, _TlsSocket) else None,
        alpn=connection.selected_alpn_protocol(),
        client=x509.load_der_x509_certificate(certificate).subject.rfc4514_string() if certificate else None,
    )


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _read_request(stream: BinaryIO, arrival: Arrival) -> Request | None:
    """The next request; None where the connection ends before one has come in whole or what comes is not HTTP."""
    words = _line(stream).split(" ")
    if len(words) != 3:
        return None
    headers: list[tuple[str, str]] = []
    while line := _line(stream):
        name, _, value = line.partition(":")
        headers.append((name, value.strip(" \t")))
    lengths = [value for name, value in headers if name.lower() == "content-length"]
    chunked = any(name.lower() == "transfer-encoding" for name, _ in headers)
    body = _read_chunks(stream) if chunked else stream.read(int(lengths[0])) if lengths else b""
    return Request(words[0], words[1], words[2], tuple(headers), body.decode("latin-1"), arrival)


def _line(stream: BinaryIO) -> str:
    return stream.readline(_LONGEST_LINE).decode("latin-1").rstrip("\r\n")


def _read_chunks(stream: BinaryIO) -> bytes:
    body = b""
    while size := int(_line(stream).partition(";")[0] or "0", 16):
        body += stream.read(size)
        _line(stream)
    while _line(stream):
        pass
    return body


def _read_proxy_header(connection: socket.socket) -> ProxyHeader | None:
    """Takes a PROXY header off the connection, if one is there. It comes whole or not at all (its specification, section 2)."""
    start = connection.recv(536, socket.MSG_PEEK)
    if start.startswith(_V1):
        line = _exactly(connection, start.index(b"\r\n") + 2).decode("ascii").split()
        if line[1] == "UNKNOWN":
            return ProxyHeader(1)
        return ProxyHeader(1, line[2], int(line[4]), line[3], int(line[5]))
    if start.startswith(_V2):
        _, command, family, length = struct.unpack("!12sBBH", _exactly(connection, 16))
        rest = _exactly(connection, length)
        if command & 0xF == 0 or family >> 4 not in (1, 2):
            return ProxyHeader(2)
        kind, size = (socket.AF_INET, 4) if family >> 4 == 1 else (socket.AF_INET6, 16)
        source_port, destination_port = struct.unpack("!HH", rest[2 * size : 2 * size + 4])
        tls = next((_proxy_tls(value) for kind_of, value in _vectors(rest[2 * size + 4 :]) if kind_of == _PP2_SSL), None)
        return ProxyHeader(
            2, socket.inet_ntop(kind, rest[:size]), source_port, socket.inet_ntop(kind, rest[size : 2 * size]), destination_port, tls
        )
    return None


def _vectors(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Types and values of what follows the addresses."""
    while data:
        kind, length = struct.unpack("!BH", data[:3])
        yield kind, data[3 : 3 + length]
        data = data[3 + length :]


def _proxy_tls(data: bytes) -> ProxyTls:
    flags, verify = struct.unpack("!BI", data[:5])
    told = {kind: value.decode() for kind, value in _vectors(data[5:])}
    return ProxyTls(told.get(_PP2_SSL_VERSION), bool(flags & 0x06), bool(flags & 0x06) and verify == 0, told.get(_PP2_SSL_CN))


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise ConnectionResetError
        data += part
    return data
