"""`hydria push` and `try` with agents of another version, and with agents that fail where real ones do not at a test's wish."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from support.scripted_agent import AMPHORA, OTHER, Pki, Reply, Request, ScriptedAgent

from hydria.cli import _run
from hydria.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LB = "1a2b3c4d-0000-4000-8000-00000000000a"
GRAPH = {"loadbalancer": {"id": LB, "vip_address": "192.0.2.1"}}
STATUS = {"loadbalancer": LB, "state": "ACTIVE", "generation": 4, "etag": '"4-a"'}
FORECAST = {"loadbalancer": LB, "way": "runtime", "generation": 4, "etag": '"4-a"'}
OUTCOME = {"loadbalancer": LB, "way": "runtime", "generation": 5, "etag": '"5-b"', "steps_ms": {"compile": 250.0}}
PLACE = f"/2.0/loadbalancers/{LB}"


class Scripted:
    """An agent; `answers` (by method and path) take the place of what one does that has the load balancer."""

    def __init__(self, agent: ScriptedAgent, amphora: str) -> None:
        self.agent = agent
        self.amphora = amphora
        self.answers: dict[str, tuple[int, Any]] = {}
        agent.reply = self._reply

    def _reply(self, request: Request) -> Reply:
        usual = {
            f"GET {PLACE}/status": STATUS,
            f"PUT {PLACE}?dry_run=1": FORECAST,
            f"PUT {PLACE}": OUTCOME,
            f"PUT {PLACE}?confirm_within=120": OUTCOME,
            f"POST {PLACE}/rollback?generation=4": {**OUTCOME, "generation": 6},
        }
        asked = f"{request.method} {request.path}"
        status, content = self.answers.get(asked) or (200, usual[asked])
        return Reply(status, json.dumps(content).encode())

    @property
    def changes(self) -> list[str]:
        """What it was asked to change."""
        asked = [f"{request.method} {request.path.removeprefix(PLACE)}" for request in self.agent.requests]
        return [one for one in asked if not one.startswith("GET") and "dry_run" not in one]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def pair(pki: Pki) -> Iterator[list[Scripted]]:
    with ExitStack() as stack:
        yield [Scripted(stack.enter_context(ScriptedAgent(pki.server_context(id_))), id_) for id_ in (AMPHORA, OTHER)]


class Asked:
    def __init__(self, pki: Pki, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._pki = pki
        self._graph = directory / "graph.json"
        self._graph.write_text(json.dumps(GRAPH))
        self._capsys = capsys

    def __call__(self, verb: str, agents: list[Scripted], *options: str) -> tuple[int, str, str]:
        self._capsys.readouterr()
        where = [word for one in agents for word in ("--agent", f"127.0.0.1:{one.agent.port}", "--amphora", one.amphora)]
        sides = ["--ca", str(self._pki.ca), "--cert", str(self._pki.client)]
        code = _run([verb, str(self._graph), *where, *sides, *options], Output())
        said = self._capsys.readouterr()
        return code, said.out, " ".join(said.err.split())


@pytest.fixture
def ask(pki: Pki, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Asked:
    return Asked(pki, tmp_path, capsys)


def test_one_agent_is_changed_at_once(pair: list[Scripted], ask: Asked) -> None:
    code, out, err = ask("push", pair[:1])
    assert (code, err) == (0, "")
    assert out.endswith('changed without a reload; generation 5 serves  "5-b"  (0.25 s)\n')
    assert pair[0].changes == ["PUT "]


def test_the_active_one_is_changed_last(pair: list[Scripted], ask: Asked) -> None:
    pair[0].answers[f"GET {PLACE}/status"] = 200, {**STATUS, "vip_here": True}
    code, out, _ = ask("push", pair)
    assert code == 0
    assert [one in line for one, line in zip((OTHER, AMPHORA), out.splitlines(), strict=True)] == [True, True]


def test_where_the_second_fails_the_first_is_given_back_what_it_had(pair: list[Scripted], ask: Asked) -> None:
    pair[1].answers[f"PUT {PLACE}"] = 500, {"message": "Internal server error", "details": "no memory", "code": "system-fault"}
    code, _, err = ask("push", pair)
    assert code == 3
    assert "no memory" in err
    assert pair[0].changes == ["PUT ", "POST /rollback?generation=4"]
    assert [request.headers.get("if-match") for request in pair[0].agent.requests][-1] == '"5-b"'
    pair[0].answers[f"POST {PLACE}/rollback?generation=4"] = 412, {"details": "something else serves", "code": "precondition-failed"}
    code, out, err = ask("push", pair, "--json")
    assert code == 3
    assert "has the new graph and it cannot be taken back" in json.loads(out)["error"]["message"]
    assert "something else serves" in err


def test_where_one_would_not_take_it_nobody_is_changed(pair: list[Scripted], ask: Asked) -> None:
    problem = {"severity": "error", "path": "loadbalancer.vip_address", "code": "from-the-future", "message": "no \x1b[31m"}
    pair[1].answers[f"PUT {PLACE}?dry_run=1"] = 422, {"details": "problems", "code": "graph-problems", "problems": [problem]}
    code, _, err = ask("push", pair)
    assert code == 1
    assert "no \\x1b[31m (from-the-future)" in err
    assert [one.changes for one in pair] == [[], []]
    code, out, _ = ask("push", pair, "--json")
    assert (code, json.loads(out)["errors"]) == (1, 1)


def test_an_agent_that_knows_no_trials_is_given_back_what_it_had(pair: list[Scripted], ask: Asked) -> None:
    code, _, err = ask("try", pair[:1])
    assert code == 3
    assert "is of a version that cannot take a change back by itself" in err
    assert pair[0].changes == ["PUT ?confirm_within=120", "POST /rollback?generation=4"]
    code, out, _ = ask("try", pair[:1], "--json")
    assert (code, json.loads(out)["error"]["code"]) == (3, "no-trial")


def test_an_agent_that_is_of_octavia_says_so(pair: list[Scripted], ask: Asked) -> None:
    missing = 404, {"error": "404 Not Found: The requested URL was not found on the server."}
    pair[0].answers |= {f"GET {PLACE}/status": missing, f"PUT {PLACE}": missing}
    code, _, err = ask("push", pair[:1])
    assert code == 3
    assert "404 Not Found" in err
