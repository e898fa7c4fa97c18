"""Who moves between two graphs: counted against picking each client by itself, and told with its reasons."""

from __future__ import annotations

import ipaddress
import json
from array import array
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import compiler
from compiler.graph import LoadBalancer
from compiler.identity import server_ids
from compiler.move_counts import Clients
from compiler.moves import Moves, PoolMoves, Side, families, moves
from compiler.picking import Client, pick
from compiler.target import Target

V4 = [f"10.{n % 7}.{n // 256 % 256}.{n % 256}" for n in range(0, 90_000, 300)]
V6 = [f"2001:db8:{n:x}::{n * 77 % 65536:x}" for n in range(300)]
PORTS = [32768 + n * 97 % 32768 for n in range(300)]
SAMPLE = {
    4: Clients(b"".join(ipaddress.ip_address(each).packed for each in V4), array("H", PORTS)),
    6: Clients(b"".join(ipaddress.ip_address(each).packed for each in V6), array("H", PORTS)),
}


def uuid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-{number * 7919:012x}"


def member(number: int, **fields: Any) -> dict[str, Any]:
    return {"id": uuid(number), "name": f"m{number}", "address": f"192.0.2.{number}", "protocol_port": 80, **fields}


def members(*numbers: int) -> list[dict[str, Any]]:
    return [member(number) for number in numbers]


def lb(pool: dict[str, Any], listener: dict[str, Any] | None = None, **fields: Any) -> LoadBalancer:
    udp = pool.get("protocol") == "UDP"
    described = {
        "name": "lb",
        "vip_address": "198.51.100.1",
        "listeners": [
            {"name": "web", "protocol": "UDP" if udp else "HTTP", "protocol_port": 80, "default_pool": {"name": "pool"}, **(listener or {})}
        ],
        "pools": [{"name": "pool", "protocol": "HTTP", "lb_algorithm": "SOURCE_IP", **pool}],
        **fields,
    }
    return compiler.load(json.dumps({"loadbalancer": described}))


def compare(old: LoadBalancer, new: LoadBalancer, *, on: tuple[str, str] = ("2.6.12", "2.6.12"), fresh: bool = False) -> Moves:
    one, other = (Side(graph, Target.parse(f"haproxy={version}")) for graph, version in zip((old, new), on, strict=True))
    return moves(one, other, {family: SAMPLE[family] for family in families(one, other)}, fresh=fresh)


def of_pool(old: dict[str, Any], new: dict[str, Any], **options: Any) -> PoolMoves:
    [found] = compare(lb(old), lb(new), **options).pools
    return found


def one_by_one(graph: LoadBalancer, version: str = "2.6.12", addresses: list[str] = V4) -> list[str | None]:
    """The member that each client gets, as `hydria where` finds it."""
    pool, listener, target = graph.pools[0], graph.listeners[0], Target.parse(f"haproxy={version}")
    found = [pick(pool, listener, Client(address=each, port=port), target).member for each, port in zip(addresses, PORTS, strict=True)]
    return [each.id if each else None for each in found]


fields = st.fixed_dictionaries(
    {"weight": st.integers(0, 6), "backup": st.booleans(), "admin_state_up": st.sampled_from([True, True, False])}
)
pools = st.fixed_dictionaries(
    {
        "protocol": st.sampled_from(["HTTP", "UDP"]),
        "lb_algorithm": st.sampled_from(["SOURCE_IP", "SOURCE_IP_PORT"]),
        "hash": st.sampled_from(["consistent", "map"]),
    }
)
drawn_members = st.dictionaries(st.integers(1, 12), fields, min_size=1, max_size=8).map(
    lambda drawn: [member(number, **extra) for number, extra in drawn.items()]
)


@settings(max_examples=40, deadline=None)
@given(pools, pools, drawn_members, drawn_members)
def test_moves_and_loads_are_those_of_clients_picked_one_by_one(
    old: dict[str, Any], new: dict[str, Any], old_members: list[Any], new_members: list[Any]
) -> None:
    new["protocol"] = old["protocol"]
    if new["protocol"] == "UDP":
        for each in (*old_members, *new_members):
            del each["backup"]
    graphs = lb({**old, "members": old_members}), lb({**new, "members": new_members})
    [found] = compare(*graphs, fresh=True).pools
    before, after = map(one_by_one, graphs)
    for case in found.cases:
        assert case.moved == sum(one != other for one, other in zip(before, after, strict=True))
        assert {load.object.id: load.before for load in case.members if load.before} == {
            key: before.count(key) for key in {*before} - {None}
        }
        assert {load.object.id: load.after for load in case.members if load.after} == {key: after.count(key) for key in {*after} - {None}}
    assert len(found.cases) == 1 or (not found.cases and {*before, *after} == {None})


