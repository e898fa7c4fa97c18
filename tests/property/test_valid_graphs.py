"""A graph that is right builds; what is built, the real programs take without a word; and every line of it is known to come from somewhere.

Each property is looked at for as many graphs as a test run has time for, and, in a test marked slow, for twenty times as many.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import building
import graph_strategies
import haproxy_words
import msgspec
import programs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from target_strategies import targets

import compiler
from compiler import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.namespaces import Namespace

    from agent.haproxy import Haproxy
    from compiler import Bundle, Target


@st.composite
def cases(draw: st.DrawFn) -> tuple[Any, Target]:
    """A document and a target for it."""
    document = draw(graph_strategies.graphs())
    return document, draw(targets(document))


def examples(number: int) -> settings:
    return settings(max_examples=number, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


def built(document: Any, target: Target) -> Bundle:
    bundle = building.build(document, target)
    assert [problem for problem in bundle.problems if problem.severity is Severity.ERROR] == []
    return bundle


def it_builds(document: Any, target: Target) -> None:
    bundle = built(document, target)
    inside = document["loadbalancer"]
    up = [listener["protocol"] for listener in inside["listeners"] if listener["admin_state_up"] and inside["admin_state_up"]]
    datagrams = [protocol for protocol in up if protocol in ("UDP", "SCTP")]
    assert len([path for path in bundle.files if path.startswith("keepalived/")]) == len(datagrams) + bool(target.amphorae)
    assert ("nftables/filter.nft" in bundle.files) == bool(datagrams)
    directives = haproxy_words.directives(building.configuration(bundle))
    # All that serve metrics share one that has them.
    frontends = len(up) - len(datagrams) + ("PROMETHEUS" in up)
    assert [name for name, _ in directives].count("frontend") == frontends


@given(cases())
@examples(100)
def test_a_valid_graph_builds_without_an_error(case: tuple[Any, Target]) -> None:
    it_builds(*case)


@pytest.mark.slow
@given(cases())
@examples(2000)
def test_many_valid_graphs_build_without_an_error(case: tuple[Any, Target]) -> None:
    it_builds(*case)


@given(graph_strategies.graphs())
@examples(50)
def test_every_line_about_an_object_leads_back_to_it(document: Any) -> None:
    graph = compiler.load(json.dumps(document))
    bundle = compiler.build(graph, building.TARGET, building.secrets())
    text = building.configuration(bundle)
    for number, line in enumerate(text.split("\n"), 1):
        match line.split():
            case [_, name, *_] if name.startswith("prometheus-"):
                continue  # what all listeners that serve metrics share
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


def haproxy_takes_it(haproxy: Haproxy, document: Any, target: Target) -> None:
    bundle = built(document, msgspec.structs.replace(target, haproxy=haproxy.version))
    assert programs.haproxy_says(haproxy, bundle.files) == "", building.configuration(bundle)


@given(cases())
@examples(40)
def test_real_haproxy_takes_it(haproxy: Haproxy, case: tuple[Any, Target]) -> None:
    haproxy_takes_it(haproxy, *case)


@pytest.mark.slow
@given(cases())
@examples(800)
def test_real_haproxy_takes_many(haproxy: Haproxy, case: tuple[Any, Target]) -> None:
    haproxy_takes_it(haproxy, *case)


@pytest.fixture(scope="module")
def machine() -> Iterator[Namespace]:
    with programs.amphora() as machine:
        yield machine


def keepalived_and_nft_take_it(machine: Namespace, document: Any, target: Target) -> None:
    assert programs.others_say(machine, built(document, target).files) == ""


@given(cases())
@examples(60)
def test_real_keepalived_and_nft_take_it(machine: Namespace, case: tuple[Any, Target]) -> None:
    keepalived_and_nft_take_it(machine, *case)


@pytest.mark.slow
@given(cases())
@examples(1200)
def test_real_keepalived_and_nft_take_many(machine: Namespace, case: tuple[Any, Target]) -> None:
    keepalived_and_nft_take_it(machine, *case)
