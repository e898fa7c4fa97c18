"""Whatever is in a string, the configuration has the lines that its graph has, and no others: or the string is a problem of its field.

The same graph is built twice, once with a harmless string in one field, once with a hostile one.
"""

from __future__ import annotations

import copy
import json
from typing import Any, NamedTuple

import building
import haproxy_words
import hostile
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import compiler
from compiler import ProblemError

UUID = "0e0e0e0e-0000-4000-8000-000000000001"

_POOL = {
    "protocol": "HTTP",
    "lb_algorithm": "ROUND_ROBIN",
    "tls_enabled": True,
    "tls_container_ref": "first",
    "ca_tls_container_ref": "authority",
    "crl_container_ref": "revocations",
    "tls_ciphers": "DEFAULT",
    "alpn_protocols": ["http/1.1"],
    "session_persistence": {"type": "APP_COOKIE", "cookie_name": "session"},
    "members": [
        {"name": "m", "address": "192.0.2.1", "protocol_port": 80, "monitor_address": "192.0.2.9", "subnet_id": "s", "vnic_type": "normal"}
    ],
    "healthmonitor": {
        "name": "h",
        "type": "HTTP",
        "delay": 5,
        "timeout": 3,
        "max_retries": 2,
        "http_method": "GET",
        "http_version": "1.1",
        "url_path": "/health",
        "expected_codes": "200",
        "domain_name": "health.example",
    },
    "name": "web",
    "description": "d",
}
_RULES = [
    {"type": kind, "compare_type": compare, "value": "v", "key": key}
    for kind, key in (("HOST_NAME", None), ("PATH", None), ("HEADER", "X"), ("COOKIE", "x"), ("SSL_DN_FIELD", "CN"))
    for compare in ("REGEX", "STARTS_WITH", "ENDS_WITH", "CONTAINS", "EQUAL_TO")
] + [
    {"type": "FILE_TYPE", "compare_type": "EQUAL_TO", "value": "jpg"},
    {"type": "FILE_TYPE", "compare_type": "REGEX", "value": "jpg"},
    {"type": "SSL_CONN_HAS_CERT", "compare_type": "EQUAL_TO", "value": "true"},
    {"type": "SSL_VERIFY_RESULT", "compare_type": "EQUAL_TO", "value": "0"},
]
_GRAPH: Any = {
    "loadbalancer": {
        "name": "lb",
        "description": "d",
        "vip_address": "203.0.113.10",
        "additional_vips": [{"ip_address": "2001:db8::11", "subnet_id": "s"}],
        "vip_subnet_id": "s",
        "project_id": "p",
        "tags": ["t"],
        "created_at": "now",
        "listeners": [
            {
                "name": "front",
                "description": "d",
                "protocol": "TERMINATED_HTTPS",
                "protocol_port": 443,
                "default_pool": {"name": "web"},
                "default_tls_container_ref": "default",
                "sni_container_refs": ["second"],
                "client_ca_tls_container_ref": "authority",
                "client_crl_container_ref": "revocations",
                "client_authentication": "OPTIONAL",
                "tls_ciphers": "DEFAULT",
                "tls_versions": ["TLSv1.2"],
                "alpn_protocols": ["h2"],
                "allowed_cidrs": ["192.0.2.0/24"],
                "insert_headers": {"X-Forwarded-Port": "true"},
                "l7policies": [
                    {"name": "reject", "description": "d", "action": "REJECT", "rules": _RULES},
                    {"action": "REDIRECT_TO_URL", "redirect_url": "http://x/", "rules": _RULES[:1]},
                    {"action": "REDIRECT_PREFIX", "redirect_prefix": "http://x", "rules": _RULES[:1]},
                    {"action": "REDIRECT_TO_POOL", "redirect_pool": {"name": "web"}, "rules": _RULES[:1]},
                ],
            }
        ],
        "pools": [_POOL],
    }
}
_LISTENER = "loadbalancer.listeners[0]"


class Spot(NamedTuple):
    """A string of the graph: its path as problems tell it, and the way there in plain data."""

    path: str
    way: tuple[str | int, ...]


def strings(value: Any, path: str = "", way: tuple[str | int, ...] = ()) -> list[Spot]:
    """Every string in plain data."""
    if isinstance(value, dict):
        return [spot for key, item in value.items() for spot in strings(item, f"{path}.{key}".lstrip("."), (*way, key))]
    if isinstance(value, list):
        return [spot for number, item in enumerate(value) for spot in strings(item, f"{path}[{number}]", (*way, number))]
    return [Spot(path, way)] if isinstance(value, str) else []


# Ids have a test of their own below.
SPOTS = strings(_GRAPH)


def with_string(spot: Spot, text: str) -> Any:
    document = copy.deepcopy(_GRAPH)
    place = document
    for step in spot.way[:-1]:
        place = place[step]
    place[spot.way[-1]] = text
    return document


def shape(bundle: compiler.Bundle) -> dict[str, list[tuple[str, int]] | int]:
    """Of every file the directives, or the number of lines; ids in names do not count."""
    found: dict[str, list[tuple[str, int]] | int] = {}
    for path, file in bundle.files.items():
        text = file.content.decode()
        found[path.partition("/")[2].partition(".")[2] or path] = (
            haproxy_words.directives(text) if path.endswith(".cfg") else text.count("\n")
        )
    return found


def directive_names(bundle: compiler.Bundle) -> list[str]:
    """The first word of each line."""
    return [name for name, _ in haproxy_words.directives(building.configuration(bundle))]


HARMLESS = shape(building.build(_GRAPH))
HARMLESS_NAMES = directive_names(building.build(_GRAPH))


