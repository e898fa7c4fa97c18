"""Ids: stable for objects that come without one, and numbers for servers that nobody else's coming and going changes."""

from __future__ import annotations

import itertools
import json
import random
import uuid
from typing import Any

import compiler
from compiler.graph import LoadBalancer
from compiler.identity import server_ids
from compiler.index import walk
from compiler.ring_ids import written
from fastpath.places import is_place


def load(**fields: Any) -> LoadBalancer:
    return compiler.load(json.dumps({"vip_address": "203.0.113.10", "name": "lb", **fields}))


def pool(name: str = "web", *members: tuple[str, int], **fields: Any) -> dict[str, Any]:
    described = [{"address": address, "protocol_port": port} for address, port in members]
    return {"name": name, "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": described, **fields}


def listener(port: int, protocol: str = "HTTP", **fields: Any) -> dict[str, Any]:
    return {"protocol": protocol, "protocol_port": port, **fields}


def rule(value: str, **fields: Any) -> dict[str, Any]:
    return {"type": "PATH", "compare_type": "EQUAL_TO", "value": value, **fields}


class TestIdsOfObjects:
    def test_every_object_has_a_uuid_of_its_own(self) -> None:
        policies = [{"action": "REJECT", "rules": [rule("/a"), rule("/a"), rule("/b")]}, {"action": "REJECT", "rules": [rule("/a")]}]
        graph = load(
            listeners=[listener(80, l7policies=policies), listener(80, "UDP"), listener(80, "SCTP"), listener(81)],
            pools=[
                pool("a", ("192.0.2.1", 80), healthmonitor={"type": "TCP", "delay": 5, "timeout": 3, "max_retries": 2}),
                pool("a"),
                pool(""),
            ],
        )
        ids = [node.id for node, _ in walk(graph)]
        assert len(set(ids)) == len(ids)
        assert all(uuid.UUID(node_id).version == 5 for node_id in ids)

    def test_an_id_that_is_given_stays(self) -> None:
        given = "6F1F4C3E-0d5e-4b0f-9c53-2f1d8f0f7a11"
        assert load(id=given).id == given
        assert load(pools=[pool(id=given)]).pools[0].id == given

    def test_a_reference_to_a_pool_gets_no_id(self) -> None:
        (front,) = load(listeners=[listener(80, default_pool={"name": "web"})], pools=[pool()]).listeners
        assert front.default_pool is not None
        assert front.default_pool.id == ""

    def test_reordering_changes_no_id(self) -> None:
        policies = [{"name": name, "action": "REJECT", "rules": [rule("/a"), rule("/b", invert=True)]} for name in "ab"]
        listeners = [listener(80, l7policies=policies), listener(81), listener(80, "UDP")]
        pools = [pool("a", ("192.0.2.1", 80), ("192.0.2.2", 80)), pool("b", ("192.0.2.1", 80))]
        one = load(listeners=listeners, pools=pools)
        backwards = [{**policy, "rules": policy["rules"][::-1]} for policy in policies[::-1]]
        reversed_pools = [{**described, "members": described["members"][::-1]} for described in pools[::-1]]
        other = load(pools=reversed_pools, listeners=[listeners[2], listeners[1], listener(80, l7policies=backwards)])
        assert {node.id for node, _ in walk(one)} == {node.id for node, _ in walk(other)}

    def test_another_value_is_the_same_rule(self) -> None:
        rules = [[rule(value), rule("/b", invert=True), rule("/c", key="k", type="COOKIE")] for value in ("/a", "/x")]
        one, other = (load(listeners=[listener(80, l7policies=[{"action": "REJECT", "rules": some}])]) for some in rules)
        assert [node.id for node, _ in walk(one)] == [node.id for node, _ in walk(other)]

    def test_what_else_is_said_about_an_object_changes_no_id(self) -> None:
        plain = load(listeners=[listener(80)], pools=[pool("a", ("192.0.2.1", 80))])
        more = load(
            description="d",
            listeners=[listener(80, name="front", protocol="TERMINATED_HTTPS", connection_limit=5), listener(81)],
            pools=[{**pool("a", ("192.0.2.1", 80)), "lb_algorithm": "SOURCE_IP"}, pool("b")],
        )
        assert plain.listeners[0].id == more.listeners[0].id
        assert plain.pools[0].id == more.pools[0].id
        assert plain.pools[0].members[0].id == more.pools[0].members[0].id

    def test_another_load_balancer_has_other_ids(self) -> None:
        mine, theirs = (load(name=name, listeners=[listener(80)], pools=[pool()]) for name in ("a", "b"))
        assert not {node.id for node, _ in walk(mine)} & {node.id for node, _ in walk(theirs)}

    def test_a_load_balancer_without_a_name_is_known_by_its_address(self) -> None:
        assert load(name="").id == load(name="", description="other").id
        assert load(name="").id != load(name="", vip_address="203.0.113.11").id


