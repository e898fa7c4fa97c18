"""What `where` says is what real HAProxy does: policies and rules for arbitrary requests, and the member behind a source hash."""

from __future__ import annotations

import string
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.graphs import listener, member, policy, pool, rule
from support.serving import serve

from compiler.matching import Request
from compiler.picking import Client
from compiler.where import Where, where
from hydria.lab.backends import HttpBackend
from hydria.lab.client import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.serving import Serving

    from agent.haproxy import Haproxy

# Every kind of action, with positions against their order, and rules of every type that a request alone decides.
POLICIES = [
    policy("REDIRECT_TO_POOL", rule("PATH", "STARTS_WITH", "/a"), redirect_pool="one", position=1),
    policy(
        "REDIRECT_TO_POOL",
        rule("HEADER", "EQUAL_TO", "a", key="X-Colour"),
        rule("COOKIE", "CONTAINS", "b", key="taste", invert=True),
        redirect_pool="two",
        position=2,
    ),
    policy("REDIRECT_TO_POOL", rule("HEADER", "STARTS_WITH", "b", key="x-colour"), redirect_pool="one", position=20),
    policy("REDIRECT_TO_POOL", rule("HEADER", "EQUAL_TO", "c, d", key="X-Colour"), redirect_pool="two", position=19),
    policy("REDIRECT_TO_POOL", rule("COOKIE", "REGEX", "^a+b?$", key="taste"), redirect_pool="two"),
    policy("REDIRECT_TO_POOL", rule("HOST_NAME", "STARTS_WITH", "AB"), redirect_pool="one", position=3),
    policy("REDIRECT_TO_POOL", rule("PATH", "ENDS_WITH", "/dis"), redirect_pool="disabled", position=1),
    policy("REDIRECT_TO_URL", rule("FILE_TYPE", "EQUAL_TO", "b"), redirect_url="http://url.example/x?y", position=9),
    policy(
        "REDIRECT_TO_URL", rule("HOST_NAME", "EQUAL_TO", "b.A"), redirect_url="http://host.example/", redirect_http_code=308, position=8
    ),
    policy(
        "REDIRECT_PREFIX", rule("PATH", "CONTAINS", "//"), redirect_prefix="http://prefix.example/p", redirect_http_code=301, position=7
    ),
    policy("REDIRECT_PREFIX", rule("FILE_TYPE", "REGEX", r"\.[ab]{2}$"), redirect_prefix="https://two.example"),
    policy("REJECT", rule("PATH", "REGEX", r"^/(b|c[ab])/.*d$"), rule("HOST_NAME", "CONTAINS", "d", invert=True), position=30),
    policy("REJECT", rule("PATH", "EQUAL_TO", "/b"), rule("PATH", "EQUAL_TO", "/never", admin_state_up=False), position=31),
    policy("REJECT", rule("HEADER", "REGEX", "^d|c$", key="X-Colour"), rule("COOKIE", "ENDS_WITH", "d", key="taste")),
    policy("REJECT", rule("PATH", "STARTS_WITH", "/"), admin_state_up=False),
    policy("REJECT"),
]

REQUESTS: list[dict[str, Any]] = [
    {"target": "/"},
    {"target": "/a?x=//"},
    {"target": "/x//y"},
    {"target": "/p/dis"},
    {"target": "/b"},
    {"target": "/x.b?q=.c"},
    {"target": "/", "host": "B.a:8080"},
    {"target": "/", "host": "[::1]:80"},
    {"target": "/", "headers": {"X-Colour": "c, d"}},
    {"target": "/", "headers": {"X-Colour": 'x , a,"b,a"'}},
    {"target": "/", "headers": {"X-Colour": ",,b"}},
    {"target": "/", "headers": {"X-Colour": ""}},
    {"target": "/", "headers": {"X-Colour": "d", "Cookie": "x=1; taste=a d"}},
    {"target": "/", "headers": {"Cookie": "taste=; taste=aab"}},
    {"target": "/", "headers": {"Cookie": 'distaste=a; taste="ab"'}},
    {"target": "/", "headers": {"Cookie": "taste = ab ;other=1"}},
    {"target": "/", "headers": {"Cookie": "taste"}},
    {"target": "/", "headers": {"Cookie": "taste=x, taste=ab"}},
    {"target": "/", "headers": {"X-Colour": "c", "Cookie": 'taste="x;,\\"d'}},
]

LETTERS = "ab/.cd"
texts = st.text(LETTERS + ',"; =\\', max_size=9).map(lambda text: text.strip(" "))
requests = st.fixed_dictionaries(
    {"target": st.text(LETTERS + "?", max_size=7).map("/{}".format), "host": st.text("abd.AB", min_size=1, max_size=5)},
    optional={"headers": st.fixed_dictionaries({}, optional={"X-Colour": texts, "Cookie": texts.map("taste={}".format)})},
)


@pytest.fixture(scope="module")
def serving(haproxy: Haproxy) -> Iterator[Serving]:
    names = ("default", "one", "two")
    with ExitStack() as stack:
        backends = {name: stack.enter_context(HttpBackend(name)) for name in names}
        pools = [pool(name, backends[name]) for name in names] + [pool("disabled", backends["two"], admin_state_up=False)]
        listeners = [listener("web", "default", *POLICIES), listener("bare", None, *POLICIES)]
        yield stack.enter_context(serve(haproxy, listeners, pools))


