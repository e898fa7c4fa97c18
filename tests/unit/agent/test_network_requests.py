"""What a controller asks of the network, decoded: what is meant is understood, what cannot be meant is refused with the name of the field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import InvalidRequest
from agent.network.requests import HostRoute, NetworkPlug, Rule, VipPlug
from agent.network.words import Address, Mac, Subnet

MAC = "fa:16:3e:00:00:01"
VIP_BODY: dict[str, Any] = {"subnet_cidr": "192.0.2.0/24", "gateway": "192.0.2.1", "mac_address": MAC}
SIX: dict[str, Any] = {"ip_address": "2001:db8::10", "subnet_cidr": "2001:db8::/64", "gateway": "2001:db8::1", "host_routes": []}


def vip(address: str = "192.0.2.10", **more: Any) -> VipPlug:
    return VipPlug.decode(address, json.dumps({**VIP_BODY, **more}).encode())


def network(**more: Any) -> NetworkPlug:
    return NetworkPlug.decode(json.dumps({"mac_address": MAC, **more}).encode())


def rules(*given: Any) -> tuple[Rule, ...]:
    return Rule.decode_all(json.dumps(given).encode())


class TestVip:
    def test_everything_that_a_controller_says(self) -> None:
        routes = [{"destination": "10.1.0.0/16", "nexthop": "192.0.2.3"}]
        plan = vip(mtu=1450, vrrp_ip="192.0.2.20", host_routes=routes, additional_vips=[SIX], is_sriov=True, of_a_later_release=[1])
        assert [(placed.ip_address, placed.subnet_cidr, placed.gateway) for placed in plan.vip.addresses] == [
            ("192.0.2.10", "192.0.2.0/24", "192.0.2.1"),
            ("2001:db8::10", "2001:db8::/64", "2001:db8::1"),
        ]
        assert plan.vip.addresses[0].host_routes == (HostRoute(Subnet("10.1.0.0/16"), Address("192.0.2.3")),)
        assert (plan.vip.vrrp_ip, plan.mac_address, plan.mtu, plan.is_sriov) == ("192.0.2.20", MAC, 1450, True)

    def test_the_least(self) -> None:
        plan = vip(gateway=None, vrrp_ip=None, mtu=None, host_routes=None, additional_vips=None)
        assert plan.vip.addresses[0].gateway is None
        assert (plan.vip.vrrp_ip, plan.mtu, plan.is_sriov, plan.vip.addresses[0].host_routes) == (None, None, False, ())

    def test_forms_of_one_thing_become_one(self) -> None:
        plan = vip("2001:0DB8::0010", subnet_cidr="2001:db8:0::7/64", gateway="2001:DB8:0:0::1", mac_address="FA-16-3E-00-00-01", mtu=1280)
        [placed] = plan.vip.addresses
        assert (placed.ip_address, placed.subnet_cidr, placed.gateway) == ("2001:db8::10", "2001:db8::/64", "2001:db8::1")
        assert plan.mac_address == MAC

    @pytest.mark.parametrize("missing", VIP_BODY)
    def test_what_is_needed(self, missing: str) -> None:
        with pytest.raises(InvalidRequest, match=missing):
            VipPlug.decode("192.0.2.10", json.dumps({key: value for key, value in VIP_BODY.items() if key != missing}).encode())

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("subnet_cidr", "192.0.2.0/33"),
            ("subnet_cidr", "2001:db8::/64"),
            ("subnet_cidr", 24),
            ("gateway", "192.0.2.256"),
            ("gateway", "2001:db8::1"),
            ("gateway", "224.0.0.1"),
            ("gateway", "192.0.2.1; reboot"),
            ("mac_address", "fa:16:3e:00:00"),
            ("mac_address", "01:00:5e:00:00:01"),
            ("mac_address", "00:00:00:00:00:00"),
            ("mac_address", "../../etc/passwd"),
            ("mtu", 67),
            ("mtu", 65536),
            ("mtu", "1500"),
            ("mtu", True),
            ("vrrp_ip", "2001:db8::20"),
            ("vrrp_ip", "127.0.0.1"),
            ("vrrp_ip", "fe80::1%eth0"),
            ("host_routes", [{"destination": "10.0.0.0/8", "nexthop": "2001:db8::3"}]),
            ("host_routes", [{"destination": "10.0.0.0/8"}]),
            ("host_routes", {"destination": "10.0.0.0/8", "nexthop": "192.0.2.3"}),
            ("additional_vips", [{**SIX, "ip_address": "::"}]),
            ("additional_vips", [{**SIX, "subnet_cidr": "192.0.2.0/24"}]),
            ("is_sriov", "yes"),
        ],
    )
    def test_what_cannot_be_meant_is_told_with_its_field(self, field: str, value: Any) -> None:
        with pytest.raises(InvalidRequest, match=field):
            vip(**{field: value})

    @pytest.mark.parametrize(
        "address", ["", "192.0.2.10/24", "192.0.2", "0.0.0.0", "255.255.255.255", "ff02::1", "::1", "fe80::1%eth0", "x" * 5000]
    )
    def test_a_vip_that_is_none(self, address: str) -> None:
        with pytest.raises(InvalidRequest, match="the VIP") as told:
            vip(address)
        assert len(str(told.value)) < 300

    def test_an_mtu_that_ipv6_cannot_live_with(self) -> None:
        assert vip(mtu=1000).mtu == 1000
        with pytest.raises(InvalidRequest, match="mtu: 1000 given; at least 1280"):
            vip(mtu=1000, additional_vips=[SIX])


class TestNetwork:
    def test_several_subnets(self) -> None:
        fixed = [{"ip_address": "10.0.0.5", "subnet_cidr": "10.0.0.0/24", "host_routes": [], "gateway": None}, SIX]
        plan = network(fixed_ips=fixed, mtu=1500, is_sriov=False)
        assert [placed.ip_address for placed in plan.fixed_ips] == ["10.0.0.5", "2001:db8::10"]
        assert plan.vip is None

    def test_none(self) -> None:
        assert network().fixed_ips == network(fixed_ips=None).fixed_ips == ()

    def test_on_the_vip_s_port(self) -> None:
        plan = network(fixed_ips=[SIX], vip_net_info={**VIP_BODY, "vip": "192.0.2.10", "vrrp_ip": "192.0.2.20", "additional_vips": [SIX]})
        assert plan.vip is not None
        assert [placed.ip_address for placed in plan.vip.addresses] == ["192.0.2.10", "2001:db8::10"]
        assert plan.vip.vrrp_ip == "192.0.2.20"

    @pytest.mark.parametrize(
        "wrong",
        [
            {"fixed_ips": [{"ip_address": "10.0.0.5"}]},
            {"fixed_ips": [{"ip_address": "10.0.0", "subnet_cidr": "10.0.0.0/24"}]},
            {"fixed_ips": "10.0.0.5"},
            {"vip_net_info": {**VIP_BODY, "vip": "10.0.0"}},
            {"vip_net_info": VIP_BODY},
            {"mac_address": None},
            {"mtu": 1000, "fixed_ips": [SIX]},
        ],
    )
    def test_what_cannot_be_meant(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(InvalidRequest):
            network(**wrong)


class TestRules:
    def test_all_protocols(self) -> None:
        given = [{"protocol": name, "cidr": None, "port": 112} for name in ("TCP", "UDP", "SCTP", "vrrp")]
        assert [rule.protocol for rule in rules(*given)] == ["TCP", "UDP", "SCTP", "vrrp"]
        assert rules() == ()
        assert rules({"protocol": "TCP", "cidr": "10.0.0.7/8", "port": 65535}) == (Rule("TCP", Subnet("10.0.0.0/8"), 65535),)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"protocol": "tcp", "cidr": None, "port": 80},
            {"protocol": "VRRP", "cidr": None, "port": 112},
            {"protocol": "TCP", "cidr": None, "port": 0},
            {"protocol": "TCP", "cidr": None, "port": 65536},
            {"protocol": "TCP", "cidr": None, "port": "80"},
            {"protocol": "TCP", "port": 80},
            {"protocol": "TCP", "cidr": "10.0.0.0/8 accept", "port": 80},
            {"protocol": "TCP", "cidr": "", "port": 80},
            {"protocol": "TCP", "cidr": None, "port": 80, "drop": True},
            None,
            [],
        ],
    )
    def test_what_cannot_be_meant(self, wrong: Any) -> None:
        with pytest.raises(InvalidRequest):
            rules({"protocol": "TCP", "cidr": None, "port": 80}, wrong)


@given(st.binary(max_size=200) | st.sampled_from([b"[" * 100_000, b'{"mac_address":' * 10_000, b'"\xff"', b"null", b"\xef\xbb\xbf{}"]))
def test_bytes_are_understood_or_refused(body: bytes) -> None:
    for decode in (lambda: VipPlug.decode("192.0.2.10", body), lambda: NetworkPlug.decode(body), lambda: Rule.decode_all(body)):
        try:
            decode()
        except InvalidRequest:
            continue


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(["10.0.0.1", "10.0.0.0/8", MAC]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*VIP_BODY, *SIX, "nexthop", "destination"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys([*VIP_BODY, "mtu", "vrrp_ip", "host_routes", "additional_vips", "fixed_ips", "vip_net_info"], JSON)
    )
)
def test_values_are_understood_or_refused(body: dict[str, Any]) -> None:
    for decode in (vip, network):
        try:
            decode(**body)
        except InvalidRequest:
            continue


@given(st.text(max_size=30))
def test_words_are_canonical_or_refused(text: str) -> None:
    for kind in (Address, Subnet, Mac):
        try:
            word = kind.parse(text)
        except ValueError:
            continue
        assert kind.parse(word) == word
