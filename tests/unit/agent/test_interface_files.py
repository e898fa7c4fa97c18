"""The files of interfaces, what follows from them, and the packet filter that is made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.errors import NotFoundError, SystemFault
from agent.network.interfaces import Interface, InterfaceFiles
from agent.network.kernel import Placed
from agent.network.packet_filter import masquerade_text, rules_text
from agent.network.requests import NetworkPlug, Rule, VipPlug
from agent.network.words import Address, Mac

MAC = Mac("fa:16:3e:00:00:01")
ROUTE = {"destination": "10.9.0.0/16", "nexthop": "192.0.2.3"}


def vip_interface(*, active_standby: bool = False, **more: Any) -> Interface:
    body = {"subnet_cidr": "192.0.2.0/24", "gateway": "192.0.2.1", "mac_address": MAC, "vrrp_ip": "192.0.2.20", "mtu": 1450, **more}
    plan = VipPlug.decode("192.0.2.10", json.dumps(body).encode())
    return Interface(name="eth1", mac=MAC, mtu=plan.mtu, vip=plan.vip, active_standby=active_standby)


def backend(*fixed_ips: dict[str, Any]) -> Interface:
    plan = NetworkPlug.decode(json.dumps({"mac_address": MAC, "fixed_ips": fixed_ips}).encode())
    return Interface(name="eth2", mac=MAC, fixed_ips=plan.fixed_ips)


def everything() -> Interface:
    full = vip_interface(
        host_routes=[ROUTE], additional_vips=[{"ip_address": "2001:db8::10", "subnet_cidr": "2001:db8::/64", "gateway": "2001:db8::1"}]
    )
    rules = Rule.decode_all(b'[{"protocol": "TCP", "cidr": "10.0.0.0/8", "port": 80}, {"protocol": "vrrp", "cidr": null, "port": 112}]')
    return Interface(name="eth1", mac=MAC, mtu=1450, vip=full.vip, rules=rules, former=(Placed(Address("192.0.2.9"), 24),))


class TestFiles:
    def test_what_is_written_is_read(self, tmp_path: Path) -> None:
        files = InterfaceFiles(tmp_path / "not" / "there yet")
        assert files.all() == ([], {})
        for interface in (everything(), backend()):
            files.write(Interface(**{**_fields(interface), "mac": Mac(f"fa:16:3e:00:01:0{interface.name[-1]}")}))
        assert files.names() == ["eth1", "eth2"]
        loaded = files.load("eth1")
        assert _fields(loaded) | {"mac": MAC} == _fields(everything())
        assert isinstance(loaded.mac, Mac)

    def test_of_one_piece_of_hardware_there_is_one_file(self, tmp_path: Path) -> None:
        files = InterfaceFiles(tmp_path)
        files.write(backend())
        files.write(everything())
        assert files.names() == ["eth1"]
        assert files.name_of(MAC) == "eth1"

    @pytest.mark.parametrize(
        "content", [b"", b"{}", b"[]", b"\xff", b'{"name": "eth2", "mac": "fa:16:3e:00:00:01"}', b'{"name": "eth1", "mac": "x"}']
    )
    def test_what_is_not_ours_is_told(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "eth1.json").write_bytes(content)
        files = InterfaceFiles(tmp_path)
        with pytest.raises(SystemFault, match=r"eth1\.json cannot be used"):
            files.load("eth1")
        assert list(files.all()[1]) == ["eth1"]

    def test_what_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError):
            InterfaceFiles(tmp_path).load("eth1")

    def test_a_directory_that_cannot_be(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(SystemFault):
            InterfaceFiles(tmp_path / "file").write(backend())


class TestWhatFollows:
    def test_an_address_comes_once(self) -> None:
        same = vip_interface(vrrp_ip="192.0.2.10")
        assert [str(placed) for placed in same.addresses()] == ["192.0.2.10/24"]

    def test_a_route_comes_once_and_the_gateway_wins(self) -> None:
        interface = vip_interface(
            host_routes=[ROUTE, {"destination": "0.0.0.0/0", "nexthop": "192.0.2.4"}],
            additional_vips=[{"ip_address": "192.0.2.11", "subnet_cidr": "192.0.2.0/24", "gateway": "192.0.2.1", "host_routes": [ROUTE]}],
        )
        told = [str(route) for route in interface.routes()]
        assert sorted(told) == [
            "0.0.0.0/0 via 192.0.2.1",
            "0.0.0.0/0 via 192.0.2.1 table 1",
            "10.9.0.0/16 via 192.0.2.3",
            "10.9.0.0/16 via 192.0.2.3 table 1",
            "192.0.2.0/24 src 192.0.2.10 table 1",
        ]

    def test_keepalived_has_the_vip_and_its_table(self) -> None:
        interface = vip_interface(active_standby=True, host_routes=[ROUTE])
        assert [str(placed) for placed in interface.addresses()] == ["192.0.2.20/24"]
        assert {str(route) for route in interface.routes()} == {"0.0.0.0/0 via 192.0.2.1", "10.9.0.0/16 via 192.0.2.3"}
        assert interface.source_rules() == frozenset()

    def test_who_asks_the_network_for_addresses(self) -> None:
        six = {"ip_address": "2001:db8::10", "subnet_cidr": "2001:db8::/64"}
        assert [
            (each.by_dhcp(), each.by_autoconf()) for each in (vip_interface(), vip_interface(vrrp_ip=None), backend(), backend(six))
        ] == [
            (False, False),
            (True, False),
            (True, True),
            (False, False),
        ]


class TestFilter:
    def test_only_interfaces_with_rules_are_in_it(self) -> None:
        text = rules_text([everything(), backend()])
        assert 'iifname "eth1" jump eth1' in text
        assert "eth2" not in text
        assert "        ip saddr 10.0.0.0/8 tcp dport 80 accept\n        meta l4proto vrrp accept\n        drop\n" in text

    def test_without_rules_there_is_no_table(self) -> None:
        assert rules_text([backend()]).strip().splitlines()[-1] == "delete table inet hydria_rules"

    def test_masquerading(self) -> None:
        assert 'oifname "eth2" meta l4proto { udp, sctp } masquerade' in masquerade_text([backend()])


def _fields(interface: Interface) -> dict[str, Any]:
    return {name: getattr(interface, name) for name in interface.__struct_fields__}
