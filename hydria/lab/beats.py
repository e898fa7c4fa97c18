"""A receiver of heartbeats, as Octavia's health manager is one: what is not signed with the key is counted and thrown away."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import zlib
from typing import TYPE_CHECKING, Any

from agent.heartbeat.message import LARGEST, SIGNATURE

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable


class WrongBeat(ValueError):  # noqa: N818 - says what it is
    """It is not from an amphora that has the key."""


def opened(datagram: bytes, key: str) -> dict[str, Any]:
    """What a beat says. Raises WrongBeat."""
    compressed, signature = datagram[:-SIGNATURE], datagram[-SIGNATURE:]
    expected = hmac.new(key.encode(), compressed, hashlib.sha256).hexdigest().encode()
    if not hmac.compare_digest(expected, signature):
        raise WrongBeat("the signature is not made with the key")
    # Whoever has the key is trusted to send no bombs.
    told: dict[str, Any] = json.loads(zlib.decompress(compressed))
    return told


class Beats:
    """Receives at a bound UDP socket. `clock()` gives seconds since 1970. `last` may be called from any thread; `wrong` are those thrown away."""

    def __init__(self, receiving: socket.socket, key: str, clock: Callable[[], float]) -> None:
        self._socket = receiving
        self._key = key
        self._clock = clock
        self._lock = threading.Lock()
        self._last: dict[str, dict[str, Any]] = {}
        self.wrong = 0

    def receive(self) -> None:
        """Goes on until the socket is closed."""
        while True:
            try:
                datagram = self._socket.recv(LARGEST)
            except OSError:
                return
            self.take(datagram)

    def take(self, datagram: bytes) -> None:
        """Takes in one datagram."""
        try:
            told = opened(datagram, self._key)
        except (WrongBeat, ValueError, zlib.error):
            self.wrong += 1
            return
        with self._lock:
            amphora = str(told.get("id"))
            count = self._last.get(amphora, {}).get("count", 0) + 1
            self._last[amphora] = {"at": self._clock(), "count": count, "beat": told}

    def last(self) -> dict[str, dict[str, Any]]:
        """Amphora → its last beat: when it came (`at`), how many there were (`count`), what it said (`beat`)."""
        with self._lock:
            return {amphora: dict(one) for amphora, one in self._last.items()}
