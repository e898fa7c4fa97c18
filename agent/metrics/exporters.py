"""`Exporters`: for each HAProxy with a PROMETHEUS listener, a thread that answers its questions for metrics (see `places` and `exchange`)."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from agent.clock import Clock, SystemClock
from agent.errors import AgentError
from agent.metrics.additions import Additions
from agent.metrics.exchange import LONGEST, STEP, Exchange
from agent.metrics.places import Place, Places, connect, listen
from agent.network.namespaces import entered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from agent.metrics.translation import Ours

_LOG = structlog.get_logger("agent.metrics")

#: Questions that are answered at the same time; whoever comes besides is to come again.
_AT_ONCE = 4

#: Seconds to wait when there are no file descriptors left, and for the words of somebody who comes in vain.
_PAUSE = 0.1

_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Exporters:
    """In the network namespace `namespace`, or where we are. `extra` gives lines of ours: see `Translation` and `Additions`."""

    def __init__(
        self, namespace: str | None = None, extra: Callable[[], Mapping[bytes, Ours]] | None = None, clock: Clock | None = None
    ) -> None:
        self._namespace = namespace
        self._extra = extra or Additions()
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._running: dict[Places, _Exporter] = {}
        self._failed: set[Places] = set()

    def follow(self, wanted: Iterable[Places]) -> None:
        """Answers there, and nowhere else. Where that cannot be, it is logged, and tried again at the next call."""
        with self._lock:
            places = set(wanted)
            for gone in self._running.keys() - places:
                self._running.pop(gone).close()
                if not gone.ours.port:
                    Path(gone.ours.address).unlink(missing_ok=True)
            self._failed &= places
            for place in sorted(places - self._running.keys()):
                try:
                    self._start(place)
                except AgentError as error:
                    if place not in self._failed:
                        _LOG.warning("metrics are not served", place=str(place.ours), error=str(error))
                    self._failed.add(place)
                else:
                    self._failed.discard(place)

    def close(self) -> None:
        """Answers nobody any more."""
        self.follow(())

    def _start(self, place: Places) -> None:
        with entered(self._namespace):
            listener = listen(place.ours)
        exchange = Exchange(partial(self._connect, place.exporter), self._extra, self._clock)
        self._running[place] = _Exporter(listener, exchange, self._clock)

    def _connect(self, place: Place) -> socket.socket:
        with entered(self._namespace):
            return connect(place, STEP)


class _Exporter:
    """Answers all who come to `listener`, until it is closed."""

    def __init__(self, listener: socket.socket, exchange: Exchange, clock: Clock) -> None:
        self._listener = listener
        self._exchange = exchange
        self._clock = clock
        self._closed = False
        self._free = threading.BoundedSemaphore(_AT_ONCE)
        threading.Thread(target=self._serve, name="metrics", daemon=True).start()

    def close(self) -> None:
        """Ends; who is being answered is answered to the end."""
        self._closed = True
        # Wakes the thread, which a mere close would not.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        with self._listener:
            while not self._closed:
                try:
                    client, _ = self._listener.accept()
                except OSError as error:
                    if not self._closed:
                        _LOG.error("a question for metrics cannot be taken", error=str(error))
                        self._clock.sleep(_PAUSE)
                    continue
                if self._free.acquire(blocking=False):
                    threading.Thread(target=self._answer, args=(client,), name="metrics-answer", daemon=True).start()
                else:
                    with client, suppress(OSError):
                        client.settimeout(_PAUSE)
                        # Whoever has not been heard takes the end of the connection for a failure of it.
                        client.recv(LONGEST)
                        client.sendall(_BUSY)

    def _answer(self, client: socket.socket) -> None:
        try:
            with client:
                self._exchange.answer(client)
        except (AgentError, OSError) as error:
            _LOG.info("metrics were not told", reason=str(error))
        finally:
            self._free.release()