def test_of_a_consistent_hash_only_the_clients_of_who_goes_move() -> None:
    old, new = members(*range(1, 11)), members(*range(1, 5), *range(6, 11))
    found = of_pool({"members": old}, {"members": new})
    [case] = found.cases
    assert case.moved == one_by_one(lb({"members": old})).count(uuid(5)) > 0
    assert case.least_share == pytest.approx(0.1)
    assert found.reasons == ("gone: m5",)
    assert [load.object.name for load in case.members] == [*(each["name"] for each in new), "m5"]
    assert (case.members[-1].after, case.members[-1].due_after) == (None, None)


def test_balance_is_the_greatest_load_by_what_is_due() -> None:
    [case] = of_pool({"members": members(1, 2)}, {"members": [member(1, weight=3), member(2)]}).cases
    assert [load.due_after for load in case.members] == [225, 75]
    assert case.balance_after == pytest.approx(max((load.after or 0) / due for load, due in zip(case.members, (225, 75), strict=True)))
    assert case.least_share == pytest.approx(0.25)


@pytest.mark.parametrize(("old", "new"), [("2.6", "3.0.11"), ("2.8.5", "3.2.6"), ("3.0.11", "3.2.7")])
def test_a_haproxy_that_hashes_ids_otherwise_moves_nobody(old: str, new: str) -> None:
    described = {"members": members(*range(1, 31))}
    found = of_pool(described, described, on=(old, new))
    assert [case.moved for case in found.cases] == [0]
    assert found.reasons == ()
    assert one_by_one(lb(described), old) == one_by_one(lb(described), new)


def test_a_version_that_leaves_it_open_is_told_both_ways() -> None:
    described = {"members": members(*range(1, 31))}
    found = of_pool(described, described, on=("2.6", "3.0"))
    assert [case.moved == 0 for case in found.cases] == [True, False]
    assert [case.when for case in found.cases] == [
        "HAProxy 3.0 in a release that takes server ids as they are",
        "HAProxy 3.0 in a release that hashes server ids once more",
    ]
    assert "may make" in found.reasons[0]
    same = of_pool(described, described, on=("3.0", "3.0"))
    assert [case.moved for case in same.cases] == [0, 0]
    assert same.reasons == ()
    assert len(of_pool(described, described, on=("3.0", "3.2")).cases) == 4
    mapped = {**described, "hash": "map"}
    assert [(case.when, case.moved) for case in of_pool(mapped, mapped, on=("2.6", "3.0")).cases] == [("", 0)]


def test_server_ids_stay_with_who_has_them_unless_started_fresh() -> None:
    # Two ids that end alike: the smaller wins, unless the other has it already.
    late, early = "f0000000-0000-4000-8000-00000001abcd", "10000000-0000-4000-8000-00000001abcd"
    assert server_ids([late])[late] == server_ids([early])[early] == server_ids([late, early])[early]
    old = {"members": [*members(1, 2), {**member(3), "id": late}]}
    new = {"members": [*old["members"], {**member(4), "id": early}]}
    kept, fresh = of_pool(old, new), of_pool(old, new, fresh=True)
    assert kept.reasons == ("new: m4",)
    assert fresh.reasons == ("new: m4", "another server id, without those of OLD: m3")
    gained = kept.cases[0].members[-1].after
    assert kept.cases[0].moved == gained
    assert (fresh.cases[0].moved or 0) > (fresh.cases[0].members[-1].after or 0)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ({}, {"hash": "map"}, "hash was consistent, is map"),
        ({}, {"lb_algorithm": "SOURCE_IP_PORT"}, "lb_algorithm was SOURCE_IP, is SOURCE_IP_PORT"),
        ({}, {"members": [member(1, weight=200), *members(2, 3)]}, "HAProxy's weights were 64 times those of the graph, are 1 times"),
        ({}, {"members": [member(1, weight=0), *members(2, 3)]}, "weight: m1 1 → 0"),
        ({}, {"members": [member(1, admin_state_up=False), *members(2, 3)]}, "disabled: m1"),
        ({"members": [member(1, admin_state_up=False), *members(2, 3)]}, {}, "enabled: m1"),
        ({}, {"members": [member(1, backup=True), *members(2, 3)]}, "a backup now: m1"),
        ({"hash": "map"}, {"hash": "map", "members": members(3, 2, 1)}, "the order of members, which counts here"),
        ({}, {"members": [{**member(9), "address": "192.0.2.1"}, *members(2, 3)]}, "another id at the same address and port, so another"),
        ({}, {"members": members(*range(1, 12))}, "new: m4, m5, m6, m7, m8 and 3 more"),
    ],
)
def test_what_moves_clients_is_named(old: dict[str, Any], new: dict[str, Any], reason: str) -> None:
    found = of_pool({"members": members(1, 2, 3), **old}, {"members": members(1, 2, 3), **new})
    assert any(each.startswith(reason) for each in found.reasons), found.reasons
    assert found.cases[0].moved


