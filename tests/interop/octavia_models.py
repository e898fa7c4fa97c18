"""A graph in the words of Octavia's data models, as plain data: what its API would have put into its database."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

from compiler.index import Index

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compiler.graph import HealthMonitor, L7Policy, Listener, LoadBalancer, Member, Pool

#: Octavia numbers policies through, kind by kind.
_KINDS = ("REJECT", "REDIRECT_PREFIX", "REDIRECT_TO_URL", "REDIRECT_TO_POOL")
_PROJECT = "e3cd678b11784734bc366148aa37580e"


class Amphora(NamedTuple):
    """One machine of a load balancer. `address` is where its agent listens, `vrrp_address` its own address beside the VIP."""

    id: str
    address: str
    vrrp_address: str
    priority: int = 100
    role: str = "STANDALONE"


def described(graph: LoadBalancer, amphorae: Sequence[Amphora], topology: str = "SINGLE") -> dict[str, Any]:
    """The document that `octavia_side.Described` takes."""
    index = Index(graph)
    return {
        "load_balancer": {
            "id": graph.id,
            "project_id": _PROJECT,
            "name": graph.name,
            "enabled": graph.admin_state_up,
            "topology": topology,
        },
        "vip": {"load_balancer_id": graph.id, "ip_address": graph.vip_address},
        "additional_vips": [{"load_balancer_id": graph.id, "ip_address": vip.ip_address} for vip in graph.additional_vips],
        "amphorae": [_amphora(graph, amphora) for amphora in amphorae],
        "vrrp_group": {
            "load_balancer_id": graph.id,
            "vrrp_group_name": graph.id.replace("-", ""),
            "vrrp_auth_type": "PASS",
            "vrrp_auth_pass": "7f2d9c1",
            "advert_int": 1,
        },
        "pools": [_pool(pool, graph) for pool in index.pools.values()],
        "listeners": [_listener(listener, index) for listener in graph.listeners],
    }


def _amphora(graph: LoadBalancer, amphora: Amphora) -> dict[str, Any]:
    return {
        "id": amphora.id,
        "lb_network_ip": amphora.address,
        "vrrp_ip": amphora.vrrp_address,
        "ha_ip": graph.vip_address,
        "vrrp_port_id": vrrp_port(amphora.id),
        "role": amphora.role,
        "vrrp_interface": "eth1",
        "vrrp_id": 1,
        "vrrp_priority": amphora.priority,
    }


def vrrp_port(amphora: str) -> str:
    """The id of the port that an amphora has for the VIP."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, amphora))


def _pool(pool: Pool, graph: LoadBalancer) -> dict[str, Any]:
    persistence = pool.session_persistence
    return {
        "id": pool.id,
        "project_id": _PROJECT,
        "load_balancer_id": graph.id,
        "name": pool.name,
        "enabled": pool.admin_state_up,
        "protocol": pool.protocol,
        "lb_algorithm": pool.lb_algorithm,
        "members": [_member(member, pool) for member in pool.members],
        "health_monitor": None if pool.healthmonitor is None else _monitor(pool.healthmonitor, pool),
        "session_persistence": None
        if persistence is None
        else {
            "pool_id": pool.id,
            "type": persistence.type,
            "cookie_name": persistence.cookie_name,
            "persistence_timeout": persistence.persistence_timeout,
            "persistence_granularity": persistence.persistence_granularity,
        },
        "tls_enabled": pool.tls_enabled,
        "tls_certificate_id": reference(pool.tls_container_ref),
        "ca_tls_certificate_id": reference(pool.ca_tls_container_ref),
        "crl_container_id": reference(pool.crl_container_ref),
        "tls_ciphers": pool.tls_ciphers,
        "tls_versions": pool.tls_versions,
        "alpn_protocols": pool.alpn_protocols,
    }


def _member(member: Member, pool: Pool) -> dict[str, Any]:
    return {
        "id": member.id,
        "pool_id": pool.id,
        "name": member.name,
        "enabled": member.admin_state_up,
        "ip_address": member.address,
        "protocol_port": member.protocol_port,
        "weight": member.weight,
        "backup": member.backup,
        "monitor_address": member.monitor_address,
        "monitor_port": member.monitor_port,
        "operating_status": "ONLINE",
    }


