"""UDP and SCTP through the agent on a kernel that has LVS: what Octavia's controller renders, by 1.0, and a graph of the same, by 2.0.

A kernel is booted for it (user-mode Linux). It has no nftables for IP: there, iptables holds what the agent's files for nft say
(`support/nft_on_iptables.py`); what nft makes of them is tested in `test_packet_filter.py` and `test_agent_network_rules.py`.
"""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from octavia_models import Amphora, described
from support.uml import boot

import compiler

if TYPE_CHECKING:
    from octavia_process import Controller
    from support.graphs import Part

pytest_plugins = ["octavia_fixtures"]

ROOT = Path(__file__).parents[2]
GUEST = ROOT / "tests" / "real" / "lvs_agent_guest.py"
VIP, VIP6 = "10.90.0.1", "fd90::1"
MEMBERS = {"m1": ("10.97.1.2", "fd97:1::2"), "m2": ("10.97.2.2", "fd97:2::2")}
FIRST_PORT = {"1.0": 5000, "2.0": 6000}
KINDS = ("udp", "sctp", "kept", "hashed", "listed")
CONTRACTS = ("1.0", "2.0")
DETAILS = {"memory": {"free": 1_000_000, "buffers": 0, "cached": 0}, "cpu_count": 2, "active_tuned_profiles": ""}
every_contract = pytest.mark.parametrize("contract", CONTRACTS)
every_version = pytest.mark.parametrize("version", [4, 6])


def identifier(*words: object) -> str:
    """The same in every run."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, " ".join(map(str, words))))


def monitor(kind: str, **fields: Any) -> Part:
    """Some start a program for each check, which takes its time in a kernel inside a busy machine: none may fail because of that."""
    return {"type": kind, "delay": 8, "timeout": 6, "max_retries": 1, "max_retries_down": 1, **fields}


#: By which check each listener's members are looked at, and what else there is to its pool.
POOLS: dict[str, Part] = {
    "udp": {"healthmonitor": monitor("UDP-CONNECT")},
    "sctp": {"healthmonitor": monitor("SCTP")},
    "kept": {"healthmonitor": monitor("TCP"), "session_persistence": {"type": "SOURCE_IP", "persistence_timeout": 60}},
    "hashed": {"healthmonitor": monitor("HTTP", url_path="/", expected_codes="200"), "lb_algorithm": "SOURCE_IP"},
    "listed": {},
}
CHECK_PORTS = {"kept": 8080, "hashed": 8081}


def listener(contract: str, kind: str) -> Part:
    protocol = "SCTP" if kind == "sctp" else "UDP"
    members = [
        {
            "id": identifier(contract, kind, name, address),
            "name": name,
            "address": address,
            "protocol_port": 9000,
            "weight": {"m1": 3, "m2": 1}[name],
            **({"monitor_port": CHECK_PORTS[kind]} if kind in CHECK_PORTS else {}),
        }
        for name, addresses in MEMBERS.items()
        for address in addresses
    ]
    pool = {"id": identifier(contract, kind, "pool"), "name": kind, "protocol": protocol, "lb_algorithm": "ROUND_ROBIN", "members": members}
    return {
        "id": identifier(contract, kind),
        "name": kind,
        "protocol": protocol,
        "protocol_port": FIRST_PORT[contract] + KINDS.index(kind),
        "default_pool": pool | POOLS[kind],
        **({"allowed_cidrs": ["10.99.0.2/32", "fd99::2/128"]} if kind == "listed" and contract == "2.0" else {}),
    }


def graph(contract: str) -> Part:
    listeners = [listener(contract, kind) for kind in KINDS]
    return {
        "id": identifier(contract),
        "name": contract,
        "vip_address": VIP,
        "additional_vips": [{"ip_address": VIP6}],
        "listeners": listeners,
    }


@pytest.fixture(scope="module")
def told(controller: Controller, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What was seen in the guest."""
    graphs = {contract: graph(contract) for contract in CONTRACTS}
    listeners = {f"{contract} {each['name']}": each for contract in CONTRACTS for each in graphs[contract]["listeners"]}
    asked = {
        "root": str(ROOT),
        "python": sys.executable,
        "lb": graphs["2.0"]["id"],
        "graph": {"loadbalancer": graphs["2.0"]},
        "octavia": rendered(controller, graphs["1.0"]),
        "ports": {name: each["protocol_port"] for name, each in listeners.items()},
        "listeners": {name: each["id"] for name, each in listeners.items()},
        "pools": {name: each["default_pool"]["id"] for name, each in listeners.items()},
        "members": {name: {member["id"]: member["name"] for member in each["default_pool"]["members"]} for name, each in listeners.items()},
    }
    answer = boot(tmp_path_factory.mktemp("lvs"), asked, GUEST)
    assert "error" not in answer, f"{answer['error']}\n{answer.get('log')}"
    found: dict[str, Any] = answer["told"]
    return found


