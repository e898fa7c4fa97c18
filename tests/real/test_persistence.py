"""Session persistence and source hashing through real HAProxy: a client keeps its member."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from support.graphs import listener, member, pool
from support.serving import serve

from hydria.lab.backends import EchoBackend, HttpBackend

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.serving import Serving

    from agent.haproxy import Haproxy

CLIENTS = [f"127.0.{third}.{fourth}" for third in (0, 7) for fourth in range(10, 50)]
NAMES = ["m1", "m2", "m3", "m4"]


@pytest.fixture(scope="module")
def backends() -> Iterator[list[HttpBackend]]:
    with HttpBackend("m1") as m1, HttpBackend("m2") as m2, HttpBackend("m3") as m3, HttpBackend("m4") as m4:
        yield [m1, m2, m3, m4]


def hashed(backends: list[HttpBackend], **fields: Any) -> dict[str, Any]:
    return pool("hashed", *(member(backend, id=member_id(backend)) for backend in backends), lb_algorithm="SOURCE_IP", **fields)


def member_id(backend: HttpBackend) -> str:
    """Fixed, though the port is not: the mapping is then the same in every run."""
    return f"5eed0000-0000-4000-8000-0000000{ord(backend.name[-1]) * 7919:05x}"


@pytest.fixture(scope="module")
def serving(haproxy: Haproxy, backends: list[HttpBackend]) -> Iterator[Serving]:
    with EchoBackend("e1") as e1, EchoBackend("e2") as e2, EchoBackend("e3") as e3:
        pools = [
            pool("robin", *backends),
            pool("source-ip", *backends, session_persistence={"type": "SOURCE_IP"}),
            pool("source-ip-tcp", e1, e2, e3, protocol="TCP", session_persistence={"type": "SOURCE_IP"}),
            pool("http-cookie", *backends, session_persistence={"type": "HTTP_COOKIE"}),
            pool("app-cookie", *backends, session_persistence={"type": "APP_COOKIE", "cookie_name": "SESSION-id"}),
            pool("least", *backends, lb_algorithm="LEAST_CONNECTIONS"),
            hashed(backends),
            hashed(backends, hash="map") | {"name": "mapped"} | {"members": [member(backend) for backend in backends]},
            pool("address-and-port", *backends, lb_algorithm="SOURCE_IP_PORT"),
        ]
        listeners = [listener(part["name"], part["name"], protocol="TCP" if part["protocol"] == "TCP" else "HTTP") for part in pools]
        with serve(haproxy, listeners, pools) as serving:
            yield serving


def who_answers(serving: Serving, name: str, clients: list[str]) -> dict[str, str]:
    return {client: serving.fetch(name, source=client).name or "nobody" for client in clients}


def test_round_robin_takes_turns(serving: Serving) -> None:
    assert Counter(serving.fetch("robin").name for _ in range(12)) == dict.fromkeys(NAMES, 3)


def test_source_ip_persistence_keeps_a_client_at_its_member(serving: Serving) -> None:
    first = who_answers(serving, "source-ip", CLIENTS[:8])
    assert set(first.values()) == set(NAMES), "round robin gives the first clients to different members"
    for _ in range(2):
        assert who_answers(serving, "source-ip", CLIENTS[:8]) == first


def test_source_ip_persistence_over_tcp(serving: Serving) -> None:
    def who(client: str) -> bytes:
        with serving.connect("source-ip-tcp", source=client) as connection:
            connection.send(b"x")
            return connection.receive_line().partition(b",")[0]

    first = {client: who(client) for client in CLIENTS[:6]}
    assert len(set(first.values())) == 3
    assert {client: who(client) for client in CLIENTS[:6]} == first


def test_http_cookie_persistence_keeps_who_brings_the_cookie(serving: Serving) -> None:
    for _ in range(len(NAMES)):
        answer = serving.fetch("http-cookie")
        cookie = (answer.header("Set-Cookie") or "").partition(";")[0]
        assert "=" in cookie
        assert {serving.fetch("http-cookie", headers={"Cookie": f"other=1; {cookie}"}).name for _ in range(5)} == {answer.name}
    assert len({serving.fetch("http-cookie").name for _ in range(8)}) == len(NAMES), "who brings none takes turns"


def test_http_cookie_is_not_shown_to_the_member(serving: Serving) -> None:
    cookie = (serving.fetch("http-cookie").header("Set-Cookie") or "").partition(";")[0]
    headers = serving.fetch("http-cookie", headers={"Cookie": f"mine=1; {cookie}"}).json()["headers"]
    assert [value for name, value in headers if name.lower() == "cookie"] == ["mine=1"]


def test_app_cookie_persistence_follows_the_applications_cookie(serving: Serving) -> None:
    for number in range(len(NAMES)):
        session = f"SESSION-id=s{number}"
        first = serving.fetch("app-cookie", headers={"X-Lab-Set-Cookie": f"{session}; Path=/"})
        assert {serving.fetch("app-cookie", headers={"Cookie": f"x=1; {session}"}).name for _ in range(5)} == {first.name}
    assert len({serving.fetch("app-cookie").name for _ in range(8)}) == len(NAMES), "who brings none takes turns"


def test_least_connections_prefers_the_idle(serving: Serving) -> None:
    assert len({serving.fetch("least").name for _ in range(12)}) == len(NAMES)


@pytest.mark.parametrize("name", ["hashed", "mapped"])
def test_source_hash_gives_a_client_always_the_same_member(serving: Serving, name: str) -> None:
    first = who_answers(serving, name, CLIENTS)
    assert set(first.values()) == set(NAMES)
    assert who_answers(serving, name, CLIENTS) == first


def test_source_hash_over_the_port_spreads_one_client(serving: Serving) -> None:
    assert len({serving.fetch("address-and-port", source="127.0.0.9").name for _ in range(60)}) == len(NAMES)


def test_map_is_the_address_modulo_the_number_of_members(serving: Serving) -> None:
    """The mapping of Octavia's amphora: equal weights make the map the members in their order."""
    for client, name in who_answers(serving, "mapped", CLIENTS[:12]).items():
        number = int.from_bytes(bytes(map(int, client.split("."))), "big")
        assert name == NAMES[number % len(NAMES)]


def test_removing_a_member_moves_only_its_own_clients(haproxy: Haproxy, backends: list[HttpBackend]) -> None:
    listeners = [listener("hashed", "hashed")]
    with serve(haproxy, listeners, [hashed(backends)]) as serving:
        before = who_answers(serving, "hashed", CLIENTS)
        ids = serving.server_ids("hashed", "hashed")
        for gone in NAMES:
            left = [backend for backend in backends if backend.name != gone]
            serving.reload(listeners, [hashed(left)])
            after = who_answers(serving, "hashed", CLIENTS)
            moved = {client for client in CLIENTS if after[client] != before[client]}
            assert moved == {client for client in CLIENTS if before[client] == gone}
            assert serving.server_ids("hashed", "hashed") == {name: number for name, number in ids.items() if name != gone}


def test_order_of_members_moves_nobody(haproxy: Haproxy, backends: list[HttpBackend]) -> None:
    listeners = [listener("hashed", "hashed")]
    with serve(haproxy, listeners, [hashed(backends)]) as serving:
        before = who_answers(serving, "hashed", CLIENTS)
        serving.reload(listeners, [hashed(backends[::-1])])
        assert who_answers(serving, "hashed", CLIENTS) == before
