"""UDP and SCTP through LVS: a kernel that has it is booted (user-mode Linux), with keepalived as it is rendered and real members.

That kernel has no nftables for IP. The packet filter is tested where it is (`test_packet_filter.py`); here iptables masquerades in its place.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.uml import boot

import compiler
from agent import bundle_directory
from compiler.bundle import lvs_conf

if TYPE_CHECKING:
    from support.graphs import Part

pytestmark = pytest.mark.slow

GUEST = Path(__file__).with_name("lvs_guest.py")
ROOT = Path(__file__).parents[2]
PORTS = {"udp": 5000, "sctp": 5001, "kept": 5002, "drained": 5003, "hashed": 5004}


def described(name: str, **pool: Any) -> Part:
    protocol = "SCTP" if name == "sctp" else "UDP"
    members = [
        {"name": member, "address": address, "protocol_port": 9000, "weight": weight}
        for member, weight, addresses in (("m1", 3, ("10.97.1.2", "fd97:1::2")), ("m2", 1, ("10.97.2.2", "fd97:2::2")))
        for address in addresses
    ]
    if name == "drained":
        members = [{**member, "weight": 0 if member["name"] == "m2" else 1} for member in members]
    # A check starts a program, which takes its time in a kernel inside a busy machine: none may fail because of that.
    monitor = {"type": "SCTP" if name == "sctp" else "UDP-CONNECT", "delay": 6, "timeout": 5, "max_retries": 1, "max_retries_down": 1}
    used = {"name": name, "protocol": protocol, "lb_algorithm": "ROUND_ROBIN", "members": members, "healthmonitor": monitor, **pool}
    return {"name": name, "protocol": protocol, "protocol_port": PORTS[name], "default_pool": used}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What was seen in the guest."""
    directory = tmp_path_factory.mktemp("lvs")
    listeners = [
        described("udp"),
        described("sctp"),
        described("kept", session_persistence={"type": "SOURCE_IP", "persistence_timeout": 60}),
        described("drained"),
        described("hashed", lb_algorithm="SOURCE_IP"),
    ]
    document = {"name": "lb", "vip_address": "10.90.0.1", "additional_vips": [{"ip_address": "fd90::1"}], "listeners": listeners}
    graph = compiler.load(json.dumps({"loadbalancer": document}))
    bundle = compiler.build(graph, compiler.Target(check_command="/run/hydria-probe"))
    assert bundle.ok, "\n".join(map(str, bundle.problems))
    bundle_directory.replace(bundle, directory / "bundle")
    asked = {
        "root": str(ROOT),
        "ports": PORTS,
        "confs": [str(directory / "bundle" / lvs_conf(listener.id)) for listener in graph.listeners],
    }
    answer = boot(directory, asked, GUEST)
    assert "error" not in answer, f"{answer['error']}\n" + "\n".join(f"{name}:\n{text}" for name, text in answer["logs"].items())
    seen: dict[str, Any] = answer["told"]
    return seen


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("kind", ["udp", "sctp"])
class TestForwarding:
    def test_members_answer_by_their_weights(self, told: dict[str, Any], kind: str, version: int) -> None:
        assert told[f"{kind} IPv{version}: answers"] == {"m1": 9, "m2": 3}

    def test_members_see_the_balancer(self, told: dict[str, Any], kind: str, version: int) -> None:
        expected = {4: ["10.97.1.1", "10.97.2.1"], 6: ["fd97:1::1", "fd97:2::1"]}[version]
        assert told[f"{kind} IPv{version}: taken for"] == expected

    def test_a_member_that_fails_its_check_is_out_until_it_is_well(self, told: dict[str, Any], kind: str, version: int) -> None:
        assert told[f"{kind} IPv{version}: without m2"] == {"m1": 8}
        assert told[f"{kind} IPv{version}: with m2 again"] == ["m1", "m2"]


@pytest.mark.parametrize("version", [4, 6])
class TestChoosing:
    def test_weight_0_gets_nobody(self, told: dict[str, Any], version: int) -> None:
        assert told[f"drained IPv{version}"] == {"m1": 8}

    @pytest.mark.parametrize("name", ["kept", "hashed"])
    def test_a_client_stays_with_its_member(self, told: dict[str, Any], name: str, version: int) -> None:
        assert list(told[f"{name} IPv{version}"].values()) == [8]
        assert set(told[f"{name} IPv{version}"]) <= {"m1", "m2"}


def test_weights_are_those_of_the_members(told: dict[str, Any]) -> None:
    assert told["weights"] == {"udp": [1, 3], "sctp": [1, 3], "kept": [1, 3], "drained": [0, 1], "hashed": [1, 3]}


def test_keepalived_leaves_no_service_behind(told: dict[str, Any]) -> None:
    assert told["when keepalived has ended"] == []
