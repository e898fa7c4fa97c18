"""Where the metrics of a HAProxy are on their way to a PROMETHEUS listener, as its configuration says.

In Octavia's configurations, and in Hydria's, the listener has a pool with one server: that is us. And there is a frontend of its own with HAProxy's
exporter: that is whom we ask. Both are known by their names.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from pathlib import Path
from typing import NamedTuple

from agent.errors import SystemFault

_FRONTEND, _BACKEND = b"prometheus-exporter-internal-endpoint", b"prometheus-exporter-internal"

#: What is in a section: lines that do not open another one.
_REST = rb"\s*(?:#.*)?\n(?:(?!(?:frontend|backend|listen|defaults|global|peers)\s).*\n)*?"
_BIND = re.compile(rb"^frontend\s+%b\b%b\s*bind\s+(\S+)" % (re.escape(_FRONTEND), _REST), re.MULTILINE)
_SERVER = re.compile(rb"^backend\s+%b%b\s*server\s+\S+\s+(\S+)" % (re.escape(_BACKEND), _REST), re.MULTILINE)

_UNIX = "unix@"
_BACKLOG = 16


class Place(NamedTuple):
    """A TCP port of the machine itself, or with `port` 0 a UNIX socket at the path `address`."""

    address: str
    port: int = 0

    def __str__(self) -> str:
        return f"{self.address}:{self.port}" if self.port else self.address


class Places(NamedTuple):
    """`exporter` is where HAProxy tells its metrics, `ours` is where it asks for Octavia's."""

    exporter: Place
    ours: Place


def places(text: bytes) -> Places | None:
    """What a configuration says; None where it has no PROMETHEUS listener."""
    if _BACKEND not in text:
        return None
    found = [pattern.search(text) for pattern in (_BIND, _SERVER)]
    given = [_place(match[1].decode(errors="replace")) for match in found if match]
    exporter, ours = given if len(given) == 2 else (None, None)
    return Places(exporter, ours) if exporter and ours else None


def _place(word: str) -> Place | None:
    """None for what is not on the machine itself, which nobody but the machine may ask."""
    if word.startswith(f"{_UNIX}/"):
        return Place(word.removeprefix(_UNIX))
    address, _, port = word.rpartition(":")
    try:
        local = ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return None
    return Place(str(local), int(port)) if local.is_loopback and port.isascii() and port.isdecimal() and 0 < int(port) < 65536 else None


def listen(place: Place) -> socket.socket:
    """A socket that listens there. Raises SystemFault."""
    listener = socket.socket(_family(place), socket.SOCK_STREAM)
    try:
        if place.port:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        elif Path(place.address).is_socket():
            Path(place.address).unlink()
        listener.bind(_address(place))
        if not place.port:
            # HAProxy has become somebody else by the time it asks.
            Path(place.address).chmod(0o666)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise SystemFault(f"metrics cannot be served at {place}: {error.strerror}") from error
    return listener


def connect(place: Place, timeout: float) -> socket.socket:
    """A connection to what listens there. Raises OSError."""
    connection = socket.socket(_family(place), socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(_address(place))
    except BaseException:
        connection.close()
        raise
    return connection


def _family(place: Place) -> socket.AddressFamily:
    if not place.port:
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in place.address else socket.AF_INET


def _address(place: Place) -> str | tuple[str, int]:
    return (place.address, place.port) if place.port else place.address
