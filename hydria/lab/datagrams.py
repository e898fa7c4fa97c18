"""A small real server of UDP that says who it is: a member behind a load balancer that is tried out. Of TCP there are `hydria.lab.backends`."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress

from hydria.lab.ports import family_of

#: Bytes of a datagram that are looked at.
_LARGEST = 65_535


class DatagramBackend:
    """Answers every datagram with a line of JSON: its name, who seems to ask, what was said. `answered` counts them.

    With the port 0 it has one that the kernel chooses. Raises OSError where the port is taken. It runs in a thread of its own, until it refuses.
    """

    def __init__(self, name: str, *, address: str = "127.0.0.1", port: int = 0) -> None:
        self.name, self.address, self.port = name, address, port
        self.answered = 0
        self._socket: socket.socket | None = None
        self.accept()

    @property
    def accepts(self) -> bool:
        """Whether it answers."""
        return self._socket is not None

    def accept(self) -> None:
        """Answers from now on; fine where it does. As `refuse`, it is to be called by one thread at a time, in the network of the address."""
        if self._socket is None:
            self._socket = socket.socket(family_of(self.address), socket.SOCK_DGRAM)
            self._socket.bind((self.address, self.port))
            self.port = self._socket.getsockname()[1]
            self._thread = threading.Thread(target=self._serve, args=(self._socket,), name=f"{self.name}-{self.port}", daemon=True)
            self._thread.start()

    def refuse(self) -> None:
        """Has nobody be at the port: who asks is told so by the kernel (ICMP)."""
        bound, self._socket = self._socket, None
        if bound is not None:
            with suppress(OSError):  # it has no peer, and its thread wakes up all the same
                bound.shutdown(socket.SHUT_RDWR)
            # As long as that waits there, the port takes datagrams that nobody answers.
            self._thread.join()
            bound.close()

    def _serve(self, bound: socket.socket) -> None:
        while True:
            try:
                said, peer = bound.recvfrom(_LARGEST)
                if self._socket is not bound:
                    return
                answer = {"name": self.name, "peer": peer[0], "said": said.decode(errors="replace").rstrip("\n")}
                self.answered += 1
                bound.sendto(json.dumps(answer).encode() + b"\n", peer)
            except ConnectionError:  # somebody has gone before the answer came
                continue
            except OSError:
                return
