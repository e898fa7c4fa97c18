"""UDP and SCTP through the agent on a kernel that has LVS: what Octavia's controller renders, by 1.0, and a graph of the same, by 2.0.

A kernel is booted for it (user-mode Linux). It has no nftables for IP: there, iptables holds what the agent's files for nft say
(`hydria/lab/uml_nft.py`); what nft makes of them is tested in `test_packet_filter.py` and `test_agent_network_rules.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lvs_by_agent import CONTRACTS, KINDS, MEMBERS, seen

if TYPE_CHECKING:
    from octavia_process import Controller

pytest_plugins = ["octavia_fixtures"]

pytestmark = pytest.mark.slow

every_contract = pytest.mark.parametrize("contract", CONTRACTS)
every_version = pytest.mark.parametrize("version", [4, 6])


@pytest.fixture(scope="module")
def told(controller: Controller, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What was seen in the guest."""
    return seen(controller, tmp_path_factory.mktemp("lvs"), KINDS, thorough=True)


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
