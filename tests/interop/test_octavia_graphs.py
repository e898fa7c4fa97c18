"""What Hydria's driver makes of Octavia's objects compiles to what the graph does that the objects were made from."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import pytest
from octavia_features import every_feature, load
from octavia_models import Amphora, described, reference
from octavia_process import HERE, PYTHON, Controller
from support.graphs import listener, path_is, policy, pool

import compiler
from compiler.bundle import VRRP_CONF
from compiler.graph import LoadBalancer, Pool
from compiler.secrets import Secrets
from compiler.target import Target

pytest_plugins = ["octavia_fixtures"]

PAIR = (
    Amphora("0c1f6a8e-55d7-4a6a-8f5e-9d6a3a1b7c20", "192.0.2.21", "203.0.113.21", 100, "MASTER"),
    Amphora("f3b0c442-98fc-4c14-9afb-f4c8996fb924", "192.0.2.22", "203.0.113.22", 90, "BACKUP"),
)


@pytest.fixture(scope="module")
def octavia(controller: Controller) -> Any:
    controller.octavia.configure()
    return controller.octavia


def in_octavias_words(value: Any, hashed: str, key: str = "") -> Any:
    """The graph as plain data with the names by which Octavia's certificate manager knows secrets, without what is Hydria's own; all of its
    pools hash alike.
    """
    if isinstance(value, dict):
        value = value | ({"hash": hashed} if value.get("lb_algorithm") else {})
        own = {"hard_stop_after", "mworker_max_reloads", "redispatch"}
        return {name: in_octavias_words(inner, hashed, name) for name, inner in value.items() if name not in own}
    if isinstance(value, list | tuple):
        return [in_octavias_words(each, hashed, key) for each in value]
    return reference(value) if "container_ref" in key and value else value


def hash_of(graph: LoadBalancer) -> str:
    """What most of its pools hash by: the driver has one way for all."""
    return Counter(each.hash for each in all_pools(graph)).most_common(1)[0][0] if all_pools(graph) else "consistent"


def all_pools(graph: LoadBalancer) -> list[Pool]:
    inner = [each.default_pool for each in graph.listeners]
    inner += [rule.redirect_pool for each in graph.listeners for rule in each.l7policies]
    return [each for each in (*graph.pools, *inner) if each is not None and not each.is_reference]


@every_feature
def test_the_graph_compiles_to_the_same(feature: Path, octavia: Any) -> None:
    graph, secrets = load(feature)
    document = described(graph, PAIR[:1])
    positions = {policy.id: policy.position for each in graph.listeners for policy in each.l7policies}
    for shown in chain.from_iterable(each["l7policies"] for each in document["listeners"]):
        shown["position"] = positions[shown["id"]]
    octavia.command("describe", document=document, tls_defaults=False)
    made = octavia.command("graph", source_hash=hash_of(graph))
    known = Secrets({str(reference(name)): secret for name, secret in secrets.items()})
    wanted = compiler.load(json.dumps(in_octavias_words(msgspec.to_builtins(graph), hash_of(graph))))
    target = Target(haproxy=(3, 0))
    bundles = [compiler.build(each, target, known) for each in (wanted, compiler.load(json.dumps({"loadbalancer": made})))]
    assert [each.problems for each in bundles if not each.files] == []
    assert bundles[0].files == bundles[1].files


def web(*more: dict[str, Any]) -> dict[str, Any]:
    one, two = ({"address": f"198.51.100.{number}", "protocol_port": 80} for number in (1, 2))
    monitor = {"type": "TCP", "delay": 2, "timeout": 1, "max_retries": 1}
    return {
        "vip_address": "203.0.113.10",
        "listeners": [listener("web", "servers", policy("REJECT", path_is("/a"), path_is("/b")), protocol_port=80), *more],
        "pools": [pool("servers", one, two, healthmonitor=monitor, session_persistence={"type": "SOURCE_IP"}), pool("spare", one)],
    }


def test_what_is_about_to_be_deleted_is_left_out(octavia: Any) -> None:
    graph = compiler.load(json.dumps({"loadbalancer": web()}))
    servers, [rejects] = graph.pools[0], graph.listeners[0].l7policies
    octavia.command("describe", document=described(graph, PAIR[:1]))
    assert servers.healthmonitor is not None
    octavia.command("leave", kind="member", identifier=servers.members[0].id)
    octavia.command("leave", kind="healthmonitor", identifier=servers.healthmonitor.id)
    octavia.command("leave", kind="l7rule", identifier=rejects.rules[0].id)
    made = octavia.command("graph")
    [pool_made] = made["pools"]
    assert [each["id"] for each in pool_made["members"]] == [servers.members[1].id]
    assert "healthmonitor" not in pool_made
    assert [each["id"] for each in made["listeners"][0]["l7policies"][0]["rules"]] == [rejects.rules[1].id]
    octavia.command("leave", kind="l7policy", identifier=rejects.id)
    octavia.command("leave", kind="pool", identifier=servers.id)
    made = octavia.command("graph")
    assert (made["pools"], made["listeners"][0]["l7policies"]) == ([], [])
    assert "default_pool_id" not in made["listeners"][0]
    compiler.load(json.dumps({"loadbalancer": made}))


def test_what_the_controllers_settings_say_of_listeners_is_in_it(octavia: Any) -> None:
    graph = compiler.load(json.dumps({"loadbalancer": web(listener("limited", "servers", protocol_port=81, connection_limit=7))}))
    octavia.command("describe", document=described(graph, PAIR[:1]))
    assert [each["connection_limit"] for each in octavia.command("graph")["listeners"]] == [50_000, 7]


def test_what_octavia_keeps_when_hsts_is_taken_back_is_left_out(octavia: Any) -> None:
    secure = {"protocol": "TERMINATED_HTTPS", "protocol_port": 443, "default_tls_container_ref": "shop"}
    graph = compiler.load(json.dumps({"loadbalancer": web(listener("secure", "servers", **secure))}))
    document = described(graph, PAIR[:1])
    document["listeners"][1] |= {"hsts_max_age": None, "hsts_include_subdomains": True, "hsts_preload": True}
    octavia.command("describe", document=document)
    [_, made] = compiler.load(json.dumps({"loadbalancer": octavia.command("graph")})).listeners
    assert (made.hsts_max_age, made.hsts_include_subdomains, made.hsts_preload) == (None, False, False)


def test_rows_of_octavias_database_are_understood() -> None:
    asking = [str(PYTHON), "-W", "ignore", str(HERE / "octavia_rows.py")]
    graph, target = json.loads(subprocess.run(asking, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    read = compiler.load(json.dumps({"loadbalancer": graph}))
    [each], [servers] = read.listeners, read.pools
    assert (each.allowed_cidrs, each.default_pool_id, each.l7policies[0].redirect_pool_id) == (("198.51.100.0/24",), servers.id, servers.id)
    assert [(one.address, one.weight) for one in servers.members] == [("192.0.2.1", 3)]
    assert servers.healthmonitor is not None
    assert (servers.healthmonitor.max_retries, servers.healthmonitor.max_retries_down) == (2, 3)
    bundle = compiler.build(read, Target.read(json.dumps({"haproxy": "3.0", **target})))
    assert bundle.files, bundle.problems


def test_the_sample_of_a_configuration_has_the_drivers_section() -> None:
    """`oslo-config-generator`, by which operators get one, asks all that is installed."""
    generator = PYTHON.with_name("oslo-config-generator")
    made = subprocess.run([generator, "--namespace", "hydria"], capture_output=True, text=True, check=True).stdout
    assert re.search(r"^\[hydria\]$", made, re.MULTILINE)
    assert "#source_hash = consistent" in made


def test_both_of_a_pair_are_told_of_each_other(octavia: Any) -> None:
    graph = compiler.load(json.dumps({"loadbalancer": web()}))
    octavia.command("describe", document=described(graph, PAIR, "ACTIVE_STANDBY"))
    told = octavia.command("targets")
    peers = [{"id": each.id, "address": each.vrrp_address, "priority": each.priority} for each in PAIR]
    assert {name: (target["amphora"], target["amphorae"]) for name, target in told.items()} == {each.id: (each.id, peers) for each in PAIR}
    for target in told.values():
        files = compiler.build(graph, Target.read(json.dumps({"haproxy": "3.0", **target}))).files
        assert VRRP_CONF not in files
        assert "\npeers " in files["haproxy.cfg"].content.decode()


def test_one_that_is_left_alone_is_a_single_one(octavia: Any) -> None:
    graph = compiler.load(json.dumps({"loadbalancer": web()}))
    octavia.command("describe", document=described(graph, PAIR[:1], "ACTIVE_STANDBY"))
    assert octavia.command("targets") == {PAIR[0].id: {"topology": "SINGLE"}}
