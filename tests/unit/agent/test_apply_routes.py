"""The 2.0 contract over HTTP: what the routes hand over, and what becomes of refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.fake_agent import FakeAgent

from agent.app import make_app
from agent.errors import ConflictError, GraphRefused, NotFoundError, PreconditionFailed
from agent.outcomes import Drain, Outcome, Resigned

if TYPE_CHECKING:
    from pathlib import Path

    from flask.testing import FlaskClient

LB = "5d2f0d3e-6c1b-4a55-8d5e-0b6b7e1b6a10"
MEMBER = "0a3d5f6e-7f7c-4f0f-8a5e-1f2b3c4d5e6f"
PATH = f"/2.0/loadbalancers/{LB}"
OUTCOME = Outcome(loadbalancer=LB, way="runtime", generation=2, etag='"2-x"')


@pytest.fixture
def fake(tmp_path: Path) -> FakeAgent:
    made = FakeAgent(tmp_path)
    made.graphs.answers |= {"put": OUTCOME, "rollback": OUTCOME, "graph": (b"{}", '"2-x"'), "history": [], "files": []}
    made.drains.answers |= dict.fromkeys(
        ("start", "progress"), Drain(loadbalancer=LB, member=MEMBER, state="draining", connections=1, left=2.0)
    )
    return made


@pytest.fixture
def client(fake: FakeAgent) -> FlaskClient:
    return make_app(fake.agent).test_client()


def test_a_write_hands_over_its_condition_and_answers_with_the_etag(client: FlaskClient, fake: FakeAgent) -> None:
    answer = client.put(PATH.upper().replace("/2.0/LOADBALANCERS", "/2.0/loadbalancers"), data=b"x", headers={"If-Match": '"1-x"'})
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"2-x"')
    assert answer.json is not None
    assert answer.json["way"] == "runtime"
    assert fake.graphs.calls == [("put", LB, b"x", '"1-x"', None)]


@pytest.mark.parametrize(
    ("query", "call"), [("?dry_run=1", "plan"), ("?dry_run=0", "put"), ("?dry_run=false", "put"), ("?dry_run=", "plan")]
)
def test_a_dry_run_is_no_write(client: FlaskClient, fake: FakeAgent, query: str, call: str) -> None:
    client.put(PATH + query, data=b"x")
    assert [each[0] for each in fake.graphs.calls] == [call]


def test_what_is_asked_of_whom(client: FlaskClient, fake: FakeAgent) -> None:
    assert client.get(PATH).headers["ETag"] == '"2-x"'
    for path in ("/files?generation=3", "/generations"):
        assert client.get(PATH + path).status_code == 200
    assert client.post(f"{PATH}/rollback?generation=4").status_code == 200
    assert client.post(f"{PATH}/rollback").status_code == 200
    assert client.delete(PATH).status_code == 204
    assert fake.graphs.calls == [
        ("graph", LB),
        ("files", LB, 3),
        ("history", LB),
        ("rollback", LB, 4, None),
        ("rollback", LB, None, None),
        ("delete", LB, None),
    ]
    drain = f"{PATH}/members/{MEMBER}/drain"
    assert client.post(f"{drain}?deadline=7.5").status_code == 200
    assert client.post(drain).status_code == 200
    assert client.get(drain).status_code == 200
    assert client.delete(drain).status_code == 204
    assert fake.drains.calls == [
        ("start", LB, MEMBER, 7.5),
        ("start", LB, MEMBER, 300.0),
        ("progress", LB, MEMBER),
        ("cancel", LB, MEMBER),
    ]


def test_resigning_has_a_second_for_requests_in_progress(client: FlaskClient, fake: FakeAgent) -> None:
    fake.resigning.answers["resign"] = Resigned(loadbalancer=LB, resigned=True, connections=0, seconds=0.1)
    answer = client.post(f"{PATH}/resign")
    assert (answer.status_code, answer.json) == (200, {"loadbalancer": LB, "resigned": True, "connections": 0, "seconds": 0.1})
    assert client.post(f"{PATH}/resign?within=0").status_code == 200
    assert fake.resigning.calls == [("resign", LB, 1.0), ("resign", LB, 0.0)]
    assert client.post(f"{PATH}/resign?within=-1").status_code == 400
    fake.resigning.failures["resign"] = ConflictError("none of a pair")
    assert client.post(f"{PATH}/resign").status_code == 409


def test_nobody_waits_for_longer_than_a_minute(client: FlaskClient, fake: FakeAgent) -> None:
    client.get(f"{PATH}/progress?after=3&wait=1e9")
    assert fake.graphs.calls == [("progress", LB, 3, 60.0)]


def test_refusals(client: FlaskClient, fake: FakeAgent) -> None:
    problem = {"path": "loadbalancer.name", "code": "wrong-type", "message": "no", "severity": "error"}
    for error, status in ((GraphRefused("no", [problem]), 422), (PreconditionFailed("another"), 412), (NotFoundError("no"), 404)):
        fake.graphs.failures["put"] = error
        answer = client.put(PATH, data=b"x")
        assert answer.status_code == status
        assert answer.json is not None
        assert answer.json["code"] == error.code
        assert answer.json.get("problems", [problem]) == [problem]


@pytest.mark.parametrize(
    "path",
    [
        *("/files?generation=x", "/progress?after=-1", "/progress?wait=nan", "/progress?wait=inf", "/files?generation=-3"),
        *(f"/members/x/drain?deadline={number}" for number in ("", "1", "x")),
    ],
)
def test_what_cannot_be_meant(client: FlaskClient, path: str) -> None:
    assert client.get(PATH + path).status_code == 400
    assert client.put("/2.0/loadbalancers/x", data=b"").status_code == 400
