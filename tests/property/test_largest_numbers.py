"""The least and the greatest number that each field may hold: a problem of the field, or one that the real programs take without a word."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, NamedTuple

import building
import every_string
import msgspec
import programs
import pytest
import whole_graph
from msgspec import inspect as types

import compiler
from compiler import ProblemError, Severity
from compiler.graph import LoadBalancer
from compiler.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.namespaces import Namespace

    from agent.haproxy import Haproxy
    from compiler import Bundle, Problem


class Number(NamedTuple):
    """A field that holds a number, of one object; the object's path, the way to the field, and what it may hold at most and at least."""

    path: str
    way: tuple[str | int, ...]
    value: int


#: Where a field has no bound of its own.
_FAR = (0, 2**31 - 1, 2**31, 2**62)


def numbers(struct: type, data: Any, path: str) -> list[Number]:
    """Of every field of every struct, once for TCP and once for UDP and SCTP, the numbers at its bounds."""
    found: dict[tuple[str, str, bool, int], Number] = {}
    for inner, here, way in every_string.objects(struct, data, path):
        for field in msgspec.structs.fields(inner):
            for kind in every_string.alternatives(types.type_info(field.type)):
                if isinstance(kind, types.IntType) and field.name not in ("haproxy", "keepalived"):
                    values = [value for value in (kind.ge, kind.le) if value is not None]
                    for value in values if len(values) == 2 else [*values, *(far for far in _FAR if kind.ge is None or far >= kind.ge)]:
                        key = (inner.__name__, field.name, way[:2] in {("listeners", 2), ("listeners", 3)}, value)
                        found.setdefault(key, Number(here, (*way, field.name), value))
    return list(found.values())


GRAPH, TARGET = whole_graph.GRAPH, {**whole_graph.TARGET, "user": None, "group": None, "check_command": "/bin/true"}
NUMBERS = numbers(LoadBalancer, GRAPH, "loadbalancer") + numbers(Target, TARGET, "target")
every_number = pytest.mark.parametrize("number", NUMBERS, ids=lambda n: f"{n.path}.{n.way[-1]}={n.value}".removeprefix("loadbalancer."))


def with_number(data: Any, number: Number) -> Any:
    changed = copy.deepcopy(data)
    place = changed
    for step in number.way[:-1]:
        place = place[step]
    place[number.way[-1]] = number.value
    return changed


def build(number: Number | None, **target: Any) -> tuple[Bundle | None, list[Problem]]:
    """The bundle with this number in its place, or the errors."""
    of_target = number is not None and number.path.startswith("target")
    graph = GRAPH if number is None or of_target else with_number(GRAPH, number)
    described = with_number(TARGET, number) if number is not None and of_target else TARGET
    known = building.secrets()
    known = known | {"members-authority": known["authority"], "members-revocations": known["revocations"]}
    try:
        made = msgspec.structs.replace(msgspec.convert(described, Target), **target)
        bundle = compiler.build(compiler.load(json.dumps({"loadbalancer": graph})), made, known)
    except ProblemError as error:
        return None, list(error.problems)
    return (bundle if bundle.ok else None), [problem for problem in bundle.problems if problem.severity is Severity.ERROR]


def is_refused(number: Number, problems: list[Problem]) -> None:
    """By a problem of the field, or by one of its object's that follows from it (a timeout that is no longer below the delay)."""
    places = {problem.path.rpartition(".")[0] for problem in problems}
    # A port beyond the last one is told where the port is.
    assert ("loadbalancer.listeners[0]" if number.way == ("port_offset",) else number.path) in places, problems


def test_there_are_numbers_of_every_kind() -> None:
    fields = {number.way[-1] for number in NUMBERS}
    assert fields >= {"delay", "timeout", "max_retries_down", "weight", "connection_limit", "persistence_timeout", "hsts_max_age", "cpus"}


@every_number
def test_haproxy_takes_it(haproxy: Haproxy, number: Number) -> None:
    bundle, problems = build(number, haproxy=haproxy.version)
    if bundle is None:
        is_refused(number, problems)
    else:
        said = programs.haproxy_says(haproxy, bundle.files)
        told = any(problem.path == f"{number.path}.{number.way[-1]}" for problem in bundle.problems)
        # Without a word, except where the user has been told, too: no timeout at all.
        assert said == "" or (told and "[ALERT]" not in said and "refused" not in said), said


@pytest.fixture(scope="module")
def machine() -> Iterator[Namespace]:
    with programs.amphora() as machine:
        yield machine


@every_number
def test_keepalived_and_nft_take_it(machine: Namespace, number: Number) -> None:
    before, _ = build(None)
    assert before is not None
    bundle, problems = build(number)
    if bundle is None:
        is_refused(number, problems)
    else:
        changed = {path: file for path, file in bundle.files.items() if file != before.files.get(path)}
        assert not changed or programs.others_say(machine, changed) == ""
