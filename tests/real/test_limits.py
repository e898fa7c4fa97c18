"""Limits, timeouts, switched-off objects and counts of health checks through real HAProxy; and what it tells Prometheus."""

from __future__ import annotations

import json
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest
from support.graphs import Part, listener, member, path_is, policy, pool, rule
from support.polling import eventually
from support.serving import VIPS, serve

from hydria.lab.backends import EchoBackend, HttpBackend
from hydria.lab.certificates import Authority
from hydria.lab.client import request_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.serving import Serving

    from agent.haproxy import Haproxy
    from hydria.lab.backends import Request
    from hydria.lab.client import Connection

QUICK = {"type": "HTTP", "url_path": "/health", "delay": 2, "timeout": 1}


class Members:
    def __init__(self, stack: ExitStack) -> None:
        tls = Authority().server("member.example")
        names = ("a", "b", "c", "counted", "recounted")
        self.http = {name: stack.enter_context(HttpBackend(name)) for name in names}
        self.echo = stack.enter_context(EchoBackend("echo"))
        self.waiting = stack.enter_context(EchoBackend("waiting"))
        self.sealed = stack.enter_context(HttpBackend("sealed", tls=tls.server_context()))


@pytest.fixture(scope="module")
def members() -> Iterator[Members]:
    with ExitStack() as stack:
        yield Members(stack)


@pytest.fixture(scope="module")
def serving(haproxy: Haproxy, members: Members) -> Iterator[Serving]:
    a, b, c = (members.http[name] for name in "abc")
    for backend in members.http.values():
        backend.statuses.clear()
        backend.requests.clear()
    off = {"admin_state_up": False}
    pools = [
        pool("web", a),
        pool("other", b),
        pool("off", c, **off),
        pool("echo", members.echo, protocol="TCP"),
        pool("waiting", members.waiting, protocol="TCP"),
        pool("backups", member(a, admin_state_up=False), member(b, backup=True), member(c, backup=True)),
        pool("counted", members.http["counted"], healthmonitor={**QUICK, "max_retries": 2, "max_retries_down": 1}),
        pool("recounted", members.http["recounted"], healthmonitor={**QUICK, "max_retries": 1, "max_retries_down": 2}),
        pool("plain for tls", a, protocol="HTTPS", healthmonitor={"type": "TLS-HELLO", "delay": 2, "timeout": 1, **once()}),
        pool("plain for https", a, protocol="HTTPS", healthmonitor={**QUICK, "type": "HTTPS", **once()}),
        pool("tls for http", members.sealed, healthmonitor={**QUICK, **once()}),
        pool("tls for https", members.sealed, tls_enabled=True, healthmonitor={**QUICK, "type": "HTTPS", **once()}),
    ]
    to_other = {"redirect_pool": "other"}
    policies = [
        policy("REDIRECT_TO_POOL", path_is("/policy"), **to_other, **off),
        policy("REDIRECT_TO_POOL", path_is("/rule", **off), **to_other),
        policy("REDIRECT_TO_POOL", path_is("/one-rule"), rule("HEADER", "EQUAL_TO", "never", key="X-Never", **off), **to_other),
        policy("REDIRECT_TO_POOL", path_is("/pool"), redirect_pool="off"),
        policy("REJECT", path_is("/reject"), **off),
        policy("REDIRECT_TO_URL", path_is("/redirect"), redirect_url="https://away.example/", **off),
    ]
    listeners = [
        listener("web", "web", *policies),
        listener("pool off", "off"),
        listener("backups", "backups"),
        *(listener(name, name) for name in ("counted", "recounted", "tls for http", "tls for https")),
        *(listener(name, name, protocol="HTTPS") for name in ("plain for tls", "plain for https")),
        listener("few", "web", connection_limit=2),
        listener("silent member", "waiting", protocol="TCP", timeout_member_data=300),
        listener("patient member", "waiting", protocol="TCP"),
        listener("inspected", "waiting", protocol="TCP", timeout_tcp_inspect=3_600_000),
        listener("inspected http", "web", timeout_tcp_inspect=3_600_000),
        listener("metrics", None, protocol="PROMETHEUS"),
        listener("some metrics", None, protocol="PROMETHEUS", allowed_cidrs=["127.0.0.8/32"]),
    ]
    with serve(haproxy, listeners, pools) as serving:
        yield serving


