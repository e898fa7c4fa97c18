"""`python -m benchmarks.soak_traffic CONNECTIONS`: members that echo, and clients with long connections to them through the load balancer.

Half of the connections are plain TCP, half are HTTP that is upgraded, as a web socket is; over each goes a word now and then and must
come back. A connection that breaks is counted, and opened again, as clients do. At SIGTERM it says what it has seen, in JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from contextlib import suppress

from benchmarks.soak_changes import ECHOING, TCP, UPGRADED

#: Seconds between two words on a connection, at least and at most; that an echo may take; between two attempts to connect.
_PAUSE = (1.0, 4.0)
_PATIENCE = 10.0
_AGAIN = 0.2
_UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"
_UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n"


class Seen:
    """What there is to tell. `broken`: connections that had worked; `failed`: attempts to open one."""

    def __init__(self) -> None:
        self.opened = self.echoes = self.broken = self.failed = 0
        self.why: set[str] = set()

    def told(self) -> str:
        return json.dumps({**vars(self), "why": sorted(self.why)[:5]})


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(4096):
            writer.write(_UPGRADED if data.startswith(b"GET ") else data)
            await writer.drain()
    writer.close()


async def talk(port: int, seen: Seen) -> None:
    """One client, for ever."""
    while True:
        works = False
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                if port == UPGRADED:
                    writer.write(_UPGRADE)
                    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _PATIENCE)
                while True:
                    word = os.urandom(16)
                    writer.write(word)
                    if await asyncio.wait_for(reader.readexactly(len(word)), _PATIENCE) != word:
                        raise OSError("another word came back")
                    seen.opened += not works
                    works = True
                    seen.echoes += 1
                    await asyncio.sleep(random.uniform(*_PAUSE))
            finally:
                writer.close()
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError) as error:
            seen.why.add(f"{port}: {type(error).__name__}: {error}")
            seen.broken += works
            seen.failed += not works
            await asyncio.sleep(_AGAIN)


async def main(connections: int) -> None:
    seen = Seen()
    for port in ECHOING:
        await asyncio.start_server(echo, "127.0.0.1", port)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    print("ready", flush=True)
    # When there is something to talk to.
    await asyncio.to_thread(sys.stdin.readline)
    clients = [asyncio.create_task(talk(TCP if number % 2 else UPGRADED, seen)) for number in range(connections)]
    await ended.wait()
    print(seen.told(), flush=True)
    os._exit(0 if all(not client.done() for client in clients) else 1)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
