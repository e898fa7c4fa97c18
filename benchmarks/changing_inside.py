"""`python -m benchmarks.changing_inside`, in namespaces of its own (see `changing`): an agent with two load balancers of 2 000 members each.

One is changed by PUT of its graph. The other is driven as Octavia's controller does it, upload and reload, by changes that cannot be made
but by a reload: each time another timeout changes, too, or Hydria's agent would do without one. A third HAProxy belongs to no agent: it
is changed by the programs alone that Octavia's agent and its unit run for that. And Octavia's controller has to make the text first.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from agent.clock import SystemClock, wait_until
from agent.errors import SocketFault
from agent.network.namespaces import entered
from agent.paths import NAMESPACE
from agent.stats_socket import MasterSocket, StatsSocket
from benchmarks.agent_inside import AMPHORA, BASE, LB, LISTENER, POOL, PORT, SETTINGS
from hydria.lab.certificates import Authority

MEMBERS = 2000
ROUNDS = 12
ROOT = Path(__file__).parent.parent
OCTAVIA = ROOT / ".venv" / "octavia" / "bin" / "python"
HAPROXY = "/usr/sbin/haproxy"
OTHER = str(uuid.UUID(int=9, version=4))
#: Seconds between two looks at HAProxy.
_LOOK = 0.001
_PORT_OF_MEMBERS = 8081

TEXT = """\
global
    user nobody
    log /run/log local0
    stats socket {stats} mode 0666 level user expose-fd listeners
    maxconn 5000
    server-state-file {state}
defaults
    log global
    retries 3
    option redispatch
    option splice-request
    option splice-response
    option http-keep-alive
frontend {listener}
    maxconn 5000
    bind 127.0.0.1:{port}
    mode http
    default_backend {pool}:{listener}
    timeout client {timeout}