def once() -> Part:
    return {"max_retries": 1, "max_retries_down": 1}


def status(serving: Serving, name: str) -> str:
    return next(iter(serving.statuses(name, name).values())).partition(" ")[0]


class TestSwitchedOff:
    @pytest.mark.parametrize("path", ["/policy", "/rule", "/pool", "/reject", "/redirect"])
    def test_a_policy_a_lone_rule_or_a_pool_has_no_effect(self, serving: Serving, path: str) -> None:
        assert serving.fetch("web", path).name == "a"

    def test_of_several_rules_the_others_decide(self, serving: Serving) -> None:
        assert serving.fetch("web", "/one-rule").name == "b"

    def test_a_default_pool_serves_nobody(self, serving: Serving) -> None:
        assert serving.fetch("pool off").status == 503

    def test_a_load_balancer_does_not_bind(self, haproxy: Haproxy, members: Members) -> None:
        web = [pool("web", members.http["a"])]
        with serve(haproxy, [listener("web", "web")], web, admin_state_up=False) as serving:
            for vip in VIPS:
                with pytest.raises(ConnectionRefusedError):
                    serving.fetch("web", vip=vip)
            serving.reload([listener("web", "web")], web)
            assert serving.fetch("web").status == 200


def test_of_the_backups_all_serve(serving: Serving) -> None:
    assert [serving.fetch("backups").name for _ in range(6)].count("b") == 3
    assert serving.statuses("backups", "backups")["a"] == "MAINT"


class TestConnectionLimit:
    def test_who_is_above_it_waits_for_a_place(self, serving: Serving) -> None:
        request = request_bytes(headers={"Connection": "keep-alive"})
        with serving.connect("few") as first, serving.connect("few") as second:
            assert [connection.exchange(request).status for connection in (first, second)] == [200, 200]
            with serving.connect("few") as third:
                third.send(request)
                # The two that are in are served on, and HAProxy has not even taken the third.
                assert [connection.exchange(request).status for connection in (first, second)] == [200, 200]
                assert current(serving, "few") == 2
                second.close()
                assert third.exchange(b"").status == 200

    def test_other_listeners_are_not_concerned(self, serving: Serving) -> None:
        with serving.connect("few") as first, serving.connect("few") as second:
            for connection in (first, second):
                assert connection.exchange(request_bytes(headers={"Connection": "keep-alive"})).status == 200
            assert serving.fetch("web").status == 200


def current(serving: Serving, name: str) -> int:
    [mine] = [part.id for part in serving.graph.listeners if part.name == name]
    rows = serving.process.stats.show_stat()
    return next(int(row["scur"]) for row in rows if row["pxname"] == mine and row["svname"] == "FRONTEND")


class TestTimeouts:
    def test_a_tcp_member_that_says_nothing_loses_the_client(self, serving: Serving, members: Members) -> None:
        with serving.connect("silent member") as connection:
            eventually(lambda: members.waiting.connections >= 1, "the connection to the member")
            assert_ended(connection)

    def test_with_the_default_it_does_not(self, serving: Serving) -> None:
        with serving.connect("silent member") as silent, serving.connect("patient member") as patient:
            assert_ended(silent)
            patient.send(b"still here\n")
            assert json.loads(patient.receive_line())["name"] == "waiting"
            assert patient.receive_line() == b"still here\n"

    def test_tcp_inspect_does_not_keep_a_client_waiting(self, serving: Serving, members: Members) -> None:
        """`inspect-delay` bounds how long rules on the content may wait for it (4.2). No rule of ours waits, so that all there is to be seen is
        that clients come through at once, also those that say nothing because their server speaks first.
        """
        eventually(lambda: members.waiting.connections == 0, "no connection of another test")
        with serving.connect("inspected"):
            eventually(lambda: members.waiting.connections == 1, "the connection to the member")
        assert serving.fetch("inspected http").status == 200