def judge(spot: Spot, text: str) -> None:
    """The string is a problem, addressed to its field, or changes nothing about the shape."""
    if not text and str(spot.way[-1] or spot.way[-2]).endswith(("_ref", "_refs", "_ciphers")):
        return  # an empty text here is no certificate, no list of ciphers: another shape, and rightly so
    try:
        bundle = compiler.build(compiler.load(json.dumps(with_string(spot, text))), building.TARGET, building.secrets())
        problems = bundle.problems
    except ProblemError as error:
        bundle, problems = None, error.problems
    if bundle is not None and bundle.ok:
        if spot.way[-1] == "tls_ciphers":  # one list in the API, two in HAProxy: for TLS 1.3 and for what was before
            assert directive_names(bundle) == HARMLESS_NAMES, building.configuration(bundle)
        else:
            assert shape(bundle) == HARMLESS, building.configuration(bundle)
    else:
        told = [problem.path for problem in problems if problem.severity is compiler.Severity.ERROR]
        # "": what no JSON can hold is a problem of the input as a whole. A list of words is told as a whole.
        fields = {spot.path, "", spot.path.removesuffix("[0]")}
        if spot.path.endswith("_pool.name"):
            fields.add(spot.path.removesuffix(".name"))  # no name at all: nothing is said about which pool
        if spot.path == "loadbalancer.pools[0].name":
            fields.add("loadbalancer.listeners[0].default_pool.name")  # who refers to the old name finds nothing
        assert any(path in fields for path in told), (spot.path, told)


def is_free(spot: Spot) -> bool:
    """Whether the field takes any text, more or less; the others take words of a list, addresses and such."""
    return spot.way[-1] in {
        "value",
        "key",
        "redirect_url",
        "redirect_prefix",
        "cookie_name",
        "url_path",
        "domain_name",
        "tls_ciphers",
        "name",
    }


def test_the_graph_holds_every_field_that_takes_text() -> None:
    assert len(SPOTS) > 100
    assert sum(map(is_free, SPOTS)) > 30


@pytest.mark.parametrize("spot", [spot for spot in SPOTS if is_free(spot)], ids=lambda spot: spot.path.removeprefix("loadbalancer."))
@given(hostile.anything)
@example("--")
@example("x\n    http-request deny")
@example("'")
@example("")
@settings(max_examples=12, deadline=None)
def test_a_field_for_free_text(spot: Spot, text: str) -> None:
    prefixes = {"redirect_url": "http://x/", "redirect_prefix": "http://x/", "url_path": "/"}
    judge(spot, text)
    judge(spot, prefixes.get(str(spot.way[-1]), "a") + text)


_ADDRESSES = [spot for spot in SPOTS if "allowed_cidrs" in spot.path or "address" in spot.path]


@pytest.mark.parametrize("spot", _ADDRESSES, ids=lambda spot: spot.path)
@given(hostile.anything)
@example("a\nb")
@settings(max_examples=20, deadline=None)
def test_something_behind_an_address(spot: Spot, text: str) -> None:
    for form in ("192.0.2.1{}", "fe80::%{}", "fe80::1%{}/64", "fe80::%{}/64", "192.0.2.0/24{}"):
        judge(spot, form.format(text))


@given(st.sampled_from(SPOTS), hostile.anything)
@settings(max_examples=300, deadline=None)
def test_any_field(spot: Spot, text: str) -> None:
    judge(spot, text)


@given(hostile.anything)
@settings(max_examples=50, deadline=None)
def test_the_name_of_an_inserted_header(text: str) -> None:
    document = copy.deepcopy(_GRAPH)
    document["loadbalancer"]["listeners"][0]["insert_headers"][text] = "true"
    try:
        problems = building.build(document).problems
    except ProblemError as error:
        problems = error.problems
    if text != "X-Forwarded-Port":
        assert [problem.path for problem in problems if problem.path in ("", f"{_LISTENER}.insert_headers.{text}")], problems


_BY_ID = [
    ("loadbalancer",),
    ("loadbalancer", "listeners", 0),
    ("loadbalancer", "listeners", 0, "l7policies", 0),
    ("loadbalancer", "listeners", 0, "l7policies", 0, "rules", 0),
    ("loadbalancer", "pools", 0),
    ("loadbalancer", "pools", 0, "members", 0),
    ("loadbalancer", "pools", 0, "healthmonitor"),
]


@given(st.sampled_from(_BY_ID), st.sampled_from(["{}\n", "\n{}", "{}\r", "{} ", "{}'", "{}/../x", "{{{}}}", "urn:uuid:{}"]))
@settings(max_examples=60, deadline=None)
def test_an_id_is_a_uuid_and_nothing_more(way: tuple[str | int, ...], form: str) -> None:
    judge(Spot("".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in (*way, "id"))[1:], (*way, "id")), form.format(UUID))


@given(st.sampled_from(["default_pool_id", "redirect_pool_id"]), st.sampled_from(["{}\n", "{} ", "{}'"]))
@settings(deadline=None)
def test_a_reference_is_a_uuid_and_nothing_more(field: str, form: str) -> None:
    document = copy.deepcopy(_GRAPH)
    listener = document["loadbalancer"]["listeners"][0]
    node = listener if field == "default_pool_id" else listener["l7policies"][3]
    del node[field.removesuffix("_id")]
    node[field] = form.format(UUID)
    document["loadbalancer"]["pools"][0]["id"] = UUID
    with pytest.raises(ProblemError) as caught:
        compiler.load(json.dumps(document))
    assert [problem.path.rpartition(".")[2] for problem in caught.value.problems] == [field]
