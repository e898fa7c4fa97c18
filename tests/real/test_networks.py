"""Real HAProxy in a network of its own: VIPs of both families, clients of both, members that nobody hears of, echoes as health checks."""

from __future__ import annotations

import shutil
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.graphs import listener, member, pool
from support.namespaces import Namespace
from support.polling import eventually
from support.serving import serve

import agent.probe
from hydria.lab.backends import HttpBackend
from hydria.lab.client import fetch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.serving import Serving

    from agent.haproxy import Haproxy
    from hydria.lab.client import Answer

VIPS = ("192.0.2.10", "192.0.2.11", "2001:db8::10", "2001:db8::11")
CLIENTS = ("198.51.100.7", "198.51.100.8", "2001:db8:c::7", "2001:db8:c::8")
FORWARDED = dict.fromkeys(("X-Forwarded-For", "X-Forwarded-Port"), "true")
#: What makes a machine answer no echoes.
IGNORING = {"IPv4": "ipv4/icmp_echo_ignore_all", "IPv6": "ipv6/icmp/echo_ignore_all"}
#: Addresses where packets vanish.
NOBODY = ("10.55.0.1", "10.55.0.2")


class Place:
    def __init__(self, namespace: Namespace, serving: Serving) -> None:
        self.namespace, self.serving = namespace, serving

    def fetch(self, name: str, **keywords: Any) -> Answer:
        with self.namespace.entered():
            return self.serving.fetch(name, **{"vip": VIPS[0], **keywords})

    def status(self, name: str) -> str:
        """Of the only member of the pool behind the listener of its name."""
        [found] = self.serving.statuses(name, name).values()
        return found.partition(" ")[0]


@contextmanager
def world(label: str) -> Iterator[Namespace]:
    with Namespace(label) as namespace:
        for address in (*VIPS, *CLIENTS):
            namespace.ip(f"address add {address}/{128 if ':' in address else 32} dev lo")
        namespace.ip("link add void type veth peer name abyss")
        for end in ("void", "abyss"):
            namespace.ip(f"link set {end} up")
        namespace.ip("route add 10.55.0.0/24 dev void")
        for address in NOBODY:
            namespace.ip(f"neigh add {address} lladdr 02:00:00:00:00:99 dev void")
        yield namespace


@pytest.fixture(scope="module")
def namespace() -> Iterator[Namespace]:
    with world("vips") as made:
        yield made