def assert_ended(connection: Connection) -> None:
    with suppress(ConnectionResetError):
        assert connection.receive() == b""


class TestCounts:
    """How many checks it takes; a member is judged by the answers that it gave, not by the time that passed."""

    def checks(self, members: Members, name: str, since: int) -> list[Request]:
        return [request for request in list(members.http[name].requests)[since:] if request.target == "/health"]

    def test_max_retries_and_max_retries_down(self, serving: Serving, members: Members) -> None:
        for name in ("counted", "recounted"):
            eventually(lambda name=name: self.checks(members, name, 0), "a first check")  # type: ignore[misc]
        bad = self.begin(members, 503)
        needed = self.until(serving, members, "DOWN", bad)
        assert needed == {"counted": 1, "recounted": 2}
        good = self.begin(members, 200)
        needed = self.until(serving, members, "UP", good)
        assert needed == {"counted": 2, "recounted": 1}

    def begin(self, members: Members, code: int) -> dict[str, int]:
        for name in ("counted", "recounted"):
            members.http[name].statuses["/health"] = code
        return {name: len(members.http[name].requests) for name in ("counted", "recounted")}

    def until(self, serving: Serving, members: Members, expected: str, since: dict[str, int]) -> dict[str, int]:
        """The number of checks that each had when it was first seen to be as expected."""
        needed: dict[str, int] = {}

        def look() -> bool:
            for name, begun in since.items():
                if name not in needed and status(serving, name) == expected:
                    needed[name] = len(self.checks(members, name, begun))
            return len(needed) == len(since)

        eventually(look, f"both {expected}")
        return needed


def test_a_member_of_the_wrong_kind_is_down(serving: Serving) -> None:
    for name in ("plain for tls", "plain for https", "tls for http"):
        eventually(lambda name=name: status(serving, name) == "DOWN", name)  # type: ignore[misc]
    assert status(serving, "tls for https") == "UP"


class TestPrometheus:
    @pytest.mark.parametrize("vip", VIPS)
    def test_metrics_are_where_they_are_expected(self, serving: Serving, vip: str) -> None:
        answer = serving.fetch("metrics", "/metrics", vip=vip)
        assert (answer.status, (answer.header("Content-Type") or "").partition(";")[0]) == (200, "text/plain")
        lines = answer.body.decode().splitlines()
        mine = serving.backend_name("web", "web")
        name = next(member.id for part in serving.graph.pools if part.name == "web" for member in part.members)
        assert any(line.startswith(f'octavia_member_bytes_in_total{{pool="{mine}",member="{name}"}} ') for line in lines)
        assert any(line.startswith(f'octavia_listener_http_requests_total{{listener="{mine.partition(":")[2]}"}} ') for line in lines)

    @pytest.mark.parametrize("path", ["/", "/metrics/", "/metrics2", "/stats", "/;csv"])
    def test_nothing_else_is(self, serving: Serving, path: str) -> None:
        assert serving.fetch("metrics", path).status == 404

    def test_a_scrape_may_ask_for_a_part(self, serving: Serving) -> None:
        lines = serving.fetch("metrics", "/metrics?scope=global").body.decode().splitlines()
        assert any(line.startswith("octavia_loadbalancer_current_connections ") for line in lines)
        assert not any(line.startswith("octavia_member_") for line in lines)

    def test_only_who_is_allowed_may(self, serving: Serving) -> None:
        assert serving.fetch("some metrics", "/metrics", source="127.0.0.8").status == 200
        with pytest.raises(ConnectionError):
            serving.fetch("some metrics", "/metrics", source="127.0.0.9")
