"""Members through real HAProxy: weight, backup, switched off, stable ids; and health monitors that see the truth."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from support.graphs import listener, member, pool
from support.polling import eventually
from support.serving import serve

from compiler.identity import server_ids
from compiler.ring_ids import written
from hydria.lab.backends import EchoBackend, HttpBackend
from hydria.lab.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.serving import Serving

    from agent.haproxy import Haproxy
    from hydria.lab.backends import Backend, Request

IDS = {
    "5eed0000-0000-4000-8000-000000012345": 0x12345,
    "5eed0000-0000-4000-8000-0000000fffff": 0xFFFFF,
    "5eed0000-0000-4000-8000-000000000001": 1,
}

MONITORS: dict[str, dict[str, Any]] = {
    "http": {"type": "HTTP", "url_path": "/health"},
    "http11": {"type": "HTTP", "url_path": "/health?a=1&b=2", "http_version": 1.1, "http_method": "HEAD", "domain_name": "health.example"},
    "codes": {"type": "HTTP", "url_path": "/health", "expected_codes": "200,204-206"},
    "https": {"type": "HTTPS", "url_path": "/health"},
    "tcp": {"type": "TCP"},
    "tls-hello": {"type": "TLS-HELLO"},
}

#: What each HTTP monitor's member answers to fail, and to be well again where that is not 200.
BAD_CODES = {"http": 204, "http11": 500, "codes": 203, "https": 404}
GOOD_CODES = {"codes": 205}


class Members:
    """The servers behind the pools, by name."""

    def __init__(self, authority: Authority) -> None:
        tls = authority.server("member.example")
        self.http = {name: HttpBackend(name) for name in ("a", "b", "c", "http", "http11", "codes", "elsewhere", "checked-here")}
        self.https = HttpBackend("https", tls=tls.server_context())
        self.tcp = EchoBackend("tcp")
        self.tls = EchoBackend("tls-hello", tls=tls.server_context())

    @property
    def all(self) -> list[Backend]:
        return [*self.http.values(), self.https, self.tcp, self.tls]


@pytest.fixture(scope="module")
def members() -> Iterator[Members]:
    members = Members(Authority())
    yield members
    for backend in members.all:
        backend.close()


def monitored(name: str, backend: Backend, **fields: Any) -> dict[str, Any]:
    monitor = {"delay": 2, "timeout": 1, "max_retries": 1, "max_retries_down": 1, **MONITORS[name]}
    return pool(name, backend, healthmonitor=monitor, **fields)


@pytest.fixture(scope="module")
def serving(haproxy: Haproxy, members: Members) -> Iterator[Serving]:
    a, b, c = (members.http[name] for name in "abc")
    elsewhere = members.http["elsewhere"]
    checked = member(members.http["checked-here"], monitor_address=elsewhere.address, monitor_port=elsewhere.port)
    quick = {"type": "HTTP", "url_path": "/health", "delay": 2, "timeout": 1, "max_retries": 1, "max_retries_down": 1}
    pools = [
        pool("weights", member(a, weight=1), member(b, weight=3), member(c, weight=0)),
        pool("switched-off", a, member(b, admin_state_up=False), c),
        pool("nobody", member(a, admin_state_up=False)),
        pool("drained", member(a, weight=0)),
        pool("empty"),
        pool("backup", member(a), member(b, backup=True), healthmonitor={**quick}),
        pool("ids", *(member(backend, id=id_) for backend, id_ in zip((a, b, c), IDS, strict=True))),
        pool("elsewhere", checked, healthmonitor=quick),
        pool("monitor-off", member(members.http["codes"]), healthmonitor={**quick, "admin_state_up": False}),
        *(monitored(name, members.http[name]) for name in ("http", "http11", "codes")),
        monitored("https", members.https, protocol="HTTPS"),
        monitored("tcp", members.tcp, protocol="TCP"),
        monitored("tls-hello", members.tls, protocol="HTTPS"),
    ]
    kinds = {"HTTP": "HTTP", "TCP": "TCP", "HTTPS": "HTTPS"}
    listeners = [listener(part["name"], part["name"], protocol=kinds[part["protocol"]]) for part in pools]
    with serve(haproxy, listeners, pools) as serving:
        yield serving


def who_answers(serving: Serving, name: str, times: int = 12) -> Counter[str | None]:
    return Counter(serving.fetch(name).name for _ in range(times))


def test_weights_share_the_requests(serving: Serving) -> None:
    assert who_answers(serving, "weights") == {"a": 3, "b": 9}


def test_a_member_of_weight_0_is_there_but_gets_nothing_new(serving: Serving) -> None:
    assert "c" not in who_answers(serving, "weights")
    assert set(serving.statuses("weights", "weights")) == {"a", "b", "c"}
    assert serving.fetch("drained").status == 503


def test_a_member_that_is_switched_off_is_there_but_gets_nothing(serving: Serving) -> None:
    assert who_answers(serving, "switched-off") == {"a": 6, "c": 6}
    assert serving.statuses("switched-off", "switched-off")["b"] == "MAINT"
    assert serving.fetch("nobody").status == 503


def test_a_pool_without_members_has_nobody_to_answer(serving: Serving) -> None:
    assert serving.fetch("empty").status == 503


def test_a_servers_id_is_that_of_the_member(serving: Serving) -> None:
    assert serving.server_ids("ids", "ids") == written(dict(zip("abc", IDS.values(), strict=True)), serving.haproxy.version)


def test_every_server_has_the_id_that_the_configuration_gives_it(serving: Serving) -> None:
    states = serving.server_states()
    expected = {
        (pool.id, member, str(number))
        for pool in serving.graph.pools
        for member, number in written(server_ids(member.id for member in pool.members), serving.haproxy.version).items()
    }
    assert {(row["be_name"].partition(":")[0], row["srv_name"], row["srv_id"]) for row in states} == expected
    assert len(states) == len(expected)


def test_a_connection_that_a_member_refuses_goes_to_another_unless_it_shall_not(haproxy: Haproxy) -> None:
    """`option redispatch` (4.2). Attempts come as quickly as a connection may take."""
    listeners = [listener("web", "web", timeout_member_connect=100)]
    with HttpBackend("gone") as gone, HttpBackend("there") as there:
        gone.refuse()
        pools = [pool("web", gone, there)]
        with serve(haproxy, listeners, pools) as serving:
            assert who_answers(serving, "web", 4) == {"there": 4}
            serving.reload(listeners, pools, redispatch=False)
            assert who_answers(serving, "web", 4) == {"there": 2, None: 2}


@pytest.fixture(scope="module")
def story(serving: Serving, members: Members) -> dict[str, dict[str, str]]:
    """What happens to the members that are looked at, all at once to save time: phase → pool → status of its first member.

    Each phase lasts until all is as it should be; where that does not come about, the tests tell of what.
    """
    watched = [*MONITORS, "elsewhere"]
    judged = [members.https, *(members.http[name] for name in ("http", "http11", "codes"))]

    def statuses() -> dict[str, str]:
        names = {name: "checked-here" if name == "elsewhere" else name for name in watched}
        return {name: serving.statuses(name, name)[first].partition(" ")[0] for name, first in names.items()} | {
            "backup": serving.statuses("backup", "backup")["a"].partition(" ")[0]
        }

    def phase(down: list[str]) -> dict[str, str]:
        expected = {name: "DOWN" if name in down else "UP" for name in [*watched, "backup"]}
        with suppress(AssertionError):
            eventually(lambda: statuses() == expected, patience=12)
        return statuses() | {"who serves backup": ",".join(sorted(map(str, who_answers(serving, "backup", 4))))}

    told = {"at first": phase([])}
    going = [backend for backend in members.all if backend.name in watched]
    for backend in going:
        backend.refuse()
    told["refusing connections"] = phase(watched)
    for backend in going:
        backend.accept()
    told["accepting again"] = phase([])
    for server in judged:
        server.statuses["/health"] = BAD_CODES[server.name]
    members.http["a"].statuses["/health"] = 503
    told["bad codes"] = phase([*BAD_CODES, "backup"])
    for server in judged:
        server.statuses["/health"] = GOOD_CODES.get(server.name, 200)
    members.http["a"].statuses.clear()
    told["good codes"] = phase([])
    return told


@pytest.mark.parametrize("name", list(MONITORS))
def test_a_monitor_sees_a_member_go_and_come_back(story: dict[str, dict[str, str]], name: str) -> None:
    phases = ("at first", "refusing connections", "accepting again")
    assert [story[phase][name] for phase in phases] == ["UP", "DOWN", "UP"]


@pytest.mark.parametrize("name", list(BAD_CODES))
def test_an_http_monitor_judges_by_the_code(story: dict[str, dict[str, str]], name: str) -> None:
    assert [story[phase][name] for phase in ("accepting again", "bad codes", "good codes")] == ["UP", "DOWN", "UP"]


def test_a_monitor_without_http_does_not_judge_by_codes(story: dict[str, dict[str, str]]) -> None:
    assert [story["bad codes"][name] for name in ("tcp", "tls-hello", "elsewhere")] == ["UP"] * 3


def test_a_backup_serves_only_while_nobody_else_can(story: dict[str, dict[str, str]]) -> None:
    phases = ("at first", "bad codes", "good codes")
    assert [(story[phase]["backup"], story[phase]["who serves backup"]) for phase in phases] == [("UP", "a"), ("DOWN", "b"), ("UP", "a")]


def test_a_monitor_may_look_elsewhere(story: dict[str, dict[str, str]], members: Members) -> None:
    phases = ("at first", "refusing connections", "accepting again")
    assert [story[phase]["elsewhere"] for phase in phases] == ["UP", "DOWN", "UP"]
    assert checks(members.http["checked-here"]) == []


def checks(backend: HttpBackend) -> list[Request]:
    return [request for request in list(backend.requests) if request.target.startswith("/health")]


def test_an_http_monitor_asks_what_it_was_told_to(serving: Serving, members: Members) -> None:
    del serving
    simple = eventually(lambda: checks(members.http["http"]), "a check")[-1]
    assert (simple.method, simple.target) == ("GET", "/health")
    full = eventually(lambda: checks(members.http["http11"]), "a check")[-1]
    assert (full.method, full.target, full.version) == ("HEAD", "/health?a=1&b=2", "HTTP/1.1")
    assert full.header("Host") == "health.example"


def test_an_https_monitor_asks_over_tls(serving: Serving, members: Members) -> None:
    del serving
    request = eventually(lambda: checks(members.https), "a check")[-1]
    assert request.arrival.tls is not None


def test_a_monitor_that_is_switched_off_does_not_look(serving: Serving) -> None:
    assert serving.statuses("monitor-off", "monitor-off") == {"codes": "no check"}
