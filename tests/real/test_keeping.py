"""Clients that keep their member through real HAProxy: across reloads, and when members are added and removed while it runs."""

from __future__ import annotations

import itertools
import re
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from support.graphs import Part, listener, pool
from support.polling import eventually
from support.serving import serve

from hydria.lab.backends import HttpBackend
from hydria.lab.client import request_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from support.serving import Serving

    from agent.haproxy import Haproxy

NAMES = ("m1", "m2", "m3", "m4", "m5")
COOKIE = {"type": "HTTP_COOKIE"}
APP_COOKIE = {"type": "APP_COOKIE", "cookie_name": "SESSION"}
SOURCE_IP = {"type": "SOURCE_IP"}


@pytest.fixture(scope="module")
def backends() -> Iterator[dict[str, HttpBackend]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(HttpBackend(name)) for name in NAMES}


def pools(members: Sequence[HttpBackend]) -> list[Part]:
    return [
        pool("source", *members, session_persistence=SOURCE_IP),
        pool("source-least", *members, session_persistence=SOURCE_IP, lb_algorithm="LEAST_CONNECTIONS"),
        pool("app", *members, session_persistence=APP_COOKIE),
        pool("cookie", *members, session_persistence=COOKIE),
        pool("address-and-port", *members, lb_algorithm="SOURCE_IP_PORT"),
    ]


LISTENERS = [listener(part["name"], part["name"]) for part in pools([])]


@pytest.fixture(scope="module")
def running(haproxy: Haproxy) -> Iterator[Serving]:
    with serve(haproxy, LISTENERS, pools([])) as serving:
        yield serving


@pytest.fixture
def serving(running: Serving, backends: dict[str, HttpBackend]) -> Serving:
    """One HAProxy for all, with the first three members at the begin of each test."""
    exchange(running, list(backends.values())[:3])
    return running


def exchange(serving: Serving, members: Sequence[HttpBackend], described: list[Part] | None = None) -> None:
    """Reloads with other members; returns when the new worker knows what the old one knew."""
    # For its first five seconds HAProxy looks for others of its kind to learn from, and teaches nobody.
    eventually(lambda: in_sync(serving), "the worker before is ready to teach")
    serving.reload(LISTENERS, described or pools(members))
    eventually(lambda: in_sync(serving), "the new worker has learnt all")


def in_sync(serving: Serving) -> bool:
    """Bits 0 and 1 of the peers section's flags: nothing is left to be learnt, from the worker before or from others."""
    found = re.search(r" flags=0x([0-9a-f]+)", serving.process.stats.ask("show peers"))
    return found is not None and int(found[1], 16) & 3 == 3


def clients() -> list[str]:
    """Twelve that nobody has seen before: HAProxy does not forget those of another test."""
    network = next(_NETWORKS)
    return [f"127.1.{network}.{number}" for number in range(1, 13)]


_NETWORKS = itertools.count(1)


def by_source(serving: Serving, name: str, who: Sequence[str]) -> dict[str, str | None]:
    return {client: serving.fetch(name, source=client).name for client in who}


def sessions(serving: Serving, numbers: Sequence[int]) -> dict[int, str | None]:
    return {number: serving.fetch("app", headers={"Cookie": f"SESSION=s{number}"}).name for number in numbers}


def inserted(serving: Serving) -> dict[str | None, str]:
    """Member → its cookie; asked of as many members as there are."""
    found = {}
    for _ in range(2 * len(NAMES)):
        answer = serving.fetch("cookie")
        found[answer.name] = (answer.header("Set-Cookie") or "").partition(";")[0]
    return found


def served(serving: Serving, cookies: dict[str | None, str]) -> dict[str | None, str | None]:
    return {name: serving.fetch("cookie", headers={"Cookie": cookie}).name for name, cookie in cookies.items()}


@pytest.mark.parametrize("name", ["source", "source-least"])
def test_source_ip_persistence_outlives_reloads(serving: Serving, backends: dict[str, HttpBackend], name: str) -> None:
    who = clients()
    first = by_source(serving, name, who)
    assert len(set(first.values())) == 3
    for members in (list(backends.values())[:3], list(backends.values()), list(backends.values())[::-1]):
        exchange(serving, members)
        assert by_source(serving, name, who) == first


def test_app_cookie_persistence_outlives_reloads(serving: Serving, backends: dict[str, HttpBackend]) -> None:
    numbers = range(9)
    first = {number: serving.fetch("app", headers={"X-Lab-Set-Cookie": f"SESSION=s{number}; Path=/; HttpOnly"}).name for number in numbers}
    assert len(set(first.values())) == 3
    for members in (list(backends.values())[:3], list(backends.values()), list(backends.values())[::-1]):
        exchange(serving, members)
        assert sessions(serving, numbers) == first


