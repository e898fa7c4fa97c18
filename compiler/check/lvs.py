"""UDP and SCTP: what LVS and keepalived's checkers cannot do that HAProxy can, and how families must match."""

from __future__ import annotations

import ipaddress

from compiler import quoting
from compiler.check.report import Report, shown
from compiler.graph import HealthMonitor, Pool
from compiler.identity import transport

#: Seconds that keepalived's timers hold: 2^32 µs.
LONGEST_TIMER = 4294


def check(report: Report) -> None:
    """Every pool of UDP or SCTP, and those who use it."""
    graph = report.graph
    families = {6 if ":" in vip else 4 for vip in (graph.vip_address, *(vip.ip_address for vip in graph.additional_vips))}
    used = {pool.id for listener in graph.listeners if transport(listener) != "tcp" for pool in report.index.pools_of(listener)}
    for pool in report.index.pools.values():
        if pool.protocol not in ("UDP", "SCTP"):
            continue
        if pool.id in used:
            _families(report, pool, families)
        _persistence(report, pool)
        if pool.healthmonitor is not None:
            _monitor(report, pool.healthmonitor)
        if pool.tls_enabled:
            report.error(pool, "tls_enabled", "conflicting-fields", f"a {pool.protocol} pool cannot encrypt")
        if pool.members and not any(member.weight and member.admin_state_up for member in pool.members):
            report.warning(pool, "members", "not-applicable", "no member is switched on with a weight: LVS serves nobody")
        for member in pool.members:
            if member.backup:
                report.warning(
                    member, "backup", "not-applicable", f"LVS knows no backups: the member of a {pool.protocol} pool always takes part"
                )


def _families(report: Report, pool: Pool, families: set[int]) -> None:
    for member in pool.members:
        family = 6 if ":" in member.address else 4
        if family not in families:
            message = f"{member.address} given, but no VIP is IPv{family}; LVS forwards within one family"
            report.error(member, "address", "incompatible-family", message)


def _persistence(report: Report, pool: Pool) -> None:
    persistence = pool.session_persistence
    if persistence is None:
        return
    if persistence.type != "SOURCE_IP":
        return  # check.pools says so
    granularity = persistence.persistence_granularity
    if granularity is None:
        return
    if not _is_granularity(granularity):
        message = f"{shown(granularity)} given; an IPv4 netmask such as 255.255.255.0, or an IPv6 prefix length from 1 to 128, is needed"
        report.error(pool, "session_persistence.persistence_granularity", "invalid-value", message)


def _is_granularity(text: str) -> bool:
    if "." not in text:
        return text.isascii() and text.isdecimal() and 1 <= int(text) <= 128
    try:
        bits = int(ipaddress.IPv4Address(text))
    except ValueError:
        return False
    inverse = ~bits & 0xFFFFFFFF
    return bits > 0 and inverse & (inverse + 1) == 0  # ones, then zeros


def _monitor(report: Report, monitor: HealthMonitor) -> None:
    for field in ("delay", "timeout"):
        if getattr(monitor, field) > LONGEST_TIMER:
            report.error(monitor, field, "inexpressible", f"{getattr(monitor, field)} s given; keepalived's timers hold {LONGEST_TIMER} s")
    if monitor.type != "HTTP":
        return
    if (monitor.http_method or "GET") != "GET":
        message = f"{monitor.http_method} given; keepalived checks members of UDP and SCTP pools by GET only"
        report.error(monitor, "http_method", "inexpressible", message)
    reason = quoting.keepalived_reason_against(monitor.url_path or "/")
    if reason:
        report.error(monitor, "url_path", "inexpressible", f"{shown(monitor.url_path or '')} given: {reason}")
