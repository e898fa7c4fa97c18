"""`hydria-agent` as an operator, a boot or systemd calls it, on this machine's own namespaces."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.fake_agent import AMPHORA, Certified
from support.polling import eventually

from hydria.lab.ports import HeldPort

if TYPE_CHECKING:
    from collections.abc import Iterator

HYDRIA_AGENT = Path(sys.executable).with_name("hydria-agent")


class Operator:
    """Calls the command for an agent whose files are all below one directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.namespace = f"hydria-{os.getpid()}-command"
        self.files = Certified(directory)
        self.held = HeldPort(("::",))
        self.port = self.held.port
        self.configure()

    def configure(self, extra: str = "") -> None:
        places = (
            f"[haproxy_amphora]\nbind_port = {self.port}\nbase_path = {self.directory}/lib\nbase_cert_dir = {self.directory}/lib/certs\n"
        )
        own = f"[amphora_agent]\nagent_server_network_dir = {self.directory}/interfaces\n"
        self.files.conf.write_text(self.files.text() + places + own + extra)

    def command(self, *arguments: str) -> list[str]:
        return [str(HYDRIA_AGENT), "--octavia-conf", str(self.files.conf), "--services", "supervised", *arguments]

    @property
    def environment(self) -> dict[str, str]:
        """The rest of the options, in the other way to give them."""
        given = {"NAMESPACE": self.namespace, "RUN_DIR": str(self.directory / "run"), "STATE_DIR": str(self.directory / "state")}
        return {**os.environ, **{f"HYDRIA_AGENT_{name}": value for name, value in given.items()}}

    def run(self, *arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            self.command(*arguments),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout

    @contextmanager
    def serving(self, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
        log = self.directory / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(self.command("serve"), env={**self.environment, **environment}, stdout=output, stderr=output)
        try:
            eventually(lambda: b'"serving"' in log.read_bytes() or process.poll() is not None, "serving")
            assert process.poll() is None, log.read_text()
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(timeout=40)


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    operator = Operator(tmp_path)
    yield operator
    operator.held.close()
    if Path("/run/netns", operator.namespace).exists():
        subprocess.run(["ip", "netns", "del", operator.namespace], check=True)


@contextmanager
def controller(operator: Operator) -> Iterator[HTTPConnection]:
    context = operator.files.servers.client_context(certificate=operator.files.clients.client("controller"))
    raw = socket.create_connection(("127.0.0.1", operator.port), timeout=60)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with context.wrap_socket(raw, server_hostname=AMPHORA) as connection:
        client = HTTPConnection("agent")
        client.sock = connection
        yield client


def get(operator: Operator, path: str) -> object:
    with controller(operator) as client:
        client.request("GET", path)
        return json.loads(client.getresponse().read())


def test_check_says_that_all_is_well(operator: Operator) -> None:
    code, said = operator.run("check")
    assert code == 0, said
    assert f"amphora {AMPHORA}, SINGLE" in said
    assert "29 days" in said
    assert all(line.startswith("ok ") for line in said.splitlines())
    assert not (operator.directory / "run").exists()


def test_check_says_what_is_wrong(operator: Operator) -> None:
    operator.files.server_pem.write_bytes(operator.files.certificate.certificate_pem)
    operator.files.client_ca.write_text("nonsense")
    operator.configure("[haproxy_amphora]\nhaproxy_cmd = /nowhere/haproxy\n")
    code, said = operator.run("check")
    assert code == 1
    for what in ("certificate: ", "clients' authority: ", "HAProxy: there is no program /nowhere/haproxy"):
        assert any(line.startswith("problem") and what in line for line in said.splitlines()), said
    operator.files.conf.write_text("[health_manager]\nheartbeat_interval = soon\n")
    code, said = operator.run("check")
    assert code == 1
    assert "[health_manager] heartbeat_interval: 'soon' given" in said


def test_it_serves_and_tells_systemd_when(operator: Operator) -> None:
    place = operator.directory / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(place))
        systemd.settimeout(30)
        with operator.serving(NOTIFY_SOCKET=str(place), WATCHDOG_USEC="10000000") as process:
            assert [systemd.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
            assert get(operator, "/1.0/listeners") == []
            details = get(operator, "/1.0/details")
            assert isinstance(details, dict)
            assert details["haproxy_count"] == 0
            process.terminate()
            assert process.wait(timeout=40) == 0
    assert Path("/run/netns", operator.namespace).exists()


LB = "5d2f0d3e-6c1b-4a55-8d5e-0b6b7e1b6a10"
LISTENER = "0a3d5f6e-7f7c-4f0f-8a5e-1f2b3c4d5e6f"

UPLOADS = (
    f"PUT /1.0/loadbalancer/{AMPHORA}/{LB}/haproxy",
    f"PUT /1.0/listeners/{AMPHORA}/{LISTENER}/udp_listener",
    "PUT /1.0/vrrp/upload",
    "PUT /1.0/config",
    "PUT /1.0/certificate",
    "POST /1.0/plug/network",
    "POST /1.0/plug/vip/192.0.2.1",
    "PUT /1.0/interface/127.0.0.1/rules",
)

#: In the order in which they could do something to each other.
OTHERS = (
    *(f"PUT /1.0/loadbalancer/{identifier}/{action}" for identifier in (LB, LISTENER) for action in ("start", "reload", "stop")),
    *(f"PUT /1.0/vrrp/{action}" for action in ("start", "reload", "stop")),
    f"GET /1.0/loadbalancer/{LB}/haproxy",
    f"GET /1.0/listeners/{LISTENER}/udp_listener",
    "GET /1.0/listeners",
    "GET /1.0/details",
    f"DELETE /1.0/listeners/{LB}",
    f"DELETE /1.0/listeners/{LISTENER}",
)

CONTENTS = (
    b"",
    b"\x00",
    b"\xff\xfe\x00",
    b"global\n",
    b"peers \n" * 100,
    b'listen "\n',
    b"frontend x\n bind :1\n",
    b"include /etc/passwd\n",
    b"{" * 5000,
    b"x" * 250_000,
    "# Größe ☃\n".encode(),
    b'{"mac_address": "fa:16:3e:00:00:01", "fixed_ips": [{"ip_address": "192.0.2.1", "subnet_cidr": "nonsense"}]}',
)


@pytest.mark.parametrize("content", CONTENTS, ids=lambda content: repr(content[:20]))
def test_whatever_is_sent_the_agent_is_not_to_blame(operator: Operator, content: bytes) -> None:
    with operator.serving(), controller(operator) as client:
        for what in (*UPLOADS, *OTHERS):
            method, path = what.split()
            client.request(method, path, content if what in UPLOADS else None)
            answer = client.getresponse()
            said = answer.read()
            assert answer.status in (200, 202, 400, 404, 409), (what, said)
            assert answer.status < 400 or isinstance(json.loads(said), dict)


def test_one_agent_at_a_time(operator: Operator) -> None:
    with operator.serving():
        for verb in ("serve", "restore"):
            code, said = operator.run(verb)
            assert code == 3
            assert "another agent runs with" in said


def test_an_agent_takes_the_place_of_one_that_was_killed(operator: Operator) -> None:
    for _ in range(3):
        with operator.serving() as process:
            process.send_signal(signal.SIGKILL)
            process.wait()
    with operator.serving():
        assert get(operator, "/") == {"api_version": "1.0"}


def test_restore_with_nothing_to_restore(operator: Operator) -> None:
    assert operator.run("restore") == (0, "")
    assert Path("/run/netns", operator.namespace).exists()
    assert operator.run("restore")[0] == 0
    assert operator.run("announce") == (0, "")


def test_restore_says_what_is_missing(operator: Operator) -> None:
    interfaces = operator.directory / "interfaces"
    interfaces.mkdir()
    (interfaces / "eth1.json").write_text("nonsense")
    code, said = operator.run("restore")
    assert code == 1
    assert "eth1.json" in said


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda operator: operator.files.conf.unlink(), "amphora-agent.conf"),
        (lambda operator: operator.files.conf.write_text("nonsense"), "amphora-agent.conf"),
        (lambda operator: operator.configure("[haproxy_amphora]\nbind_host = 192.0.2.1\n"), "192.0.2.1:"),
        (lambda operator: operator.configure("[haproxy_amphora]\nbind_host = nowhere.invalid\n"), "nowhere.invalid"),
        (lambda operator: operator.files.client_ca.unlink(), "not proven"),
    ],
)
def test_an_agent_that_cannot_serve_says_why_and_ends(operator: Operator, spoil: object, said: str) -> None:
    assert callable(spoil)
    spoil(operator)
    code, output = operator.run("serve")
    assert code == 3
    assert said in output
    assert "Traceback" not in output


def test_wrong_usage(operator: Operator) -> None:
    assert operator.run("explode")[0] == 2
    assert operator.run("--services", "luck", "serve")[0] == 2
    code, said = operator.run("--help")
    assert code == 0
    assert all(verb in said for verb in ("announce", "check", "restore", "serve"))
