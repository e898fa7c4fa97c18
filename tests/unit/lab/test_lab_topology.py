"""A lab as a function of its graph."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import Any

import pytest

import compiler
from compiler import ProblemError
from hydria.lab.topology import CLIENTS, Plan, Wishes, plan

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


def made(wishes: Wishes | None = None, **changed: Any) -> Plan:
    pool = {"name": "servers", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": [{"address": "10.0.0.1", "protocol_port": 80}]}
    listener = {"name": "web", "protocol": "HTTP", "protocol_port": 80, "default_pool": pool}
    document = {"loadbalancer": {"name": "lb", "vip_address": "192.0.2.10", "listeners": [listener], **changed}}
    return plan("lab", json.dumps(document).encode(), wishes or Wishes())


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("[!.]*.yaml")), ids=lambda path: path.stem)
def test_every_example_can_be_tried(example: Path) -> None:
    if example.name.endswith(".target.yaml"):
        return
    one = plan("lab", example.read_bytes(), Wishes())
    given, placed = compiler.load(example.read_text()), compiler.load(one.graph)
    assert (placed.id, placed.vip_address, [each.id for each in placed.listeners]) == (
        given.id,
        given.vip_address,
        [each.id for each in given.listeners],
    )
    addresses = [(each.address, each.port) for each in one.backends]
    assert len(set(addresses)) == len(addresses)
    assert len({each.name for each in one.backends}) == len(addresses)
    assert set(one.secrets) == set(compiler.secret_references(placed))
    assert one == plan("lab", example.read_bytes(), Wishes())


def test_nobody_has_two_addresses_or_anothers() -> None:
    one = made(vip_address="192.0.2.101", additional_vips=[{"ip_address": "192.0.2.1"}, {"ip_address": "2001:db8::a"}])
    for subnet in one.subnets:
        network = ipaddress.ip_network(subnet.cidr)
        taken = [*one.vips, subnet.gateway, *subnet.amphorae, *subnet.clients]
        assert len(set(taken)) == len(taken)
        assert all(ipaddress.ip_address(each) in network for each in (subnet.vip, subnet.gateway, *subnet.amphorae, *subnet.clients))
        assert len(subnet.clients) == CLIENTS
    assert one.amphorae[0].address == "192.0.2.102"


def test_a_pair_and_a_single() -> None:
    pair, single = made(), made(Wishes(pair=False))
    assert (pair.pair, single.pair) == (True, False)
    assert single.hints["topology"] == "SINGLE"
    assert [each["id"] for each in pair.hints["amphorae"]] == [each.id for each in pair.amphorae]
    assert pair.amphorae[0].id != pair.amphorae[1].id
    assert compiler.Target.read(json.dumps(pair.hints | {"amphora": pair.amphorae[0].id})).vrrp.advert_interval == 100


def test_as_many_members_as_are_wanted() -> None:
    assert [each.name for each in made(Wishes(members=3)).backends][1:] == ["member-2", "member-3"]
    assert made(Wishes(members=0)).backends == ()
    many = made(Wishes(members=2000)).backends
    assert len({each.address for each in many}) == 2000


def test_members_are_where_no_vip_is() -> None:
    one = made(vip_address="198.18.0.10")
    assert {each.address.rpartition(".")[0].rpartition(".")[0] for each in one.backends} == {"198.19"}
    assert one.amphorae[0].members[0].startswith("198.19.")


def test_a_member_answers_what_its_monitor_expects_and_is_checked_where_it_is() -> None:
    member = {"address": "10.0.0.1", "protocol_port": 80, "monitor_address": "10.0.0.9", "monitor_port": 81}
    monitor = {"type": "HTTP", "delay": 5, "timeout": 2, "max_retries": 1, "url_path": "/health", "expected_codes": "204"}
    pool = {"name": "p", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": [member], "healthmonitor": monitor}
    one = made(listeners=[], pools=[pool])
    assert one.backends[0].statuses == {"/health": 204}
    assert compiler.load(one.graph).pools[0].members[0].monitor_port is None


def test_without_a_vip_there_is_no_lab() -> None:
    with pytest.raises(ProblemError):
        made(vip_address=None)


def test_secrets_by_what_they_are_for() -> None:
    listener = {"protocol": "TERMINATED_HTTPS", "protocol_port": 443, "default_tls_container_ref": "a", "sni_container_refs": ["b"]}
    listener |= {"client_ca_tls_container_ref": "c", "client_crl_container_ref": "d", "client_authentication": "MANDATORY"}
    assert made(listeners=[listener]).secrets == {"a": "certificate", "b": "certificate", "c": "authority", "d": "revocations"}
