"""The real agent with certificates that `hydria certs` made, looked at by `hydria agent` and driven by the client."""

from __future__ import annotations

import hashlib
import json
import tempfile
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.agents import PORT, AgentMachine, Trust
from support.polling import eventually
from support.scripted_agent import Pki

from agent.client import AgentClient
from agent.errors import (
    AgentUnreachable,
    InterfaceNotReady,
    InvalidRequest,
    NotAllowed,
    NotFoundError,
    RejectedByHaproxy,
    RejectedByKeepalived,
    UntrustedAgent,
)
from agent.network.requests import NetworkPlug, VipPlug
from hydria.cli import _run
from hydria.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESS = "fd00::9443"
LB, LISTENER = str(uuid.uuid4()), str(uuid.uuid4())
CONFIGURATION = f"""\
defaults
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend {LISTENER}
    mode http
    bind 127.0.0.1:8080
    http-request return status 204
""".encode()
VIP = b'{"mac_address": "fa:16:3e:00:00:01", "subnet_cidr": "192.0.2.0/24", "gateway": null}'


class Remote(AgentMachine):
    """A machine whose agent has what `hydria certs agent` makes."""

    def __init__(self, directory: Path, pki: Pki) -> None:
        super().__init__(directory, Trust(), ADDRESS, "remote")
        self.pki = pki
        self.made = pki.directory / "agents" / self.id
        certs("agent", pki.directory, self.id)
        self.certificate.write_bytes((self.made / "server.pem").read_bytes())
        self.authority.write_bytes((self.made / "client_ca.pem").read_bytes())

    def client(self, **more: Any) -> AgentClient:
        given: dict[str, Any] = {"amphora_id": self.id, "ca": self.pki.ca, "certificate": self.pki.client} | more
        return AgentClient(ADDRESS, PORT, **given)

    def answers(self) -> bool:
        assert self._agent is not None
        assert self._agent.poll() is None, self.log.read_text()
        try:
            with self.machine.entered():
                return self.client().version() == "1.0"
        except AgentUnreachable:
            return False


def certs(*arguments: str | Path) -> None:
    assert _run(["certs", *map(str, arguments)], Output()) == 0


@pytest.fixture(scope="module")
def remote() -> Iterator[Remote]:
    with tempfile.TemporaryDirectory(prefix="h", dir="/tmp") as directory, ExitStack() as stack:
        pki = Pki(Path(directory) / "pki")
        machine = stack.enter_context(Remote(Path(directory) / "a", pki))
        machine.machine.ip(f"address add {ADDRESS}/128 dev lo")
        machine.configure()
        machine.start()
        stack.enter_context(machine.machine.entered())
        yield machine


@pytest.fixture
def client(remote: Remote) -> AgentClient:
    return remote.client()


def test_what_it_is_and_how_it_fares(client: AgentClient) -> None:
    assert client.version() == client.info().api_version == "1.0"
    details = client.details()
    assert details.haproxy_version
    assert details.memory.total > details.memory.free > 0
    assert details.cpu.total > details.cpu.user > 0
    assert details.disk.available > 0
    assert len(details.load) == 3
    assert (details.topology, details.topology_status) == ("SINGLE", "OK")


def test_a_load_balancer_comes_serves_and_goes(client: AgentClient) -> None:
    with pytest.raises(NotFoundError, match=LB):
        client.start(LB)
    with pytest.raises(NotFoundError):
        client.haproxy_config(LB)
    with pytest.raises(RejectedByHaproxy, match="frobnicate") as rejected:
        client.upload_haproxy(LB, CONFIGURATION + b"    frobnicate\n")
    assert "frobnicate" in rejected.value.output
    client.upload_haproxy(LB, CONFIGURATION)
    assert client.haproxy_config(LB) == CONFIGURATION
    client.start(LB)
    eventually(lambda: [listener.status for listener in client.listeners()] == ["ACTIVE"], "an active listener")
    client.reload(LB)
    [listener] = client.listeners()
    assert (listener.uuid, listener.type) == (LISTENER, "HTTP")
    assert client.details().haproxy_count == 1
    client.stop(LB)
    client.delete(LB)
    client.delete(LB)
    assert client.listeners() == []


