"""From a lab to servers outside it: `python -m hydria.lab.relay DIRECTORY ROUTE …`, in the hypervisor of the lab in DIRECTORY.

It listens at ports of the hypervisor's loopback, goes over to the network that it was given, the user's, and hands on from there what comes.
Its first descriptor is that network; then comes, for each UNIX socket, the directory that it is in, which is found by it whatever is mounted.
A ROUTE is PORT=ADDRESS,…:PORT or PORT=/NAME, a file in the next of those directories.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from contextlib import suppress

from hydria.lab import syscalls
from hydria.lab.octavia_servers import Route
from hydria.lab.pid_one import DESCRIPTORS

_BYTES = 65_536


class Relay:
    """To one server. `directory`: a descriptor of where its socket is, if it is one."""

    def __init__(self, route: Route, directory: int) -> None:
        self._route = route
        self._directory = directory

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hands a connection on, until either side has ended. Where nobody answers it is ended at once."""
        try:
            there, thither = await self._reached()
        except OSError as error:
            print(f"relay {self._route}: {error}", flush=True)  # noqa: T201 - its log is its standard output
            writer.close()
            return
        await asyncio.gather(_pumped(reader, thither), _pumped(there, writer))

    async def _reached(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._route.name:
            return await asyncio.open_unix_connection(f"/proc/self/fd/{self._directory}/{self._route.name}")
        failed = OSError("no address")
        for address in self._route.addresses:
            try:
                return await asyncio.open_connection(address, self._route.port)
            except OSError as error:
                failed = error
        raise failed


async def _pumped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while received := await reader.read(_BYTES):
            writer.write(received)
            await writer.drain()
    writer.close()


async def _serve(relays: list[tuple[socket.socket, Relay]]) -> None:
    servers = [await asyncio.start_server(relay, sock=listening) for listening, relay in relays]
    await asyncio.gather(*(server.serve_forever() for server in servers))


def main(routes: list[Route]) -> None:
    """Goes on until it is killed."""
    network, *directories = map(int, os.environ.pop(DESCRIPTORS).split())
    left = iter(directories)
    relays = [
        (socket.create_server(("127.0.0.1", route.here), backlog=128), Relay(route, next(left) if route.name else -1)) for route in routes
    ]
    syscalls.enter(network, syscalls.NEW_NET)
    asyncio.run(_serve(relays))


if __name__ == "__main__":
    main([Route.read(each) for each in sys.argv[2:]])
