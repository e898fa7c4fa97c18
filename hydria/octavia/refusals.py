"""What Hydria's compiler would refuse of a single object, said of it before it is anywhere. Pure.

It is the compiler itself that says it, of a load balancer that has the object and nothing else: no rule is written down twice. Fields are in the words
of the API; what is None is not given. Problems of other objects, and warnings, are nobody's business here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

import compiler

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MONITOR = (
    *("type", "delay", "timeout", "max_retries", "max_retries_down", "http_method", "http_version", "url_path", "expected_codes"),
    "domain_name",
)
_RULE = ("type", "compare_type", "key", "value", "invert")


def of_monitor(monitor: Mapping[str, Any], protocol: str) -> list[str]:
    """A health monitor of a pool of this protocol."""
    pool = {"name": "pool", "protocol": protocol, "lb_algorithm": "ROUND_ROBIN", "healthmonitor": _given(monitor, _MONITOR)}
    return _refused("healthmonitor", [], [pool])


def of_rule(rule: Mapping[str, Any], protocol: str) -> list[str]:
    """An L7 rule of a listener of this protocol."""
    listener: dict[str, Any] = {
        "name": "listener",
        "protocol": protocol,
        "protocol_port": 1,
        "l7policies": [{"action": "REJECT", "rules": [_given(rule, _RULE)]}],
    }
    return _refused("l7rule", [listener], [])


def _given(thing: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    return {name: thing[name] for name in fields if thing.get(name) is not None}


def _refused(kind: str, listeners: list[dict[str, Any]], pools: list[dict[str, Any]]) -> list[str]:
    document = {"loadbalancer": {"vip_address": "192.0.2.1", "listeners": listeners, "pools": pools}}
    problems: Sequence[compiler.Problem]
    try:
        problems = compiler.build(compiler.load(msgspec.json.encode(document))).problems
    except compiler.ProblemError as error:
        problems = error.problems
    return [
        f"{problem.path.rpartition('.')[2]}: {problem.message}{f' ({problem.hint})' if problem.hint else ''}"
        for problem in problems
        if problem.severity is compiler.Severity.ERROR and problem.object is not None and problem.object.type == kind
    ]
