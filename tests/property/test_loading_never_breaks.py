"""Invariant: for any bytes at all, `load` returns a graph or raises ProblemError; and for any graph, `build` returns a bundle.

Every problem that is raised has a registered code and a message, and its line and column, where given, are in the text.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import building
import graph_strategies
import hostile
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import compiler
from compiler import ProblemError

SLOW = [HealthCheck.too_slow]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**400), 10**400),
    st.floats(),
    hostile.anything,
    st.sampled_from(["HTTP", "", "true", "6f1f4c3e-0d5e-4b0f-9c53-2f1d8f0f7a11", "192.0.2.1", 80, 2**63, 2**64, -1, 0]),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hostile.anything, inner, max_size=3), max_leaves=8
)


def attempt(text: str | bytes) -> None:
    try:
        graph = compiler.load(text)
    except ProblemError as error:
        problems = error.problems
    else:
        bundle = compiler.build(graph, building.TARGET, building.secrets())
        problems = bundle.problems
        assert bundle.ok or (problems and not bundle.files)
    for problem in problems:
        assert problem.message
        assert problem.code in compiler.CODES
        assert problem.line is None or 1 <= problem.line <= len(text) + 1
        str(problem)


@given(st.binary(max_size=200))
@example(b"")
@example(b"\xff\xfe")
@example(b"\x00")
@example(b"{")
@example(b"\xef\xbb\xbf{}")
@settings(deadline=None)
def test_any_bytes(data: bytes) -> None:
    attempt(data)


@given(hostile.anything)
@settings(deadline=None)
def test_any_text(text: str) -> None:
    attempt(text)


_YAML = (
    *(
        "- ",
        "? ",
        ": ",
        "&a ",
        "*a",
        "<<: ",
        "!!int ",
        "!!binary ",
        "!t ",
        "|\n",
        ">\n",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "\n",
        "  ",
        "---\n",
        "...\n",
    ),
    *(
        "loadbalancer:",
        "\n  vip_address: 192.0.2.1",
        "\n  listeners:",
        "%YAML 1.2\n",
        "#",
        "'",
        '"',
        "0x_",
        "1e999",
        ".nan",
        "2026-01-01",
        "=",
        "~",
    ),
)


@given(st.lists(st.sampled_from(_YAML), max_size=25).map("".join))
@example("? [a]\n: b")
@example("<<: *a")
@example("a: &a [*a]")
@example("&a\n- *a\n")
@example("!!int 0x")
@example("!!float x")
@example("!!bool x")
@example("!!int _")
@example("!!float _")
@example("!!timestamp x")
@example("!!null x")
@example("=: =")
@example("-0b_")
@example("0o8: 09")
@example("1:99999999999999999999:00")
@settings(max_examples=300, deadline=None)
def test_anything_that_looks_like_yaml(text: str) -> None:
    attempt(text)


@given(values)
@settings(max_examples=100, deadline=None)
def test_any_json(value: Any) -> None:
    attempt(json.dumps(value))
    attempt(json.dumps({"loadbalancer": value}))


def spots(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value of a document."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way, *(spot for key, item in inside for spot in spots(item, (*way, key)))]


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    """A valid graph in which some values are others, some are missing, and some keys are new."""
    document = copy.deepcopy(draw(graph_strategies.graphs()))
    for _ in range(draw(st.integers(1, 3))):
        way = draw(st.sampled_from([spot for spot in spots(document) if spot]))
        place = document
        for step in way[:-1]:
            place = place[step]
        match draw(st.integers(0, 3)):
            case 0:
                del place[way[-1]]
            case 1 if isinstance(place, dict):
                place[draw(hostile.anything)] = draw(values)
            case _:
                place[way[-1]] = draw(values)
        if not spots(document)[1:]:
            break
    return document


@given(damaged())
@settings(max_examples=200, deadline=None, suppress_health_check=SLOW)
def test_a_damaged_graph_as_json(document: Any) -> None:
    attempt(json.dumps(document))


@given(damaged())
@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
def test_a_damaged_graph_as_yaml(document: Any) -> None:
    attempt("---\n" + yaml.safe_dump(document))


@given(graph_strategies.graphs(), st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
def test_a_text_that_was_cut_or_changed_in_one_place(document: Any, data: st.DataObject) -> None:
    text = json.dumps(document).encode()
    at = data.draw(st.integers(0, len(text)))
    attempt(text[:at])
    attempt(text[:at] + data.draw(st.binary(min_size=1, max_size=3)) + text[at + 1 :])
