"""Ports on loopback that are certainly free, because they are held.

A port that was found free and let go may be taken by somebody else a moment later. A held port is bound, with SO_REUSEPORT, by a
socket that never listens: the kernel gives it to nobody else, refuses connections to it, and lets other sockets of the same user
that also ask for SO_REUSEPORT (HAProxy's do, and the lab's) listen on it (socket(7)).
"""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

_ATTEMPTS = 50


def family_of(address: str) -> socket.AddressFamily:
    """AF_INET6 for an address with a colon, else AF_INET."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def sharing_socket(address: str, port: int) -> socket.socket:
    """A TCP socket bound to a port that is held. Raises OSError where it is somebody else's."""
    bound = socket.socket(family_of(address), socket.SOCK_STREAM)
    try:
        _share(bound)
        bound.bind((address, port))
    except BaseException:
        bound.close()
        raise
    return bound


def _holding_socket(address: str, port: int) -> socket.socket:
    """A TCP socket that has `port` (0: one that the kernel chooses) for itself, and from then on shares it. Raises OSError if it is taken."""
    bound = socket.socket(family_of(address), socket.SOCK_STREAM)
    try:
        # Sharing comes second: a socket that would share from the start also gets a port that another holder has.
        bound.bind((address, port))
        _share(bound)
    except BaseException:
        bound.close()
        raise
    return bound


def _share(bound: socket.socket) -> None:
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


class HeldPort:
    """One port, the same on every address of `addresses`, held until `close`: one that the kernel chooses, or this. Raises OSError if none can be had."""

    def __init__(self, addresses: Sequence[str] = ("127.0.0.1",), port: int = 0) -> None:
        for attempt in range(1 if port else _ATTEMPTS):
            with ExitStack() as stack:
                first = stack.enter_context(_holding_socket(addresses[0], port))
                self.port: int = first.getsockname()[1]
                try:
                    for address in addresses[1:]:
                        stack.enter_context(_holding_socket(address, self.port))
                except OSError:
                    if port or attempt + 1 == _ATTEMPTS:
                        raise
                    continue
                self._held = stack.pop_all()
                return

    def close(self) -> None:
        """Lets the port go."""
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
