"""Clients that keep their connections, as browsers and programs do: what becomes of these while something is changed."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from hydria.lab.lab import CLIENTS
from hydria.lab.namespaces import inside

if TYPE_CHECKING:
    from hydria.lab.lab import Lab

_REQUEST = b"GET / HTTP/1.1\r\nHost: lab.example\r\n\r\n"
#: Seconds for an answer, and before a connection is tried again.
_PATIENCE, _AGAIN = 10.0, 0.05


class Keeping:
    """So many clients with a connection each, over which each asks once in `between` seconds. A context manager; counts grow meanwhile.

    `asked`: requests; `lost`: those that were sent and got no answer; `ended`: connections that the load balancer ended, in an answer or between two.
    """

    def __init__(self, lab: Lab, address: str, port: int, clients: int = 20, between: float = 0.2) -> None:
        self._namespace = lab.network(CLIENTS)
        self._place = (address, port)
        self._clients = clients
        self._between = between
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="keeping", daemon=True)
        self.asked = self.lost = self.ended = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopping = True
        self._thread.join()

    @property
    def counts(self) -> tuple[int, int, int]:
        """Asked, lost, ended."""
        return self.asked, self.lost, self.ended

    def _run(self) -> None:
        with inside(self._namespace):
            asyncio.run(self._all())

    async def _all(self) -> None:
        await asyncio.gather(*(self._client(number * self._between / self._clients) for number in range(self._clients)))

    async def _client(self, later: float) -> None:
        await asyncio.sleep(later)
        while not self._stopping:
            try:
                reader, writer = await asyncio.open_connection(*self._place)
            except OSError:
                self.asked += 1
                self.lost += 1
                await asyncio.sleep(_AGAIN)
                continue
            with suppress(OSError):
                await self._use(reader, writer)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _use(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Asks until the connection ends, or all is to."""
        while not self._stopping:
            if reader.at_eof():  # ended between two requests, which a client notices before it asks
                self.ended += 1
                return
            self.asked += 1
            try:
                async with asyncio.timeout(_PATIENCE):
                    writer.write(_REQUEST)
                    head = (await reader.readuntil(b"\r\n\r\n")).lower()
                    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0] or b"0")
                    await reader.readexactly(length)
            except (OSError, asyncio.IncompleteReadError, TimeoutError):
                self.lost += 1
                self.ended += 1
                return
            if not head.startswith(b"http/1.1 200"):
                self.lost += 1
            if b"connection: close" in head:
                self.ended += 1
                return
            await asyncio.sleep(self._between)
