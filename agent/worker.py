"""gunicorn's worker with the agent in it: one process, threads, and clients that cannot hold up others.

A client is in one of three places:

* *stranger*: it has not completed its handshake, so it may be anybody. No thread is spent on it; there are so many at most, and when there
  are more, the one that has been trying longest goes.
* *idle*: it has shown its certificate, and nobody waits for it. Here, too, the oldest one makes room.
* *busy*: a thread reads its request, with a deadline for the headers and one for the body, and answers it.

Nothing is read from anybody before the proof (`agent.proof`) that others are refused.
"""

from __future__ import annotations

import json
import math
import os
import queue
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import structlog
from gunicorn.http import wsgi
from gunicorn.http.errors import ParseException
from gunicorn.workers.base import Worker as BaseWorker

from agent import proof
from agent.connection import Connection
from agent.errors import AgentError
from agent.repeated import Repeated

if TYPE_CHECKING:
    import ssl

    from agent.server import Server

_log = structlog.get_logger(__name__)

#: The exit code of an agent that cannot start.
CANNOT_START = 3

#: How many there may be of each.
STRANGERS, IDLE, BUSY = 64, 64, 64

#: Seconds for a handshake, for a request's line and headers, and until an idle connection is closed.
_HANDSHAKE, _HEADERS, _IDLE = 10.0, 15.0, 30.0


