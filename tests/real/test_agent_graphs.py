"""The 2.0 contract before a real agent: a whole graph comes, serves, changes and goes, and every answer says what was done."""

from __future__ import annotations

import json
import os
import signal
import socket
import tempfile
import threading
import uuid
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.agents import AgentMachine, Trust
from support.polling import eventually

from agent.client import AgentClient
from agent.errors import AgentError, GraphRefused, InvalidRequest, NotFoundError, PreconditionFailed, SystemFault
from compiler.secrets import Secret
from hydria.lab.backends import HttpBackend
from hydria.lab.client import fetch

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESS, VIP, PORT = "127.0.0.1", "127.0.0.1", 8080


class Site:
    """A machine with an agent; a client on it; members in its traffic's namespace."""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        trust = Trust()
        self.amphora = stack.enter_context(AgentMachine(directory / "a", trust, ADDRESS))
        self.amphora.machine.ip("link set lo up")
        self.amphora.configure()
        self.amphora.start()
        ca, certificate = directory / "server_ca.pem", directory / "client.pem"
        ca.write_bytes(trust.agents.certificate_pem)
        certificate.write_bytes(trust.controller().bundle_pem)
        self.client = AgentClient(ADDRESS, amphora_id=self.amphora.id, ca=ca, certificate=certificate)
        with self.amphora.traffic.entered():
            self.members = [stack.enter_context(HttpBackend(name)) for name in ("m0", "m1", "m2")]
        self.lb = str(uuid.uuid4())

    def graph(self, *weights: int, port: int = PORT, tls: str | None = None, name: str = "lb", **pool: Any) -> bytes:
        """As many members as weights."""
        members = [
            {"id": str(uuid.uuid5(uuid.NAMESPACE_DNS, str(n))), "address": member.address, "protocol_port": member.port, "weight": weight}
            for n, (member, weight) in enumerate(zip(self.members, weights, strict=False))
        ]
        listener: dict[str, Any] = {
            "id": str(uuid.uuid5(uuid.NAMESPACE_DNS, "web")),
            "name": "web",
            "protocol": "TERMINATED_HTTPS" if tls else "HTTP",
            "protocol_port": port,
            "default_pool": {"name": "pool", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": members, **pool},
        }
        if tls:
            listener["default_tls_container_ref"] = tls
        return json.dumps({"loadbalancer": {"name": name, "vip_address": VIP, "listeners": [listener]}}).encode()

    def call(self, name: str, *arguments: Any, **named: Any) -> Any:
        with self.amphora.machine.entered():
            return getattr(self.client, name)(self.lb, *arguments, **named)

    def put(self, *weights: int, if_match: str | None = None, **graph: Any) -> Any:
        return self.call("put_loadbalancer", self.graph(*weights, **graph), if_match=if_match)

    def who(self, port: int = PORT, count: int = 6) -> set[str | None]:
        with self.amphora.traffic.entered():
            return {fetch((VIP, port)).name for _ in range(count)}

    def worker(self) -> str:
        return self.amphora.stats(self.lb).show_info()["Pid"]


@pytest.fixture(scope="module")
def made() -> Iterator[Site]:
    with tempfile.TemporaryDirectory(prefix="h", dir="/tmp") as directory, ExitStack() as stack:
        yield Site(stack, Path(directory))


@pytest.fixture
def site(made: Site) -> Iterator[Site]:
    made.lb = str(uuid.uuid4())
    yield made
    made.call("delete_loadbalancer")


def test_from_the_first_graph_to_the_deletion(site: Site) -> None:
    with pytest.raises(NotFoundError):
        site.call("loadbalancer_graph")
    first = site.put(1, 1)
    assert (first.way, first.generation) == ("start", 1)
    assert site.who() == {"m0", "m1"}
    worker = site.worker()

    same = site.put(1, 1)
    assert (same.way, same.generation, same.etag) == ("noop", 1, first.etag)

    weight = site.put(1, 0)
    assert (weight.way, weight.generation, weight.reasons) == ("runtime", 2, [])
    assert any("weight" in command for command in weight.commands)
    assert {"compile", "stage", "validate", "plan", "commands", "probe"} <= weight.steps_ms.keys()
    assert site.who() == {"m0"}

    added = site.put(1, 0, 1)
    assert added.way == "runtime", added.reasons
    assert site.who() == {"m0", "m2"}
    removed = site.put(1, 1)
    assert removed.way == "runtime", removed.reasons
    assert site.who() == {"m0", "m1"}
    assert site.worker() == worker

    moved = site.put(1, 1, port=8081)
    assert moved.way == "reload"
    assert any(reason.field == "bind" for reason in moved.reasons), moved.reasons
    assert site.who(8081) == {"m0", "m1"}

    graph = site.call("loadbalancer_graph")
    assert graph.etag == moved.etag
    assert json.loads(graph.text)["loadbalancer"]["listeners"][0]["protocol_port"] == 8081
    states = [(one.number, one.state) for one in site.call("generations")]
    assert states == [(5, "serving"), (4, "past"), (3, "past"), (2, "past"), (1, "past")]

    site.call("delete_loadbalancer")
    with pytest.raises(NotFoundError):
        site.call("loadbalancer_status")
    with pytest.raises(OSError, match="refused"):
        site.who(8081)
    assert not list(site.amphora.base.glob(f"**/*{site.lb}*"))


def test_a_dry_run_says_what_would_be_and_changes_nothing(site: Site) -> None:
    forecast = site.call("plan_loadbalancer", site.graph(1, 1))
    assert (forecast.way, forecast.generation, forecast.moves) == ("start", 0, None)
    with pytest.raises(NotFoundError):
        site.call("loadbalancer_status")
    serving = site.put(1, 1, lb_algorithm="SOURCE_IP")
    forecast = site.call("plan_loadbalancer", site.graph(1, 1, 1, lb_algorithm="SOURCE_IP"))
    assert (forecast.way, forecast.generation, forecast.etag) == ("runtime", 1, serving.etag)
    assert any(command.startswith("add server") for command in forecast.commands)
    assert f"+    server {uuid.uuid5(uuid.NAMESPACE_DNS, '2')}" in forecast.diff
    assert len(forecast.moves["pools"]) == 1
    assert site.who(count=3) != set()
    assert site.call("loadbalancer_graph").etag == serving.etag
    assert [one.number for one in site.call("generations")] == [1]


def test_a_refused_reload_rolls_back_and_says_why(site: Site) -> None:
    serving = site.put(1, 0)
    worker = site.worker()
    with site.amphora.traffic.entered():
        taken = socket.create_server((VIP, 8082))
    with taken, pytest.raises(Exception, match="Address already in use"):
        site.put(0, 1, port=8082)
    assert (site.who(), site.worker()) == ({"m0"}, worker)
    assert site.call("loadbalancer_graph").etag == serving.etag
    refused, kept = site.call("generations")
    assert (refused.state, kept.state) == ("refused", "serving")
    assert "Address already in use" in refused.refused
    assert site.put(0, 1, port=8082).way == "reload"
    assert site.who(8082) == {"m1"}


@pytest.mark.parametrize("within", [None, 60])
def test_a_first_write_that_fails_leaves_nothing(site: Site, within: float | None) -> None:
    with site.amphora.traffic.entered(), socket.create_server((VIP, PORT)), pytest.raises(AgentError, match="already in use"):
        site.call("put_loadbalancer", site.graph(1, 1), confirm_within=within)
    with site.amphora.machine.entered():
        assert site.lb not in site.client.loadbalancers()
        assert site.client.listeners() == []
    with pytest.raises(NotFoundError):
        site.call("loadbalancer_status")
    assert not (site.amphora.base / site.lb).exists()
    assert site.put(1, 1).generation == 1


def test_a_first_write_that_keepalived_cannot_serve_leaves_nothing(site: Site) -> None:
    """There is no IPVS where this is tested."""
    graph = json.loads(site.graph(1))
    members = [{"address": "192.0.2.20", "protocol_port": 53}]
    pool = {"protocol": "UDP", "lb_algorithm": "ROUND_ROBIN", "members": members}
    graph["loadbalancer"]["listeners"].append(udp(53, "198.51.100.0/24") | {"default_pool": pool})
    with pytest.raises(SystemFault, match="IPVS"):
        site.call("put_loadbalancer", json.dumps(graph).encode())
    with site.amphora.machine.entered():
        assert (site.client.loadbalancers(), site.client.listeners()) == ([], [])
    assert "198.51.100.0/24" not in tables(site)
    assert not (site.amphora.base / site.lb).exists()


def test_problems_come_back_all_at_once_with_their_places(site: Site) -> None:
    graph = json.loads(site.graph(1))
    graph["loadbalancer"]["listeners"][0]["protocol_port"] = 70000
    graph["loadbalancer"]["listeners"][0]["frobnicate"] = True
    with pytest.raises(GraphRefused) as caught:
        site.call("put_loadbalancer", json.dumps(graph).encode())
    assert {problem["path"] for problem in caught.value.problems} == {
        "loadbalancer.listeners[0].protocol_port",
        "loadbalancer.listeners[0].frobnicate",
    }
    with pytest.raises(GraphRefused) as caught:
        site.call("put_loadbalancer", site.graph(1, tls="cert"))
    assert "unknown-secret" in [problem["code"] for problem in caught.value.problems]
    with pytest.raises(GraphRefused, match="target"):
        site.call("put_loadbalancer", site.graph(1), target={"run_directory": "/tmp"})
    with pytest.raises(InvalidRequest):
        site.call("put_loadbalancer", b'{"loadbalancer": {"id": "0b1c2d3e-4f5a-4b6c-8d7e-9f0a1b2c3d4e", "vip_address": "192.0.2.1"}}')
    with pytest.raises(NotFoundError):
        site.call("loadbalancer_status")


def test_of_two_writers_the_second_is_told(site: Site) -> None:
    first = site.put(1, 1)
    second = site.put(1, 2, if_match=first.etag)
    with pytest.raises(PreconditionFailed, match=second.etag):
        site.put(2, 1, if_match=first.etag)
    with pytest.raises(PreconditionFailed):
        site.call("rollback", if_match=first.etag)
    with pytest.raises(PreconditionFailed):
        site.call("delete_loadbalancer", if_match=first.etag)
    assert site.call("loadbalancer_graph").etag == second.etag


def test_rolling_back(site: Site) -> None:
    site.put(1, 0)
    site.put(0, 1)
    back = site.call("rollback")
    assert (back.way, back.generation) == ("runtime", 3)
    assert site.who() == {"m0"}
    site.put(0, 1, port=8081)
    back = site.call("rollback", 2)
    assert (back.way, back.generation) == ("reload", 5)
    assert site.who() == {"m1"}
    assert site.call("generations")[0].rolled_back_to == 2
    with pytest.raises(NotFoundError):
        site.call("rollback", 77)


def test_a_certificate_is_renewed_without_a_reload_and_never_shown(site: Site) -> None:
    trust = site.amphora.trust.agents

    def put(certificate: Any) -> Any:
        secrets = {"cert": Secret(certificate.bundle_pem)}
        return site.call("put_loadbalancer", site.graph(1, tls="cert"), secrets)

    def shown() -> bytes | None:
        with site.amphora.traffic.entered():
            return fetch((VIP, PORT), tls=trust.client_context(), server_name="one.example").certificate

    one, two = trust.server("one.example"), trust.server("one.example")
    assert put(one).way == "start"
    before = shown()
    outcome = put(two)
    assert outcome.way == "runtime", outcome.reasons
    assert shown() != before
    assert "PRIVATE KEY" not in str(outcome.commands)
    files = site.call("loadbalancer_files")
    assert [file.text for file in files if file.secret] == [None]
    assert not any(file.text and "PRIVATE" in file.text for file in files)
    assert "PRIVATE" not in site.call("plan_loadbalancer", site.graph(1, tls="cert"), {"cert": Secret(one.bundle_pem)}).diff
    assert "PRIVATE" not in site.amphora.log.read_text()


def test_a_member_is_drained_with_its_connections_left_alone_until_the_deadline(site: Site) -> None:
    site.put(1, 1)
    member = str(uuid.uuid5(uuid.NAMESPACE_DNS, "0"))
    drain = site.call("drain", member, 30)
    assert drain.left > 20
    eventually(lambda: site.call("drain_progress", member).state == "drained", "the end of its connections")
    assert site.who() == {"m1"}
    site.put(1, 1, port=8081)
    assert site.who(8081) == {"m1"}, "also with another worker"
    with pytest.raises(NotFoundError):
        site.call("drain", str(uuid.uuid4()), 30)


def test_status_and_progress(site: Site) -> None:
    seen: list[Any] = []
    watching = threading.Thread(target=lambda: seen.append(site.call("watch", 0, wait=20)))
    watching.start()
    outcome = site.put(1, 1)
    watching.join()
    assert seen[0].event > 0
    assert site.call("watch", 0, wait=0).outcome == outcome
    status = site.call("loadbalancer_status")
    assert (status.state, status.generation, status.etag) == ("ACTIVE", 1, outcome.etag)
    assert {row.kind for row in status.rows} == {"listener", "pool", "member"}


def test_writes_that_come_during_a_change_are_one(site: Site) -> None:
    site.put(1, 1)
    outcomes: list[Any] = []

    def put(number: int) -> None:
        outcomes.append(site.put(1, number, port=8090 + number))

    threads = [threading.Thread(target=put, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 8
    assert len({outcome.generation for outcome in outcomes if not outcome.covered}) < 8, "nothing was covered"
    last = max(outcomes, key=lambda outcome: outcome.generation)
    assert site.call("loadbalancer_graph").etag == last.etag
    port = json.loads(site.call("loadbalancer_graph").text)["loadbalancer"]["listeners"][0]["protocol_port"]
    assert site.who(port, 10) == {"m0", "m1"}


def test_an_agent_that_is_killed_finds_what_served(site: Site) -> None:
    outcome = site.put(1, 0)
    site.put(0, 1)
    site.call("rollback")
    worker = site.worker()
    site.amphora.kill()
    site.amphora.start()
    assert (site.who(), site.worker()) == ({"m0"}, worker)
    assert site.put(1, 0).way == "noop"
    assert outcome.generation == 1


# --- what is beside HAProxy ---


def described(*listeners: dict[str, Any]) -> bytes:
    return json.dumps({"loadbalancer": {"vip_address": "192.0.2.10", "listeners": list(listeners)}}).encode()


def udp(port: int, *cidrs: str) -> dict[str, Any]:
    return {"name": f"udp-{port}", "protocol": "UDP", "protocol_port": port, "allowed_cidrs": list(cidrs) or None}


def tables(site: Site) -> str:
    return site.amphora.traffic.run("nft", "list", "ruleset")


def pair(site: Site) -> dict[str, Any]:
    return {
        "topology": "ACTIVE_STANDBY",
        "amphorae": [{"id": site.amphora.id, "address": "192.0.2.101"}, {"id": "other", "address": "192.0.2.102", "priority": 90}],
        "vrrp": {"interface": "eth1", "router_id": 17, "advert_interval": 100},
        "networks": [{"address": "192.0.2.10", "cidr": "192.0.2.0/24"}],
    }


@pytest.fixture
def paired(site: Site) -> Iterator[Site]:
    site.amphora.traffic.ip("link add eth1 type veth peer name peer1")
    for name in ("eth1", "peer1"):
        site.amphora.traffic.ip(f"link set {name} up")
    site.amphora.traffic.ip("address add 192.0.2.101/24 dev eth1")
    yield site
    site.call("delete_loadbalancer")
    site.amphora.traffic.ip("link delete eth1")


def test_udp_listeners_and_vrrp_change_each_by_itself(paired: Site) -> None:
    site, web = paired, {"name": "web", "protocol": "HTTP", "protocol_port": 80}

    def put(*listeners: dict[str, Any]) -> Any:
        return site.call("put_loadbalancer", described(*listeners), target=pair(site))

    def holds_vip() -> bool:
        return "192.0.2.10/32" in site.amphora.traffic.ip("address show dev eth1")

    first = put(web, udp(53, "198.51.100.0/24"))
    assert first.way == "start"
    assert len(first.also) == 3, first.also
    assert "198.51.100.0/24" in tables(site)
    eventually(holds_vip, "the VIP")
    assert put(web, udp(53, "198.51.100.0/24")).way == "noop"

    second = put(web, udp(53, "203.0.113.0/24"))
    assert (second.way, second.also) == ("noop", ["packet filter replaced"])
    assert "203.0.113.0/24" in tables(site)

    third = put(web, udp(53, "203.0.113.0/24"), udp(54))
    assert third.way == "noop"
    assert not any("VRRP" in said for said in third.also)
    assert len(site.call("plan_loadbalancer", described(web, udp(55)), target=pair(site)).also) == 1

    fourth = put(web)
    assert (fourth.way, len(fourth.also)) == ("noop", 3), fourth.also
    assert site.lb.replace("-", "_") not in tables(site)
    assert holds_vip()

    site.amphora.kill()
    site.amphora.start()
    assert holds_vip()
    site.call("delete_loadbalancer")
    eventually(lambda: not holds_vip(), "the VIP is given up")


def test_a_haproxy_that_cannot_serve_gives_up_the_vip(paired: Site) -> None:
    site = paired
    site.call("put_loadbalancer", described({"name": "web", "protocol": "HTTP", "protocol_port": 80}), target=pair(site))
    health = site.amphora.run / f"{site.lb}.health"
    eventually(lambda: health.read_text() == "0\n", "it is told to be well")
    master = int((site.amphora.run / f"{site.lb}.pid").read_text())
    os.kill(int(site.worker()), signal.SIGSTOP)
    try:
        eventually(lambda: health.read_text() == "1\n", "it is told to be ill")
        eventually(lambda: "192.0.2.10/32" not in site.amphora.traffic.ip("address show dev eth1"), "the VIP is given up")
    finally:
        os.kill(master, signal.SIGKILL)
    eventually(lambda: health.read_text() == "0\n", "it is told to be well again")


def test_a_machine_that_is_rebooted_serves_what_served() -> None:
    with tempfile.TemporaryDirectory(prefix="h", dir="/tmp") as directory, ExitStack() as stack:
        site = Site(stack, Path(directory))
        web = {"name": "web", "protocol": "HTTP", "protocol_port": 80}
        site.call("put_loadbalancer", described(web))
        serving = site.call("put_loadbalancer", described(web, udp(53, "198.51.100.0/24")))
        site.amphora.power_off()
        site.amphora.run_agent("restore")
        site.amphora.start()
        eventually(lambda: site.call("loadbalancer_status").state == "ACTIVE", "it serves")
        assert site.call("loadbalancer_status").etag == serving.etag
        eventually(lambda: "198.51.100.0/24" in tables(site), "the packet filter")
        assert site.call("put_loadbalancer", described(web, udp(53, "198.51.100.0/24"))).way == "noop"


def test_a_listener_that_keepalived_cannot_serve_takes_haproxy_back(site: Site) -> None:
    """There is no IPVS where this is tested, so a UDP listener with members is one."""
    serving = site.put(1, 0)
    graph = json.loads(site.graph(0, 1, port=8083))
    members = [{"address": "192.0.2.20", "protocol_port": 53}]
    pool = {"protocol": "UDP", "lb_algorithm": "ROUND_ROBIN", "members": members}
    graph["loadbalancer"]["listeners"].append(udp(53, "198.51.100.0/24") | {"default_pool": pool})
    with pytest.raises(SystemFault, match="IPVS"):
        site.call("put_loadbalancer", json.dumps(graph).encode())
    eventually(lambda: site.who() == {"m0"}, "the refused worker has stopped to listen")
    with pytest.raises(OSError, match="refused"):
        site.who(8083)
    assert site.call("loadbalancer_graph").etag == serving.etag
    assert "198.51.100.0/24" not in tables(site)
    with site.amphora.machine.entered():
        assert [listener.type for listener in site.client.listeners()] == ["HTTP"]
    assert site.put(1, 0).way == "noop"
