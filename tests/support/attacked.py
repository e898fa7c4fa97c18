"""An agent to be attacked, with a load balancer that must not notice: whatever happens, its HAProxy serves on, in the same processes."""

from __future__ import annotations

import http.client
import json
import os
import socket
import tempfile
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hydria.lab.client import fetch
from support.agents import BASE, PORT, AgentMachine, Trust
from support.polling import eventually

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping

    from hydria.lab.certificates import Certificate

#: What the contract allows an agent to answer.
FINE = {200, 202}
REFUSED = {400, 401, 403, 404, 405, 409}
FAILED = {500, 503}

#: Where nothing of what an agent is sent may ever come to lie: what is everybody's on the machine that these tests run on.
ELSEWHERE = ("/boot", "/etc", "/srv", "/usr/bin", "/usr/lib/systemd", "/usr/local/bin", "/usr/sbin", "/var/spool")

_ADDRESS, _PORT = "127.0.0.1", 80


class Said(NamedTuple):
    """An answer."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @classmethod
    def of(cls, answer: http.client.HTTPResponse) -> Said:
        """What is read of one, to its end."""
        content = answer.read()
        return cls(answer.status, {name.lower(): value for name, value in answer.getheaders()}, content)

    @property
    def json(self) -> Any:
        """Its body."""
        return json.loads(self.content)

    def refused(self, *statuses: int) -> Said:
        """Itself, if it is an error as the contract wants one, and the caller's fault."""
        self.understood()
        assert self.status in (statuses or REFUSED), self
        return self

    def failed(self) -> Said:
        """Itself, if it is an error as the contract wants one, and the machine's fault."""
        self.understood()
        assert self.status in FAILED, self
        return self

    def understood(self) -> Said:
        """Itself, if a controller understands it."""
        assert self.status in FINE | REFUSED | FAILED, self
        if self.status not in FINE:
            assert self.headers["content-type"] == "application/json", self
            assert {"message", "details"} <= self.json.keys() or self.json.keys() == {"error", "http_code"}, self
            assert "No suitable network interface found" not in self.content.decode() or self.status == 404
        return self


class Attacked(AgentMachine):
    """The machine. `bystander` is the load balancer that must not notice anything; `victim` the id of one that may be done anything to."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, Trust(), "127.0.0.1", "attacked")
        self.bystander, self.victim = (str(uuid.uuid4()) for _ in range(2))
        self.controller = self.trust.controller()
        self._processes: set[int] = set()

    def set_up(self, **settings: Any) -> None:
        """Starts the agent and has the bystander serve."""
        self.configure(self.settings(**settings))
        self.start()
        assert self.ask("PUT", f"/1.0/loadbalancer/{self.id}/{self.bystander}/haproxy", self.text(self.bystander)).status == 202
        assert self.ask("PUT", f"/1.0/loadbalancer/{self.bystander}/start").status == 202
        assert self.serves()
        self.note_processes()

    def note_processes(self) -> None:
        """Those that the bystander's HAProxy has now are those that it must keep: a master and a worker, once older workers have gone."""
        eventually(lambda: len(self.haproxies()) == 2, "a master and a worker")
        self._processes = self.haproxies()

    @contextmanager
    def talk(self, certificate: Certificate | None = None) -> Iterator[http.client.HTTPSConnection]:
        """A controller's connection that has time."""
        with self.connection(certificate or self.controller) as connection:
            connection.sock.settimeout(60)
            yield connection

    def plain(self) -> socket.socket:
        """A connection without TLS."""
        return socket.create_connection((self.address, PORT), timeout=60)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Said:
        """One request."""
        return self.ask_as(self.controller, method, path, body, **headers)

    def ask_as(self, who: Certificate, method: str, path: str, body: bytes | None = None, **headers: str) -> Said:
        """One request of whoever has this certificate."""
        with self.talk(who) as connection:
            connection.request(method, path, body, headers)
            return Said.of(connection.getresponse())

    def send(self, *pieces: bytes) -> Said | None:
        """What is answered to these very bytes, and the end; None where the connection is closed without an answer."""
        with self.talk() as connection:
            with suppress(OSError):  # it may have had its answer already
                for piece in pieces:
                    connection.sock.sendall(piece)
                # The raw socket's.
                socket.socket.shutdown(connection.sock, socket.SHUT_WR)
            return first_answer(connection.sock)

    def text(self, lb: str, port: int = _PORT, extra: str = "") -> bytes:
        """A configuration as Octavia's controller would send it, but that HAProxy itself answers."""
        return f"""\
global
    daemon
    user nobody
    log /run/rsyslog/octavia/log local0
    stats socket {BASE}/{lb}.sock mode 0666 level user
    maxconn 1000
defaults
    timeout connect 5000
    timeout client 50000
    timeout server 50000
frontend {uuid.uuid5(uuid.UUID(lb), str(port))}
    bind {_ADDRESS}:{port}
    mode http
    http-request return status 200 content-type text/plain string "here"
{extra}""".encode()

    def serves(self) -> bool:
        """Whether the bystander does."""
        with self.traffic.entered():
            return fetch((_ADDRESS, _PORT)).status == 200

    def haproxies(self) -> set[int]:
        """The processes of the bystander's HAProxy."""
        return {each for each in self.processes() if self.bystander.encode() in _command_line(each)}

    def unharmed(self) -> None:
        """The agent answers, and the bystander has noticed nothing: an AssertionError where that is not so."""
        assert self.ask("GET", "/").json == {"api_version": "1.0"}
        assert self.serves()
        assert self.haproxies() == self._processes

    def files(self) -> dict[str, tuple[int, ...]]:
        """What may not change however the agent is attacked: what is not the agent's, nor made to be changed by who asks it."""
        changeable = {self.base, self.run, self.state, self.log, self.configuration, self.certificate, self.etc / "interfaces"}
        found = {path: seen for path, seen in tree(self.directory) if not changeable & {path, *path.parents}}
        # Its /var/lib is its own; BASE in it is `base`, ETC is `etc`.
        root = Path(f"/proc/{self.agent_pid()}/root/var/lib")
        found |= {path: seen for path, seen in tree(root) if not {root / "octavia", root / "octavia-etc"} & {path, *path.parents}}
        for place in ELSEWHERE:
            found |= dict(tree(Path(place)))
        return {str(path): seen for path, seen in found.items()}

    def exit_code(self) -> int:
        """How the agent, which ends by itself, does."""
        assert self._agent is not None
        return self._agent.wait(30)

    def agent_pid(self) -> int:
        """The agent's main process."""
        assert self._agent is not None
        return self._agent.pid


@contextmanager
def attacked(**settings: Any) -> Iterator[Attacked]:
    """One whose bystander serves. The directory is not pytest's: a UNIX socket's path must be short."""
    with tempfile.TemporaryDirectory(prefix="h", dir="/tmp") as directory, Attacked(Path(directory, "m")) as machine:
        machine.set_up(**settings)
        yield machine


def first_answer(sock: ssl.SSLSocket) -> Said | None:
    """What comes first; None where the connection is closed without an answer."""
    answer = http.client.HTTPResponse(sock)
    try:
        answer.begin()
        return Said.of(answer)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        answer.close()


def tree(top: Path) -> Iterator[tuple[Path, tuple[int, ...]]]:
    """Everything below a directory, itself too, with what changes when somebody changes it."""
    for place, directories, names in os.walk(top):
        for path in (Path(place), *(Path(place, name) for name in (*directories, *names))):
            try:
                seen = path.lstat()
            except FileNotFoundError:
                continue
            yield path, (seen.st_ino, seen.st_mode, seen.st_uid, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
