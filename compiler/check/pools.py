"""Pools: algorithm, persistence, members, health monitors, and how they go with the pool's protocol."""

from __future__ import annotations

import ipaddress
import re

from compiler import quoting
from compiler.check.l7 import RESERVED_COOKIE
from compiler.check.report import Report, shown
from compiler.graph import HealthMonitor, Member, Pool
from compiler.ring_ids import USABLE_PLACES
from compiler.target import Feature, Target, first_with

_STREAM_MONITORS = ("HTTP", "HTTPS", "TCP", "PING", "TLS-HELLO")
#: Which health monitors go with a pool's protocol; the API's own table.
MONITORS: dict[str, tuple[str, ...]] = {
    "HTTP": _STREAM_MONITORS,
    "HTTPS": _STREAM_MONITORS,
    "TCP": _STREAM_MONITORS,
    "PROXY": _STREAM_MONITORS,
    "PROXYV2": _STREAM_MONITORS,
    "UDP": ("UDP-CONNECT", "HTTP", "TCP"),
    "SCTP": ("SCTP", "HTTP", "TCP", "UDP-CONNECT"),
}


def check(report: Report, target: Target) -> None:
    """Every pool that is described, used or not."""
    for pool in report.index.pools.values():
        for field in ("protocol", "lb_algorithm"):
            if getattr(pool, field) is None:
                report.error(pool, field, "missing-field", f"{field} is needed")
        if pool.hash == "address" and pool.protocol not in ("UDP", "SCTP") and not target.has(Feature.HASH_KEY):
            version = ".".join(map(str, target.haproxy))
            message = f"address needs {Feature.HASH_KEY}; HAProxy {first_with(Feature.HASH_KEY)} is the first to have it, the target's is {version}"
            report.error(pool, "hash", "unsupported-by-target", message)
        if pool.hash != "consistent" and pool.lb_algorithm not in ("SOURCE_IP", "SOURCE_IP_PORT"):
            report.warning(pool, "hash", "not-applicable", f"{pool.lb_algorithm} does not hash")
        _persistence(report, pool)
        _members(report, pool)
        if pool.healthmonitor is not None:
            _monitor(report, pool, pool.healthmonitor)


def _http_listeners_only(report: Report, pool: Pool) -> bool:
    """Whether every listener that uses the pool speaks HTTP (a PROXY pool takes the listener's mode)."""
    return all(listener.protocol in ("HTTP", "TERMINATED_HTTPS") for listener in report.index.users.get(pool.id, ()))


def _persistence(report: Report, pool: Pool) -> None:
    persistence = pool.session_persistence
    if persistence is None:
        return
    cookies = persistence.type in ("HTTP_COOKIE", "APP_COOKIE")
    if cookies and pool.protocol != "HTTP" and not (pool.protocol in ("PROXY", "PROXYV2") and _http_listeners_only(report, pool)):
        message = f"{persistence.type} needs HTTP between listener and pool; the pool is {pool.protocol}"
        report.error(pool, "session_persistence.type", "incompatible-persistence", message)
    if persistence.type == "APP_COOKIE":
        _cookie_name(report, pool, persistence.cookie_name)
    elif persistence.cookie_name:
        message = f"{persistence.type} does not use a cookie name of yours; APP_COOKIE does"
        report.error(pool, "session_persistence.cookie_name", "conflicting-fields", message)
    if pool.protocol not in ("UDP", "SCTP"):
        for field in ("persistence_timeout", "persistence_granularity"):
            if getattr(persistence, field) is not None:
                report.warning(pool, f"session_persistence.{field}", "not-applicable", f"a {pool.protocol} pool does not use {field}")


def _cookie_name(report: Report, pool: Pool, name: str | None) -> None:
    if not name:
        report.error(pool, "session_persistence.cookie_name", "missing-field", "APP_COOKIE needs the cookie's name")
    elif not quoting.is_http_token(name):
        message = f"{shown(name)} given; letters, digits and !#$%&'*+-.^_`|~ are allowed in a cookie's name"
        report.error(pool, "session_persistence.cookie_name", "inexpressible", message)
    elif name.startswith("$"):
        message = f"{shown(name)} given: {RESERVED_COOKIE}, so that no client is kept"
        report.warning(pool, "session_persistence.cookie_name", "not-applicable", message)


