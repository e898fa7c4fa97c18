"""Random load balancers, changed at random: what the plan's commands make of the running HAProxy is what a start with the new file makes."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from support.changing import RUN, running

import compiler
from compiler import Target
from compiler.changes import Commands, NoOp
from compiler.identity import server_ids
from compiler.plan import Files, plan
from hydria.lab.ports import HeldPort

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.haproxy import Haproxy

Part = dict[str, Any]

#: Member number → its id; addresses are of nobody (RFC 5737), which no check of these seconds finds out.
IDS = [f"5eed0000-0000-4000-8000-{number:012x}" for number in range(8)]
ALGORITHMS = st.sampled_from(["ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_IP", "SOURCE_IP_PORT"])


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with HeldPort() as held:
        yield held.port


@st.composite
def members(draw: st.DrawFn, number: int) -> Part:
    return {
        "id": IDS[number],
        "address": f"192.0.2.{draw(st.integers(1, 3))}",
        "protocol_port": 8000 + number,
        "weight": draw(st.integers(0, 256)),
        "admin_state_up": draw(st.sampled_from([True, True, False])),
        "backup": draw(st.sampled_from([False, False, False, True])),
    }


@st.composite
def pools(draw: st.DrawFn) -> Part:
    numbers = draw(st.sets(st.integers(0, len(IDS) - 1), max_size=4))
    pool: Part = {
        "name": "pool",
        "protocol": "HTTP",
        "lb_algorithm": draw(ALGORITHMS),
        "members": [draw(members(number)) for number in sorted(numbers)],
    }
    if draw(st.booleans()):
        pool["session_persistence"] = draw(st.sampled_from([{"type": "HTTP_COOKIE"}, {"type": "SOURCE_IP"}]))
    if draw(st.booleans()):
        pool["healthmonitor"] = {"type": "TCP", "delay": 3600, "timeout": 3600, "max_retries": 3, "admin_state_up": draw(st.booleans())}
    return pool


@st.composite
def changed(draw: st.DrawFn, pool: Part) -> Part:
    """The same pool after some changes, most of them of members."""
    other = copy.deepcopy(pool)
    for number in draw(st.lists(st.integers(0, len(IDS) - 1), min_size=1, max_size=4, unique=True)):
        there = [member for member in other["members"] if member["id"] == IDS[number]]
        other["members"] = [member for member in other["members"] if member["id"] != IDS[number]]
        if not there or draw(st.booleans()):
            fresh = draw(members(number))
            kept = {field: there[0][field] for field in ("backup",) if there}
            other["members"].insert(draw(st.integers(0, len(other["members"]))), fresh | kept)
    if "healthmonitor" in other and draw(st.integers(0, 3)) == 0:
        other["healthmonitor"]["admin_state_up"] = not other["healthmonitor"]["admin_state_up"]
    return other


def listeners(limit: int, cidrs: list[str]) -> Part:
    return {"name": "web", "protocol": "HTTP", "default_pool": {"name": "pool"}, "connection_limit": limit, "allowed_cidrs": cidrs}


def ids_of(pool: Part, previous: dict[str, int] | None) -> dict[str, int]:
    return server_ids([member["id"] for member in pool["members"]], previous)


def files(haproxy: Haproxy, port: int, pool: Part, listener: Part, previous: dict[str, int] | None = None) -> Files:
    described = {"name": "lb", "vip_address": "127.0.0.1", "listeners": [{**listener, "protocol_port": port}], "pools": [pool]}
    target = Target(haproxy=haproxy.version, run_directory="/run", user=None, group=None, log=None, maxconn=4000)
    graph = compiler.load(json.dumps({"loadbalancer": described}))
    bundle = compiler.build(graph, target, {}, previous=previous)
    assume(bundle.ok)
    made = Files.of(bundle)
    return Files(made.configuration.replace(f"/run/{graph.id}".encode(), RUN + b"/lb"), made.contents)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_a_changed_one_is_as_one_that_was_started_so(haproxy: Haproxy, port: int, data: st.DataObject) -> None:
    pool = data.draw(pools())
    other = data.draw(changed(pool))
    limits = data.draw(st.lists(st.integers(1, 4000), min_size=2, max_size=2))
    cidrs = data.draw(
        st.lists(st.lists(st.sampled_from(["192.0.2.0/24", "198.51.100.0/24", "127.0.0.1"]), min_size=1), min_size=2, max_size=2)
    )
    ids = ids_of(pool, None)
    old = files(haproxy, port, pool, listeners(limits[0], cidrs[0]))
    new = files(haproxy, port, other, listeners(limits[1], cidrs[1]), ids)
    made = plan(old, new, haproxy.version)
    assume(isinstance(made, Commands | NoOp))
    with running(haproxy, old) as process:
        if isinstance(made, Commands):
            process.runtime.execute(made.commands, patience=1)
        state = process.state(new)
    with running(haproxy, new) as process:
        assert state == process.state()
