"""The JSON Schema of the input takes what `load` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from jsonschema import Draft202012Validator

import compiler
from compiler import documents
from compiler.graph import TYPE_NAMES, Algorithm
from compiler.schema import schema

TESTS = Path(__file__).parents[2]
EXAMPLES = TESTS.parent / "examples"
INPUTS = sorted([*TESTS.glob("golden/*/input.*"), *EXAMPLES.rglob("*.yaml"), *EXAMPLES.rglob("*.json")])
GRAPHS = [path for path in INPUTS if not path.name.endswith(".target.yaml")]
LOADBALANCER: dict[str, Any] = {"vip_address": "192.0.2.1"}
WEB = {"protocol": "HTTP", "protocol_port": 80}


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    return Draft202012Validator(schema())


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema())


def test_inputs_were_found() -> None:
    assert len(GRAPHS) > 30


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: "/".join(path.parts[-2:]))
def test_every_golden_input_and_example_is_valid(validator: Draft202012Validator, path: Path) -> None:
    errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(documents.parse(path.read_bytes()))]
    assert errors == []


@pytest.mark.parametrize(
    "graph",
    [
        LOADBALANCER,
        {"loadbalancer": LOADBALANCER},
        {"loadbalancer": {**LOADBALANCER, "name": None, "listeners": None, "admin_state_up": None}},
        {"loadbalancer": {**LOADBALANCER, "listeners": [{**WEB, "connection_limit": None, "default_pool": None, "tags": ["x"]}]}},
    ],
)
def test_what_load_takes_it_takes(validator: Draft202012Validator, graph: Any) -> None:
    compiler.load(msgspec.json.encode(graph))
    assert validator.is_valid(graph)


@pytest.mark.parametrize(
    "graph",
    [
        {},
        [],
        {"loadbalancer": {}},
        {"loadbalancer": LOADBALANCER, "other": 1},
        {"loadbalancer": {**LOADBALANCER, "vip_adress": "192.0.2.1"}},
        {"loadbalancer": {**LOADBALANCER, "id": "not-a-uuid"}},
        {"loadbalancer": {**LOADBALANCER, "id": "d0042605-da50-4048-b298-660420b0a1d2\n"}},
        {"loadbalancer": {**LOADBALANCER, "listeners": [{**WEB, "protocol": None}]}},
        {"loadbalancer": {**LOADBALANCER, "listeners": [{**WEB, "protocol": "http"}]}},
        {"loadbalancer": {**LOADBALANCER, "listeners": [{**WEB, "protocol_port": 65536}]}},
        {"loadbalancer": {**LOADBALANCER, "listeners": [{**WEB, "protocol_port": "80"}]}},
        {"loadbalancer": {**LOADBALANCER, "pools": [{"members": [{"address": "192.0.2.2"}]}]}},
    ],
)
def test_what_load_refuses_it_refuses(validator: Draft202012Validator, graph: Any) -> None:
    with pytest.raises(compiler.ProblemError):
        compiler.load(msgspec.json.encode(graph))
    assert not validator.is_valid(graph)


def test_every_object_and_field_is_described() -> None:
    definitions = schema()["$defs"]
    assert {kind.__name__ for kind in TYPE_NAMES} <= definitions.keys()
    for definition in definitions.values():
        assert definition["description"]
        assert all(field["description"] for field in definition["properties"].values())


def test_the_words_that_a_field_takes_are_listed() -> None:
    field = schema()["$defs"]["Pool"]["properties"]["lb_algorithm"]
    assert {word for kind in field["anyOf"] for word in kind.get("enum", [])} - {None} == set(get_args(Algorithm))
