"""Two load balancers of the same members for a kernel that has LVS: one of them Octavia's, the other a graph; see `tests/real/lvs_agent_story.py`."""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from octavia_models import Amphora, described
from support.uml import boot

import compiler

if TYPE_CHECKING:
    from octavia_process import Controller
    from support.graphs import Part

ROOT = Path(__file__).parents[2]
GUEST = ROOT / "tests" / "real" / "lvs_agent_guest.py"
VIP, VIP6 = "10.90.0.1", "fd90::1"
MEMBERS = {"m1": ("10.97.1.2", "fd97:1::2"), "m2": ("10.97.2.2", "fd97:2::2")}
FIRST_PORT = {"1.0": 5000, "2.0": 6000}
KINDS = ("udp", "sctp", "kept", "hashed", "listed")
CONTRACTS = ("1.0", "2.0")
DETAILS = {"memory": {"free": 1_000_000, "buffers": 0, "cached": 0}, "cpu_count": 2, "active_tuned_profiles": ""}


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


def graph(contract: str, kinds: tuple[str, ...]) -> Part:
    listeners = [listener(contract, kind) for kind in kinds]
    return {
        "id": identifier(contract),
        "name": contract,
        "vip_address": VIP,
        "additional_vips": [{"ip_address": VIP6}],
        "listeners": listeners,
    }


def seen(controller: Controller, directory: Path, kinds: tuple[str, ...], *, thorough: bool) -> dict[str, Any]:
    """What was seen in the guest. Without `thorough`, the story ends when a member has been taken out."""
    graphs = {contract: graph(contract, kinds) for contract in CONTRACTS}
    listeners = {f"{contract} {each['name']}": each for contract in CONTRACTS for each in graphs[contract]["listeners"]}
    asked = {
        "thorough": thorough,
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
    answer = boot(directory, asked, GUEST)
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
