"""Octavia's objects (its data models, or the rows of its database) → a graph in the words of its API, as plain data.

What Octavia is about to delete (PENDING_DELETE) is left out, as its own driver leaves it out. Of pools, those that a listener uses are in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Thing = dict[str, Any]

_GOING = "PENDING_DELETE"
_LVS = ("UDP", "SCTP")
_BY_SOURCE = ("SOURCE_IP", "SOURCE_IP_PORT")
_HTTP_MONITORS = ("HTTP", "HTTPS")


class Defaults(NamedTuple):
    """What Octavia's controller puts where a listener says nothing (milliseconds, connections), and how source-hashed pools are to hash."""

    timeout_client_data: int = 50_000
    timeout_member_connect: int = 5_000
    timeout_member_data: int = 50_000
    timeout_tcp_inspect: int = 0
    connection_limit: int = 50_000
    hash: str = "consistent"


def graph_of(load_balancer: Any, listeners: Sequence[Any], defaults: Defaults) -> Thing:
    """The load balancer with these of its listeners: the inside of `{"loadbalancer": …}`."""
    vip = load_balancer.vip
    return _said(
        {
            **_common(load_balancer),
            "vip_address": vip.ip_address,
            "vip_subnet_id": vip.subnet_id,
            "vip_network_id": vip.network_id,
            "vip_port_id": vip.port_id,
            "additional_vips": [
                _said({"ip_address": each.ip_address, "subnet_id": each.subnet_id, "port_id": each.port_id})
                for each in load_balancer.additional_vips
            ],
            "flavor_id": load_balancer.flavor_id,
            "availability_zone": load_balancer.availability_zone,
            "listeners": [_listener(each, defaults) for each in listeners],
            "pools": [_pool(each, defaults) for each in pools_of(listeners)],
        }
    )


def pools_of(listeners: Iterable[Any]) -> list[Any]:
    """The pools that these listeners use, each once."""
    found: dict[str, Any] = {}
    for listener in listeners:
        default = [] if listener.default_pool is None else [listener.default_pool]
        redirects = [policy.redirect_pool for policy in _staying(listener.l7policies) if policy.redirect_pool is not None]
        found |= {pool.id: pool for pool in _staying([*listener.pools, *default, *redirects])}
    return list(found.values())


def is_terminated(listener: Any) -> bool:
    """Whether TLS ends at this listener."""
    return bool(listener.protocol == "TERMINATED_HTTPS" or listener.tls_certificate_id)


def _listener(listener: Any, defaults: Defaults) -> Thing:
    thing = {
        **_common(listener),
        "protocol": listener.protocol,
        "protocol_port": listener.protocol_port,
        "connection_limit": _limit(listener, defaults),
        "default_pool_id": _id(listener.default_pool),
        "l7policies": [_policy(policy) for policy in _staying(listener.l7policies)],
        "timeout_client_data": listener.timeout_client_data or defaults.timeout_client_data,
        "timeout_member_connect": listener.timeout_member_connect or defaults.timeout_member_connect,
        "timeout_member_data": listener.timeout_member_data or defaults.timeout_member_data,
        "timeout_tcp_inspect": listener.timeout_tcp_inspect or defaults.timeout_tcp_inspect,
        "insert_headers": dict(listener.insert_headers or {}),
        # Rows have objects here, what travels between Octavia's processes has texts.
        "allowed_cidrs": [getattr(each, "cidr", each) for each in listener.allowed_cidrs or ()] or None,
    }
    if is_terminated(listener):
        hsts = listener.hsts_max_age is not None
        thing |= {
            **_tls(listener),
            "default_tls_container_ref": listener.tls_certificate_id,
            "sni_container_refs": [each.tls_container_id for each in listener.sni_containers],
            "client_ca_tls_container_ref": listener.client_ca_tls_certificate_id,
            "client_authentication": listener.client_authentication,
            "client_crl_container_ref": listener.client_crl_container_id,
            "hsts_max_age": listener.hsts_max_age,
            # Octavia keeps these when the age is taken back, and says nothing of them.
            "hsts_include_subdomains": hsts and listener.hsts_include_subdomains,
            "hsts_preload": hsts and listener.hsts_preload,
        }
    return _said(thing)