backend {pool}:{listener}
    mode http
    balance roundrobin
    timeout check 10s
    load-server-state-from-file global
    fullconn 10000
    option allbackups
    timeout connect 5000
    timeout server 50000
{servers}
"""


def member(number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, str(number)))


def address(number: int) -> str:
    return f"127.1.{number // 250}.{number % 250 + 1}"


def graph(weights: list[int]) -> bytes:
    """As many members as weights."""
    members = [
        {
            "id": member(number),
            "name": f"member-{number}",
            "address": address(number),
            "protocol_port": _PORT_OF_MEMBERS,
            "weight": weight,
        }
        for number, weight in enumerate(weights)
    ]
    monitor = {"type": "TCP", "delay": 30, "timeout": 10, "max_retries": 3}
    pool = {"id": POOL, "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "healthmonitor": monitor, "members": members}
    listener = {"id": LISTENER, "protocol": "HTTP", "protocol_port": 8080, "default_pool": pool}
    return json.dumps({"loadbalancer": {"name": "lb", "vip_address": "127.0.0.1", "listeners": [listener]}}).encode()


def text(
    weights: list[int], turn: int, *, port: int = 8090, state: Path = BASE / OTHER / "servers-state", stats: Path = BASE / f"{OTHER}.sock"
) -> bytes:
    """As Octavia writes it; every turn has a timeout of its own."""
    servers = "\n".join(
        f"    server {member(number)} {address(number)}:{_PORT_OF_MEMBERS} weight {weight} check inter 30s fall 3 rise 3"
        for number, weight in enumerate(weights)
    )
    return TEXT.format(stats=stats, state=state, listener=LISTENER, port=port, timeout=50000 + turn, pool=POOL, servers=servers).encode()


class Watched:
    """An HAProxy, and a look at it while it is changed: has the change come into force?"""

    def __init__(self, stats: Path) -> None:
        self.stats = StatsSocket(stats, timeout=5)

    def weight(self, number: int) -> str:
        """What it says of a server: its weight, or that there is none."""
        try:
            return self.stats.ask(f"get weight {POOL}:{LISTENER}/{member(number)}").partition(" ")[0]
        except SocketFault:  # between two workers
            return ""

    def measure(self, change: Callable[[], Any], number: int, weight: int) -> dict[str, Any]:
        """Milliseconds until the server has the weight, and until `change` has returned; and the steps that it tells of."""
        seen: list[float] = []

        def look() -> None:
            while self.weight(number) != str(weight) and time.perf_counter() < begun + 60:
                time.sleep(_LOOK)
            seen.append(time.perf_counter())

        watcher = threading.Thread(target=look)
        begun = time.perf_counter()
        watcher.start()
        steps = change()
        answered = time.perf_counter()
        watcher.join()
        if self.weight(number) != str(weight):
            raise RuntimeError(f"server {number} has not come to have the weight {weight}, but {self.weight(number)!r}")
        return {"effect": 1000 * (seen[0] - begun), "answer": 1000 * (answered - begun), "steps": steps or {}}


class Octavias:
    """The programs that Octavia's agent and its systemd unit run for an upload and a reload, and their files, without anybody around them."""

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "worker.sock"
        self._master = MasterSocket(directory / "master.sock", timeout=10)
        self._file, self._state = directory / "haproxy.cfg", directory / "servers-state"

    def text(self, weights: list[int], turn: int) -> bytes:
        return text(weights, turn, port=8091, state=self._state, stats=self.socket)

    @contextmanager
    def running(self) -> Iterator[None]:
        self._file.write_bytes(self.text([1] * MEMBERS, 0))
        self._state.touch()
        arguments = [HAPROXY, "-Ws", "-db", "-S", f"{self._master.path},mode,600", "-f", str(self._file)]
        with entered(NAMESPACE):
            process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            process.terminate()
            process.wait()

    def change(self, content: bytes) -> None:
        """Upload: a look at the new file, then it takes the old one's place. Reload: the servers' state is kept, and the unit has its own look."""
        new = self._file.with_name("new.cfg")
        new.write_bytes(content)
        self._check(new)
        new.rename(self._file)
        self._state.write_bytes(StatsSocket(self.socket).ask_bytes("show servers state"))
        self._check(self._file)
        self._master.reload()

    def _check(self, file: Path) -> None:
        subprocess.run([HAPROXY, "-c", "-q", "-f", file], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Rendering:
    """Octavia's own, in an environment of its own."""

    def __init__(self, stack: ExitStack) -> None:
        self._process = stack.enter_context(
            subprocess.Popen(
                [OCTAVIA, "-W", "ignore", "benchmarks/octavia_rendering.py", "1", str(MEMBERS)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
        )
        stack.callback(self._process.terminate)

    def measure(self) -> dict[str, Any]:
        """As if a change were over when there is a text."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("a pipe is missing")
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        took = 1000 * float(self._process.stdout.readline())
        return {"effect": took, "answer": took, "steps": {}}


class Controller:
    """Somebody who may ask the agent, and keeps a connection as Octavia's controller does."""

    def __init__(self, directory: Path) -> None:
        agents, controllers = Authority("agents"), Authority("controllers")
        (directory / "server.pem").write_bytes(agents.server(AMPHORA).bundle_pem)
        (directory / "client_ca.pem").write_bytes(controllers.certificate_pem)
        self._context = agents.client_context(certificate=controllers.client("controller"))
        self._connection = HTTPConnection("agent")

    def connected(self) -> bool:
        """Whether the agent is there, and has proven that it lets in nobody else."""
        with suppress(OSError):
            raw = socket.create_connection(("127.0.0.1", PORT), timeout=60)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connection.sock = self._context.wrap_socket(raw, server_hostname=AMPHORA)
            return bool(self.ask("GET", "/"))
        return False

    def ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        """What the agent answers."""
        self._connection.request(method, path, body)
        answer = self._connection.getresponse()
        content = answer.read()
        if not 200 <= answer.status < 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {content[:500]!r}")
        return json.loads(content)

    def put(self, content: bytes) -> dict[str, float]:
        """Hydria's way. How long each step took."""
        outcome = self.ask("PUT", f"/2.0/loadbalancers/{LB}", content)
        if outcome["way"] in ("reload", "restart"):
            raise RuntimeError(f"{outcome['way']}, not by commands: {outcome['reasons']}")
        steps: dict[str, float] = outcome["steps_ms"]
        return steps

    def upload(self, content: bytes, then: str = "reload") -> None:
        """Octavia's way."""
        self.ask("PUT", f"/1.0/loadbalancer/{AMPHORA}/{OTHER}/haproxy", content)
        said = self.ask("PUT", f"/1.0/loadbalancer/{OTHER}/{then}")["details"]
        if not said.startswith(f"haproxy for {OTHER} {then}ed"):
            raise RuntimeError(said)


@contextmanager
def agent(directory: Path) -> Iterator[Controller]:
    """One that runs, and its controller."""
    controller = Controller(directory)
    settings = SETTINGS.format(base=BASE, port=PORT, controller=9, directory=directory, amphora=AMPHORA)
    (directory / "agent.conf").write_text(settings)
    places = ("--octavia-conf", f"{directory}/agent.conf", "--run-dir", "/run/hydria", "--state-dir", "/var/lib/hydria")
    command = [str(Path(sys.executable).with_name("hydria-agent")), *places, "--services", "supervised", "serve"]
    with (directory / "log").open("wb") as said:
        process = subprocess.Popen(command, cwd="/", stdout=said, stderr=said)
        try:
            if not wait_until(controller.connected, 60, SystemClock()):
                raise RuntimeError(f"it does not serve:\n{Path(said.name).read_text()}")
            yield controller
        finally:
            process.terminate()
            process.wait()


def measure() -> dict[str, list[dict[str, Any]]]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/lib")))
        controller = stack.enter_context(agent(directory))
        _members()
        controller.put(graph([1] * MEMBERS))
        controller.upload(text([1] * MEMBERS, 0), "start")
        octavias = Octavias(directory)
        stack.enter_context(octavias.running())
        return _rounds(controller, octavias, Rendering(stack))


def _rounds(controller: Controller, octavias: Octavias, rendering: Rendering) -> dict[str, list[dict[str, Any]]]:
    ours, theirs, by_hand = (Watched(path) for path in (Path(f"/run/hydria/{LB}.sock"), Path(f"/run/hydria/{OTHER}.sock"), octavias.socket))
    found: dict[str, list[dict[str, Any]]] = {}
    for turn in range(1, ROUNDS + 1):
        number, weight = 97 * turn, 1 + turn
        changed = [1] * MEMBERS
        changed[number] = weight
        added = [*changed, weight]
        changes: list[tuple[str, Watched, Callable[[bytes], Any], bytes, int]] = [
            ("weight", ours, controller.put, graph(changed), number),
            ("addition", ours, controller.put, graph(added), MEMBERS),
            ("weight by reload", theirs, controller.upload, text(changed, 2 * turn), number),
            ("addition by reload", theirs, controller.upload, text(added, 2 * turn + 1), MEMBERS),
            ("programs", by_hand, octavias.change, octavias.text(changed, turn), number),
        ]
        # Away with the last turn's member. An amphora has one load balancer; what the agent still knows of the last one is to be this.
        controller.put(graph([1] * MEMBERS))
        for way, one, change, content, server in changes:
            found.setdefault(way, []).append(one.measure(partial(change, content), server, weight))
        found.setdefault("rendering", []).append(rendering.measure())
    return found


def _members() -> None:
    """Somebody who takes connections at all their addresses."""
    with entered(NAMESPACE):
        listening = socket.create_server(("", _PORT_OF_MEMBERS), backlog=1024)

    def welcome() -> None:
        while True:
            listening.accept()[0].close()

    threading.Thread(target=welcome, daemon=True).start()


if __name__ == "__main__":
    print(json.dumps(measure()))
