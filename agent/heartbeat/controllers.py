"""`Controllers`: where datagrams go. One controller a beat, in the order of the settings, and what became of it."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import msgspec
import structlog

from agent.settings import Endpoint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.clock import Clock

_log = structlog.get_logger(__name__)


class Destination(msgspec.Struct):
    """A controller. `last` is the clock's time of the last datagram that left; `error` what the last attempt failed of."""

    endpoint: Endpoint
    sent: int = 0
    failed: int = 0
    last: float | None = None
    error: str | None = None


class Controllers:
    """Sends to each in turn. Used by one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._destinations: list[Destination] = []
        self._next = 0
        self._sockets: dict[Endpoint, socket.socket] = {}

    @property
    def destinations(self) -> Sequence[Destination]:
        """All of them, in order."""
        return tuple(self._destinations)

    def follow(self, endpoints: Sequence[Endpoint]) -> None:
        """Sends to these from now on, from the first; nothing happens where they are the same."""
        if [each.endpoint for each in self._destinations] != list(endpoints):
            known = {each.endpoint: each for each in self._destinations}
            self._destinations = [known.get(each, Destination(each)) for each in endpoints]
            self._next = 0
            for gone in self._sockets.keys() - set(endpoints):
                self._sockets.pop(gone).close()

    def turn(self) -> Destination:
        """Whose turn it is. Raises IndexError where there is nobody to be told."""
        destination = self._destinations[self._next]
        self._next = (self._next + 1) % len(self._destinations)
        return destination

    def refused(self, destination: Destination) -> bool:
        """Whether the last datagram to it has come back: its machine is there, and nobody listens.

        The kernel hears of that some time after sending, and tells it once.
        """
        connection = self._sockets.get(destination.endpoint)
        number = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if connection is not None else 0
        if number:
            self._failed(destination, os.strerror(number))
        return number != 0

    def send(self, datagram: bytes, destination: Destination) -> bool:
        """Sends a datagram; whether it left the machine."""
        try:
            self._socket(destination.endpoint).send(datagram)
        except OSError as error:
            self._sockets.pop(destination.endpoint).close()
            self._failed(destination, error.strerror or str(error))
            return False
        destination.sent += 1
        destination.last = self._clock.monotonic()
        return True

    def fine(self, destination: Destination) -> None:
        """All went well with it."""
        if destination.error is not None:
            _log.info("heartbeats are sent again", controller=str(destination.endpoint), failed=destination.failed)
        destination.error = None

    def close(self) -> None:
        """Closes all sockets; sending opens others."""
        while self._sockets:
            self._sockets.popitem()[1].close()

    def _failed(self, destination: Destination, error: str) -> None:
        """Counts it, and logs it where it is another failure than before."""
        destination.failed += 1
        if destination.error != error:
            _log.warning("heartbeat not sent", controller=str(destination.endpoint), error=error)
        destination.error = error

    def _socket(self, endpoint: Endpoint) -> socket.socket:
        if endpoint not in self._sockets:
            self._sockets[endpoint] = socket.socket(socket.AF_INET6 if ":" in endpoint.address else socket.AF_INET, socket.SOCK_DGRAM)
            # Connected, so that the kernel tells what comes back.
            self._sockets[endpoint].connect((endpoint.address, endpoint.port))
        return self._sockets[endpoint]