def said(serving: Serving, name: str, request: dict[str, Any], **client: Any) -> Where:
    asked = next(part for part in serving.graph.listeners if part.name == name)
    headers = tuple(({"Host": request.get("host", "lab.example")} | request.get("headers", {})).items())
    sent = Request(target=request["target"], headers=headers)
    return where(serving.graph, asked, Client(**{"address": "127.0.0.1", **client}), sent, serving.target)


def outcome(answer: Answer) -> tuple[Any, ...]:
    """What came back, in the terms of `predicted`."""
    return (answer.name,) if answer.name else (answer.status, answer.location)


def predicted(answer: Where) -> tuple[Any, ...]:
    if answer.outcome == "pool":
        assert answer.member is not None
        return (answer.member.object.name,)
    return answer.status, answer.location


@pytest.mark.parametrize("request_sent", REQUESTS, ids=repr)
@pytest.mark.parametrize("name", ["web", "bare"])
def test_what_is_said_of_a_request_is_what_happens(serving: Serving, name: str, request_sent: dict[str, Any]) -> None:
    answer = said(serving, name, request_sent)
    assert predicted(answer) == outcome(serving.fetch(name, **request_sent)), answer


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request_sent=requests)
def test_what_is_said_of_any_request_is_what_happens(serving: Serving, request_sent: dict[str, Any]) -> None:
    answer = said(serving, "web", request_sent)
    assert predicted(answer) == outcome(serving.fetch("web", **request_sent)), answer


def test_every_policy_is_seen_to_act(serving: Serving) -> None:
    """The requests above are worth something: each policy that can act does, for one of them or for one made for it."""
    made: list[dict[str, Any]] = [
        {"target": "/", "headers": {"X-Colour": "a"}},
        {"target": "/", "host": "abc"},
        {"target": "/x.ab"},
        {"target": "/ca/d"},
        {"target": "/", "headers": {"X-Colour": "b"}},
    ]
    acted = set()
    for request in [*REQUESTS, *made]:
        answer = said(serving, "web", request)
        assert predicted(answer) == outcome(serving.fetch("web", **request)), (request, answer)
        acted.add(answer.acted.id if answer.acted else None)
    [web] = [part for part in serving.graph.listeners if part.name == "web"]
    able = {
        part.id
        for part in web.l7policies
        if part.admin_state_up and part.rules and (part.redirect_pool is None or part.redirect_pool.name != "disabled")
    }
    assert acted == able | {None}


CLIENTS = [f"127.0.{third}.{fourth}" for third in (0, 77) for fourth in range(1, 60)]
HASHED = {
    "consistent": {"lb_algorithm": "SOURCE_IP"},
    "map": {"lb_algorithm": "SOURCE_IP", "hash": "map"},
}


@pytest.fixture(scope="module")
def hashing(haproxy: Haproxy) -> Iterator[Serving]:
    with ExitStack() as stack:
        backends = [stack.enter_context(HttpBackend(name)) for name in string.ascii_lowercase[:6]]
        extra: list[dict[str, Any]] = [
            {},
            {"weight": 3},
            {"weight": 2, "backup": True},
            {"weight": 0},
            {"admin_state_up": False},
            {"weight": 7},
        ]
        members = [member(backend, **fields) for backend, fields in zip(backends, extra, strict=True)]
        spare = [member(backend, backup=True, weight=weight) for backend, weight in zip(backends, (1, 5, 3, 0, 2, 2), strict=True)]
        pools = [pool(name, *members, **fields) for name, fields in HASHED.items()]
        pools += [pool(f"{name}-backups", *spare, **fields) for name, fields in HASHED.items()]
        pools += [pool("with-port", *members, lb_algorithm="SOURCE_IP_PORT")]
        listeners = [listener(part["name"], part["name"]) for part in pools]
        yield stack.enter_context(serve(haproxy, listeners, pools))


@pytest.mark.parametrize("name", [*HASHED, *(f"{name}-backups" for name in HASHED)])
def test_the_member_behind_a_source_hash_is_the_one_said(hashing: Serving, name: str) -> None:
    expected, seen = [], []
    for client in CLIENTS:
        answer = said(hashing, name, {"target": "/"}, address=client)
        assert answer.member is not None, answer
        assert answer.member in answer.candidates
        expected.append(answer.member.object.name)
        seen.append(hashing.fetch(name, source=client).name)
    assert seen == expected
    assert len(set(seen)) > 2


def test_the_member_behind_a_hash_of_address_and_port_is_the_one_said(hashing: Serving) -> None:
    seen = []
    for client in CLIENTS:
        answer = hashing.fetch("with-port", source=client)
        host, port = answer.local
        found = said(hashing, "with-port", {"target": "/"}, address=host, port=port)
        assert found.member is not None, found
        seen.append(answer.name)
        assert found.member.object.name == answer.name
    assert len(set(seen)) > 2
