"""`python -m benchmarks.agent_inside hydria|octavia COMMAND`, in namespaces of its own (see `footprint`): starts an agent, uses it, and says what it took.

The process namespace is the agent's: all that is in it but this program, the shell around it and the programs that carry traffic is what
the agent keeps running.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

from agent.clock import SystemClock, wait_until
from hydria.lab.certificates import Authority

AMPHORA, LB, LISTENER, POOL, MEMBER = (str(uuid.UUID(int=number, version=4)) for number in range(5))
BASE = Path("/var/lib/octavia")
PORT = 9443
#: How many heartbeats that tell of the load balancer are waited for before memory is looked at; one a second.
BEATS = 4
#: The bytes of the signature at the end of a heartbeat.
SIGNATURE = 32

SETTINGS = """\
[haproxy_amphora]
base_cert_dir = {base}/certs
base_path = {base}
bind_host = 127.0.0.1
bind_port = {port}
haproxy_cmd = /usr/sbin/haproxy
[health_manager]
controller_ip_port_list = 127.0.0.1:{controller}
heartbeat_interval = 1
heartbeat_key = key
[amphora_agent]
agent_server_ca = {directory}/client_ca.pem
agent_server_cert = {directory}/server.pem
agent_server_network_dir = {base}/interfaces
amphora_id = {amphora}
agent_tls_protocol = TLSv1.2
[controller_worker]
loadbalancer_topology = SINGLE
"""

CONFIGURATION = f"""\
global
    stats socket {BASE}/{LB}.sock mode 0666 level user
    maxconn 1000
defaults
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend {LISTENER}
    mode http
    bind 127.0.0.1:8080
    default_backend {POOL}:{LISTENER}
backend {POOL}:{LISTENER}
    mode http
    server {MEMBER} 127.0.0.1:8081 weight 1 check
"""


class Asker:
    """A controller, on the same machine."""

    def __init__(self, directory: Path) -> None:
        agents, controllers = Authority("agents"), Authority("controllers")
        (directory / "server.pem").write_bytes(agents.server(AMPHORA).bundle_pem)
        (directory / "client_ca.pem").write_bytes(controllers.certificate_pem)
        self._context = agents.client_context(certificate=controllers.client("controller"))

    def ask(self, method: str, path: str, body: bytes | None = None) -> int:
        """The status of the answer. Raises OSError."""
        with (
            socket.create_connection(("127.0.0.1", PORT), timeout=30) as raw,
            self._context.wrap_socket(raw, server_hostname=AMPHORA) as connection,
        ):
            client = HTTPConnection("agent")
            client.sock = connection
            client.request(method, path, body)
            answer = client.getresponse()
            answer.read()
            return answer.status

    def demand(self, method: str, path: str, body: bytes | None = None) -> None:
        if (status := self.ask(method, path, body)) not in (200, 202):
            raise RuntimeError(f"{method} {path}: {status}")

    def answered(self) -> bool:
        with suppress(OSError):
            return self.ask("GET", "/") == 200
        return False


class Agent(NamedTuple):
    """How one is started, and given its load balancer."""

    command: list[str]
    balance: Callable[[Asker], None]


def hydria(command: str, directory: Path) -> Agent:
    def balance(asker: Asker) -> None:
        asker.demand("PUT", f"/1.0/loadbalancer/{AMPHORA}/{LB}/haproxy", CONFIGURATION.encode())
        asker.demand("PUT", f"/1.0/loadbalancer/{LB}/start")

    places = ("--octavia-conf", f"{directory}/agent.conf", "--run-dir", "/run/hydria", "--state-dir", "/var/lib/hydria")
    return Agent([command, *places, "--services", "supervised", "serve"], balance)


def octavia(command: str, directory: Path) -> Agent:
    def balance(_asker: Asker) -> None:
        # Its own way to start HAProxy is systemd's.
        place = BASE / LB
        place.mkdir(parents=True)
        (place / "haproxy.cfg").write_text(CONFIGURATION)
        process = subprocess.Popen(["/usr/sbin/haproxy", "-db", "-f", place / "haproxy.cfg"], stderr=subprocess.DEVNULL)
        (place / f"{LB}.pid").write_text(str(process.pid))

    return Agent([command, "--config-file", f"{directory}/agent.conf"], balance)


def measure(make: Callable[[Path], Agent]) -> dict[str, object]:
    with (
        tempfile.TemporaryDirectory() as name,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as controller,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log,
        (Path(name) / "log").open("wb") as said,
    ):
        directory = Path(name)
        asker = Asker(directory)
        controller.bind(("127.0.0.1", 0))
        settings = SETTINGS.format(base=BASE, port=PORT, controller=controller.getsockname()[1], directory=directory, amphora=AMPHORA)
        (directory / "agent.conf").write_text(settings)
        # Where Octavia's agent, started in /, writes its log.
        log.bind("/run/rsyslog/octavia/log")
        threading.Thread(target=_drain, args=(log,), daemon=True).start()
        agent = make(directory)
        begin = time.perf_counter()
        process = subprocess.Popen(agent.command, cwd="/", stdout=said, stderr=said)
        try:
            while not asker.answered():
                if process.poll() is not None or time.perf_counter() - begin > 60:
                    raise RuntimeError(f"it does not serve:\n{Path(said.name).read_text()}")
                time.sleep(0.005)
            seconds = time.perf_counter() - begin
            cpu = cpu_seconds()
            agent.balance(asker)
            # Has an agent look at everything: what it imports for that stays. (Octavia's wants Debian's packages to answer.)
            asker.ask("GET", "/1.0/details")
            for _ in range(10):
                asker.demand("GET", "/")
                asker.demand("GET", "/1.0/listeners")
            heard: list[bytes] = []
            if not wait_until(lambda: _beats(controller, heard) >= BEATS, 30, SystemClock()):
                raise RuntimeError(f"no heartbeats that tell of the listener:\n{Path(said.name).read_text()}")
            return {"seconds": seconds, "cpu": cpu, "memory": memory()}
        finally:
            process.terminate()
            process.wait()


def _drain(log: socket.socket) -> None:
    while log.recv(1 << 16):
        pass


def _beats(controller: socket.socket, heard: list[bytes]) -> int:
    with suppress(BlockingIOError):
        while True:
            heard.append(controller.recv(1 << 16, socket.MSG_DONTWAIT))
    return sum(LISTENER in json.loads(zlib.decompress(beat[:-SIGNATURE]))["listeners"] for beat in heard)


def memory() -> list[tuple[str, int]]:
    """Name and proportional set size, in kB, of each process of the agent."""
    found = []
    for process in _processes():
        with suppress(FileNotFoundError, ProcessLookupError):
            name = (process / "comm").read_text().strip()
            size = re.search(r"^Pss:\s+(\d+)", (process / "smaps_rollup").read_text(), re.MULTILINE)
            if name not in ("haproxy", "keepalived") and size is not None:
                found.append((name, int(size[1])))
    return found


def cpu_seconds() -> float:
    """What all processes of the agent have had, those included that have ended (proc(5), stat)."""
    ticks = 0
    for process in _processes():
        with suppress(FileNotFoundError, ProcessLookupError):
            ticks += sum(map(int, (process / "stat").read_text().rpartition(")")[2].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _processes() -> list[Path]:
    return [path for path in sorted(Path("/proc").glob("[0-9]*")) if int(path.name) not in (1, os.getpid())]


if __name__ == "__main__":
    print(json.dumps(measure(partial({"hydria": hydria, "octavia": octavia}[sys.argv[1]], sys.argv[2]))))