def test_of_a_member_that_goes_its_clients_go_to_others(serving: Serving, backends: dict[str, HttpBackend]) -> None:
    who = clients()
    first = by_source(serving, "source", who)
    exchange(serving, [backends["m2"], backends["m3"]])
    after = by_source(serving, "source", who)
    assert {client for client in who if after[client] != first[client]} == {client for client in who if first[client] == "m1"}
    assert by_source(serving, "source", who) == after


def test_http_cookie_persistence_outlives_reloads_that_add_members(serving: Serving, backends: dict[str, HttpBackend]) -> None:
    cookies = inserted(serving)
    assert set(cookies) == {"m1", "m2", "m3"}
    for members in (list(backends.values()), list(backends.values())[::-1], [backends[name] for name in ("m5", "m3", "m2", "m1")]):
        exchange(serving, members)
        assert served(serving, cookies) == {name: name for name in cookies}
    assert inserted(serving).items() >= cookies.items()


def test_http_cookie_persistence_outlives_members_that_are_added_while_it_runs(serving: Serving, backends: dict[str, HttpBackend]) -> None:
    """A server's cookie follows from its address, port and the backend's key (4.2 cookie, dynamic). HAProxy 2.6 gives one to a server that
    it is told to add (management guide 9.3) only when dynamic cookies are enabled once more; until then it takes away those of its clients.
    """
    cookies = inserted(serving)
    backend = serving.backend_name("cookie", "cookie")
    ask = serving.process.stats.ask
    new = backends["m4"]
    assert "New server registered" in ask(f"add server {backend}/added {new.address}:{new.port} id 77777 weight 1")
    assert ask(f"enable dynamic-cookie backend {backend}").strip() == ""
    assert ask(f"enable server {backend}/added").strip() == ""
    assert served(serving, cookies) == {name: name for name in cookies}
    fresh = inserted(serving)
    assert fresh.items() >= cookies.items()
    assert set(fresh) == {*cookies, "m4"}
    assert served(serving, fresh) == {name: name for name in fresh}

    # The same member in the configuration that follows, as the next reload has it, gives the same cookie.
    exchange(serving, [backends[name] for name in ("m4", "m1", "m2", "m3")])
    assert served(serving, fresh) == {name: name for name in fresh}
    assert inserted(serving) == fresh


def test_a_cookie_of_a_member_that_went_leads_to_another_and_is_renewed(serving: Serving, backends: dict[str, HttpBackend]) -> None:
    gone = inserted(serving)["m1"]
    exchange(serving, [backends["m2"], backends["m3"]])
    answer = serving.fetch("cookie", headers={"Cookie": gone})
    assert answer.name in {"m2", "m3"}
    renewed = (answer.header("Set-Cookie") or "").partition(";")[0]
    assert renewed != gone
    assert {serving.fetch("cookie", headers={"Cookie": renewed}).name for _ in range(4)} == {answer.name}


def test_a_drained_member_keeps_who_has_its_cookie(serving: Serving, backends: dict[str, HttpBackend]) -> None:
    """Weight 0: nobody new, but who is known stays (4.2 option persist; 5.2 weight)."""
    cookies = inserted(serving)
    who = clients()
    first = by_source(serving, "source", who)
    described = [{**part, "members": [drained(part, "m1"), *part["members"][1:]]} for part in pools(list(backends.values())[:3])]
    exchange(serving, (), described)
    assert served(serving, cookies) == {name: name for name in cookies}
    assert by_source(serving, "source", who) == first
    assert {serving.fetch("cookie").name for _ in range(8)} == {"m2", "m3"}
    assert set(by_source(serving, "source", clients()).values()) == {"m2", "m3"}


def drained(part: Part, name: str) -> Part:
    return next({**described, "weight": 0} for described in part["members"] if described["name"] == name)


def test_address_and_port_decide_together(serving: Serving) -> None:
    address = serving.address("address-and-port")

    def who(port: int) -> str | None:
        """Over a connection from just this port; it is ended by a reset, so that the port may be used again at once."""
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.bind(("127.0.5.77", port))
            connection.connect(address)
            connection.sendall(request_bytes())
            answer = connection.makefile("rb").read()
        return next((name for name in NAMES if f'"name": "{name}"'.encode() in answer), None)

    ports = range(20000, 20040)
    first = {port: who(port) for port in ports}
    assert set(first.values()) == {"m1", "m2", "m3"}
    for _ in range(2):
        assert {port: who(port) for port in ports} == first


def test_a_connection_that_is_idle_at_a_reload_is_answered_once_more(serving: Serving, backends: dict[str, HttpBackend]) -> None:
    """Closing it at once would race with the request that its client may be sending."""
    with serving.connect("cookie") as connection:
        kept = request_bytes(headers={"Connection": "keep-alive"})
        assert connection.exchange(kept).header("Connection") != "close"
        exchange(serving, list(backends.values())[:2])
        last = connection.exchange(kept)
        assert (last.status, last.header("Connection")) == (200, "close")
