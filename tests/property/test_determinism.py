"""The same graph gives the same bytes: in another process with other hashes, with its keys in another order, as JSON or as YAML."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import building
import graph_strategies
import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import compiler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent

#: Asks another process for what it makes of a document.
Worker = "Callable[[Any], dict[str, Any]]"


@pytest.fixture(scope="module", params=["0", "1", "4294967295"])
def elsewhere(request: pytest.FixtureRequest) -> Iterator[Callable[[Any], dict[str, Any]]]:
    environment = {**os.environ, "PYTHONHASHSEED": request.param, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, str(HERE / "building.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        def ask(document: Any) -> Any:
            stdin.write(json.dumps(document) + "\n")
            stdin.flush()
            return json.loads(stdout.readline())

        stdin.write(json.dumps({name: secret.parts["bundle"].decode() for name, secret in building.secrets().items()}) + "\n")
        yield ask
        stdin.close()


def shuffled(value: Any, order: random.Random) -> Any:
    """The same data with the keys of every mapping in another order."""
    if isinstance(value, dict):
        keys = list(value)
        order.shuffle(keys)
        return {key: shuffled(value[key], order) for key in keys}
    return [shuffled(item, order) for item in value] if isinstance(value, list) else value


@given(graph_strategies.graphs())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_another_process_with_other_hashes_makes_the_same(elsewhere: Callable[[Any], dict[str, Any]], document: Any) -> None:
    mine, theirs = building.build(document), elsewhere(document)
    assert theirs["files"] == {path: file.content.decode() for path, file in mine.files.items()}
    assert theirs["problems"] == [str(problem) for problem in mine.problems]
    assert theirs["digest"] == mine.digest


@given(graph_strategies.graphs(), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_order_of_keys_does_not_matter(document: Any, order: random.Random) -> None:
    assert building.build(shuffled(document, order)).files == building.build(document).files


@given(graph_strategies.graphs(), st.sampled_from([None, True, False]))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_yaml_of_the_same_graph_makes_the_same(document: Any, style: bool | None) -> None:
    text = "---\n" + yaml.safe_dump(document, default_flow_style=style, allow_unicode=bool(style))
    # What PyYAML itself writes and reads otherwise: U+0085 raw, which is the end of a line in YAML 1.1.
    assume(yaml.safe_load(text) == document)
    from_yaml, from_json = compiler.load(text), compiler.load(json.dumps(document))
    assert from_yaml == from_json
    assert compiler.build(from_yaml, building.TARGET, building.secrets()).digest == building.build(document).digest


@given(graph_strategies.graphs())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_inside_alone_and_fields_that_say_the_default_make_the_same(document: Any) -> None:
    given = document["loadbalancer"]
    bare = {key: value for key, value in given.items() if (key, value) not in (("admin_state_up", True), ("description", ""))}
    full = {"admin_state_up": True, "description": "", **given, "vip_subnet_id": None, "flavor_id": None}
    assert building.build(bare).digest == building.build(full).digest == building.build(document).digest
