"""The OpenAPI document: all of the contract and nothing else, in words that JSON Schema knows."""

from __future__ import annotations

import json
from typing import Any, cast

import msgspec
import pytest
from jsonschema import Draft202012Validator

from agent import openapi
from agent.app import make_app
from agent.errors import InvalidRequest
from agent.network.requests import NetworkPlug, Rule, VipPlug

DOCUMENT: dict[str, Any] = json.loads(openapi.text())

VIP = {"subnet_cidr": "192.0.2.0/24", "gateway": "192.0.2.1", "mac_address": "fa:16:3e:00:00:01"}
NETWORK = {"mac_address": "fa:16:3e:00:00:01", "fixed_ips": [{"ip_address": "2001:db8::1", "subnet_cidr": "2001:db8::/64"}], "mtu": 1500}
RULE = {"protocol": "TCP", "cidr": None, "port": 80}


def test_every_route_is_described_and_everything_that_is_described_is_a_route() -> None:
    described = [operation["operationId"] for place in DOCUMENT["paths"].values() for operation in place.values()]
    routes = [rule.endpoint for rule in make_app(cast("Any", None)).url_map.iter_rules() if openapi.is_contract(rule)]
    assert sorted(described) == sorted(set(described)) == sorted(routes) == sorted(openapi.OPERATIONS)


@pytest.mark.parametrize("contract", openapi.CONTRACTS)
def test_every_contract_is_described_whole(contract: str) -> None:
    document = openapi.document(contract)
    described = [operation["operationId"] for place in document["paths"].values() for operation in place.values()]
    routes = [rule.endpoint for rule in make_app(cast("Any", None)).url_map.iter_rules() if openapi.is_contract(rule, contract)]
    assert sorted(described) == sorted(set(described)) == sorted(routes) == sorted(openapi.CONTRACTS[contract][0])
    assert document["info"]["version"] == contract
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_schema_is_one() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_reference_leads_somewhere() -> None:
    def follow(node: Any) -> None:
        for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
            if key == "$ref":
                found = DOCUMENT
                for part in value.removeprefix("#/").split("/"):
                    found = found[part]
            follow(value)

    follow(DOCUMENT)


def allowed(method: str, path: str, body: Any) -> bool:
    schema = DOCUMENT["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"]
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]}).is_valid(body)


@pytest.mark.parametrize("change", [{}, {"mtu": 67}, {"mtu": "x"}, {"mac_address": "x"}, {"vrrp_ip": 1}, {"host_routes": [{}]}, {"new": 1}])
def test_a_schema_is_of_one_mind_with_the_code(change: dict[str, Any]) -> None:
    assert allowed("post", "/1.0/plug/vip/{vip}", VIP | change) == taken(lambda body: VipPlug.decode("192.0.2.9", body), VIP | change)
    assert allowed("post", "/1.0/plug/network", NETWORK | change) == (taken(NetworkPlug.decode, NETWORK | change) or "vrrp_ip" in change)


@pytest.mark.parametrize("change", [{}, {"port": 0}, {"protocol": "ICMP"}, {"new": 1}])
def test_the_schema_of_rules_too(change: dict[str, Any]) -> None:
    assert allowed("put", "/1.0/interface/{address}/rules", [RULE | change]) == taken(Rule.decode_all, [RULE | change])


def taken(decode: Any, body: Any) -> bool:
    try:
        decode(msgspec.json.encode(body))
    except InvalidRequest:
        return False
    return True