def member(low: int, high: int = 0) -> str:
    """A UUID of which the lowest 20 bits are these."""
    return str(uuid.UUID(int=(high << 20) | low))


class TestServerIds:
    def test_without_a_clash_everybody_has_the_last_five_digits(self) -> None:
        assert server_ids([member(5), member(0xFFFFF, 7)]) == {member(5): 5, member(0xFFFFF, 7): 0xFFFFF}
        assert server_ids([]) == {}

    def test_where_these_are_no_place_another_is_theirs_alone(self) -> None:
        ids = [member(number) for number in range(1, 200)]
        together = server_ids(ids)
        assert len(set(together.values())) == len(ids)
        assert together == {one: server_ids([one])[one] for one in ids}, "also of ids in a row, nobody's depends on who else is there"
        assert together[member(3)] == 3
        assert together[member(6)] != 6

    def test_nobody_is_zero(self) -> None:
        assert server_ids([member(0)])[member(0)] != 0

    def test_of_two_that_clash_the_smaller_keeps_its_wish(self) -> None:
        small, great = member(11, 1), member(11, 2)
        assert server_ids([great, small]) == {great: 2, small: 11}

    def test_who_needs_none_of_its_digits_takes_the_next_that_is_free(self) -> None:
        ids = [str(uuid.UUID(f"{digits}{digits}{digits}{digits}{digits}{digits}00"[:32])) for digits in ("00001",)]
        first, second = ids[0][:-5] + "00001", ids[0][:-6] + "100001"
        numbers = server_ids([first, second])
        assert len(set(numbers.values())) == 2
        assert all(map(is_place, numbers.values()))

    def test_the_order_does_not_matter(self) -> None:
        ids = [member(low, high) for low in (0, 1, 2) for high in (0, 1, 2)]
        expected = server_ids(ids)
        for order in itertools.islice(itertools.permutations(ids), 0, None, 997):
            assert server_ids(order) == expected

    def test_previous_numbers_are_kept(self) -> None:
        small, great = member(11, 1), member(11, 2)
        assert server_ids([small, great], {great: 11}) == {great: 11, small: 1}
        assert server_ids([small], {small: 77}) == {small: 77}

    def test_previous_numbers_are_kept_whichever_haproxy_they_were_written_for(self) -> None:
        ids = [member(number, 3 * number) for number in range(200)]
        places = server_ids(ids, {ids[0]: 77})
        for version in ((2, 6), (3, 0, 11)):
            assert server_ids(ids, written(places, version)) == places

    def test_a_previous_number_beats_the_wish_of_somebody_new(self) -> None:
        old, new = member(5), member(11)
        assert server_ids([old, new], {old: 11})[old] == 11

    def test_a_previous_number_that_cannot_be_is_no_number(self) -> None:
        for number in (0, -1, 6, 2**20, 2**31, 2**40):
            assert server_ids([member(5)], {member(5): number}) == {member(5): 5}

    def test_two_with_one_previous_number_do_not_share_it(self) -> None:
        numbers = server_ids([member(5), member(7)], {member(5): 11, member(7): 11})
        assert sorted(numbers.values()) == [7, 11]

    def test_previous_members_that_are_gone_hold_nothing(self) -> None:
        assert server_ids([member(5)], {member(6): 5}) == {member(5): 5}

    def test_letters_of_either_case_are_the_same_digits(self) -> None:
        assert server_ids([member(0xABCDE).upper()]) == {member(0xABCDE).upper(): 0xABCDE}

    def test_many_never_share(self) -> None:
        order = random.Random(1)
        ids = [str(uuid.UUID(int=order.getrandbits(128))) for _ in range(20_000)]
        numbers = server_ids(ids)
        assert len(set(numbers.values())) == len(ids)
        assert all(map(is_place, numbers.values()))
        wishes = {member_id: number for member_id in ids if is_place(number := int(member_id[-5:], 16))}
        assert 9_700 < len(wishes) < 10_300
        assert sum(numbers[member_id] == number for member_id, number in wishes.items()) > 9_500  # some clash by chance
