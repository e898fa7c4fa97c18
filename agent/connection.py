"""One client's connection: a TLS handshake that nobody waits for, then reading and writing that end when their time is over."""

from __future__ import annotations

import selectors
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gunicorn.config import Config
from gunicorn.http.parser import RequestParser

#: Seconds that a client gets to take in one answer.
_WRITING = 60.0

#: Seconds and bytes for what a client is still sending when it has had its answer. A connection that is closed with unread input is reset,
#: and the answer may be lost with it (RFC 9112, section 9.6).
_LINGER = 1.0
_LINGER_BYTES = 256 * 1024

_PIECE = 64 * 1024


class Connection:
    """A connection that was accepted: `raw` from `client` to our address `server`, both as `getsockname` writes them."""

    def __init__(self, raw: socket.socket, client: Any, server: Any) -> None:
        raw.setblocking(False)
        self.client = client
        self.server = server
        self.parser: RequestParser
        self._socket = raw
        self._tls: ssl.SSLSocket | None = None
        self._deadline = 0.0

    def fileno(self) -> int:
        """For selectors."""
        return self._socket.fileno()

    # --- the handshake, which never waits ---

    def shake(self, context: Callable[[], ssl.SSLContext]) -> int:
        """Goes on with the handshake: the selector's event to wait for before going on, 0 when it is complete. Raises OSError.

        `context` is asked when the client has sent its first words.
        """
        if self._tls is None:
            self._tls = context().wrap_socket(self._socket, server_side=True, do_handshake_on_connect=False)
            self._socket = self._tls
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return selectors.EVENT_READ
        except ssl.SSLWantWriteError:
            return selectors.EVENT_WRITE
        return 0

    def established(self, config: Config) -> None:
        """Makes `parser`: the requests that come, one by one."""
        self.parser = RequestParser(config, self, self.client)  # type: ignore[arg-type] # all that it asks of a socket is `recv`

    # --- requests and answers; what gunicorn asks of a socket ---

    def within(self, seconds: float) -> None:
        """What is read from now on has to come within so many seconds."""
        self._deadline = time.monotonic() + seconds

    def recv(self, size: int) -> bytes:
        """Some bytes; none at the end. Raises OSError: TimeoutError when the time is over."""
        self._socket.settimeout(_left(self._deadline))
        return self._socket.recv(size)

    def sendall(self, data: bytes) -> None:
        """Sends all. Raises OSError: TimeoutError where the client does not take it in."""
        deadline = time.monotonic() + _WRITING
        view = memoryview(data)
        while view:
            self._socket.settimeout(_left(deadline))
            view = view[self._socket.send(view[:_PIECE]) :]

    def send(self, data: bytes) -> int:
        """As `sendall`."""
        self.sendall(data)
        return len(data)

    def has_more(self) -> bool:
        """Whether something that came already waits to be read, of which a selector would not know."""
        return bool(self.parser.unreader.buf.tell() or (self._tls is not None and self._tls.pending()))

    # --- the end ---

    def close(self) -> None:
        """Ends it."""
        self._socket.close()

    def abort(self) -> None:
        """Makes whoever is reading or writing in another thread stop."""
        with suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def refuse(self) -> None:
        """Ends it after a handshake that failed, so that the alert that says why gets through."""
        with suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_WR)
            socket.socket.recv(self._socket, _PIECE)
        self.close()

    def linger(self) -> None:
        """Ends it after the client has had time to take in what was sent."""
        with suppress(OSError):
            # The raw socket's: TLS has nothing more to say.
            socket.socket.shutdown(self._socket, socket.SHUT_WR)
            deadline, seen = time.monotonic() + _LINGER, 0
            while seen < _LINGER_BYTES:
                self._socket.settimeout(_left(deadline))
                if not (piece := socket.socket.recv(self._socket, _PIECE)):
                    break
                seen += len(piece)
        self.close()


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time for it is over")
    return left