@pytest.fixture(scope="module")
def check_command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`hydria-probe` where everybody may run it, whoever installed what runs the tests."""
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    assert python, "a Python that everybody may run is needed: apt-get install python3"
    directory = Path(f"/tmp/{tmp_path_factory.mktemp('check').name}-{id(tmp_path_factory)}")
    directory.mkdir(mode=0o755)
    try:
        shutil.copy(agent.probe.__file__, directory / "probe.py")
        program = directory / "hydria-probe"
        program.write_text(f"#!{python}\nfrom probe import main\nmain()\n")
        program.chmod(0o755)
        yield str(program)
    finally:
        shutil.rmtree(directory)


@pytest.fixture(scope="module")
def place(haproxy: Haproxy, namespace: Namespace, check_command: str) -> Iterator[Place]:
    ping = {"type": "PING", "delay": 2, "timeout": 1, "max_retries": 1, "max_retries_down": 1}
    with ExitStack() as stack:
        with namespace.entered():
            web = stack.enter_context(HttpBackend("web"))
            web6 = stack.enter_context(HttpBackend("web6", address="::1"))
            silent = {"name": "silent", "protocol_port": 80}
            pools = [
                pool("web", web),
                pool("both", web, web6),
                pool("nobody", {**silent, "address": NOBODY[0]}),
                pool("nearly nobody", {**silent, "address": NOBODY[0]}, web),
                pool("ping", member(web), healthmonitor=ping),
                pool("ping6", member(web6), healthmonitor=ping),
                pool("ping elsewhere", member(web, monitor_address="192.0.2.11"), healthmonitor=ping),
                pool("ping nobody", {**silent, "address": NOBODY[1]}, healthmonitor=ping),
            ]
            listeners = [listener(part["name"], part["name"], insert_headers=FORWARDED) for part in pools]
            for part in listeners:
                if "nobody" in part["name"]:
                    part["timeout_member_connect"] = 400
            listeners += [
                listener("some", "web", allowed_cidrs=["198.51.100.7/32", "2001:db8:c::7/128"]),
                listener("some networks", "web", allowed_cidrs=["198.51.100.0/29", "2001:db8:c::8/125"]),
            ]
            vips: dict[str, Any] = {"vip_address": VIPS[0], "additional_vips": [{"ip_address": vip} for vip in VIPS[1:]]}
            serving = stack.enter_context(serve(haproxy, listeners, pools, target={"check_command": check_command}, **vips))
        yield Place(namespace, serving)


@pytest.mark.parametrize("vip", VIPS)
class TestEveryVip:
    def test_every_listener_is_on_it(self, place: Place, vip: str) -> None:
        for name in ("web", "both"):
            answer = place.fetch(name, vip=vip)
            told = {key.lower(): value for key, value in answer.json()["headers"]}
            assert answer.status == 200
            assert told["x-forwarded-port"] == str(place.serving.address(name)[1])

    def test_clients_are_told_to_the_member_as_they_are(self, place: Place, vip: str) -> None:
        for client in CLIENTS:
            if (":" in client) == (":" in vip):
                told = {key.lower(): value for key, value in place.fetch("web", vip=vip, source=client).json()["headers"]}
                assert told["x-forwarded-for"] == client

    def test_only_who_is_allowed_comes_in(self, place: Place, vip: str) -> None:
        mine = [client for client in CLIENTS if (":" in client) == (":" in vip)]
        for name, welcome in (("some", mine[:1]), ("some networks", mine[:1] if ":" not in vip else mine[1:])):
            for client in mine:
                if client in welcome:
                    assert place.fetch(name, vip=vip, source=client).status == 200
                else:
                    with pytest.raises(ConnectionError):
                        place.fetch(name, vip=vip, source=client)


def test_nothing_else_listens(place: Place) -> None:
    for address in ("127.0.0.1", "::1"):
        with place.namespace.entered(), pytest.raises(ConnectionRefusedError):
            fetch((address, place.serving.address("web")[1]))


def test_members_of_both_families_in_one_pool(place: Place) -> None:
    for vip in VIPS:
        assert {place.fetch("both", vip=vip).name for _ in range(4)} == {"web", "web6"}


def test_a_member_that_nobody_hears_of_is_given_up(place: Place) -> None:
    assert place.fetch("nobody").status == 503


def test_it_costs_time_but_not_the_answer_while_there_is_another(place: Place) -> None:
    """`option redispatch`: the last attempt goes to another server (4.2)."""
    assert {place.fetch("nearly nobody").name for _ in range(4)} == {"web"}


@pytest.fixture(scope="module")
def story(place: Place) -> dict[str, dict[str, str]]:
    """Phase → pool → status of its member."""
    pools = ("ping", "ping6", "ping elsewhere", "ping nobody")

    def phase(*down: str) -> dict[str, str]:
        expected = {name: "DOWN" if name in (*down, "ping nobody") else "UP" for name in pools}
        eventually(lambda: {name: place.status(name) for name in pools} == expected, f"{down} down, and no others")
        return {name: place.status(name) for name in pools}

    told = {"at first": phase()}
    place.namespace.sysctl(IGNORING["IPv4"], "1")
    told["IPv4 silent"] = phase("ping", "ping elsewhere")
    place.namespace.sysctl(IGNORING["IPv4"], "0")
    place.namespace.sysctl(IGNORING["IPv6"], "1")
    told["IPv6 silent"] = phase("ping6")
    place.namespace.sysctl(IGNORING["IPv6"], "0")
    told["at last"] = phase()
    return told


class TestEchoes:
    def test_a_member_that_answers_no_echo_is_down_until_it_does(self, story: dict[str, dict[str, str]]) -> None:
        assert [phase["ping"] for phase in story.values()] == ["UP", "DOWN", "UP", "UP"]
        assert [phase["ping elsewhere"] for phase in story.values()] == ["UP", "DOWN", "UP", "UP"]

    def test_over_ipv6_too(self, story: dict[str, dict[str, str]]) -> None:
        assert [phase["ping6"] for phase in story.values()] == ["UP", "UP", "DOWN", "UP"]

    def test_an_address_that_nobody_has_is_down(self, story: dict[str, dict[str, str]], place: Place) -> None:
        assert {phase["ping nobody"] for phase in story.values()} == {"DOWN"}
        assert place.fetch("ping nobody").status == 503


def test_echoes_of_a_haproxy_that_gave_up_being_root(haproxy: Haproxy, check_command: str) -> None:
    """As in production: it is nobody, and may send echoes because the system lets its group (net.ipv4.ping_group_range)."""
    ping = {"type": "PING", "delay": 2, "timeout": 1, "max_retries": 1, "max_retries_down": 1}
    with world("nobody") as namespace, ExitStack() as stack:
        with namespace.entered():
            web = stack.enter_context(HttpBackend("web"))
            target = {"check_command": check_command, "user": "nobody", "group": "nogroup"}
            serving = stack.enter_context(
                serve(haproxy, [listener("ping", "ping")], [pool("ping", web, healthmonitor=ping)], target=target)
            )
        place = Place(namespace, serving)
        eventually(lambda: place.status("ping") == "DOWN", "the end of a check that may not send echoes")
        namespace.sysctl("ipv4/ping_group_range", "0 65535")
        eventually(lambda: place.status("ping") == "UP", "its return when it may")


def test_clients_of_ipv4_on_an_ipv6_socket(haproxy: Haproxy) -> None:
    """With `bind_address` :: one socket serves both families; IPv4 clients are ::ffff:a.b.c.d there, and allowed_cidrs knows them all the same."""
    with world("mapped") as namespace, ExitStack() as stack:
        with namespace.entered():
            web = stack.enter_context(HttpBackend("web"))
            listeners = [
                listener("web", "web", insert_headers=FORWARDED),
                listener("some", "web", allowed_cidrs=["198.51.100.7/32", "2001:db8:c::7/128"]),
            ]
            serving = stack.enter_context(serve(haproxy, listeners, [pool("web", web)], target={"bind_address": "::"}))
        place = Place(namespace, serving)
        told = {key.lower(): value for key, value in place.fetch("web", vip=VIPS[0], source=CLIENTS[0]).json()["headers"]}
        assert told["x-forwarded-for"] == f"::ffff:{CLIENTS[0]}"
        for vip, allowed, denied in ((VIPS[0], *CLIENTS[:2]), (VIPS[2], *CLIENTS[2:])):
            assert place.fetch("some", vip=vip, source=allowed).status == 200
            with pytest.raises(ConnectionError):
                place.fetch("some", vip=vip, source=denied)
