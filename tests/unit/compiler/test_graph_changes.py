"""What two graphs differ in, object by object."""

from __future__ import annotations

import json
from typing import Any

import compiler
from compiler.graph_changes import FieldChange, ObjectChange, graph_changes


def graph(**changes: Any) -> dict[str, Any]:
    return {
        "name": "lb",
        "vip_address": "192.0.2.1",
        "listeners": [
            {
                "name": "web",
                "protocol": "HTTP",
                "protocol_port": 80,
                "default_pool": {"name": "app"},
                "l7policies": [{"name": "p", "action": "REJECT", "rules": [{"type": "PATH", "compare_type": "EQUAL_TO", "value": "/x"}]}],
            }
        ],
        "pools": [
            {
                "name": "app",
                "protocol": "HTTP",
                "lb_algorithm": "ROUND_ROBIN",
                "members": [{"name": f"m{n}", "address": f"198.51.100.{n}", "protocol_port": 80} for n in (1, 2)],
                "healthmonitor": {"type": "HTTP", "delay": 5, "timeout": 2, "max_retries": 2},
            },
            {"name": "other", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"},
        ],
        **changes,
    }


def changed(old: dict[str, Any] | None, new: dict[str, Any]) -> list[ObjectChange]:
    before, after = (None if side is None else compiler.load(json.dumps({"loadbalancer": side})) for side in (old, new))
    assert after is not None
    return graph_changes(before, after)


def told(changes: list[ObjectChange]) -> list[tuple[str, str, str]]:
    return [(change.action, change.object.type, change.object.name or change.place) for change in changes]


def test_nothing_is_different_from_itself() -> None:
    assert changed(graph(), graph()) == []
    shown = graph(provisioning_status="ACTIVE", created_at="2020-01-01", operating_status="ONLINE")
    assert changed(shown, graph()) == []


def test_all_is_new_where_there_was_nothing() -> None:
    assert told(changed(None, graph())) == [
        ("add", "loadbalancer", "lb"),
        ("add", "listener", "web"),
        ("add", "l7policy", "p"),
        ("add", "l7rule", "PATH EQUAL_TO /x"),
        ("add", "pool", "app"),
        ("add", "healthmonitor", "HTTP"),
        ("add", "member", "m1"),
        ("add", "member", "m2"),
        ("add", "pool", "other"),
    ]


def test_members_come_go_and_change_in_their_pool() -> None:
    new = graph()
    pool = new["pools"][0]
    pool["members"] = [{**pool["members"][0], "weight": 5}, {"name": "m3", "address": "2001:db8::3", "protocol_port": 81}]
    changes = changed(graph(), new)
    assert told(changes) == [("change", "member", "m1"), ("add", "member", "m3"), ("remove", "member", "m2")]
    assert {change.within[0].name for change in changes} == {"app"}
    assert changes[0].fields == (FieldChange("weight", 1, 5),)
    assert changes[1].place == "[2001:db8::3]:81"


def test_what_goes_takes_along_what_is_part_of_it() -> None:
    assert told(changed(graph(), graph(listeners=[]))) == [
        ("remove", "listener", "web"),
        ("remove", "l7policy", "p"),
        ("remove", "l7rule", "PATH EQUAL_TO /x"),
    ]


def test_a_pool_is_the_same_wherever_it_is_described() -> None:
    old, new = graph(), graph()
    pool = {**new["pools"].pop(0), "id": "5d2f0d3e-6c1b-4a55-8d5e-0b6b7e1b6a10"}
    old["pools"][0] = pool
    new["listeners"][0]["default_pool"] = pool
    assert [change.object.type for change in changed(old, new)] == []
    new["listeners"][0]["default_pool"] = {"name": "other"}
    changes = changed(old, new)
    assert changes[0].fields == (FieldChange("default_pool", "app", "other"),)
    assert ("remove", "pool", "app") in told(changes)


def test_fields_of_fields() -> None:
    new = graph(name="shop")
    new["id"] = compiler.load(json.dumps(graph())).id
    new["pools"][0]["session_persistence"] = {"type": "HTTP_COOKIE"}
    changes = changed({**graph(), "id": new["id"]}, new)
    assert told(changes) == [("change", "loadbalancer", "shop"), ("change", "pool", "app")]
    [field] = changes[1].fields
    assert (field.field, field.before, field.after["type"]) == ("session_persistence", None, "HTTP_COOKIE")
