"""Where a request goes, where that is not for real HAProxy to show: what is said, refused, left open."""

from __future__ import annotations

import json
from typing import Any

import pytest

import compiler
from compiler.matching import Request, judge
from compiler.picking import Client
from compiler.ring_ids import id_bases
from compiler.target import Target
from compiler.where import Where, listeners, where

WEB = {"name": "web", "protocol": "HTTP", "protocol_port": 80, "default_pool": {"name": "main"}}


def members(count: int = 3, **fields: Any) -> list[dict[str, Any]]:
    return [{"name": f"m{number}", "address": f"192.0.2.{number}", "protocol_port": 80, **fields} for number in range(1, count + 1)]


def main_pool(**fields: Any) -> dict[str, Any]:
    return {"name": "main", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": members(), **fields}


def graph(listener: dict[str, Any] | None = None, pool: dict[str, Any] | None = None, **fields: Any) -> compiler.LoadBalancer:
    described = {"vip_address": "198.51.100.1", "listeners": [listener or WEB], "pools": [pool or main_pool()], **fields}
    return compiler.load(json.dumps({"loadbalancer": described}))


def ask(
    asked: compiler.LoadBalancer, client: str = "10.1.2.3", *, port: int | None = None, down: tuple[str, ...] = (), **fields: Any
) -> Where:
    target = fields.pop("on", Target())
    return where(asked, asked.listeners[0], Client(address=client, port=port), Request(**fields), target, down=down)


def rule(rule_type: str, compare_type: str, value: str, **fields: Any) -> Any:
    described = {"type": rule_type, "compare_type": compare_type, "value": value, **fields}
    policy = {"action": "REJECT", "rules": [described]}
    return graph({**WEB, "l7policies": [policy]}).listeners[0].l7policies[0].rules[0]


def names(answer: Where) -> list[str]:
    return [member.object.name for member in answer.candidates]


@pytest.mark.parametrize(
    ("asked", "client", "reason"),
    [
        (graph(admin_state_up=False), "10.1.2.3", "the loadbalancer is switched off"),
        (graph({**WEB, "admin_state_up": False}), "10.1.2.3", "the listener is switched off"),
        (graph(), "2001:db8::1", "no IPv6 address"),
        (graph({**WEB, "allowed_cidrs": ["10.2.0.0/16", "10.3.0.0/16"]}), "10.1.2.3", "in none of the networks"),
        (
            graph({**WEB, "protocol": "TERMINATED_HTTPS", "default_tls_container_ref": "x", "client_authentication": "MANDATORY"}),
            "10.1.2.3",
            "wants a certificate",
        ),
    ],
)
def test_who_cannot_connect_is_told_why(asked: compiler.LoadBalancer, client: str, reason: str) -> None:
    answer = ask(asked, client)
    assert (answer.outcome, answer.pool, answer.status) == ("refused", None, None)
    assert reason in answer.because[-1]


def test_a_client_in_allowed_cidrs_is_told_by_which() -> None:
    answer = ask(graph({**WEB, "allowed_cidrs": ["10.2.0.0/16", "10.1.0.0/16"]}))
    assert answer.outcome == "pool"
    assert "10.1.0.0/16" in answer.because[0]


def test_an_additional_vip_is_enough_to_reach_it() -> None:
    assert ask(graph(additional_vips=[{"ip_address": "2001:db8::10"}]), "2001:db8::1").outcome == "pool"


def test_who_can_get_a_client_is_who_is_on_has_weight_and_is_up() -> None:
    listed = members(5)
    listed[1]["admin_state_up"] = False
    listed[2]["weight"] = 0
    listed[3]["backup"] = True
    asked = graph(pool=main_pool(members=listed))
    ids = {member.name: member.id for member in asked.pools[0].members}
    assert names(ask(asked)) == ["m1", "m5"]
    assert names(ask(asked, down=(ids["m1"], ids["m5"]))) == ["m4"]
    nobody = ask(asked, down=(ids["m1"], ids["m4"], ids["m5"]))
    assert (nobody.outcome, nobody.status) == ("unavailable", 503)


def test_a_pool_that_is_off_or_missing_is_503() -> None:
    assert ask(graph(pool=main_pool(admin_state_up=False))).status == 503
    without = ask(graph({**WEB, "default_pool": None}))
    assert (without.outcome, without.status, without.pool) == ("unavailable", 503, None)


def test_round_robin_names_no_member_but_the_only_one() -> None:
    many, one = ask(graph()), ask(graph(pool=main_pool(members=members(1))))
    assert many.member is None
    assert "ROUND_ROBIN" in many.member_because
    assert one.member is not None
    assert one.member.object.name == "m1"


@pytest.mark.parametrize(
    ("persistence", "name"), [({"type": "HTTP_COOKIE"}, "SRV"), ({"type": "APP_COOKIE", "cookie_name": "session"}, "session")]
)
def test_a_cookie_that_binds_the_client_comes_before_the_hash(persistence: dict[str, Any], name: str) -> None:
    asked = graph(pool=main_pool(lb_algorithm="SOURCE_IP", session_persistence=persistence))
    new, known = ask(asked), ask(asked, headers=(("Cookie", f"a=b; {name}=x"),))
    assert new.member is not None
    assert f"the cookie {name} binds" in new.member_because
    assert known.member is None
    assert f"the cookie {name}" in known.member_because


def test_persistence_by_address_is_mentioned() -> None:
    answer = ask(graph(pool=main_pool(lb_algorithm="SOURCE_IP", session_persistence={"type": "SOURCE_IP"})))
    assert answer.member is not None
    assert "was here before" in answer.member_because


def test_with_source_ip_port_the_port_is_needed() -> None:
    asked = graph(pool=main_pool(lb_algorithm="SOURCE_IP_PORT"))
    assert ask(asked).member is None
    picked = {ask(asked, port=port).member for port in range(1024, 1124)}
    assert None not in picked
    assert len(picked) == 3


@pytest.mark.parametrize(
    ("version", "bases"),
    [
        ((2, 6), ("x4096",)),
        ((2, 8, 25), ("x4096",)),
        ((3, 0), ("x4096", "rehash")),
        ((3, 0, 11), ("rehash",)),
        ((3, 0, 99), ("x4096", "rehash")),
        ((3, 1, 0), ("rehash",)),
        ((3, 2), ("x4096", "rehash")),
        ((3, 2, 6), ("rehash",)),
        ((3, 2, 7), ("x4096",)),
        ((3, 3), ("x4096",)),
    ],
)
def test_which_consistent_hash_a_version_has(version: tuple[int, ...], bases: tuple[str, ...]) -> None:
    assert id_bases(version) == bases


def test_where_the_version_leaves_the_hash_open_it_is_said() -> None:
    asked = graph(pool=main_pool(lb_algorithm="SOURCE_IP", members=members(9)))
    clients = [f"10.0.0.{number}" for number in range(100)]
    open_ones = [answer for client in clients if (answer := ask(asked, client, on=Target(haproxy=(3, 2)))).member is None]
    assert open_ones
    assert all("--target haproxy=" in answer.member_because for answer in open_ones)
    assert all(ask(asked, client, on=Target(haproxy=(3, 2, 6))).member for client in clients)


@pytest.mark.parametrize("hash_kind", ["consistent", "map"])
def test_udp_clients_are_placed_among_members_of_their_family(hash_kind: str) -> None:
    listed = [*members(3), {"name": "six", "address": "2001:db8::7", "protocol_port": 80}]
    pool = main_pool(protocol="UDP", lb_algorithm="SOURCE_IP", hash=hash_kind, members=listed)
    asked = graph({**WEB, "protocol": "UDP"}, pool, additional_vips=[{"ip_address": "2001:db8::10"}])
    picked = {answer.member.object.name for n in range(200) if (answer := ask(asked, f"10.0.0.{n}")).member}
    assert picked == {"m1", "m2", "m3"}
    six = ask(asked, "2001:db8::99")
    assert six.member is not None
    assert six.member.object.name == "six"


def test_policies_that_are_not_asked_say_why() -> None:
    path = {"type": "PATH", "compare_type": "STARTS_WITH", "value": "/"}
    policies: list[dict[str, Any]] = [
        {"name": "pool", "action": "REDIRECT_TO_POOL", "redirect_pool": {"name": "main"}, "rules": [path]},
        {"name": "off", "action": "REJECT", "rules": [path], "admin_state_up": False},
        {"name": "empty", "action": "REJECT", "rules": []},
        {"name": "url", "action": "REDIRECT_TO_URL", "redirect_url": "http://x.example/", "rules": [path]},
    ]
    answer = ask(graph({**WEB, "l7policies": policies}))
    said = {policy.object.name: (policy.evaluated, policy.note) for policy in answer.policies}
    assert list(said) == ["off", "empty", "url", "pool"]
    assert said["url"] == (True, "")
    assert "switched off" in said["off"][1]
    assert "without an enabled rule" in said["empty"][1]
    assert "not reached" in said["pool"][1]
    assert (answer.acted.name if answer.acted else None, answer.status, answer.location) == ("url", 302, "http://x.example/")


@pytest.mark.parametrize("pattern", ["[[:alpha:]]", r"\vx", "a{,3}", r"\Qa\E", r"(?|a|b)", "[a--b]", "("])
def test_a_regular_expression_that_only_pcre_can_tell_leaves_the_answer_open(pattern: str) -> None:
    policies = [{"action": "REJECT", "rules": [{"type": "PATH", "compare_type": "REGEX", "value": pattern}]}]
    answer = ask(graph({**WEB, "l7policies": policies}))
    assert answer.outcome == "unknown"
    assert answer.policies[0].true is None
    assert answer.policies[0].rules[0].because


def test_a_false_rule_decides_though_another_is_open() -> None:
    rules = [
        {"type": "PATH", "compare_type": "REGEX", "value": "[[:alpha:]]"},
        {"type": "PATH", "compare_type": "EQUAL_TO", "value": "/no"},
    ]
    answer = ask(graph({**WEB, "l7policies": [{"action": "REJECT", "rules": rules}]}))
    assert (answer.outcome, answer.policies[0].true) == ("pool", False)


SUBJECT = (("CN", "ann"), ("O", "North Sea"))


@pytest.mark.parametrize(
    ("asked", "subject", "true"),
    [
        (rule("SSL_CONN_HAS_CERT", "EQUAL_TO", "true"), None, False),
        (rule("SSL_CONN_HAS_CERT", "EQUAL_TO", "true", invert=True), None, True),
        (rule("SSL_CONN_HAS_CERT", "EQUAL_TO", "true"), SUBJECT, True),
        (rule("SSL_VERIFY_RESULT", "EQUAL_TO", "0"), None, True),
        (rule("SSL_VERIFY_RESULT", "EQUAL_TO", "10"), SUBJECT, False),
        (rule("SSL_DN_FIELD", "STARTS_WITH", "North", key="O"), SUBJECT, True),
        (rule("SSL_DN_FIELD", "STARTS_WITH", "North", key="O"), None, False),
        (rule("SSL_DN_FIELD", "EQUAL_TO", "bob", key="CN", invert=True), SUBJECT, True),
    ],
)
def test_rules_about_the_client_certificate(asked: Any, subject: tuple[tuple[str, str], ...] | None, true: bool) -> None:
    assert judge(asked, Request(subject=subject)).true is true


def test_prometheus_listeners_answer_themselves() -> None:
    metrics = graph({"name": "web", "protocol": "PROMETHEUS", "protocol_port": 9100})
    answers = [ask(metrics, target=path) for path in ("/metrics", "/")]
    assert [(answer.outcome, answer.status) for answer in answers] == [("metrics", 200), ("metrics", 404)]


def test_listeners_are_found_by_name_id_and_port() -> None:
    asked = graph(listeners=[WEB, {**WEB, "name": "alt", "protocol_port": 8080}])
    first, second = asked.listeners
    assert listeners(asked) == [first, second]
    for word in ("alt", second.id, "8080"):
        assert listeners(asked, word) == [second]
    assert listeners(asked, port=80) == [first]
    assert listeners(asked, "alt", 80) == []
