"""What is done to some members changes nothing about the others: not their ids, not their lines, so not which clients they get."""

from __future__ import annotations

import random
import uuid
from typing import Any

import building
import graph_parts
import graph_strategies
import haproxy_words
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from compiler.identity import server_ids
from compiler.ring_ids import PLACES
from compiler.weights import ring_factor
from fastpath.places import is_place

few = settings(max_examples=100, deadline=None)


def with_members(members: list[Any]) -> Any:
    pool = {"name": "web", "protocol": "HTTP", "lb_algorithm": "SOURCE_IP", "members": members}
    listener = {"protocol": "HTTP", "protocol_port": 80, "default_pool": {"name": "web"}}
    return {"loadbalancer": {"name": "lb", "vip_address": "203.0.113.10", "listeners": [listener], "pools": [pool]}}


def server_lines(members: list[Any], previous: dict[str, int] | None = None) -> dict[str, str]:
    """Address and port of each member → its line."""
    text = building.configuration(building.build(with_members(members), previous=previous))
    found = (haproxy_words.words(line) for line in text.split("\n") if line.strip().startswith("server "))
    return {line[2]: " ".join(line) for line in found}


def weights(members: list[Any]) -> list[int]:
    return [member.get("weight", 1) for member in members]


def running_ids(lines: dict[str, str]) -> dict[str, int]:
    """Member id → server id, of the lines of a generation."""
    return {line.split()[1]: int(line.split()[4]) for line in lines.values()}


@given(graph_parts.member_lists, st.data(), st.booleans())
@few
def test_removing_adding_and_reordering_members_changes_no_other_line(members: list[Any], data: st.DataObject, with_ids: bool) -> None:
    if with_ids:
        ids = data.draw(st.lists(graph_parts.uuids, min_size=len(members), max_size=len(members), unique_by=lambda text: text[-5:]))
        assume("00000" not in {text[-5:] for text in ids})
        members = [{**member, "id": member_id} for member, member_id in zip(members, ids, strict=True)]
    before = server_lines(members)
    numbers = running_ids(before)
    assume(all(server_ids([member_id]) == {member_id: number} for member_id, number in numbers.items()))  # nobody's first wish was taken
    kept = data.draw(st.lists(st.sampled_from(members), unique_by=lambda member: (member["address"], member["protocol_port"])))
    # The one exception: a hashed pool's weights are made larger together, in steps of the heaviest.
    assume(ring_factor(weights(members)) == ring_factor(weights(kept)))
    after = server_lines(kept)
    assert after == {place: line for place, line in before.items() if place in after}
    assert len(after) == len(kept)


#: UUIDs of which many share their last five digits.
clashing = st.builds(
    lambda high, low: str(uuid.UUID(int=(high << 20) | low)),
    st.integers(0, 2**108 - 1),
    st.sampled_from([0, 1, 2, 0xABCDE, PLACES - 1]),
)


@given(st.lists(clashing, min_size=1, max_size=12, unique=True), st.data())
@few
def test_members_whose_ids_clash_keep_their_lines_where_the_running_generation_is_known(ids: list[str], data: st.DataObject) -> None:
    members = [{"id": member_id, "address": "192.0.2.1", "protocol_port": number} for number, member_id in enumerate(ids, 1)]
    before = server_lines(members)
    kept = data.draw(st.lists(st.sampled_from(members), unique_by=lambda member: member["id"]))
    after = server_lines(kept, running_ids(before))
    assert after == {place: line for place, line in before.items() if place in after}
    assert len(after) == len(kept)


@given(st.lists(clashing, max_size=40, unique=True), st.dictionaries(clashing, st.integers(-5, PLACES + 5), max_size=8), st.data())
@few
def test_server_ids_are_valid_never_shared_and_a_function_of_the_set(ids: list[str], previous: dict[str, int], data: st.DataObject) -> None:
    order = random.Random(data.draw(st.integers(0, 2**32)))
    other = list(ids)
    order.shuffle(other)
    numbers = server_ids(ids, previous)
    assert list(numbers) == ids
    assert all(map(is_place, numbers.values()))
    assert len(set(numbers.values())) == len(ids)
    assert server_ids(other, previous) == numbers
    assert server_ids(ids) == server_ids(other) == server_ids(ids, {})


@given(graph_strategies.graphs(), st.data())
@settings(max_examples=40, deadline=None)
def test_describing_another_listener_changes_no_line_of_the_others(document: Any, data: st.DataObject) -> None:
    inside = {**document["loadbalancer"], "admin_state_up": True}
    used = {listener["protocol_port"] for listener in inside["listeners"]}
    port = data.draw(graph_parts.ports.filter(lambda number: number not in used))
    place = data.draw(st.integers(0, len(inside["listeners"])))
    more = [*inside["listeners"]]
    more.insert(place, {"protocol": "TCP", "protocol_port": port})
    before = building.configuration(building.build({"loadbalancer": inside})).split("\n\n")
    after = building.configuration(building.build({"loadbalancer": {**inside, "listeners": more}})).split("\n\n")
    assert [section.strip() for section in before if section.strip() not in {text.strip() for text in after}] == []
    assert len(after) == len(before) + 1
