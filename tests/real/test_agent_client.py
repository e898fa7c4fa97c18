"""The client of agents over real mutual TLS: what it sends, what it makes of answers, whom it trusts, and how long it waits."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from support.namespaces import Namespace, join
from support.polling import eventually
from support.scripted_agent import AMPHORA, OTHER, Pki, Reply, Request, ScriptedAgent

from agent.answers import Listener
from agent.client import AgentClient
from agent.client_connection import LIMIT
from agent.clock import SystemClock
from agent.errors import (
    AgentError,
    AgentUnreachable,
    ConflictError,
    InterfaceNotReady,
    InvalidRequest,
    NotAllowed,
    NotFoundError,
    RejectedByHaproxy,
    SystemFault,
    UnexpectedAnswer,
    UntrustedAgent,
)
from agent.network.requests import NetworkPlug, Rule, VipPlug
from hydria.authority import Authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LB = "0f6a4a5e-4d9c-4b39-8b3c-6f4b9a1f0d01"
LISTENER = "1a2b3c4d-0000-4000-8000-00000000000a"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def agent(pki: Pki) -> Iterator[ScriptedAgent]:
    with ScriptedAgent(pki.server_context()) as running:
        yield running


@pytest.fixture
def client(pki: Pki, agent: ScriptedAgent) -> AgentClient:
    return client_of(pki, agent.port)


def client_of(pki: Pki, port: int, address: str = "127.0.0.1", **more: Any) -> AgentClient:
    given: dict[str, Any] = {"amphora_id": AMPHORA, "ca": pki.ca, "certificate": pki.client, "timeout": 10} | more
    return AgentClient(address, port, **given)


def body(**fields: Any) -> Reply:
    return Reply(content=json.dumps(fields).encode())


# --- what is sent, and what is made of answers ---

VIP_BODY = {
    "mac_address": "fa:16:3e:00:00:01",
    "is_sriov": False,
    "mtu": 1450,
    "subnet_cidr": "192.0.2.0/24",
    "gateway": "192.0.2.1",
    "host_routes": [{"destination": "198.51.100.0/24", "nexthop": "192.0.2.254"}],
    "additional_vips": [{"ip_address": "2001:db8::10", "subnet_cidr": "2001:db8::/64", "gateway": None, "host_routes": []}],
    "vrrp_ip": "192.0.2.11",
}
VIP = VipPlug.decode("192.0.2.10", json.dumps(VIP_BODY).encode())
PLACED: dict[str, Any] = {"ip_address": "203.0.113.5", "subnet_cidr": "203.0.113.0/24", "gateway": None, "host_routes": []}
NETWORK_BODY = {
    "mac_address": "fa:16:3e:00:00:02",
    "is_sriov": True,
    "fixed_ips": [PLACED],
    "vip_net_info": {"vip": "192.0.2.10"} | {key: VIP_BODY[key] for key in VIP_BODY if key not in ("mac_address", "is_sriov", "mtu")},
}
NETWORK = NetworkPlug.decode(json.dumps(NETWORK_BODY).encode())
RULES_BODY = [{"protocol": "TCP", "cidr": "192.0.2.0/24", "port": 80}, {"protocol": "vrrp", "cidr": None, "port": 112}]
RULES = Rule.decode_all(json.dumps(RULES_BODY).encode())


class Call(NamedTuple):
    what: str
    call: Callable[[AgentClient], object]
    line: str
    content: bytes
    told: str | None


CALLS = [
    Call("rotate", lambda it: it.rotate_certificate(b"pem"), "PUT /1.0/certificate", b"pem", None),
    Call("configure", lambda it: it.configure(b"[DEFAULT]\n"), "PUT /1.0/config", b"[DEFAULT]\n", None),
    Call(
        "certificate", lambda it: it.upload_certificate(LB, "a.pem", b"pem"), f"PUT /1.0/loadbalancer/{LB}/certificates/a.pem", b"pem", None
    ),
    Call("no certificate", lambda it: it.delete_certificate(LB, "a.pem"), f"DELETE /1.0/loadbalancer/{LB}/certificates/a.pem", b"", None),
    Call("haproxy", lambda it: it.upload_haproxy(LB, b"global\n"), f"PUT /1.0/loadbalancer/{AMPHORA}/{LB}/haproxy", b"global\n", None),
    Call("start", lambda it: it.start(LB), f"PUT /1.0/loadbalancer/{LB}/start", b"", "done"),
    Call("stop", lambda it: it.stop(LB.upper()), f"PUT /1.0/loadbalancer/{LB}/stop", b"", "done"),
    Call("reload", lambda it: it.reload(LISTENER), f"PUT /1.0/loadbalancer/{LISTENER}/reload", b"", "done"),
    Call("delete", lambda it: it.delete(LB), f"DELETE /1.0/listeners/{LB}", b"", None),
    Call("lvs", lambda it: it.upload_lvs(LISTENER, b"conf"), f"PUT /1.0/listeners/{AMPHORA}/{LISTENER}/udp_listener", b"conf", None),
    Call("vrrp", lambda it: it.upload_vrrp(b"conf"), "PUT /1.0/vrrp/upload", b"conf", None),
    Call("vrrp start", lambda it: it.start_vrrp(), "PUT /1.0/vrrp/start", b"", "done"),
    Call("vrrp stop", lambda it: it.stop_vrrp(), "PUT /1.0/vrrp/stop", b"", "done"),
    Call("vrrp reload", lambda it: it.reload_vrrp(), "PUT /1.0/vrrp/reload", b"", "done"),
    Call("plug vip", lambda it: it.plug_vip(VIP), "POST /1.0/plug/vip/192.0.2.10", json.dumps(VIP_BODY).encode(), "done"),
    Call("plug network", lambda it: it.plug_network(NETWORK), "POST /1.0/plug/network", json.dumps(NETWORK_BODY).encode(), "done"),
    Call(
        "rules",
        lambda it: it.set_rules("2001:db8::10", RULES),
        "PUT /1.0/interface/2001:db8::10/rules",
        json.dumps(RULES_BODY).encode(),
        None,
    ),
]


@pytest.mark.parametrize("made", CALLS, ids=[call.what for call in CALLS])
def test_a_change_is_sent_as_the_contract_says(agent: ScriptedAgent, client: AgentClient, made: Call) -> None:
    agent.reply = lambda _: body(message="OK", details="done")
    assert made.call(client) == made.told
    [request] = agent.requests
    assert f"{request.method} {request.path}" == made.line
    if made.content.startswith((b"{", b"[{")):
        assert json.loads(request.content) == json.loads(made.content)
        assert request.headers["content-type"] == "application/json"
    else:
        assert request.content == made.content
        assert "content-type" not in request.headers
    assert request.headers["host"] == f"{AMPHORA}:{agent.port}"


def test_what_is_sent_means_the_same_to_the_agent(agent: ScriptedAgent, client: AgentClient) -> None:
    client.plug_vip(VIP)
    client.plug_network(NETWORK)
    client.set_rules("192.0.2.10", RULES)
    vip, network, rules = (request.content for request in agent.requests)
    assert VipPlug.decode("192.0.2.10", vip) == VIP
    assert NetworkPlug.decode(network) == NETWORK
    assert Rule.decode_all(rules) == RULES


def test_what_is_asked_comes_back_typed(agent: ScriptedAgent, client: AgentClient) -> None:
    answers: dict[str, Any] = {
        "/": {"api_version": "1.0"},
        "/1.0/info": {"hostname": "amphora-1", "haproxy_version": "3.0.11", "api_version": "1.0", "keepalived_version": "2.3", "more": {}},
        "/1.0/listeners": [{"status": "ACTIVE", "uuid": LISTENER, "type": "TCP"}],
        f"/1.0/loadbalancer/{LB}/certificates/a.pem": {"md5sum": "d41d8cd98f00b204e9800998ecf8427e"},
        "/1.0/interface/2001:db8::1": {"message": "OK", "interface": "eth1"},
    }
    configuration = b"\0global\n" * 300_000

    def reply(request: Request) -> Reply:
        if request.path in answers:
            return Reply(content=json.dumps(answers[request.path]).encode())
        return Reply(content=configuration, headers={"Content-Type": "text/plain"})

    agent.reply = reply
    assert client.version() == "1.0"
    info = client.info()
    assert (info.hostname, info.haproxy_version, info.ipvsadm_version) == ("amphora-1", "3.0.11", "")
    assert client.listeners() == [Listener(LISTENER, "ACTIVE", "TCP")]
    assert client.certificate_md5(LB, "a.pem") == answers[f"/1.0/loadbalancer/{LB}/certificates/a.pem"]["md5sum"]
    assert client.interface_of("2001:0db8::1") == "eth1"
    assert client.haproxy_config(LB) == client.lvs_config(LISTENER) == configuration
    assert [request.path for request in agent.requests[-2:]] == [
        f"/1.0/loadbalancer/{LB}/haproxy",
        f"/1.0/listeners/{LISTENER}/udp_listener",
    ]


def test_details_are_numbers_whichever_agent_writes_them(agent: ScriptedAgent, client: AgentClient) -> None:
    agent.reply = lambda _: body(
        hostname="a",
        haproxy_version="3.0",
        api_version="1.0",
        networks={"eth1": {"network_tx": 5, "network_rx": 7}},
        cpu={"total": 1000, "user": "300", "system": "20", "soft_irq": "1"},
        memory={"total": 2000, "free": 500},
        load=["0.09", "1.5", "2"],
        cpu_count=2,
        topology="SINGLE",
        listeners=[LISTENER],
        packages={},
    )
    details = client.details()
    assert (details.cpu.user, details.load, details.networks["eth1"].network_rx) == (300, (0.09, 1.5, 2.0), 7)
    assert (details.memory.free, details.cpu_count, details.listeners) == (500, 2, (LISTENER,))


@pytest.mark.parametrize(
    "call",
    [
        lambda it: it.start("../x"),
        lambda it: it.upload_certificate(LB, "../a.pem", b""),
        lambda it: it.interface_of("eth1"),
        lambda it: it.set_rules("192.0.2.1/24", ()),
    ],
)
def test_what_cannot_be_meant_is_not_sent(agent: ScriptedAgent, client: AgentClient, call: Callable[[AgentClient], object]) -> None:
    with pytest.raises(InvalidRequest):
        call(client)
    assert agent.requests == []


# --- what is refused ---

REFUSALS: list[tuple[int, dict[str, Any], type[AgentError]]] = [
    (400, {"message": "Invalid request", "details": "no such action"}, InvalidRequest),
    (400, {"message": "Invalid request", "details": "[ALERT] parsing", "code": "rejected-by-haproxy"}, RejectedByHaproxy),
    (401, {"message": "no"}, NotAllowed),
    (403, {"message": "no"}, NotAllowed),
    (404, {"error": "404 Not Found: x", "http_code": 404}, NotFoundError),
    (404, {"details": "No suitable network interface found"}, InterfaceNotReady),
    (404, {"details": "wait", "code": "interface-not-ready"}, InterfaceNotReady),
    (405, {"error": "405 Method Not Allowed"}, InvalidRequest),
    (409, {"message": "Conflict", "details": "already there"}, ConflictError),
    (500, {"message": "failed", "details": "disk full", "code": "a-new-one"}, SystemFault),
    (503, {"message": "later"}, SystemFault),
    (302, {"message": "elsewhere"}, UnexpectedAnswer),
    (422, {"message": "odd"}, UnexpectedAnswer),
]


@pytest.mark.parametrize(("status", "said", "kind"), REFUSALS, ids=[f"{each[0]} {each[2].code}" for each in REFUSALS])
def test_a_refusal_is_what_the_agent_raised_in_its_words(
    agent: ScriptedAgent, client: AgentClient, status: int, said: dict[str, Any], kind: type[AgentError]
) -> None:
    agent.reply = lambda _: Reply(status, json.dumps(said).encode())
    with pytest.raises(AgentError) as raised:
        client.start(LB)
    assert type(raised.value) is kind
    words = [str(value) for key, value in said.items() if key not in ("http_code", "code")]
    assert all(word in str(raised.value) for word in [str(status), f"PUT /1.0/loadbalancer/{LB}/start", *words])
    assert len(agent.requests) == 1


@pytest.mark.parametrize("content", [b"<html>not found</html>", b"", b"\xff\xfe", b"[1]", b'{"message": []}'])
def test_a_refusal_in_other_words_is_one_too(agent: ScriptedAgent, client: AgentClient, content: bytes) -> None:
    agent.reply = lambda _: Reply(404, content)
    with pytest.raises(NotFoundError, match="404"):
        client.start(LB)


@pytest.mark.parametrize("content", [b"", b"OK", b"{}", b'{"api_version": []}', b"[" * 100_000, b'{"api_version": "\xff"}'])
def test_an_answer_that_cannot_be_understood_is_told(agent: ScriptedAgent, client: AgentClient, content: bytes) -> None:
    agent.reply = lambda _: Reply(200, content)
    with pytest.raises(UnexpectedAnswer):
        client.version()


def test_what_was_stored_is_what_was_sent(agent: ScriptedAgent, client: AgentClient) -> None:
    for tag in ('"%s"', "%s"):
        agent.reply = lambda request, tag=tag: Reply(headers={"ETag": tag % hashlib.md5(request.content).hexdigest()})  # type: ignore[misc]
        client.upload_vrrp(b"text")
    agent.reply = lambda _: Reply(headers={"ETag": hashlib.md5(b"tex").hexdigest()})
    with pytest.raises(UnexpectedAnswer, match="not what was sent"):
        client.upload_vrrp(b"text")


# --- whom it trusts ---


def test_another_amphora_is_told_nothing(pki: Pki) -> None:
    with ScriptedAgent(pki.server_context(OTHER)) as other:
        with pytest.raises(UntrustedAgent, match=f"127.0.0.1:{other.port} did not prove to be the agent of amphora {AMPHORA}"):
            client_of(pki, other.port).info()
        assert other.requests == []


def test_a_common_name_proves_nothing(pki: Pki, tmp_path: Path) -> None:
    authority = Authority.read((pki.directory / "server_ca.pem").read_bytes(), (pki.directory / "server_ca.key").read_bytes())
    issued = authority.issue("server", AMPHORA, organisation="Hydria", days=1)
    (tmp_path / "server.pem").write_bytes(issued.certificate_pem + issued.key_pem)
    context = pki.server_context()
    context.load_cert_chain(tmp_path / "server.pem")
    with ScriptedAgent(context) as nameless, pytest.raises(UntrustedAgent):
        client_of(pki, nameless.port).info()


def test_the_same_name_of_another_authority_is_another(agent: ScriptedAgent, tmp_path: Path) -> None:
    with pytest.raises(UntrustedAgent):
        client_of(Pki(tmp_path / "pki"), agent.port).info()
    assert agent.requests == []


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_an_agent_that_does_not_take_us_is_told_from_one_that_is_not_there(pki: Pki, tmp_path: Path, version: ssl.TLSVersion) -> None:
    stranger = Pki(tmp_path / "pki")
    with ScriptedAgent(pki.server_context(version=version)) as agent:
        with pytest.raises(NotAllowed, match="does not accept the certificate"):
            client_of(pki, agent.port, certificate=stranger.client).info()
        assert agent.requests == []
        agent.reply = lambda _: body(api_version="1.0")
        assert client_of(pki, agent.port).version() == "1.0"


def test_old_tls_is_not_spoken(pki: Pki) -> None:
    context = pki.server_context()
    context.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with ScriptedAgent(context) as agent, pytest.raises(AgentError):
        client_of(pki, agent.port).info()


def test_files_that_cannot_be_used_are_named(pki: Pki, tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("nothing")
    none, missing_file = tmp_path / "none.pem", tmp_path / "missing.pem"
    for ca, certificate, named in ((none, pki.client, none), (pki.ca, none, none), (pki.ca, pki.ca, pki.ca)):
        with pytest.raises(InvalidRequest, match=str(named)):
            client_of(pki, 1, ca=ca, certificate=certificate)
    for ca, certificate in ((missing_file, pki.client), (pki.ca, missing_file)):
        with pytest.raises(FileNotFoundError) as missing:
            client_of(pki, 1, ca=ca, certificate=certificate)
        assert missing.value.filename == str(missing_file)
    with pytest.raises(InvalidRequest, match="amphora"):
        client_of(pki, 1, amphora_id="one")


# --- where it is, and how long that may take ---


def test_an_agent_may_have_an_ipv6_address_or_a_name(pki: Pki) -> None:
    for bound, addresses in (("::1", ["::1", "0:0::1"]), ("127.0.0.1", ["127.0.0.1", "localhost"])):
        with ScriptedAgent(pki.server_context(), (bound, 0)) as agent:
            agent.reply = lambda _: body(api_version="1.0")
            for address in addresses:
                assert client_of(pki, agent.port, address).version() == "1.0"


def test_an_agent_may_have_a_link_local_address(pki: Pki) -> None:
    with Namespace("agent") as theirs, Namespace("controller") as ours:
        join(theirs, "eth0", ours, "mgmt0")
        address = eventually(lambda: link_local(theirs, "eth0") and link_local(ours, "mgmt0") and link_local(theirs, "eth0"))
        with theirs.entered():
            agent = ScriptedAgent(pki.server_context(), ("::", 0))
        agent.reply = lambda _: body(api_version="1.0")
        with agent, ours.entered():
            assert client_of(pki, agent.port, f"{address}%mgmt0").version() == "1.0"


def link_local(namespace: Namespace, interface: str) -> str:
    """Its link-local address; "" as long as the kernel does not know whether it is the only one to have it."""
    [link] = namespace.ip_json(f"-6 address show dev {interface} scope link")
    return next((entry["local"] for entry in link.get("addr_info", ()) if "tentative" not in entry), "")


class Trying(SystemClock):
    """A clock at which something happens when somebody sleeps."""

    def __init__(self, happens: Callable[[], None] = lambda: None) -> None:
        self.happens = happens
        self.slept = 0

    def sleep(self, seconds: float, /) -> None:
        assert seconds > 0
        self.slept += 1
        self.happens()


def test_an_agent_that_comes_later_is_waited_for(pki: Pki) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held, contextlib.ExitStack() as stack:
        port = held.getsockname()[1]
        held.close()

        def begin() -> None:
            if clock.slept == 2:
                agent = stack.enter_context(ScriptedAgent(pki.server_context(), ("127.0.0.1", port)))
                agent.reply = lambda _: body(api_version="1.0")

        clock = Trying(begin)
        assert client_of(pki, port, retries=5, clock=clock).version() == "1.0"
        assert clock.slept == 2


def test_nobody_is_waited_for_longer_than_wanted(pki: Pki) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    clock = Trying()
    with pytest.raises(AgentUnreachable, match=f"127.0.0.1:{port}: no connection: .*refused"):
        client_of(pki, port, retries=3, clock=clock).info()
    assert clock.slept == 3
    with pytest.raises(AgentUnreachable, match=r"nowhere.invalid:1: no connection"):
        client_of(pki, 1, "nowhere.invalid").info()


@contextlib.contextmanager
def answering(pki: Pki, answer: Callable[[socket.socket], None], *, tls: bool = True) -> Iterator[tuple[int, list[None]]]:
    """A server that does with each connection what `answer` does; its port, and a list as long as it had connections."""
    context = pki.server_context()
    connections: list[None] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    raw, _ = listener.accept()
                except OSError:
                    return
                connections.append(None)
                with contextlib.suppress(OSError), raw, context.wrap_socket(raw, server_side=True) if tls else raw as connection:
                    answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1], connections
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def drip(*parts: bytes) -> Callable[[socket.socket], None]:
    """Sends the parts, then the last of them again and again, until the other side has gone."""

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        for part in parts:
            connection.sendall(part)
        while True:
            time.sleep(0.02)
            connection.sendall(parts[-1])

    return answer


def silent(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


@pytest.mark.parametrize(
    "answer",
    [
        silent,
        drip(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"x"),
        drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["silent", "headers", "body", "chunks"],
)
def test_a_slow_agent_has_as_long_as_was_said(pki: Pki, answer: Callable[[socket.socket], None]) -> None:
    clock = Trying()
    with answering(pki, answer) as (port, connections):
        with pytest.raises(AgentUnreachable, match=r"no whole answer to GET /1.0/info within 0.4 s"):
            client_of(pki, port, timeout=0.4, retries=3, clock=clock).info()
        assert len(connections) == 1, "it may have been done, so it is not asked again"


def test_an_agent_that_takes_nothing_has_as_long_as_was_said(pki: Pki) -> None:
    ended = threading.Event()

    def wait(_: socket.socket) -> None:
        ended.wait(20)

    with answering(pki, wait) as (port, _):
        with pytest.raises(AgentUnreachable, match=r"within 0\.4 s"):
            client_of(pki, port, timeout=0.4).upload_vrrp(b"x" * 50_000_000)
        ended.set()


def test_a_handshake_has_an_end_and_may_be_tried_again(pki: Pki) -> None:
    clock = Trying()
    with answering(pki, silent, tls=False) as (port, connections):
        with pytest.raises(AgentUnreachable, match="no connection: timed out"):
            client_of(pki, port, timeout=0.2, retries=1, clock=clock).info()
        assert (len(connections), clock.slept) == (2, 1)


def test_an_answer_has_a_bound(pki: Pki) -> None:
    def endless(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        while True:
            connection.sendall(b"x" * 1_000_000)

    with answering(pki, endless) as (port, _), pytest.raises(UnexpectedAnswer, match=f"larger than {LIMIT >> 20} MiB"):
        client_of(pki, port).haproxy_config(LB)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (b"", AgentUnreachable),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", AgentUnreachable),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", AgentUnreachable),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", AgentUnreachable),
        (b"SSH-2.0-OpenSSH_9.2\r\n", UnexpectedAnswer),
        (b"HTTP/1.1 abc\r\n\r\n", UnexpectedAnswer),
    ],
)
def test_an_answer_that_breaks_off_or_is_none_is_told(pki: Pki, said: bytes, kind: type[AgentError]) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(said)

    with answering(pki, answer) as (port, connections):
        with pytest.raises(kind):
            client_of(pki, port, retries=2, clock=Trying()).info()
        assert len(connections) == 1


def test_what_does_not_speak_tls_is_told(pki: Pki) -> None:
    def greet(connection: socket.socket) -> None:
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" * 100)

    with answering(pki, greet, tls=False) as (port, _), pytest.raises(AgentUnreachable, match="no TLS connection"):
        client_of(pki, port).info()


def test_who_has_heard_enough_is_listened_to(pki: Pki) -> None:
    """An agent that refuses a large upload early does not read the rest of it."""

    def answer(connection: socket.socket) -> None:
        connection.recv(1000)
        content = b'{"message": "Invalid request", "details": "too large"}'
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content))
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(0.5)
        with contextlib.suppress(OSError):
            while connection.recv(65536):
                pass

    with answering(pki, answer) as (port, _), pytest.raises((InvalidRequest, AgentUnreachable)):
        client_of(pki, port).upload_haproxy(LB, b"x" * 20_000_000)


def test_threads_may_share_a_client(agent: ScriptedAgent, client: AgentClient) -> None:
    agent.reply = lambda request: body(message="OK", details=request.path)
    failed: list[object] = []

    def ask(number: int) -> None:
        for _ in range(10):
            identifier = LB[:-2] + f"{number:02d}"
            try:
                answered = client.start(identifier)
            except AgentError as error:
                failed.append(error)
            else:
                failed.extend([] if identifier in answered else [answered])

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