@pytest.mark.parametrize("change", [{"members": members(3, 1, 2)}, {"members": [{**member(1), "address": "192.0.2.77"}, *members(2, 3)]}])
def test_order_and_addresses_move_nobody_on_a_ring(change: dict[str, Any]) -> None:
    found = of_pool({"members": members(1, 2, 3)}, change)
    assert (found.cases[0].moved, found.reasons) == (0, ())


@pytest.mark.parametrize("hashed", ["consistent", "map"])
def test_lvs_keeps_the_order_of_who_stays(hashed: str) -> None:
    udp = {"protocol": "UDP", "hash": hashed}
    old, new = {**udp, "members": members(1, 2, 3, 4)}, {**udp, "members": members(4, 3, 2, 1)}
    assert of_pool(old, new).cases[0].moved == 0
    fresh = of_pool(old, new, fresh=True)
    assert fresh.reasons == ("the order of members, which counts here",)
    assert fresh.cases[0].moved
    # Who comes is last, wherever the graph has it.
    came = of_pool(old, {**udp, "members": members(5, 1, 2, 3, 4)}).cases[0]
    at_the_end = of_pool(old, {**udp, "members": members(1, 2, 3, 4, 5)}, fresh=True).cases[0]
    assert came.moved == at_the_end.moved
    assert (came.members[0].object.name, came.members[0].after) == ("m1", at_the_end.members[0].after)


def test_of_a_real_server_that_is_drained_only_its_clients_move() -> None:
    udp = {"protocol": "UDP"}
    old = {**udp, "members": members(*range(1, 9))}
    drained = of_pool(old, {**udp, "members": [member(1, weight=0), *members(*range(2, 9))]}).cases[0]
    assert drained.moved == drained.members[0].before
    assert drained.members[0].after == 0


def test_a_real_server_that_moves_is_another_to_the_kernel() -> None:
    udp = {"protocol": "UDP", "hash": "map"}
    old, new = members(1, 2, 3), [{**member(1), "address": "192.0.2.77"}, *members(2, 3)]
    found = of_pool({**udp, "members": old}, {**udp, "members": new})
    assert found.reasons == ("elsewhere: m1",)
    last = of_pool({**udp, "members": old}, {**udp, "members": [*new[1:], new[0]]}, fresh=True)
    assert found.cases[0].moved == last.cases[0].moved != 0


def test_lvs_is_told_for_each_family_haproxy_for_both_together() -> None:
    both: dict[str, Any] = {"additional_vips": [{"ip_address": "2001:db8::1"}]}
    six = [{**member(number), "address": f"2001:db8::{number}"} for number in (4, 5)]
    pool = {"protocol": "UDP", "members": [*members(1, 2, 3), *six]}
    [found] = compare(lb(pool, **both), lb({**pool, "members": pool["members"][1:]}, **both)).pools
    assert [(case.when, case.clients, bool(case.moved)) for case in found.cases] == [
        ("IPv4 clients", 300, True),
        ("IPv6 clients", 300, False),
    ]
    web = lb({"members": members(1, 2, 3)}, **both)
    [case] = compare(web, lb({"members": members(1, 2)}, **both)).pools[0].cases
    expected = [*one_by_one(web), *one_by_one(web, addresses=V6)].count(uuid(3))
    assert (case.clients, case.moved) == (600, expected)


