"""The status page's looks: what an agent is asked and how often, and one that is silent holds up no other."""

from __future__ import annotations

import json
import socket
import threading
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from support.polling import eventually
from support.scripted_agent import AMPHORA, OTHER, Pki, Reply, ScriptedAgent

from agent.client import AgentClient
from agent.clock import SystemClock
from agent.outcomes import FileInfo, GenerationInfo, Outcome, Status
from agent.statistics import Row, Statistics
from hydria.web.fleets import Named
from hydria.web.observing import Observer
from hydria.web.watching import Watcher

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.scripted_agent import Request

LB = "0f0e3a52-31f0-4c0c-9f55-3d1b1b7a3a01"
METRICS = b'# TYPE hydria_agent_certificate_days_left gauge\nhydria_agent_certificate_days_left{of="agent",loadbalancer="",name="certificate"} 12.5\n'


class Later:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Amphora:
    """What it serves, and answers."""

    def __init__(self, protocol: str = "HTTP") -> None:
        self.protocol = protocol
        self.weights: list[list[int]] = []

    def put(self, *weights: int) -> None:
        self.weights.append(list(weights))

    def graph(self, number: int) -> str:
        members = [
            {"name": f"m{n}", "address": f"192.0.2.{n + 1}", "protocol_port": 80, "weight": weight}
            for n, weight in enumerate(self.weights[number - 1])
        ]
        pool = {"name": "pool", "protocol": self.protocol, "lb_algorithm": "SOURCE_IP", "members": members}
        web = {"id": OTHER, "name": "web", "protocol": self.protocol, "protocol_port": 80, "default_pool": pool}
        return json.dumps({"loadbalancer": {"id": LB, "name": "lb", "vip_address": "192.0.2.100", "listeners": [web]}})

    def answer(self, request: Request) -> Reply:
        latest = len(self.weights)
        etag = f'"{latest}"'
        path, _, number = request.path.partition("?generation=")
        answers: dict[str, Any] = {
            "/1.0/info": {"hostname": "one", "haproxy_version": "3.0.11", "api_version": "1.0"},
            "/2.0/loadbalancers": [LB],
            f"/2.0/loadbalancers/{LB}/status": Status(loadbalancer=LB, state="ACTIVE", generation=latest, etag=etag, vip_here=True),
            f"/2.0/loadbalancers/{LB}/generations": [self.generation(each) for each in range(latest, 0, -1)],
            f"/2.0/loadbalancers/{LB}/files": [FileInfo(path="graph.json", size=1, text=self.graph(int(number or 1)))],
            "/2.0/statistics": Statistics(rows=[Row(kind="listener", listener=each, id=each, status="OPEN") for each in (OTHER, AMPHORA)]),
        }
        if path == "/metrics":
            return Reply(content=METRICS, headers={"Content-Type": "text/plain"})
        return Reply(content=msgspec.json.encode(answers[path]))

    def generation(self, number: int) -> GenerationInfo:
        outcome = Outcome(loadbalancer=LB, way="runtime", generation=number, etag=f'"{number}"')
        state: Any = "serving" if number == len(self.weights) else "past"
        return GenerationInfo(number=number, etag=f'"{number}"', contract="2.0", made=float(number), state=state, outcome=outcome)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki") / "pki")


@pytest.fixture
def agent(pki: Pki) -> Iterator[ScriptedAgent]:
    with ScriptedAgent(pki.server_context()) as made:
        yield made


def client(pki: Pki, place: tuple[str, int], amphora: str = AMPHORA) -> AgentClient:
    return AgentClient(*place, amphora_id=amphora, ca=pki.ca, certificate=pki.client, timeout=60)


def asked(agent: ScriptedAgent) -> list[str]:
    paths = [request.path for request in agent.requests]
    agent.requests.clear()
    return paths


def test_what_does_not_change_is_asked_for_once(agent: ScriptedAgent, pki: Pki) -> None:
    amphora, clock = Amphora(), Later()
    amphora.put(1, 1)
    amphora.put(1, 1, 1)
    agent.reply = amphora.answer
    observer = Observer(client(pki, ("127.0.0.1", agent.port)), clock)
    [found] = observer.look().served
    assert found.graph is not None
    assert [len(pool.members) for listener in found.graph.listeners if (pool := listener.default_pool)] == [3]
    [moves] = found.moved[2]
    assert [moves.share, moves.least] == pytest.approx([1 / 3, 1 / 3], abs=0.05)
    every_time = ["/2.0/loadbalancers", f"/2.0/loadbalancers/{LB}/status", f"/2.0/loadbalancers/{LB}/generations"]
    files = [f"/2.0/loadbalancers/{LB}/files?generation={number}" for number in (2, 1)]
    assert asked(agent) == ["/1.0/info", *every_time, *files, "/metrics"]
    observer.look()
    assert asked(agent) == every_time
    amphora.put(1, 1)
    clock.now += 60
    [found] = observer.look().served
    assert set(found.moved) == {2, 3}
    assert asked(agent) == [*every_time, f"/2.0/loadbalancers/{LB}/files?generation=3", "/metrics"]


def test_rows_of_ipvs_are_those_of_the_load_balancer_that_has_them(agent: ScriptedAgent, pki: Pki) -> None:
    amphora = Amphora("UDP")
    amphora.put(1)
    agent.reply = amphora.answer
    look = Observer(client(pki, ("127.0.0.1", agent.port)), SystemClock()).look()
    assert [(row.id, row.loadbalancer) for row in look.served[0].rows] == [(OTHER, LB)]
    assert [(one.of, one.name, one.days) for one in look.expiries] == [("agent", "certificate", 12.5)]


def test_one_that_is_silent_holds_up_no_other(agent: ScriptedAgent, pki: Pki) -> None:
    amphora, clock = Amphora(), Later()
    amphora.put(1)
    agent.reply = amphora.answer
    with socket.create_server(("127.0.0.1", 0)) as silent:
        clients = [client(pki, silent.getsockname()[:2], OTHER), client(pki, ("127.0.0.1", agent.port))]
        watcher = Watcher(Named(clients), clock, 0.5)
        watcher.look()
        eventually(lambda: watcher.picture().sightings[1].now, "the other's answer", 30)
        first, other = watcher.picture().sightings
        assert (first.now, first.error, other.error) == (None, "it has not answered yet", "")
        clock.now += 30
        watcher.look()
        assert watcher.picture().sightings[0].error == "it has not answered for 30 seconds"
    # Its connection ends with the socket that it was to.
    eventually(lambda: not [each for each in threading.enumerate() if "_look_at" in each.name], "no thread", 30)


def test_one_that_takes_long_is_left_alone_for_longer(agent: ScriptedAgent, pki: Pki) -> None:
    amphora, clock = Amphora(), Later()
    amphora.put(1)

    def slowly(request: Request) -> Reply:
        clock.now += 1.0
        return amphora.answer(request)

    agent.reply = slowly
    watcher = Watcher(Named([client(pki, ("127.0.0.1", agent.port))]), clock, 0.5)
    watcher.look()
    eventually(lambda: watcher.picture().sightings[0].now, "an answer", 30)
    took = len(asked(agent))
    for _ in range(2):
        watcher.look()
        clock.now += took
    assert asked(agent) == []
    clock.now += 3 * took
    watcher.look()
    eventually(lambda: agent.requests, "another look", 30)