def test_certificates_come_and_go(client: AgentClient) -> None:
    with pytest.raises(NotFoundError):
        client.certificate_md5(LB, "a.pem")
    client.upload_certificate(LB, "a.pem", b"content")
    assert client.certificate_md5(LB, "a.pem") == hashlib.md5(b"content").hexdigest()
    client.delete_certificate(LB, "a.pem")
    client.delete_certificate(LB, "a.pem")
    with pytest.raises(NotFoundError):
        client.certificate_md5(LB, "a.pem")


def test_the_network_says_what_is_not_there(client: AgentClient) -> None:
    with pytest.raises(InterfaceNotReady, match="No suitable network interface found"):
        client.plug_vip(VipPlug.decode("192.0.2.10", VIP))
    with pytest.raises(InterfaceNotReady):
        client.plug_network(NetworkPlug.decode(VIP))
    for ask in (client.interface_of, lambda address: client.set_rules(address, ())):
        with pytest.raises(NotFoundError):
            ask("192.0.2.10")


def test_keepalived_says_what_it_refuses(client: AgentClient) -> None:
    for upload in (client.upload_vrrp, lambda text: client.upload_lvs(LISTENER, text)):
        with pytest.raises(RejectedByKeepalived):
            upload(b"vrrp_instance {\n nonsense\n")
    with pytest.raises(NotFoundError):
        client.lvs_config(LISTENER)


def test_only_who_is_known_is_served_and_only_the_right_one_is_asked(remote: Remote, tmp_path: Path) -> None:
    stranger = Pki(tmp_path / "pki")
    with pytest.raises(NotAllowed):
        remote.client(certificate=stranger.client).info()
    with pytest.raises(NotAllowed):
        remote.client(certificate=remote.made / "server.pem").info()
    with pytest.raises(UntrustedAgent):
        remote.client(ca=stranger.ca).info()
    with pytest.raises(UntrustedAgent):
        remote.client(amphora_id=str(uuid.uuid4())).info()


def test_the_agents_certificate_is_renewed(remote: Remote, client: AgentClient, tmp_path: Path) -> None:
    certs("agent", remote.pki.directory, remote.id, "-o", tmp_path / "new")
    certs("agent", remote.pki.directory, str(uuid.uuid4()), "-o", tmp_path / "other")
    with pytest.raises(InvalidRequest, match=remote.id):
        client.rotate_certificate((tmp_path / "other" / "server.pem").read_bytes())
    client.rotate_certificate((tmp_path / "new" / "server.pem").read_bytes())
    assert remote.certificate.read_bytes() == (tmp_path / "new" / "server.pem").read_bytes()
    assert client.version() == "1.0"


def test_the_agents_settings_are_followed(remote: Remote, client: AgentClient) -> None:
    with pytest.raises(InvalidRequest, match="heartbeat_interval"):
        client.configure(remote.settings().replace("heartbeat_interval = 10", "heartbeat_interval = often").encode())
    client.configure(remote.settings(topology="ACTIVE_STANDBY").encode())
    assert client.details().topology == "ACTIVE_STANDBY"
    client.configure(remote.settings().encode())
    assert client.details().topology == "SINGLE"


def test_the_command_looks_at_it(remote: Remote, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--address", ADDRESS, "--amphora", remote.id, "--ca", str(remote.pki.ca), "--cert", str(remote.pki.client)]
    for what in ("info", "details", "listeners"):
        assert _run(["agent", what, *options], Output()) == 0
        assert capsys.readouterr().out
        assert _run(["agent", what, *options, "--json"], Output()) == 0
        assert json.loads(capsys.readouterr().out)["ok"]
    assert _run(["agent", "top", *options, "--json", "-n", "2", "--interval", "0.2"], Output()) == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first["rates"] is None
    assert 0 <= second["rates"]["cpu"]["user"] <= 1
