"""Random load balancers, changed at random: what the plan's commands make of the running HAProxy is what a start with the new file makes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from support.changing import RUN, running
from support.namespaces import Namespace
from support.random_graphs import CIDRS, LIMITS, Part, changed, lead_nowhere, pools

import compiler
from compiler import Target
from compiler.changes import Commands, NoOp
from compiler.identity import server_ids
from compiler.plan import Files, plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.haproxy import Haproxy

pytestmark = pytest.mark.third_haproxy


PORT = 8080


@pytest.fixture(scope="module")
def nowhere() -> Iterator[Namespace]:
    with Namespace("nowhere") as made:
        lead_nowhere(made)
        yield made


def listeners(limit: int, cidrs: list[str]) -> Part:
    return {"name": "web", "protocol": "HTTP", "default_pool": {"name": "pool"}, "connection_limit": limit, "allowed_cidrs": cidrs}


def ids_of(pool: Part, previous: dict[str, int] | None) -> dict[str, int]:
    return server_ids([member["id"] for member in pool["members"]], previous)


def files(haproxy: Haproxy, pool: Part, listener: Part, previous: dict[str, int] | None = None) -> Files:
    described = {"name": "lb", "vip_address": "127.0.0.1", "listeners": [{**listener, "protocol_port": PORT}], "pools": [pool]}
    target = Target(haproxy=haproxy.version, run_directory="/run", user=None, group=None, log=None, maxconn=4000)
    graph = compiler.load(json.dumps({"loadbalancer": described}))
    bundle = compiler.build(graph, target, {}, previous=previous)
    assume(bundle.ok)
    made = Files.of(bundle)
    return Files(made.configuration.replace(f"/run/{graph.id}".encode(), RUN + b"/lb"), made.contents)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_a_changed_one_is_as_one_that_was_started_so(haproxy: Haproxy, nowhere: Namespace, data: st.DataObject) -> None:
    pool = data.draw(pools())
    other = data.draw(changed(pool))
    limits = data.draw(st.lists(LIMITS, min_size=2, max_size=2))
    cidrs = data.draw(st.lists(CIDRS, min_size=2, max_size=2))
    ids = ids_of(pool, None)
    old = files(haproxy, pool, listeners(limits[0], cidrs[0]))
    new = files(haproxy, other, listeners(limits[1], cidrs[1]), ids)
    made = plan(old, new, haproxy.version)
    assume(isinstance(made, Commands | NoOp))
    with nowhere.entered(), running(haproxy, old) as process:
        if isinstance(made, Commands):
            process.runtime.execute(made.commands, patience=1)
        state = process.state(new)
    with nowhere.entered(), running(haproxy, new) as process:
        assert state == process.state()
