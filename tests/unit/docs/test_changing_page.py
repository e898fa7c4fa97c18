"""The table of docs/changing.md says what the planner says, kind by kind and version by version; every command there is one."""

from __future__ import annotations

import copy
import datetime as dt
import json
import re
import shlex
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

import compiler
from compiler import Secret, Secrets, Target
from hydria.cli import VERBS, hydria, ways
from hydria.lab.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Graph = dict[str, Any]

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "changing.md").read_text(encoding="utf-8")

NOW = dt.datetime.now(dt.UTC)
AUTHORITIES = Authority("one"), Authority("two")
CERTIFICATES = [AUTHORITIES[0].server("a.example") for _ in range(2)]


def graph() -> Graph:
    rules = [{"type": "PATH", "compare_type": "EQUAL_TO", "value": "/x"}, {"type": "HOST_NAME", "compare_type": "REGEX", "value": "x"}]
    common = {"connection_limit": 1000, "default_pool": {"name": "app"}}
    return {
        "id": "5d2f0d3e-6c1b-4a55-8d5e-0b6b7e1b6a10",
        "vip_address": "192.0.2.1",
        "listeners": [
            {
                **common,
                "name": "web",
                "protocol": "HTTP",
                "protocol_port": 80,
                "allowed_cidrs": ["10.0.0.0/8"],
                "l7policies": [{"name": "p", "action": "REJECT", "rules": rules}],
            },
            {
                **common,
                "name": "tls",
                "protocol": "TERMINATED_HTTPS",
                "protocol_port": 443,
                "default_tls_container_ref": "web",
                "client_ca_tls_container_ref": "ca",
                "client_authentication": "MANDATORY",
            },
        ],
        "pools": [
            {
                "name": "app",
                "protocol": "HTTP",
                "lb_algorithm": "ROUND_ROBIN",
                "members": [member(1), member(2)],
                "healthmonitor": {"type": "HTTP", "delay": 5, "timeout": 2, "max_retries": 2},
            }
        ],
    }


def member(number: int) -> Graph:
    return {
        "id": f"5d2f0d3e-6c1b-4a55-8d5e-00000000000{number}",
        "name": f"m{number}",
        "address": f"198.51.100.{number}",
        "protocol_port": 80,
    }


def pool(**fields: Any) -> Callable[[Graph], None]:
    return lambda graph: graph["pools"][0].update(fields)


def first(**fields: Any) -> Callable[[Graph], None]:
    return lambda graph: graph["pools"][0]["members"][0].update(fields)


def web(**fields: Any) -> Callable[[Graph], None]:
    return lambda graph: graph["listeners"][0].update(fields)


def monitor(**fields: Any) -> Callable[[Graph], None]:
    return lambda graph: graph["pools"][0]["healthmonitor"].update(fields)


def add(graph: Graph) -> None:
    graph["pools"][0]["members"].append(member(3))


def remove(graph: Graph) -> None:
    graph["pools"][0]["members"].pop()


def nothing(_graph: Graph) -> None:
    pass


def listener(graph: Graph) -> None:
    graph["listeners"].append({"name": "w2", "protocol": "HTTP", "protocol_port": 82, "default_pool": {"name": "app"}})


def rules(*changes: dict[str, str]) -> Callable[[Graph], None]:
    def change(graph: Graph) -> None:
        for rule, fields in zip(graph["listeners"][0]["l7policies"][0]["rules"], changes, strict=False):
            rule.update(fields)

    return change