def _members(report: Report, pool: Pool) -> None:
    addresses = [member.address for member in pool.members]
    # The usual case: then there is nothing to say of each.
    four = quoting.are_ipv4(addresses)
    if not four:
        for member in pool.members:
            report.address(member, "address", member.address)
    for member in pool.members:
        if member.monitor_address is not None and report.address(member, "monitor_address", member.monitor_address):
            _somewhere(report, member, "monitor_address", member.monitor_address)
    if not four or "0.0.0.0" in addresses:  # noqa: S104  (to refuse it)
        for member in pool.members:
            _somewhere(report, member, "address", member.address)
    if not four or len(set(report.index.endpoints(pool))) < len(addresses):
        _duplicates(report, pool)
    if len(pool.members) > USABLE_PLACES:
        report.error(pool, "members", "too-many", f"{len(pool.members)} members given; {USABLE_PLACES} can be told apart")


def _somewhere(report: Report, member: Member, field: str, value: str) -> None:
    """The unspecified addresses (RFC 1122 3.2.1.3, RFC 4291 2.5.2), in whatever spelling, are nobody's."""
    if not quoting.is_address(value):
        return  # has been told
    address = ipaddress.ip_address(value)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    if (mapped or address).is_unspecified:
        message = f"{value} given, which is nobody's address: to HAProxy it is wherever the client wanted to go, to others this machine"
        report.error(member, field, "invalid-value", message)


def _duplicates(report: Report, pool: Pool) -> None:
    seen: dict[tuple[object, int], int] = {}
    for number, member in enumerate(pool.members):
        # IPv6 has several spellings of one address.
        known = quoting.is_address(member.address) and ":" in member.address
        address = ipaddress.IPv6Address(member.address) if known else member.address
        other = seen.setdefault((address, member.protocol_port), number)
        if other != number:
            message = f"{member.address} port {member.protocol_port} is member {report.index.path(pool.members[other])} already"
            report.error(member, "address", "duplicate-member", message)


def _monitor(report: Report, pool: Pool, monitor: HealthMonitor) -> None:
    allowed = MONITORS.get(pool.protocol or "", _STREAM_MONITORS)
    if monitor.type not in allowed:
        message = f"{monitor.type} given; a {pool.protocol} pool can be monitored by {', '.join(allowed)}"
        report.error(monitor, "type", "incompatible-monitor", message)
    if monitor.timeout >= monitor.delay:
        message = f"timeout {monitor.timeout} s with delay {monitor.delay} s given; the timeout must be smaller"
        report.error(monitor, "timeout", "monitor-timing", message)
    if monitor.type in ("HTTP", "HTTPS"):
        _http_monitor(report, monitor)
    else:
        for field in ("http_method", "http_version", "url_path", "expected_codes", "domain_name"):
            if getattr(monitor, field) is not None:
                report.warning(monitor, field, "not-applicable", f"a {monitor.type} monitor does not use {field}")


def _http_monitor(report: Report, monitor: HealthMonitor) -> None:
    if monitor.http_version is not None and str(monitor.http_version) not in ("1.0", "1.1"):
        report.error(monitor, "http_version", "invalid-value", f"{monitor.http_version} given; allowed: 1.0, 1.1")
    path = monitor.url_path
    if path is not None and report.word(monitor, "url_path", path) and not re.fullmatch(r"/[^ ]*", path):
        report.error(monitor, "url_path", "invalid-value", f"{shown(path)} given; a path begins with / and holds no spaces (write %20)")
    codes = str(monitor.expected_codes) if monitor.expected_codes is not None else "200"
    if not expected_codes(codes):
        message = f"{shown(codes)} given; codes from 100 to 599 and ranges of them are needed, such as 200,202-204"
        report.error(monitor, "expected_codes", "invalid-value", message)
    name = monitor.domain_name
    if name is not None and not re.fullmatch(r"[A-Za-z0-9_.-]{1,253}", name):
        report.error(
            monitor, "domain_name", "invalid-value", f"{shown(name)} given; a host name of letters, digits, hyphens and dots is needed"
        )
    elif name is not None and str(monitor.http_version) != "1.1":
        report.error(monitor, "domain_name", "conflicting-fields", "a domain name goes with http_version 1.1", "set http_version: 1.1")


def expected_codes(text: str) -> list[tuple[int, int]] | None:
    """`200,202-204` → [(200, 200), (202, 204)]; None where it is not that."""
    ranges = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([1-5]\d\d)(?:\s*-\s*([1-5]\d\d))?\s*", part, re.ASCII)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            return None
        ranges.append((int(match[1]), int(match[2] or match[1])))
    return ranges
