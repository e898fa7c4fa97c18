"""A pair whose machines have different releases of HAProxy, as while it is upgraded machine by machine: clients keep their members.

Release 3.0 hashes server ids, 2.6 does not. Each serves the same graph at an address of its own, with real clients.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from conftest import every_haproxy
from support.driven import PORT, VIP, Driven
from support.graphs import listener, member, pool
from support.polling import eventually
from support.serving import Serving, serve

from compiler.ring_ids import id_bases
from compiler.target import Amphora, Topology
from hydria.lab.backends import HttpBackend
from hydria.lab.client import fetch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.haproxy import Haproxy

#: Both have the same VIPs, which two processes on one machine cannot bind: each listens at its own address instead. So do tests at the same time.
ADDRESSES = tuple(f"127.0.{60 + int(os.environ.get('PYTEST_XDIST_WORKER', 'gw0')[2:])}.{place}" for place in (1, 2))
CLIENTS = [f"127.{second}.{third}.9" for second in (1, 90) for third in range(250)]
NAMES = [f"m{number}" for number in range(8)]


@pytest.fixture(scope="module")
def old() -> Haproxy:
    return every_haproxy()[0]


@pytest.fixture(scope="module")
def new(old: Haproxy) -> Haproxy:
    """One whose ring is another."""
    return next(haproxy for haproxy in every_haproxy() if id_bases(haproxy.version) != id_bases(old.version))


@pytest.fixture(scope="module")
def pools() -> Iterator[list[dict[str, Any]]]:
    with ExitStack() as stack:
        backends = [stack.enter_context(HttpBackend(name)) for name in NAMES]
        yield [
            pool("hashed", *members(backends, 0), lb_algorithm="SOURCE_IP"),
            pool("mapped", *members(backends, 1), lb_algorithm="SOURCE_IP", hash="map"),
            pool("kept", *members(backends, 2), session_persistence={"type": "SOURCE_IP"}),
        ]


def members(backends: list[HttpBackend], place: int) -> list[dict[str, Any]]:
    """With ids that are the same in every run, though ports are not; of different weights."""
    return [
        member(backend, weight=1 + number % 3, id=f"5eed000{place}-0000-4000-8000-{number * 7919:07x}bcde{number:x}")
        for number, backend in enumerate(backends)
    ]


@contextmanager
def machine(program: Haproxy, number: int, pools: list[dict[str, Any]], **target: Any) -> Iterator[Serving]:
    """One of the pair."""
    pair = tuple(Amphora(id=f"amphora-{place}", address=address) for place, address in enumerate(ADDRESSES))
    mine = {"topology": Topology.ACTIVE_STANDBY, "amphora": f"amphora-{number}", "amphorae": pair, "bind_address": ADDRESSES[number]}
    listeners = [listener(part["name"], part["name"], protocol_port=8180 + place) for place, part in enumerate(pools)]
    with serve(program, listeners, pools, target=mine | target) as serving:
        yield serving


def who(serving: Serving, name: str, clients: list[str]) -> dict[str, str | None]:
    """The member that each client gets."""
    [port] = [part.protocol_port for part in serving.graph.listeners if part.name == name]
    assert serving.target.bind_address is not None
    return {client: fetch((serving.target.bind_address, port), source=client).name for client in clients}


def differing(one: dict[str, str | None], other: dict[str, str | None]) -> float:
    assert one.keys() == other.keys()
    return sum(one[client] != other[client] for client in one) / len(one)


@pytest.mark.parametrize("name", ["hashed", "mapped"])
def test_both_send_every_client_to_the_same_member(old: Haproxy, new: Haproxy, pools: list[dict[str, Any]], name: str) -> None:
    with machine(old, 0, pools) as first, machine(new, 1, pools) as second:
        ids = [serving.server_ids(name, name) for serving in (first, second)]
        assert not set(ids[0].values()) & set(ids[1].values()), "other ids: that is how it is done"
        before = who(first, name, CLIENTS)
        assert set(before.values()) == set(NAMES)
        assert differing(before, who(second, name, CLIENTS)) == 0


def test_with_the_ids_of_the_other_nearly_every_client_would_move(old: Haproxy, new: Haproxy, pools: list[dict[str, Any]]) -> None:
    """What ids as HAProxy's manual has them come to: a configuration that was made for the old release, loaded by the new one."""
    with machine(old, 0, pools) as first, machine(new, 1, pools, haproxy=old.version) as second:
        assert first.server_ids("hashed", "hashed") == second.server_ids("hashed", "hashed")
        assert differing(who(first, "hashed", CLIENTS), who(second, "hashed", CLIENTS)) > 0.7
        assert differing(who(first, "mapped", CLIENTS), who(second, "mapped", CLIENTS)) == 0, "a map knows no ids"


def test_what_persistence_knows_goes_from_release_to_release_and_back(old: Haproxy, new: Haproxy, pools: list[dict[str, Any]]) -> None:
    """As a pair is replaced: the second machine first, then the first; each newcomer learns from the one that is there."""
    clients = CLIENTS[:48]
    with machine(old, 0, pools) as first:
        with machine(old, 1, pools):
            before = who(first, "kept", clients)
        assert set(before.values()) == set(NAMES), "in turn, so that nobody is where it is by chance"
        with machine(new, 1, pools) as second:
            eventually(lambda: entries(second) >= len(clients), "the table of the old release in the new one")
            assert who(second, "kept", clients) == before
            first.process.stop(grace=0)
            with machine(new, 0, pools) as replaced:
                eventually(lambda: entries(replaced) >= len(clients), "the table of the other")
                assert who(replaced, "kept", clients) == before
    with machine(new, 1, pools) as second:
        before = who(second, "kept", clients)
        with machine(old, 0, pools) as back:
            eventually(lambda: entries(back) >= len(clients), "the table of the new release in the old one")
            assert who(back, "kept", clients) == before


def entries(serving: Serving) -> int:
    """Clients that the table of `kept` knows."""
    [line] = [line for line in serving.process.stats.ask("show table").splitlines() if serving.backend_name("kept", "kept") in line]
    return int(line.rpartition("used:")[2])


def test_an_agent_whose_haproxy_is_upgraded_moves_nobody(old: Haproxy, new: Haproxy) -> None:
    """The package is another one, and the same graph comes again."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hydria-")))
        directory.chmod(0o755)
        driven = Driven(stack, directory)
        installed = directory / "haproxy"
        installed.symlink_to(old.binary)
        driven.amphora.configure(driven.amphora.settings().replace("/usr/sbin/haproxy", str(installed)))
        driven.amphora.stop()
        driven.amphora.start()
        graph = driven.graph(3, 1, 2)

        def answering() -> dict[str, str | None]:
            with driven.amphora.traffic.entered():
                return {client: fetch((VIP, PORT), source=client).name for client in CLIENTS[:200]}

        driven.call("put_loadbalancer", graph)
        before = answering()
        assert len(set(before.values())) == 3
        installed.unlink()
        installed.symlink_to(new.binary)
        forecast = driven.call("plan_loadbalancer", graph)
        assert [case["moved"] for pool_moves in forecast.moves["pools"] for case in pool_moves["cases"]] == [0]
        driven.call("put_loadbalancer", graph)
        assert driven.amphora.stats(driven.lb).show_info()["Version"].startswith(".".join(map(str, new.version)))
        assert answering() == before
