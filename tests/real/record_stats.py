"""Records what a HAProxy prints, for `tests/vectors/stats`: `python tests/real/record_stats.py /usr/sbin/haproxy`.

The configuration makes HAProxy print what is hard to read: servers that are called like rows of other kinds, reasons with quotes, commas and
line ends, servers in every state, listening sockets, empty backends. Where the binary cannot run here by itself, a script that runs it will do.
"""

from __future__ import annotations

import json
import lzma
import re
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from agent.clock import SystemClock, wait_until
from agent.errors import SocketFault
from agent.stats_socket import StatsSocket

VECTORS = Path(__file__).parents[1] / "vectors" / "stats"

COMMANDS = ("show stat", "show stat -1 1 -1", "show stat -1 4 -1", "show info", "show servers state")

REPLIES = {
    "web": b'HTTP/1.0 500 Broken, "quite" so\r\nX: y\r\n\r\nbody, with "q"\nand newline\n,,',
    "line": b'one, "q"\r\ntwo\n\n\xff\xfe,\x01 three',
    "fine": b"HTTP/1.0 200 OK\r\n\r\n",
    "down": b'down #because, "I" said\xc3\xa9 so\n',
    "half": b"50%\n",
    "drain": b"drain\n",
}

CONFIGURATION = """
global
  stats socket {socket} mode 600 level admin
  maxconn 100
defaults
  mode http
  timeout connect 500ms
  timeout client 5s
  timeout server 5s
  default-server inter 100ms fastinter 100ms downinter 100ms fall 2 rise 2
frontend f1
  bind 127.0.0.1:{port1} name sock-one
  option socket-stats
  http-request return status 200
frontend f2
  mode tcp
  bind 127.0.0.1:{port2}
  default_backend b.tcp
frontend off
  bind 127.0.0.1:{port3}
  disabled
listen both
  bind 127.0.0.1:{port4}
  server FRONTEND 127.0.0.1:{closed} check
  server BACKEND 127.0.0.1:{web}
backend 7bd4e6b3-6d1f-4a0e-9f37-6a4a6ff4a1a6:0f0a3d5f-6f2c-4f5a-8f8e-d2b1a54f0c11
  cookie SRV insert
  option httpchk GET /
  server 2b4a3a52-97ab-4f3b-9d70-25a7b4b6f6a1 127.0.0.1:{web} check cookie a,b
  server s2 127.0.0.1:{web} weight 0
  server s3 127.0.0.1:{closed} check disabled
  server s4 127.0.0.1:{line} check
  server s5 127.0.0.1:{fine} check weight 256
  server s6 127.0.0.1:{fine} check weight 0
  server s7 127.0.0.1:{fine} check backup
backend b.tcp
  mode tcp
  option tcp-check
  tcp-check connect
  tcp-check send x
  tcp-check expect string never on-error "got: %[res.payload(0,60)]" comment "say \\"x\\", y"
  server w1 127.0.0.1:{line} check
  server w2 127.0.0.1:{web} check
backend b.agent
  server a1 127.0.0.1:{fine} agent-check agent-port {down} agent-inter 100ms
  server a2 127.0.0.1:{fine} agent-check agent-port {half} agent-inter 100ms weight 100
  server a3 127.0.0.1:{fine} agent-check agent-port {drain} agent-inter 100ms
  server a4 127.0.0.1:{fine} check agent-check agent-port {closed} agent-inter 100ms
  server track 127.0.0.1:{web} track both/FRONTEND
backend empty
"""


def replying(reply: bytes, stack: ExitStack) -> int:
    """The port of a server that answers whatever it is asked."""
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(0.05)
                with suppress(OSError):  # an agent is not asked anything
                    connection.recv(4096)
                with suppress(OSError):  # who checks may have gone
                    connection.sendall(reply)

    threading.Thread(target=serve, daemon=True).start()
    return int(listener.getsockname()[1])


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        return [stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(count)]


@contextmanager
def judging(binary: str) -> Iterator[StatsSocket]:
    """HAProxy with the configuration above, after the checks have come to their verdicts."""
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        closed = stack.enter_context(socket.socket())
        closed.bind(("127.0.0.1", 0))  # bound, but not listening
        ports = {name: replying(reply, stack) for name, reply in REPLIES.items()} | {"closed": closed.getsockname()[1]}
        ports |= {f"port{number}": port for number, port in enumerate(free_ports(4), 1)}
        path = Path(directory) / "socket"
        configuration = Path(directory) / "haproxy.cfg"
        configuration.write_text(CONFIGURATION.format(socket=path, **ports))
        process = subprocess.Popen([binary, "-db", "-f", str(configuration)], stderr=subprocess.DEVNULL)
        try:
            stats = StatsSocket(path)
            if not wait_until(lambda: judged(stats), 20, SystemClock()):
                raise RuntimeError("the checks did not come to their verdicts")
            yield stats
        finally:
            process.terminate()
            process.wait()


def judged(stats: StatsSocket) -> bool:
    try:
        dump = stats.ask_bytes("show stat")
    except SocketFault:
        return False
    return dump.count(b",DOWN,") >= 7 and b",DRAIN" in dump and b"DOWN (agent)" in dump and b"comment: say" in dump


def main() -> None:
    with judging(sys.argv[1]) as stats:
        dumps = {command: stats.ask_bytes(command).decode("latin-1") for command in COMMANDS}
    version = re.search(r"^Version: (\d+\.\d+)", dumps["show info"], re.MULTILINE)
    if version is None:
        raise RuntimeError(dumps["show info"])
    VECTORS.mkdir(exist_ok=True)
    (VECTORS / f"haproxy-{version[1]}.json.xz").write_bytes(lzma.compress(json.dumps(dumps, indent=1).encode(), preset=9))


if __name__ == "__main__":
    main()