class Worker(BaseWorker):
    """See above. It belongs to no main process of gunicorn's."""

    app: Server

    def __init__(self, server: Server, listener: socket.socket) -> None:
        listener.setblocking(False)
        super().__init__(1, os.getppid(), [listener], server, 0, server.cfg, server.cfg.logger_class(server.cfg))

    def init_process(self) -> None:
        """Begins to work, and does so until the end."""
        self._selector = selectors.DefaultSelector()
        self._pool = ThreadPoolExecutor(BUSY, thread_name_prefix="request")
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        # Each with the time when it has to go; those that came first go first.
        self._strangers: dict[Connection, float] = {}
        self._idle: dict[Connection, float] = {}
        self._busy: set[Connection] = set()
        self._refused = Repeated(lambda client, reason, times: _log.info("handshake refused", client=client, reason=reason, times=times))
        self._unusable = Repeated(
            lambda _, reason, times: _log.error(
                "the agent's certificate or its clients' authority cannot be used", error=reason, times=times
            )
        )
        self._proven = False
        self._alive_at = 0.0
        self._accepting = False
        self._grace = float(self.cfg.graceful_timeout)
        super().init_process()

    def init_signals(self) -> None:
        """As gunicorn does it; a terminal that goes away ends the agent as SIGTERM does."""
        super().init_signals()
        signal.signal(signal.SIGHUP, self.handle_exit)

    def handle_quit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - gunicorn's signature
        """Ends without waiting for requests that are being answered."""
        self.alive, self._grace = False, 0.0

    def run(self) -> None:
        """Serves until a signal says to stop, then lets those finish that are being answered."""
        self._selector.register(self.PIPE[0], selectors.EVENT_READ, self._woken)
        self._accept(True)
        threading.Thread(target=self._prove, name="proof", daemon=True).start()
        while self.alive:
            self._turn()
            self._accept(len(self._busy) < BUSY)
        self._accept(False)
        for listener in self.sockets:
            listener.close()
        for connection in (*self._strangers, *self._idle):
            self._drop(connection)
        stopped = time.monotonic()
        while self._busy and time.monotonic() < stopped + self._grace:
            self._turn()
        for connection in self._busy:
            connection.abort()
        for repeated in (self._refused, self._unusable):
            repeated.look(math.inf)
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._busy:
            # They would be waited for at Python's exit. Whatever they do is safe against being killed.
            _log.warning("requests are given up", count=len(self._busy))
            os._exit(0)

    # --- the loop ---

    def _turn(self) -> None:
        for key, _ in self._selector.select(1.0):
            key.data()
        with suppress(queue.Empty):
            while True:
                self._calls.get_nowait()()
        now = time.monotonic()
        if self._proven and now >= self._alive_at:
            self.app.alive()
            self._alive_at = now + 1
        for repeated in (self._refused, self._unusable):
            repeated.look(now)
        for place in (self._strangers, self._idle):
            for connection in [connection for connection, end in place.items() if end <= now]:
                self._drop(connection)

    def _later(self, call: Callable[[], None]) -> None:
        """Has the loop call something; from any thread."""
        self._calls.put(call)
        with suppress(BlockingIOError):
            os.write(self.PIPE[1], b".")

    def _woken(self) -> None:
        with suppress(BlockingIOError):
            os.read(self.PIPE[0], 4096)

    def _accept(self, wanted: bool) -> None:
        if wanted != self._accepting:
            for listener in self.sockets:
                if wanted:
                    self._selector.register(listener, selectors.EVENT_READ, partial(self._welcome, listener))
                else:
                    self._selector.unregister(listener)
            self._accepting = wanted

    def _drop(self, connection: Connection) -> None:
        """Closes a connection on which nobody works."""
        self._strangers.pop(connection, None)
        self._idle.pop(connection, None)
        with suppress(KeyError, ValueError):
            self._selector.unregister(connection)
        connection.close()

    # --- strangers ---

    def _welcome(self, listener: Any) -> None:
        try:
            raw, client = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            _log.error("a connection cannot be accepted", error=str(error))
            time.sleep(0.1)
            return
        if len(self._strangers) >= STRANGERS:
            self._drop(next(iter(self._strangers)))
        connection = Connection(raw, client, listener.getsockname())
        self._strangers[connection] = time.monotonic() + _HANDSHAKE
        self._selector.register(connection, selectors.EVENT_READ, partial(self._shake, connection))

    def _shake(self, connection: Connection) -> None:
        # It may have had to make room a moment ago.
        if connection not in self._strangers:
            return
        # TLS takes the raw socket's place, with its descriptor.
        data = self._selector.unregister(connection).data
        try:
            event = connection.shake(self._context)
        except (OSError, ValueError) as error:
            client, reason = connection.client[0], getattr(error, "reason", None) or str(error)
            if self._proven:
                self.app.agent.tally.refused()
                self._refused.happened(client, reason, time.monotonic())
            else:
                _log.debug("handshake refused", client=client, reason=reason)
            del self._strangers[connection]
            connection.refuse()
            return
        if event:
            self._selector.register(connection, event, data)
            return
        del self._strangers[connection]
        connection.established(self.cfg)
        self._wait_for(connection)

    def _context(self) -> ssl.SSLContext:
        """TLS for a connection from now on. Raises OSError: that is not the client's fault, and nobody at all is served."""
        try:
            return self.app.agent.identity.context()
        except OSError as error:
            self._unusable.happened("", getattr(error, "reason", None) or str(error), time.monotonic())
            raise

    # --- idle ---

    def _wait_for(self, connection: Connection) -> None:
        """Lets a thread work on it as soon as it says something."""
        if len(self._idle) >= IDLE:
            self._drop(next(iter(self._idle)))
        self._idle[connection] = time.monotonic() + _IDLE
        if self._proven:
            self._selector.register(connection, selectors.EVENT_READ, partial(self._work_on, connection))
            if connection.has_more():
                self._work_on(connection)

    def _work_on(self, connection: Connection) -> None:
        if connection in self._idle:
            del self._idle[connection]
            self._selector.unregister(connection)
            self._busy.add(connection)
            self._pool.submit(self._serve, connection)

    def _given_back(self, connection: Connection, keep: bool) -> None:
        self._busy.discard(connection)
        if keep and self.alive:
            self._wait_for(connection)
        else:
            connection.close()

    # --- busy: in a thread ---

    def _serve(self, connection: Connection) -> None:
        keep = False
        try:
            keep = self._answer(connection)
            if not keep:
                connection.linger()
        except OSError as error:
            _log.debug("connection ended", client=connection.client[0], reason=str(error))
        except Exception:  # noqa: BLE001 - it is told, and the others' connections go on
            _log.exception("connection failed", client=connection.client[0])
        finally:
            self._later(partial(self._given_back, connection, keep))

    def _answer(self, connection: Connection) -> bool:
        """Answers one request; whether another one may follow. Raises OSError."""
        connection.within(_HEADERS)
        try:
            request = next(connection.parser)
            connection.within(self.app.agent.settings.current.agent_request_read_timeout)
            # All that it asks of a socket is `sendall` and `send`.
            socket = cast("Any", connection)
            response, environ = wsgi.create(request, socket, connection.client, connection.server, self.cfg)
        except StopIteration:
            return False
        except ParseException as error:
            _refuse(connection, HTTPStatus.BAD_REQUEST, str(error))
            return False
        body = environ["wsgi.input"] = Body(request.body, environ.get("CONTENT_LENGTH"))
        environ["wsgi.multithread"] = True
        if not self.alive:
            response.force_close()
        parts = self.wsgi(environ, cast("Any", response.start_response))
        try:
            for part in parts:
                response.write(part)
            response.close()
        finally:
            if hasattr(parts, "close"):
                parts.close()
        # A client that is still sending takes in the answer only afterwards.
        return body.drained() and not response.should_close()

    # --- the proof ---

    def _prove(self) -> None:
        try:
            proof.prove(self.sockets[0].getsockname(), self.app.agent.identity, self.app.forger)
        except (AgentError, OSError, ValueError) as error:
            self._later(partial(self._unproven, str(error)))
        else:
            self._later(self._open)

    def _unproven(self, reason: str) -> None:
        _log.critical("nothing is served: it is not proven that strangers are refused", reason=reason)
        raise SystemExit(CANNOT_START)

    def _open(self) -> None:
        self._proven = True
        self.app.serving()
        for connection in list(self._idle):
            del self._idle[connection]
            self._wait_for(connection)


class Body:
    """A request's body that is whole, or an OSError: also where gunicorn would take the end of the connection for its end."""

    def __init__(self, source: Any, length: str | None) -> None:
        self._source = source
        self._left = int(length or 0)

    def read(self, size: int = -1) -> bytes:
        """Some bytes, `size` at most; none at the end. Raises OSError."""
        try:
            data: bytes = self._source.read(size)
        except ParseException as error:
            raise OSError(str(error)) from error
        self._left -= len(data)
        if not data and size and self._left > 0:
            raise OSError("the connection ended before the body did")
        return data

    def drained(self) -> bool:
        """Reads what nobody wanted to; whether that was possible."""
        try:
            while self.read(64 * 1024):
                pass
        except OSError:
            return False
        return True


def _refuse(connection: Connection, status: HTTPStatus, reason: str) -> None:
    """The answer to what is no request; as those of `agent.routes.errors`. Raises OSError."""
    body = json.dumps({"error": f"{status.value} {status.phrase}: {reason}", "http_code": status.value}).encode()
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