def rendered(controller: Controller, document: Part) -> dict[str, str]:
    """Listener → the text that Octavia's controller would upload."""
    controller.octavia.configure(haproxy_amphora={"base_path": "/var/lib/octavia", "base_cert_dir": "/var/lib/octavia/certs"})
    amphora = Amphora("11111111-1111-4111-8111-111111111111", "192.0.2.101", "10.90.0.21")
    controller.octavia.command("describe", document=described(compiler.load(json.dumps({"loadbalancer": document})), [amphora]))
    networks = [
        {"ip_address": VIP, "cidr": "10.90.0.0/24", "gateway_ip": "10.90.0.254", "host_routes": []},
        {"ip_address": VIP6, "cidr": "fd90::/64", "gateway_ip": "fd90::fe", "host_routes": []},
    ]
    calls = controller.octavia.command("render", haproxy_version="2.6", details=DETAILS, networks=networks)
    texts = {arguments[0]: arguments[-1] for _, call, *arguments in calls if call == "upload_udp_config"}
    assert set(texts) == {each["id"] for each in document["listeners"]}
    return texts


@every_contract
@every_version
@pytest.mark.parametrize("kind", ["udp", "sctp"])
def test_members_answer_by_their_weights(told: dict[str, Any], contract: str, kind: str, version: int) -> None:
    assert told["both"][f"{contract} {kind} IPv{version}"] == {"m1": 6, "m2": 2}


@every_contract
@every_version
@pytest.mark.parametrize("kind", ["kept", "hashed"])
def test_a_client_stays_with_its_member(told: dict[str, Any], contract: str, kind: str, version: int) -> None:
    assert list(told["both"][f"{contract} {kind} IPv{version}"].values()) == [8]


@every_contract
@every_version
@pytest.mark.parametrize("kind", ["udp", "sctp", "kept", "hashed"])
def test_each_kind_of_check_takes_a_member_out_that_does_not_serve(told: dict[str, Any], contract: str, kind: str, version: int) -> None:
    assert told["without m2"][f"{contract} {kind} IPv{version}"] == {"m1": 4}


@every_contract
@pytest.mark.parametrize("kind", ["udp", "sctp", "kept", "hashed"])
def test_heartbeats_tell_what_checks_found(told: dict[str, Any], contract: str, kind: str) -> None:
    name = f"{contract} {kind}"
    assert told["members"][name] == {"m1": ["UP", "UP"], "m2": ["UP", "UP"]}
    assert told["members without m2"][name] == {"m1": ["UP", "UP"], "m2": ["DOWN", "DOWN"]}
    assert told["members again"][name] == {"m1": ["UP", "UP"], "m2": ["UP", "UP"]}


@every_contract
def test_heartbeats_tell_that_nobody_looks_at_members_without_a_monitor(told: dict[str, Any], contract: str) -> None:
    assert told["members"][f"{contract} listed"] == {name: ["no check", "no check"] for name in MEMBERS}


@every_contract
@pytest.mark.parametrize("kind", KINDS)
def test_heartbeats_tell_what_passed(told: dict[str, Any], contract: str, kind: str) -> None:
    counted = told["counted"][f"{contract} {kind}"]
    # Eight clients by each family at least, or one that stays.
    assert counted["totconns"] >= 16
    assert min(counted["rx"], counted["tx"]) >= 16 * 29


@every_version
def test_only_those_in_allowed_cidrs_come_through(told: dict[str, Any], version: int) -> None:
    assert told["both"][f"2.0 listed IPv{version}"] == {"m1": 6, "m2": 2}
    strangers = {name: reached for name, reached in told["strangers"].items() if name.endswith(str(version))}
    assert strangers == {
        f"{contract} {kind} IPv{version}": (contract, kind) != ("2.0", "listed") for contract in CONTRACTS for kind in KINDS
    }


@every_version
def test_interface_rules_of_the_1_0_contract_hold_for_lvs(told: dict[str, Any], version: int) -> None:
    assert {name: reached for name, reached in told["by the rules"].items() if name.endswith(str(version))} == {
        f"client 1.0 udp IPv{version}": True,
        f"stranger 1.0 udp IPv{version}": False,
        f"client 2.0 udp IPv{version}": False,
        f"stranger 2.0 udp IPv{version}": False,
    }


def test_a_graph_of_such_listeners_starts_them(told: dict[str, Any]) -> None:
    assert told["way"] == "start"
