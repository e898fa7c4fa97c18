"""The value of an L7 rule changes while HAProxy runs: whatever is in it, at once, and without a reload."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

import pytest
from support.graphs import listener, policy, rule
from support.serving import serve
from test_strings import VALUES

from agent.runtime import Runtime
from compiler.changes import Commands, Plan, Reload
from compiler.plan import Files, plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from support.graphs import Part
    from support.serving import Serving

    from agent.haproxy import Haproxy

pytestmark = pytest.mark.third_haproxy

COMPARISONS = ("EQUAL_TO", "STARTS_WITH", "ENDS_WITH", "CONTAINS", "REGEX")


def listeners(values: Mapping[str, str]) -> list[Part]:
    """A listener for each way to compare, which rejects what its rule is true of."""
    return [listener(name, None, policy("REJECT", rule("HEADER", name, value, key="X-Value"), name="p")) for name, value in values.items()]


def pattern_of(text: str) -> str:
    """A regular expression of this text alone."""
    return "^" + re.sub(r"([ -/:-@\[-`{-~])", r"\\\1", text) + "$"


def holds(comparison: str, text: str, value: str) -> bool:
    """Whether the rule is true of a header: of it as a whole, or of one of the values in it."""

    def one(part: str) -> bool:
        same = {"STARTS_WITH": part.startswith, "ENDS_WITH": part.endswith, "CONTAINS": part.__contains__}
        return same.get(comparison, part.__eq__)(value)

    return any(one(part) for part in (text, *(part.strip() for part in text.split(","))))


@pytest.fixture
def serving(haproxy: Haproxy) -> Iterator[Serving]:
    with serve(haproxy, listeners(dict.fromkeys(COMPARISONS, "before"))) as serving:
        yield serving


def planned(serving: Serving, values: Mapping[str, str]) -> Plan:
    old = Files.of(serving.bundle)
    serving.build(listeners(values), [])
    return plan(old, Files.of(serving.bundle), serving.haproxy.version)


def change(serving: Serving, values: Mapping[str, str]) -> None:
    made = planned(serving, values)
    assert isinstance(made, Commands), made
    Runtime(serving.process.stats).execute(made.commands, patience=0)


def test_every_value_arrives_as_what_it_is(serving: Serving) -> None:
    before = serving.process.stats.show_info()["Pid"]
    previous = "before"
    for value, other in VALUES.values():
        change(serving, {name: pattern_of(value) if name == "REGEX" else value for name in COMPARISONS})
        for name in COMPARISONS:
            for text in (value, other, *([previous] if name == "EQUAL_TO" else [])):
                expected = 403 if holds(name, text, value) else 503
                assert serving.fetch(name, headers={"X-Value": text}).status == expected, (name, value, text)
        previous = value
    assert serving.process.stats.show_info()["Pid"] == before


def test_what_a_list_cannot_hold_needs_a_reload(serving: Serving) -> None:
    values = dict.fromkeys(COMPARISONS, "before")
    for value in (" a", "before"):
        made = planned(serving, {**values, "CONTAINS": value})
        assert isinstance(made, Reload)
        assert {reason.field for reason in made.reasons} == {"acl"}
        serving.process.reload()
        assert serving.fetch("CONTAINS", headers={"X-Value": "x a"}).status == (403 if value == " a" else 503)


def test_requests_see_the_old_value_or_the_new(serving: Serving) -> None:
    """Both values are true of all requests: one that neither is true of would have met a list that is empty, or half of one."""
    done = threading.Event()
    statuses: set[int] = set()

    def ask() -> None:
        while not done.is_set():
            statuses.update(serving.fetch(name, headers={"X-Value": "abcabc"}).status for name in ("STARTS_WITH", "CONTAINS", "REGEX"))

    change(serving, dict.fromkeys(COMPARISONS, "abc"))
    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for number in range(20):
            change(serving, dict.fromkeys(COMPARISONS, "abc"[: 1 + number % 3]))
    finally:
        done.set()
        thread.join()
    assert statuses == {403}
