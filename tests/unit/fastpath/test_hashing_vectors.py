"""`fastpath.hashing` against picks recorded from real HAProxys: 2.6, 3.0 and 3.5, every hash, method, state and kind of key."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import Any

import pytest

from fastpath.hashing import Balance, Map, Ring, Server

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parents[2] / "vectors" / "haproxy_source_hash.json").read_text())["cases"]


def picker(case: dict[str, Any]) -> Balance:
    method, *words = (case["hash_type"] or "map-based").split()
    options: dict[str, Any] = {"avalanche": "avalanche" in words, "allbackups": case.get("allbackups", False)}
    options["function"] = next((word for word in words if word != "avalanche"), None)
    servers = [
        Server(
            **fields | {"address": ipaddress.ip_address(fields["address"]).packed if "address" in fields else b"", "guid": guid.encode()}
        )
        for fields, guid in ((server, server.get("guid", "")) for server in case["servers"])
    ]
    return Ring(servers, id_base=case.get("id_base", "x4096"), **options) if method == "consistent" else Map(servers, **options)


def key(balance: str, address: str, port: str | None) -> bytes:
    """What the expression of `balance hash` gives."""
    client = ipaddress.ip_address(address)
    if balance == "hash src":
        return client.packed
    if balance == "hash src_port":
        assert port is not None
        return int(port).to_bytes(8)
    assert balance == "hash src,ipmask(24,64)"
    if isinstance(client, ipaddress.IPv6Address) and client.ipv4_mapped:
        client = client.ipv4_mapped
    return ipaddress.ip_network((client, 24 if client.version == 4 else 64), strict=False).network_address.packed


@pytest.mark.parametrize("case", CASES, ids=[f"{case['haproxy'].split('-')[0]} {case['case']}" for case in CASES])
def test_every_recorded_client_gets_its_server(case: dict[str, Any]) -> None:
    model = picker(case)
    clients = [(address, int(place), port[0] if port else None) for address, place, *port in (pick.split() for pick in case["picks"])]
    expected = [place for _, place, _ in clients]
    if case["balance"] == "source":
        assert [model.pick(ipaddress.ip_address(address).packed) for address, _, _ in clients] == expected
    else:
        assert list(model.pick_keys(key(case["balance"], address, port) for address, _, port in clients)) == expected


def test_there_are_many_recorded_clients() -> None:
    assert sum(len(case["picks"]) for case in CASES) == 10080
