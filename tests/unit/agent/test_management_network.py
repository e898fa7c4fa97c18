"""The management network in systemd-networkd's words, of what Nova says in `network_data.json`."""

from __future__ import annotations

import configparser
from typing import Any

import pytest

from agent.errors import InvalidRequest
from agent.management_network import name_servers, network_files

MAC = "fa:16:3e:aa:bb:cc"
LINK = {"id": "tap1", "ethernet_mac_address": MAC.upper(), "mtu": 1442, "type": "ovs", "vif_id": "x"}


def text(*networks: dict[str, Any], services: tuple[dict[str, Any], ...] = ()) -> str:
    told = {"links": [LINK], "networks": [{"id": "n", "link": "tap1", **network} for network in networks], "services": services}
    [(name, content)] = network_files(told).items()
    assert name == "10-fa163eaabbcc.network"
    return content.decode()


def lines(shown: str, key: str) -> list[str]:
    return [line.partition("=")[2] for line in shown.splitlines() if line.startswith(f"{key}=")]


def test_it_is_a_file_of_sections_for_one_interface_by_its_address() -> None:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text({"type": "ipv4_dhcp"}))
    assert parser["Match"]["MACAddress"] == MAC
    assert parser["Link"]["MTUBytes"] == "1442"
    assert (parser["Network"]["DHCP"], parser["Network"]["IPv6AcceptRA"]) == ("ipv4", "no")


@pytest.mark.parametrize(
    ("types", "dhcp", "advertisements"),
    [
        (["ipv4_dhcp"], "ipv4", "no"),
        (["ipv6_slaac"], "no", "yes"),
        (["ipv6_dhcp"], "ipv6", "yes"),
        (["ipv4_dhcp", "ipv6_dhcpv6-stateful"], "yes", "yes"),
        (["ipv4_dhcp", "ipv6_dhcpv6-stateless"], "ipv4", "yes"),
        ([], "no", "no"),
    ],
)
def test_addresses_that_the_network_gives(types: list[str], dhcp: str, advertisements: str) -> None:
    shown = text(*({"type": kind} for kind in types))
    assert (lines(shown, "DHCP"), lines(shown, "IPv6AcceptRA")) == ([dhcp], [advertisements])


def test_fixed_addresses_routes_and_servers() -> None:
    four = {
        "type": "ipv4",
        "ip_address": "192.0.2.5",
        "netmask": "255.255.255.0",
        "routes": [
            {"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "192.0.2.1"},
            {"network": "198.51.100.0", "netmask": "255.255.255.0", "gateway": "192.0.2.2"},
        ],
        "services": [{"type": "dns", "address": "192.0.2.53"}],
    }
    six = {"type": "ipv6", "ip_address": "2001:db8::5/64", "gateway": "2001:db8::1", "routes": []}
    shown = text(four, six, services=({"type": "dns", "address": "192.0.2.53"}, {"type": "dns", "address": "2001:db8::53"}))
    assert lines(shown, "Address") == ["192.0.2.5/24", "2001:db8::5/64"]
    assert lines(shown, "Destination") == ["0.0.0.0/0", "198.51.100.0/24", "::/0"]
    assert lines(shown, "Gateway") == ["192.0.2.1", "192.0.2.2", "2001:db8::1"]
    assert lines(shown, "DNS") == ["192.0.2.53", "2001:db8::53"]


def test_name_servers_are_each_told_once() -> None:
    dns = {"type": "dns", "address": "192.0.2.53"}
    assert name_servers({"services": [dns, {"type": "ntp", "address": "x"}], "networks": [{"services": [dns]}]}) == ["192.0.2.53"]


def test_nothing_said_nothing_written() -> None:
    assert network_files({}) == {}


@pytest.mark.parametrize(
    "told",
    [
        {"links": [{"id": "a", "ethernet_mac_address": "no\n[Network]"}]},
        {"links": [LINK], "networks": [{"link": "other", "type": "ipv4_dhcp"}]},
        {"links": [LINK], "networks": [{"link": "tap1", "type": "carrier pigeon"}]},
        {"links": [LINK], "networks": [{"link": "tap1", "type": "ipv4", "ip_address": "192.0.2.5\nx", "netmask": "255.0.0.0"}]},
        {"links": [LINK], "networks": [{"link": "tap1", "type": "ipv4", "ip_address": "192.0.2.5/24", "gateway": "no"}]},
        {"links": [LINK], "networks": [{"link": "tap1", "type": "ipv4_dhcp"}], "services": [{"type": "dns", "address": "no"}]},
    ],
)
def test_what_nobody_can_mean_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        network_files(told)
