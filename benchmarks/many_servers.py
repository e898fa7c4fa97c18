"""A real HAProxy with many servers, on loopback: what its statistics look like and cost."""

from __future__ import annotations

import random
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from agent.clock import SystemClock, wait_until
from agent.errors import SocketFault
from agent.stats_socket import StatsSocket

BACKENDS = 100
SERVERS = 200

GLOBAL = """
global
  stats socket {socket} mode 600 level admin
  maxconn 100
  nbthread {threads}
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 30s
frontend web
  bind 127.0.0.1:{web}
  http-request return status 200 content-type text/plain string ok
"""


class ManyServers(NamedTuple):
    """What runs: its process id, its stats socket, a port that answers HTTP."""

    pid: int
    stats: StatsSocket
    port: int


@contextmanager
def running(binary: Path, threads: int = 2) -> Iterator[ManyServers]:
    """100 backends of 200 servers, named as Hydria names them; some are up, down, drained, in maintenance, without a check."""
    with tempfile.TemporaryDirectory() as directory, socket.socket() as closed, socket.socket() as held:
        for each in (closed, held):
            each.bind(("127.0.0.1", 0))
        web = held.getsockname()[1]
        held.close()
        stats = StatsSocket(Path(directory) / "socket", timeout=30, limit=2**30)
        configuration = Path(directory) / "haproxy.cfg"
        start = GLOBAL.format(socket=stats.path, threads=threads, web=web)
        configuration.write_text(start + _proxies(Path(directory), web, closed.getsockname()[1]))
        process = subprocess.Popen([binary, "-db", "-f", configuration], stderr=subprocess.DEVNULL)
        try:
            # A tenth of the servers have nobody who listens, and a tenth of these are checked.
            if not wait_until(lambda: _down(stats) >= BACKENDS * SERVERS // 10, 60, SystemClock()):
                raise RuntimeError("HAProxy did not get as far as it should; `ulimit -n` must be 20 000 at least")
            yield ManyServers(process.pid, stats, web)
        finally:
            process.terminate()
            process.wait()


def _down(stats: StatsSocket) -> int:
    try:
        return sum(server.status == "DOWN" for backend in stats.heartbeat().backends for server in backend.servers)
    except SocketFault:
        return 0


def _proxies(directory: Path, web: int, closed: int) -> str:
    """Every other server is checked by itself, others by the check of their kind, because a check takes a file descriptor."""
    dice = random.Random(1)

    def identifier() -> str:
        return str(uuid.UUID(int=dice.getrandbits(128), version=4))

    lines = []
    for number in range(BACKENDS):
        listener, pool = identifier(), identifier()
        names = [identifier() for _ in range(SERVERS)]
        lines += [f"frontend {listener}", f"  bind unix@{directory}/{number}", f"  use_backend {pool}:{listener}"]
        lines += [f"backend {pool}:{listener}", "  option httpchk GET /"]
        for place, name in enumerate(names):
            kind = place % 10
            port = closed if kind == 3 else web
            check = "" if kind == 7 else "check inter 20s fall 1 rise 1" if place < 100 else f"track {pool}:{listener}/{names[kind]}"
            weight = 0 if kind == 5 else 1 + place % 5
            lines.append(f"  server {name} 127.0.0.1:{port} id {place + 1} weight {weight} {check}{' disabled' if kind == 9 else ''}")
    return "\n".join([*lines, ""])
