"""A graph that is right builds; what is built, real HAProxy takes; and every line of it is known to come from somewhere."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import building
import graph_strategies
import haproxy_words
from hypothesis import HealthCheck, given, settings

import compiler
from agent import bundle_directory
from compiler import Severity

if TYPE_CHECKING:
    from agent.haproxy import Haproxy

SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


@given(graph_strategies.graphs())
@settings(max_examples=100, deadline=None, suppress_health_check=SLOW)
def test_a_valid_graph_builds_without_an_error(document: Any) -> None:
    bundle = building.build(document)
    assert [problem for problem in bundle.problems if problem.severity is Severity.ERROR] == []
    for path, file in bundle.files.items():
        if not path.endswith(".pem"):
            haproxy_words.directives(file.content.decode())


@given(graph_strategies.graphs())
@settings(max_examples=50, deadline=None, suppress_health_check=SLOW)
def test_every_line_about_an_object_leads_back_to_it(document: Any) -> None:
    graph = compiler.load(json.dumps(document))
    bundle = compiler.build(graph, building.TARGET, building.secrets())
    text = building.configuration(bundle)
    for number, line in enumerate(text.split("\n"), 1):
        match line.split():
            case ["frontend", name]:
                expected = ("listener", name)
            case ["acl", name, *_]:
                expected = ("l7rule", name)
            case ["server", name, _, *_]:
                expected = ("member", name)
            case ["backend", name]:
                expected = ("pool", name.partition(":")[0])
            case _:
                continue
        origin = bundle.source_map.at(compiler.HAPROXY_CFG, number)
        assert origin is not None, line
        assert (origin.object.type, origin.object.id) == expected, line
        assert (compiler.HAPROXY_CFG, number, origin) in bundle.source_map.lines_of(expected[1])


@given(graph_strategies.graphs())
@settings(max_examples=20, deadline=None, suppress_health_check=SLOW)
def test_real_haproxy_takes_it(haproxy: Haproxy, document: Any) -> None:
    bundle = building.build(document)
    assert bundle.ok
    directory = Path(tempfile.mkdtemp(prefix="hydria-"))
    try:
        bundle_directory.write(bundle.files, directory / "bundle")
        checked = haproxy.check(directory / "bundle")
    finally:
        shutil.rmtree(directory)
    assert checked.ok, checked.output + "\n" + building.configuration(bundle)
    assert not [line for line in checked.output.splitlines() if line.startswith("[")], checked.output