def _limit(listener: Any, defaults: Defaults) -> int | None:
    """Octavia takes 0 for no limit; its default is HAProxy's alone."""
    if listener.connection_limit and listener.connection_limit > 0:
        return int(listener.connection_limit)
    return None if listener.protocol in _LVS else defaults.connection_limit


def _policy(policy: Any) -> Thing:
    return _said(
        {
            **_common(policy),
            "action": policy.action,
            "position": policy.position,
            "redirect_url": policy.redirect_url,
            "redirect_prefix": policy.redirect_prefix,
            "redirect_http_code": policy.redirect_http_code if policy.action.startswith("REDIRECT_") else None,
            "redirect_pool_id": None if _is_going(policy.redirect_pool) else _id(policy.redirect_pool),
            "rules": [
                _said(
                    {
                        "id": rule.id,
                        "admin_state_up": rule.enabled,
                        "type": rule.type,
                        "compare_type": rule.compare_type,
                        "key": rule.key,
                        "value": rule.value,
                        "invert": rule.invert,
                    }
                )
                for rule in _staying(policy.l7rules)
            ],
        }
    )


def _pool(pool: Any, defaults: Defaults) -> Thing:
    persistence = pool.session_persistence
    monitor = pool.health_monitor
    thing = {
        **_common(pool),
        "protocol": pool.protocol,
        "lb_algorithm": pool.lb_algorithm,
        "hash": defaults.hash if pool.lb_algorithm in _BY_SOURCE else None,
        "session_persistence": None
        if persistence is None
        else _said(
            {
                "type": persistence.type,
                "cookie_name": persistence.cookie_name,
                "persistence_timeout": persistence.persistence_timeout,
                "persistence_granularity": persistence.persistence_granularity,
            }
        ),
        "healthmonitor": None if monitor is None or _is_going(monitor) else _monitor(monitor),
        "members": [_member(member) for member in _staying(pool.members)],
        "tls_enabled": pool.tls_enabled,
    }
    if pool.tls_enabled:
        thing |= {
            **_tls(pool),
            "tls_container_ref": pool.tls_certificate_id,
            "ca_tls_container_ref": pool.ca_tls_certificate_id,
            "crl_container_ref": pool.crl_container_id,
        }
    return _said(thing)


def _member(member: Any) -> Thing:
    return _said(
        {
            "id": member.id,
            "name": member.name,
            "admin_state_up": member.enabled,
            "address": member.ip_address,
            "protocol_port": member.protocol_port,
            "weight": member.weight,
            "backup": member.backup,
            "monitor_address": member.monitor_address,
            "monitor_port": member.monitor_port,
            "subnet_id": member.subnet_id,
        }
    )


def _monitor(monitor: Any) -> Thing:
    thing = {
        "id": monitor.id,
        "name": monitor.name,
        "admin_state_up": monitor.enabled,
        "type": monitor.type,
        "delay": monitor.delay,
        "timeout": monitor.timeout,
        "max_retries": monitor.rise_threshold,
        "max_retries_down": monitor.fall_threshold,
    }
    if monitor.type in _HTTP_MONITORS:
        thing |= {
            "http_method": monitor.http_method,
            "http_version": monitor.http_version,
            "url_path": monitor.url_path,
            "expected_codes": monitor.expected_codes,
            "domain_name": monitor.domain_name,
        }
    return _said(thing)


def _tls(thing: Any) -> Thing:
    """What listeners and pools say of TLS alike. No protocol at all by ALPN is a choice, no version of TLS or no cipher is none."""
    return {
        "tls_ciphers": thing.tls_ciphers or None,
        "tls_versions": list(thing.tls_versions or ()) or None,
        "alpn_protocols": None if thing.alpn_protocols is None else list(thing.alpn_protocols),
    }


def _common(thing: Any) -> Thing:
    return {"id": thing.id, "name": thing.name, "description": thing.description, "admin_state_up": thing.enabled}


def _said(thing: Thing) -> Thing:
    """Without what says nothing: the graph has its defaults for that."""
    return {name: value for name, value in thing.items() if value is not None}


def _id(thing: Any) -> Any:
    return None if thing is None or _is_going(thing) else thing.id


def _staying(things: Iterable[Any]) -> list[Any]:
    return [thing for thing in things if not _is_going(thing)]


def _is_going(thing: Any) -> bool:
    return getattr(thing, "provisioning_status", None) == _GOING
