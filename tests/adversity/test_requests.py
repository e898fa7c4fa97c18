"""Requests without number, made from the OpenAPI document: what it allows, what it does not, and what comes near to something that is there.

Never a 500, never a status that a controller does not know, always JSON where it went wrong, and an answer as the document says.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from schemathesis import GenerationMode
from support.attacked import FINE, REFUSED, Said

from agent import openapi

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy
    from support.attacked import Attacked

DOCUMENT = openapi.document()

#: Each waits for an interface that may still come, some seconds.
SLOW = {"interfaces.plug_vip", "interfaces.plug_network"}


def storm(machine: Attacked, each: int, each_slow: int) -> Counter[int]:
    """So many requests of every operation: how often there was which status."""
    statuses: Counter[int] = Counter()
    before = machine.files()
    for found in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr] # the document is sound
        name = operation.definition.raw["operationId"]

        @settings(
            max_examples=each_slow if name in SLOW else each,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases(operation, machine))
        def attack(case: Any) -> None:
            said = send(machine, case)
            statuses[said.status] += 1
            check(case, said)

        attack()
        machine.unharmed()
    after = machine.files()
    assert {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)} == set()
    return statuses


def cases(operation: Any, machine: Attacked) -> SearchStrategy[Any]:
    """What the document allows, what it does not, and what hits something that is there."""
    raw = operation.definition.raw
    known = {"lb": machine.victim, "identifier": machine.victim, "listener": machine.victim, "amphora": machine.id, "name": "x.pem"}
    names = [parameter["name"] for parameter in raw.get("parameters", ())]
    ways = [operation.as_strategy(generation_mode=GenerationMode.POSITIVE)]
    if names or "application/json" in raw.get("requestBody", {}).get("content", {}):
        ways.append(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    if hit := {name: known[name] for name in names if name in known}:
        ways.append(operation.as_strategy(path_parameters=hit))
        if "requestBody" in raw:
            bodies = [machine.text(machine.victim, port) for port in (81, 82)]
            ways += [operation.as_strategy(path_parameters=hit, body=body) for body in bodies]
    return st.one_of(ways)


def send(machine: Attacked, case: Any) -> Said:
    made: Any = requests.Request(**case.as_transport_kwargs(base_url="https://agent")).prepare()
    # Neither `requests` nor what is below it gets to see the answer: they would take some for theirs to deal with.
    with machine.talk() as connection:
        connection.request(made.method, made.path_url, made.body, dict(made.headers))
        return Said.of(connection.getresponse())


def check(case: Any, said: Said) -> None:
    said.understood()
    assert said.status in FINE | REFUSED, said
    if said.status in FINE and said.headers["content-type"] == "application/json" and case.method.upper() == case.operation.method.upper():
        described = case.operation.definition.raw["responses"][str(said.status)]
        schema = described["content"]["application/json"]["schema"]
        Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(said.json)


def test_some_hundred(a_machine: Attacked) -> None:
    assert storm(a_machine, each=15, each_slow=4).total() > 200


@pytest.mark.slow
def test_ten_thousand(a_machine: Attacked) -> None:
    assert storm(a_machine, each=720, each_slow=60).total() > 10_000