def _monitor(monitor: HealthMonitor, pool: Pool) -> dict[str, Any]:
    http = monitor.type in ("HTTP", "HTTPS")
    return {
        "id": monitor.id,
        "pool_id": pool.id,
        "type": monitor.type,
        "enabled": monitor.admin_state_up,
        "delay": monitor.delay,
        "timeout": monitor.timeout,
        "rise_threshold": monitor.max_retries,
        "fall_threshold": monitor.max_retries_down,
        "http_method": monitor.http_method or ("GET" if http else None),
        "url_path": monitor.url_path or ("/" if http else None),
        "expected_codes": str(monitor.expected_codes or "200") if http else None,
        "http_version": None if monitor.http_version is None else float(monitor.http_version),
        "domain_name": monitor.domain_name,
    }


def _listener(listener: Listener, index: Index) -> dict[str, Any]:
    default_pool = index.default_pool(listener)
    last = len(listener.l7policies) + 1
    policies = sorted(listener.l7policies, key=lambda policy: (_KINDS.index(policy.action), policy.position or last))
    return {
        "id": listener.id,
        "project_id": _PROJECT,
        "name": listener.name,
        "enabled": listener.admin_state_up,
        "protocol": listener.protocol,
        "protocol_port": listener.protocol_port,
        "connection_limit": listener.connection_limit,
        "peer_port": 1025,
        "default_pool_id": None if default_pool is None else default_pool.id,
        "pools": [pool.id for pool in index.pools_of(listener)],
        "l7policies": [_policy(policy, position, index) for position, policy in enumerate(policies, 1)],
        "insert_headers": {name: str(value).lower() for name, value in listener.insert_headers.items()},
        "timeout_client_data": listener.timeout_client_data,
        "timeout_member_connect": listener.timeout_member_connect,
        "timeout_member_data": listener.timeout_member_data,
        "timeout_tcp_inspect": listener.timeout_tcp_inspect,
        "tls_certificate_id": reference(listener.default_tls_container_ref),
        "sni_containers": [reference(each) for each in listener.sni_container_refs],
        "client_ca_tls_certificate_id": reference(listener.client_ca_tls_container_ref),
        "client_authentication": listener.client_authentication,
        "client_crl_container_id": reference(listener.client_crl_container_ref),
        "tls_ciphers": listener.tls_ciphers,
        "tls_versions": listener.tls_versions,
        "alpn_protocols": listener.alpn_protocols,
        "hsts_max_age": listener.hsts_max_age,
        "hsts_include_subdomains": listener.hsts_include_subdomains,
        "hsts_preload": listener.hsts_preload,
        "allowed_cidrs": list(listener.allowed_cidrs or ()),
    }


def _policy(policy: L7Policy, position: int, index: Index) -> dict[str, Any]:
    redirect_pool = index.redirect_pool(policy)
    redirects = policy.action in ("REDIRECT_TO_URL", "REDIRECT_PREFIX")
    return {
        "id": policy.id,
        "name": policy.name,
        "enabled": policy.admin_state_up,
        "action": policy.action,
        "position": position,
        "redirect_url": policy.redirect_url,
        "redirect_prefix": policy.redirect_prefix,
        "redirect_http_code": policy.redirect_http_code or (302 if redirects else None),
        "redirect_pool_id": None if redirect_pool is None else redirect_pool.id,
        "l7rules": [
            {
                "id": rule.id,
                "enabled": rule.admin_state_up,
                "type": rule.type,
                "compare_type": rule.compare_type,
                "key": rule.key,
                "value": rule.value,
                "invert": rule.invert,
            }
            for rule in policy.rules
        ],
    }


def reference(given: str | None) -> str | None:
    """The name under which Octavia's certificate manager finds what a graph refers to; there it is the name of a file."""
    return None if given is None else str(uuid.uuid5(uuid.NAMESPACE_URL, given))