HEALTH = {"healthmonitor": {"type": "HTTP", "delay": 5, "timeout": 2, "max_retries": 2}}
MAP = pool(lb_algorithm="SOURCE_IP", hash="map")
#: What the page calls it → what is before it, and what it is.
KINDS: dict[str, tuple[Callable[[Graph], None], Callable[[Graph], None]]] = {
    "a name or a description": (nothing, web(name="other", description="x")),
    "a member comes": (nothing, add),
    "a member goes": (nothing, remove),
    "a member comes or goes, `hash: map`": (MAP, add),
    "a member comes, HTTP_COOKIE": (pool(session_persistence={"type": "HTTP_COOKIE"}), add),
    "a member's weight": (nothing, first(weight=3)),
    "a member's weight, `hash: map`": (MAP, first(weight=3)),
    "a member's address": (nothing, first(address="198.51.100.9")),
    "a member is disabled or enabled": (nothing, first(admin_state_up=False)),
    "a member becomes a backup": (nothing, first(backup=True)),
    "a member is checked elsewhere": (first(monitor_port=81), first(monitor_port=82)),
    "a member begins to be checked elsewhere": (nothing, first(monitor_port=81)),
    "a health monitor goes": (nothing, lambda graph: graph["pools"][0].pop("healthmonitor")),
    "a health monitor comes": (lambda graph: graph["pools"][0].pop("healthmonitor"), lambda graph: graph["pools"][0].update(HEALTH)),
    "a health monitor's times, what it asks for": (nothing, monitor(delay=9)),
    "`connection_limit`": (nothing, web(connection_limit=500)),
    "`allowed_cidrs`, more or fewer": (nothing, web(allowed_cidrs=["10.0.0.0/8", "192.168.0.0/16"])),
    "`allowed_cidrs`, the first or none any more": (web(allowed_cidrs=None), web(allowed_cidrs=["10.0.0.0/8"])),
    "a timeout": (nothing, web(timeout_client_data=1000)),
    "a listener comes, goes, or has another port": (nothing, listener),
    "an algorithm, a persistence": (nothing, pool(lb_algorithm="LEAST_CONNECTIONS")),
    "the value of an L7 rule": (nothing, rules({"value": "/y"})),
    "values of several L7 rules of a listener at once": (nothing, rules({"value": "/y"}, {"value": "z"})),
    "an L7 policy or rule comes, goes, or compares otherwise": (nothing, rules({"compare_type": "STARTS_WITH"})),
    "headers that are inserted": (nothing, web(insert_headers={"X-Forwarded-For": "true"})),
}


def row(name: str) -> list[str]:
    found = re.search(rf"^\| {re.escape(name)} \|(.*)\|$", PAGE, re.MULTILINE)
    assert found, f"docs/changing.md has no row {name!r}"
    return [cell.strip() for cell in found[1].split("|")]


def versions() -> list[str]:
    return row("change")


@cache
def material(certificate: int, authority: int) -> Secrets:
    return Secrets({"web": Secret(CERTIFICATES[certificate].bundle_pem), "ca": Secret(AUTHORITIES[authority].certificate_pem)})


def planned(old: Graph, new: Graph, secrets: tuple[Secrets, Secrets] = (material(0, 0), material(0, 0))) -> list[str]:
    """The way in each version, in the page's word."""
    found = []
    for version in versions():
        target = Target.parse(f"haproxy={version}")
        one, other = (compiler.load(json.dumps({"loadbalancer": graph})) for graph in (old, new))
        before, after = compiler.build(one, target, secrets[0], now=NOW), ways.after(one, other, target, secrets[1], NOW)
        assert before.ok, before.problems
        assert after.ok, after.problems
        way = ways.way(other.id, before, after, (target.haproxy, target.haproxy)).way
        found.append({"noop": "nothing", "runtime": "commands"}.get(way, way))
    return found


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_of_change(name: str) -> None:
    before, change = KINDS[name]
    old = graph()
    before(old)
    new = copy.deepcopy(old)
    change(new)
    assert row(name) == planned(old, new)


@pytest.mark.parametrize(
    ("name", "later"), [("a certificate is renewed", material(1, 0)), ("an authority or a revocation list is replaced", material(0, 1))]
)
def test_a_secret(name: str, later: Mapping[str, Secret]) -> None:
    assert isinstance(later, Secrets)
    assert row(name) == planned(graph(), graph(), (material(0, 0), later))


def test_every_row_is_one_of_these() -> None:
    rows = re.findall(r"^\| ([^|]+) \|", PAGE.partition("| change |")[2].partition("\n\n")[0], re.MULTILINE)
    assert len(rows) == len(KINDS) + 2 + 1  # secrets; the line below the heading


def test_every_command_is_one() -> None:
    commands = [shlex.split(line, comments=True) for line in re.findall(r"^\$ hydria (.+)$", PAGE, re.MULTILINE)]
    assert commands
    for verb, *arguments in commands:
        assert verb in VERBS
        context = click.Context(hydria)
        command = hydria.get_command(context, verb)
        assert command is not None
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in arguments if word.startswith("--")} <= known, (verb, arguments)
