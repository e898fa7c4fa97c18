"""What `plan` foretells is what a reload of real HAProxy does: exactly the clients that it counts come to another member."""

from __future__ import annotations

import ipaddress
from array import array
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from support.graphs import listener, member, pool
from support.serving import serve

from compiler.move_counts import Clients
from compiler.moves import Moves, Side, families, moves
from hydria.lab.backends import HttpBackend

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from support.graphs import Part
    from support.serving import Serving

    from agent.haproxy import Haproxy

pytestmark = pytest.mark.third_haproxy

CLIENTS = [f"127.{second}.{third}.{fourth}" for second in (0, 9, 200) for third in (1, 66) for fourth in range(2, 254, 4)]
NAMES = "abcdefgh"


@pytest.fixture(scope="module")
def backends() -> Iterator[list[HttpBackend]]:
    with ExitStack() as stack:
        yield [stack.enter_context(HttpBackend(name)) for name in NAMES]


@pytest.fixture(scope="module")
def running(haproxy: Haproxy) -> Iterator[Serving]:
    with serve(haproxy, [listener("web", "web")], [pool("web")]) as serving:
        yield serving


def seen(serving: Serving) -> list[str]:
    """Who answers each client."""
    names = [serving.fetch("web", source=client).name for client in CLIENTS]
    assert None not in names
    return [name or "" for name in names]


def foretold(old: Side, new: Side, clients: Sequence[str]) -> Moves:
    assert families(old, new) == (4, 6)
    packed = b"".join(ipaddress.ip_address(client).packed for client in clients)
    return moves(old, new, {4: Clients(packed, array("H", [0]) * len(clients))})


CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "one goes": ({"names": "abcdef"}, {"names": "abdef"}),
    "two come": ({"names": "abcdef"}, {"names": "gabcdefh"}),
    "one is drained": ({"names": "abcdef"}, {"names": "abcdef", "b": {"weight": 0}}),
    "one is disabled": ({"names": "abcdef"}, {"names": "abcdef", "e": {"admin_state_up": False}}),
    "one weighs more": ({"names": "abcdef"}, {"names": "abcdef", "a": {"weight": 4}}),
    "one weighs so much that all weigh otherwise": ({"names": "abcdef"}, {"names": "abcdef", "a": {"weight": 30}}),
    "only backups are left": (
        {"names": "abcdef", "e": {"backup": True}, "f": {"backup": True}},
        {"names": "ef", "e": {"backup": True}, "f": {"backup": True, "weight": 3}},
    ),
    "another order": ({"names": "abcdef"}, {"names": "fbdcea"}),
    "one goes from a map": ({"names": "abcdef", "hash": "map"}, {"names": "abdef", "hash": "map"}),
    "a map in another order": ({"names": "abcdef", "hash": "map"}, {"names": "abcdfe", "hash": "map"}),
    "a ring in place of a map": ({"names": "abcdef", "hash": "map"}, {"names": "abcdef"}),
}


def described(backends: list[HttpBackend], names: str, **fields: Any) -> list[Part]:
    by_name = {backend.name: backend for backend in backends}
    listed = [member(by_name[name], **fields.pop(name, {})) for name in names]
    return [pool("web", *listed, lb_algorithm="SOURCE_IP", **fields)]


@pytest.mark.parametrize("change", CHANGES)
def test_exactly_the_clients_that_are_foretold_move(running: Serving, backends: list[HttpBackend], change: str) -> None:
    sides, answers = [], []
    for fields in CHANGES[change]:
        running.reload([listener("web", "web")], described(backends, **fields))
        sides.append(Side(running.graph, running.target))
        answers.append(seen(running))
    old, new = sides
    before, after = answers

    [found] = foretold(old, new, CLIENTS).pools
    [case] = found.cases
    assert case.clients == len(CLIENTS) >= 300
    assert {load.object.name: load.before for load in case.members if load.before} == {name: before.count(name) for name in set(before)}
    assert {load.object.name: load.after for load in case.members if load.after} == {name: after.count(name) for name in set(after)}

    # Not only as many: the very same ones, each asked about by itself.
    mistaken = [
        client
        for client, one, other in zip(CLIENTS, before, after, strict=True)
        if foretold(old, new, [client]).pools[0].cases[0].moved != (one != other)
    ]
    assert mistaken == []
    assert case.moved == sum(one != other for one, other in zip(before, after, strict=True))
    assert bool(case.moved) == (change != "another order")
    assert bool(found.reasons) == (change != "another order")