def test_clients_come_from_the_families_that_both_have() -> None:
    four, six = lb({}), lb({}, vip_address="2001:db8::1")
    both = lb({}, additional_vips=[{"ip_address": "2001:db8::1"}])
    sides = {name: Side(graph, Target()) for name, graph in (("four", four), ("six", six), ("both", both))}
    assert families(sides["both"], sides["four"]) == families(sides["four"], sides["both"]) == (4,)
    assert families(sides["both"], sides["both"]) == (4, 6)
    assert families(sides["four"], sides["six"]) == (6,)
    assert families(*[Side(both, Target(bind_address="127.0.0.1"))] * 2) == (4,)


def test_pools_are_matched_by_id_then_by_name() -> None:
    old = {"id": uuid(100), "members": members(1, 2)}
    renamed = compare(lb(old), lb({**old, "name": "other"}, {"default_pool": {"name": "other"}}))
    assert [pool.matched_by for pool in renamed.pools] == ["id"]
    assert renamed.rerouted == ()
    again = compare(lb(old), lb({**old, "id": uuid(101)}))
    assert [pool.matched_by for pool in again.pools] == ["name"]
    assert again.pools[0].cases[0].moved == 0
    assert again.rerouted == ()
    other = compare(lb(old), lb({**old, "id": uuid(101), "name": "other"}, {"default_pool": {"name": "other"}}))
    assert [(pool.matched_by, pool.before is None, pool.after is None) for pool in other.pools] == [
        (None, True, False),
        (None, False, True),
    ]
    assert [pool.reasons for pool in other.pools] == [("nothing led to it before",), ("nothing leads to it any more",)]
    assert [pool.cases[0].moved for pool in other.pools] == [None, None]
    [rerouted] = other.rerouted
    assert (rerouted.before.id if rerouted.before else "", rerouted.after.id if rerouted.after else "") == (uuid(100), uuid(101))


def test_pools_that_are_not_hashed_are_only_named() -> None:
    turns = {"lb_algorithm": "ROUND_ROBIN", "members": members(1, 2)}
    found = compare(lb(turns), lb(turns))
    assert (found.pools, [ref.name for ref in found.not_hashed]) == ((), ["pool"])
    became = of_pool(turns, {"members": members(1, 2)})
    assert became.before == "ROUND_ROBIN: each connection is decided anew"
    assert (became.cases[0].moved, became.cases[0].balance_before) == (None, None)
    assert became.cases[0].balance_after
    assert became.reasons == ("lb_algorithm was ROUND_ROBIN, is SOURCE_IP",)


@pytest.mark.parametrize("fields", [{"admin_state_up": False}, {"listeners": []}])
def test_pools_that_nobody_gets_to_do_not_count(fields: dict[str, Any]) -> None:
    graph = lb({"members": members(1, 2)}, **fields)
    assert compare(graph, graph) == Moves(pools=(), rerouted=(), not_hashed=())


@pytest.mark.parametrize(
    ("old", "new", "protocol", "words"),
    [
        (None, None, "HTTP", ""),
        ("SOURCE_IP", "SOURCE_IP", "HTTP", "SOURCE_IP persistence keeps clients whose addresses the stick table holds"),
        ("HTTP_COOKIE", "HTTP_COOKIE", "HTTP", "keeps clients that send their cookie"),
        ("APP_COOKIE", "APP_COOKIE", "HTTP", "values of the cookie k"),
        ("SOURCE_IP", "SOURCE_IP", "UDP", "in the last 360 s"),
        (None, "SOURCE_IP", "HTTP", "SOURCE_IP persistence is new"),
        ("HTTP_COOKIE", "SOURCE_IP", "HTTP", "SOURCE_IP persistence in place of HTTP_COOKIE"),
        ("SOURCE_IP", None, "HTTP", "SOURCE_IP persistence ends"),
    ],
)
def test_what_keeps_clients_is_told(old: str | None, new: str | None, protocol: str, words: str) -> None:
    def pool(kind: str | None) -> dict[str, Any]:
        cookie = {"cookie_name": "k"} if kind == "APP_COOKIE" else {}
        return {"protocol": protocol, "members": members(1, 2)} | ({"session_persistence": {"type": kind, **cookie}} if kind else {})

    said = of_pool(pool(old), pool(new)).persistence
    assert words in said
    assert bool(words) == bool(said)
