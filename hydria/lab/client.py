"""A small raw client: it sends exactly the bytes that it is given, from the address that it is told, and shows everything that came back."""

from __future__ import annotations

import json
import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Self

from hydria.lab.ports import family_of

if TYPE_CHECKING:
    from collections.abc import Mapping

Address = tuple[str, int]

#: Seconds after which a connection that does nothing is an error.
PATIENCE = 10.0


class NoAnswerError(ConnectionError):
    """The connection ended before a whole answer had come."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer. `local` is the client's own address, `certificate` what the server showed (DER), `alpn` the protocol agreed on."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    local: Address
    certificate: bytes | None = None
    alpn: str | None = None
    tls_version: str | None = None

    def header(self, name: str) -> str | None:
        """The value of the first header of this name (whatever its case), or None."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def json(self) -> Any:
        """The body as JSON; raises ValueError where it is none."""
        return json.loads(self.body)

    @property
    def name(self) -> str | None:
        """The name of the backend that answered, or None where HAProxy itself did."""
        return self.json()["name"] if self.header("Content-Type") == "application/json" else None

    @property
    def location(self) -> str | None:
        """Where a redirect leads."""
        return self.header("Location")


class Connection:
    """One TCP connection, with TLS on top where a context is given.

    `source`: the address to come from. `server_name`: the SNI. Raises OSError (ssl.SSLError is one) as sockets do.
    """

    def __init__(
        self,
        address: Address,
        *,
        source: str | None = None,
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        plain = socket.socket(family_of(address[0]), socket.SOCK_STREAM)
        self._socket: socket.socket = plain
        try:
            plain.settimeout(patience)
            if source is not None:
                plain.bind((source, 0))
            plain.connect(address)
            self.local: Address = plain.getsockname()[:2]
            self.certificate: bytes | None = None
            self.alpn: str | None = None
            self.tls_version: str | None = None
            self.cipher: str | None = None
            if tls is not None:
                secured = tls.wrap_socket(plain, server_hostname=server_name)
                self._socket = secured
                self.certificate = secured.getpeercert(binary_form=True)
                self.alpn = secured.selected_alpn_protocol()
                self.tls_version = secured.version()
                self.cipher = (secured.cipher() or (None,))[0]
        except BaseException:
            self._socket.close()
            plain.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Sends all of `data`."""
        self._socket.sendall(data)

    def receive(self, size: int = 65536) -> bytes:
        """What comes next, at most `size` bytes; b"" at the end."""
        return self._socket.recv(size)

    def receive_line(self) -> bytes:
        """Bytes up to and with the next newline; fewer where the connection ends before."""
        line = b""
        while not line.endswith(b"\n"):
            byte = self._socket.recv(1)
            if not byte:
                break
            line += byte
        return line

    def exchange(self, request: bytes, *, head: bool = False) -> Answer:
        """Sends a request and reads its whole answer; `head` says that it is to a HEAD and has no body."""
        self.send(request)
        with self._socket.makefile("rb") as stream:
            first = stream.readline().split(b" ", 2)
            if len(first) < 2:
                raise NoAnswerError("the connection ended without an answer")
            headers = []
            while line := stream.readline().rstrip(b"\r\n"):
                name, _, value = line.partition(b":")
                headers.append((name.decode("latin-1"), value.strip().decode("latin-1")))
            length = next((int(value) for name, value in headers if name.lower() == "content-length"), None)
            chunked = any(name.lower() == "transfer-encoding" and value.lower() == "chunked" for name, value in headers)
            body = b"" if head else stream.read(length) if length is not None else _chunks(stream) if chunked else stream.read()
            if length is not None and not head and len(body) < length:
                raise NoAnswerError(f"the connection ended after {len(body)} of {length} bytes of the body")
        return Answer(int(first[1]), tuple(headers), body, self.local, self.certificate, self.alpn, self.tls_version)


def request_bytes(
    target: str | bytes = "/", *, method: str = "GET", host: str = "lab.example", headers: Mapping[str, str | bytes] | None = None
) -> bytes:
    """An HTTP/1.1 request with exactly this target and these headers, nothing escaped; text is sent as UTF-8. A header `Host` replaces `host`."""
    fields = {"Host": host, "Connection": "close", **(headers or {})}
    lines = [method.encode() + b" " + _bytes(target) + b" HTTP/1.1"]
    lines += [name.encode() + b": " + _bytes(value) for name, value in fields.items()]
    return b"\r\n".join([*lines, b"", b""])


def fetch(
    address: Address,
    target: str | bytes = "/",
    *,
    method: str = "GET",
    host: str = "lab.example",
    headers: Mapping[str, str | bytes] | None = None,
    source: str | None = None,
    tls: ssl.SSLContext | None = None,
    server_name: str | None = None,
    patience: float = PATIENCE,
) -> Answer:
    """One request over a connection of its own."""
    with Connection(address, source=source, tls=tls, server_name=server_name, patience=patience) as connection:
        request = request_bytes(target, method=method, host=host, headers=headers)
        return connection.exchange(request, head=method == "HEAD")


def _chunks(stream: BinaryIO) -> bytes:
    """A body in chunks (RFC 9112 7.1) without trailers."""
    body = b""
    while size := int(stream.readline().partition(b";")[0] or b"0", 16):
        body += stream.read(size)
        stream.readline()
    stream.readline()
    return body


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value
