"""Listeners: VIPs, limits, timeouts, allowed CIDRs, inserted headers, and the pools and policies that their protocol can carry."""

from __future__ import annotations

import ipaddress
from typing import get_args

from compiler.check import l7
from compiler.check.report import Report, shown
from compiler.graph import HeaderName, Listener
from compiler.problems import did_you_mean
from compiler.target import Target, Topology

#: What each listener can hand its connections to; the API's own table.
POOL_PROTOCOLS: dict[str, tuple[str, ...]] = {
    "HTTP": ("HTTP", "PROXY", "PROXYV2"),
    "TERMINATED_HTTPS": ("HTTP", "PROXY", "PROXYV2"),
    "HTTPS": ("HTTPS", "TCP", "PROXY", "PROXYV2"),
    "TCP": ("HTTP", "HTTPS", "TCP", "PROXY", "PROXYV2"),
    "UDP": ("UDP",),
    "SCTP": ("SCTP",),
    "PROMETHEUS": (),
}
HTTP_LISTENERS = ("HTTP", "TERMINATED_HTTPS")

#: The longest timeout that HAProxy holds, in ms (configuration manual 2.5): about 24.8 days, where the API lets more pass.
LONGEST_TIMEOUT = 2**31 - 1


def check(report: Report, target: Target) -> None:
    """The VIPs, and every listener by itself and with its pools and policies."""
    families = _vips(report, target)
    for listener in report.graph.listeners:
        _port(report, listener, target)
        _limits(report, listener)
        _cidrs(report, listener, families)
        _headers(report, listener)
        _pools(report, listener)
        l7.check(report, listener)


def _vips(report: Report, target: Target) -> set[int]:
    """The IP versions of the VIPs."""
    graph = report.graph
    given = {"vip_address": graph.vip_address}
    given |= {f"additional_vips[{n}].ip_address": vip.ip_address for n, vip in enumerate(graph.additional_vips)}
    families: set[int] = set()
    seen: dict[object, str] = {}
    for field, value in given.items():
        if report.address(graph, field, value):
            address = ipaddress.ip_address(value)
            if address.is_multicast:
                report.error(graph, field, "invalid-value", f"{value} given, which is a multicast address; nobody connects to those")
            families.add(address.version)
            other = seen.setdefault(address, field)
            if other != field:
                report.error(graph, field, "conflicting-fields", f"{value} given, which {other} is already")
    mine = next((amphora.address for amphora in target.amphorae if amphora.id == target.amphora), None)
    if target.topology == Topology.ACTIVE_STANDBY and mine is not None and (6 if ":" in mine else 4) not in families:
        message = f"no VIP is of the family of the amphora's own address {mine}; keepalived needs one"
        report.error(graph, "vip_address", "incompatible-family", message)
    if target.bind_address is not None:
        families |= {4, 6}
    return families


def _port(report: Report, listener: Listener, target: Target) -> None:
    port = listener.protocol_port + target.port_offset
    if not 1 <= port <= 65535:
        message = f"{listener.protocol_port} given, {port} with the target's port offset of {target.port_offset}; 1 to 65535 is allowed"
        report.error(listener, "protocol_port", "invalid-value", message)


def _limits(report: Report, listener: Listener) -> None:
    if listener.connection_limit == 0:
        message = "0 given; a number from 1, or -1 for the default, is needed"
        report.error(listener, "connection_limit", "invalid-value", message, "admin_state_up: false lets nobody in")
    for field in ("timeout_client_data", "timeout_member_connect", "timeout_member_data", "timeout_tcp_inspect"):
        value = getattr(listener, field)
        if value > LONGEST_TIMEOUT:
            report.error(listener, field, "inexpressible", f"{value} ms given; HAProxy holds at most {LONGEST_TIMEOUT} ms (24.8 days)")
        elif value == 0 and field != "timeout_tcp_inspect":
            message = "0 ms given: HAProxy waits for ever, and connections that died are kept for ever"
            report.warning(listener, field, "not-applicable", message)


def _cidrs(report: Report, listener: Listener, families: set[int]) -> None:
    for number, cidr in enumerate(listener.allowed_cidrs or ()):
        field = f"allowed_cidrs[{number}]"
        network = _network(cidr)
        if network is None:
            report.error(
                listener, field, "invalid-value", f"{shown(cidr)} given; a network such as 192.0.2.0/24 or 2001:db8::/32 is needed"
            )
            continue
        if network.version not in families:
            message = f"{cidr} given, but no VIP is IPv{network.version}: nobody can come from there"
            report.error(listener, field, "incompatible-family", message)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return None if "%" in text else ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _headers(report: Report, listener: Listener) -> None:
    known = get_args(HeaderName)
    for name, value in listener.insert_headers.items():
        field = f"insert_headers.{name}"
        if name not in known:
            message = f"{shown(name)} is no header that can be inserted; known: {', '.join(known)}"
            report.error(listener, field, "invalid-value", message, did_you_mean(name, known))
        elif str(value).lower() not in ("true", "false"):
            report.error(listener, field, "invalid-value", f"{shown(str(value))} given; true or false is needed")
        elif str(value).lower() == "true":
            _header_fits(report, listener, name, field)


def _header_fits(report: Report, listener: Listener, name: str, field: str) -> None:
    if listener.protocol not in HTTP_LISTENERS:
        message = f"a {listener.protocol} listener does not look into requests; HTTP and TERMINATED_HTTPS listeners insert headers"
        report.error(listener, field, "incompatible-header", message)
    elif name.startswith("X-SSL-") and listener.protocol != "TERMINATED_HTTPS":
        report.error(listener, field, "incompatible-header", f"{name} needs a TERMINATED_HTTPS listener; this one is {listener.protocol}")


def _pools(report: Report, listener: Listener) -> None:
    allowed = POOL_PROTOCOLS[listener.protocol]
    pool = report.index.default_pool(listener)
    if pool is not None and pool.protocol is not None and pool.protocol not in allowed:
        field = "default_pool_id" if listener.default_pool is None else "default_pool"
        message = f"a {listener.protocol} listener cannot use a {pool.protocol} pool; allowed: {', '.join(allowed) or 'none'}"
        report.error(listener, field, "incompatible-protocols", message)
    for policy in listener.l7policies:
        pool = report.index.redirect_pool(policy)
        if pool is not None and pool.protocol is not None and pool.protocol not in allowed:
            field = "redirect_pool_id" if policy.redirect_pool is None else "redirect_pool"
            message = f"a {listener.protocol} listener cannot use a {pool.protocol} pool; allowed: {', '.join(allowed) or 'none'}"
            report.error(policy, field, "incompatible-protocols", message)
