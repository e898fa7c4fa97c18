"""Odd but possible graphs: what would be lost, misread or never work is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

import compiler


def told(**fields: Any) -> list[tuple[str, str, str]]:
    """(severity, path, code) of each problem of a load balancer with these fields."""
    graph = compiler.load(json.dumps({"loadbalancer": {"vip_address": "192.0.2.1", **fields}}))
    return [
        (problem.severity.value, problem.path.removeprefix("loadbalancer."), problem.code) for problem in compiler.build(graph).problems
    ]


def web(**fields: Any) -> dict[str, Any]:
    return {
        "name": "web",
        "protocol": "HTTP",
        "lb_algorithm": "ROUND_ROBIN",
        "members": [{"address": "10.0.0.1", "protocol_port": 80}],
        **fields,
    }


def listener(**fields: Any) -> dict[str, Any]:
    return {"protocol": "HTTP", "protocol_port": 80, **fields}


@pytest.mark.parametrize(
    "beside",
    [
        {"tls_enabled": True},
        {"session_persistence": {"type": "SOURCE_IP"}},
        {"admin_state_up": False},
        {"healthmonitor": {"type": "TCP", "delay": 5, "timeout": 3, "max_retries": 1}},
        {"hash": "map"},
    ],
    ids=lambda beside: next(iter(beside)),
)
def test_what_stands_beside_a_reference_is_not_lost(beside: dict[str, Any]) -> None:
    (field,) = beside
    assert told(pools=[web()], listeners=[listener(default_pool={"name": "web", **beside})]) == [
        ("error", f"listeners[0].default_pool.{field}", "conflicting-fields")
    ]


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "0::0", "0:0:0:0:0:0:0:0", "::0.0.0.0", "::ffff:0.0.0.0"])
def test_a_member_is_somewhere_and_so_is_what_is_checked(address: str) -> None:
    members = [
        {"address": "10.0.0.2", "protocol_port": 80, "monitor_address": address},
        {"address": address, "protocol_port": 80},
    ]
    assert told(pools=[web(members=members)]) == [
        ("error", "pools[0].members[0].monitor_address", "invalid-value"),
        ("error", "pools[0].members[1].address", "invalid-value"),
    ]


def test_a_vip_is_nobody_elses() -> None:
    assert told(additional_vips=[{"ip_address": "224.0.0.1"}]) == [("error", "additional_vips[0].ip_address", "invalid-value")]


def test_an_address_is_one_however_it_is_spelled() -> None:
    members = [{"address": address, "protocol_port": 80} for address in ("2001:db8::1", "2001:DB8:0::1")]
    assert told(pools=[web(members=members)]) == [("error", "pools[0].members[1].address", "duplicate-member")]


@pytest.mark.parametrize(
    ("rule", "is_told"),
    [
        ({"type": "HOST_NAME", "compare_type": "EQUAL_TO", "value": "a.example:8080"}, True),
        ({"type": "HOST_NAME", "compare_type": "REGEX", "value": "a.example:8080"}, False),
        ({"type": "HOST_NAME", "compare_type": "EQUAL_TO", "value": "a.example"}, False),
        ({"type": "PATH", "compare_type": "STARTS_WITH", "value": "/a?b"}, True),
        ({"type": "PATH", "compare_type": "STARTS_WITH", "value": "/a"}, False),
    ],
)
def test_a_rule_that_never_matches_is_told(rule: dict[str, Any], is_told: bool) -> None:
    policy = {"action": "REJECT", "rules": [rule]}
    expected = [("warning", "listeners[0].l7policies[0].rules[0].value", "not-applicable")] * is_told
    assert told(listeners=[listener(l7policies=[policy])]) == expected


@pytest.mark.parametrize("mask", ["0.0.0.255", "0.0.0.0", "255.0.255.0", "0", "129", "x", "255.255.255"])
def test_a_granularity_is_ones_and_then_zeros(mask: str) -> None:
    persistence = {"type": "SOURCE_IP", "persistence_granularity": mask}
    found = told(pools=[web(protocol="UDP", session_persistence=persistence)])
    assert found == [("error", "pools[0].session_persistence.persistence_granularity", "invalid-value")]


@pytest.mark.parametrize("mask", ["255.255.255.255", "255.255.0.0", "128.0.0.0", "64", "128"])
def test_a_granularity_that_is_one(mask: str) -> None:
    assert told(pools=[web(protocol="UDP", session_persistence={"type": "SOURCE_IP", "persistence_granularity": mask})]) == []


def test_of_a_pool_of_lvs_somebody_must_have_a_weight() -> None:
    pool = web(protocol="UDP", members=[{"address": "10.0.0.1", "protocol_port": 53, "weight": 0}])
    assert told(listeners=[listener(protocol="UDP", default_pool=pool)]) == [
        ("warning", "listeners[0].default_pool.members", "not-applicable")
    ]


def test_a_timer_of_keepalived_is_not_longer_than_it_holds() -> None:
    monitor = {"type": "UDP-CONNECT", "delay": 5000, "timeout": 4300, "max_retries": 1}
    assert told(pools=[web(protocol="UDP", healthmonitor=monitor)]) == [
        ("error", "pools[0].healthmonitor.delay", "inexpressible"),
        ("error", "pools[0].healthmonitor.timeout", "inexpressible"),
    ]


def test_an_authentication_that_nobody_asks_for_is_told() -> None:
    found = told(listeners=[listener(client_authentication="MANDATORY", hsts_preload=True)])
    assert found == [
        ("warning", "listeners[0].hsts_preload", "not-applicable"),
        ("warning", "listeners[0].client_authentication", "not-applicable"),
    ]


def test_a_reference_to_a_secret_is_not_empty() -> None:
    found = told(listeners=[listener(protocol="TERMINATED_HTTPS", sni_container_refs=[""])])
    assert ("error", "listeners[0].sni_container_refs[0]", "missing-field") in found


def test_of_very_many_problems_of_checks_the_first_are_told() -> None:
    members = [{"address": f"x{n}", "protocol_port": 80} for n in range(5000)]
    found = told(pools=[web(members=members)])
    assert len(found) == 1001
    assert found[-1][2] == "too-many-problems"


def test_a_pair_speaks_the_family_of_a_vip() -> None:
    target = compiler.Target.read(
        json.dumps(
            {
                "topology": "ACTIVE_STANDBY",
                "amphora": "a",
                "amphorae": [{"id": "a", "address": "2001:db8::2"}, {"id": "b", "address": "2001:db8::3"}],
            }
        )
    )
    graph = compiler.load('{"vip_address": "192.0.2.1"}')
    assert [(problem.path, problem.code) for problem in compiler.build(graph, target).problems] == [
        ("loadbalancer.vip_address", "incompatible-family")
    ]


def test_a_network_is_of_its_vips_family() -> None:
    with pytest.raises(compiler.ProblemError) as caught:
        compiler.Target.read('{"networks": [{"address": "192.0.2.1", "cidr": "2001:db8::/64", "gateway": "2001:db8::1"}]}')
    assert {problem.path for problem in caught.value.problems} == {"target.networks[0].cidr", "target.networks[0].gateway"}


def test_an_id_is_the_same_in_upper_case() -> None:
    pool_id = "ABCDEF01-0000-4000-8000-000000000001"
    assert told(pools=[web(id=pool_id)], listeners=[listener(default_pool_id=pool_id.lower())]) == []
    assert told(pools=[web(id=pool_id.lower())], listeners=[listener(default_pool={"id": pool_id})]) == []


def test_a_cookie_that_haproxy_passes_over_is_told() -> None:
    rule = {"type": "COOKIE", "compare_type": "EQUAL_TO", "key": "$Path", "value": "x"}
    pool = web(session_persistence={"type": "APP_COOKIE", "cookie_name": "$Path"})
    assert told(pools=[pool], listeners=[listener(l7policies=[{"action": "REJECT", "rules": [rule]}])]) == [
        ("warning", "listeners[0].l7policies[0].rules[0].key", "not-applicable"),
        ("warning", "pools[0].session_persistence.cookie_name", "not-applicable"),
    ]


def test_rules_that_are_switched_off_need_no_room() -> None:
    rules = [{"type": "PATH", "compare_type": "EQUAL_TO", "value": f"/{n}", "admin_state_up": n < 56} for n in range(100)]
    assert told(listeners=[listener(l7policies=[{"action": "REJECT", "rules": rules}])]) == []
    rules[56]["admin_state_up"] = True
    assert told(listeners=[listener(l7policies=[{"action": "REJECT", "rules": rules}])]) == [
        ("error", "listeners[0].l7policies[0].rules", "too-many")
    ]
