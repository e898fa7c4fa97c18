"""What a client sends: JSON bodies of the 1.0 contract, the counterpart of `agent.network.requests`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from agent.network.requests import NetworkPlug, Rule, SubnetAddress, Vip, VipPlug


def vip_body(plan: VipPlug) -> dict[str, Any]:
    """Of POST plug/vip/{address}, where the address is the first of the VIP's."""
    return _interface(plan) | _vip(plan.vip)


def network_body(plan: NetworkPlug) -> dict[str, Any]:
    """Of POST plug/network."""
    body = _interface(plan) | {"fixed_ips": [_placed(address) for address in plan.fixed_ips]}
    if plan.vip is not None:
        body["vip_net_info"] = {"vip": str(plan.vip.addresses[0].ip_address)} | _vip(plan.vip)
    return body


def rules_body(rules: Iterable[Rule]) -> list[dict[str, Any]]:
    """Of PUT interface/{address}/rules."""
    return [{"protocol": rule.protocol, "cidr": None if rule.cidr is None else str(rule.cidr), "port": rule.port} for rule in rules]


def _interface(plan: VipPlug | NetworkPlug) -> dict[str, Any]:
    body: dict[str, Any] = {"mac_address": str(plan.mac_address), "is_sriov": plan.is_sriov}
    return body | ({} if plan.mtu is None else {"mtu": plan.mtu})


def _vip(vip: Vip) -> dict[str, Any]:
    primary, *more = vip.addresses
    body = _placed(primary)
    del body["ip_address"]
    body["additional_vips"] = [_placed(address) for address in more]
    return body | ({} if vip.vrrp_ip is None else {"vrrp_ip": str(vip.vrrp_ip)})


def _placed(address: SubnetAddress) -> dict[str, Any]:
    placed: dict[str, Any] = msgspec.to_builtins(address, enc_hook=str)
    return placed
