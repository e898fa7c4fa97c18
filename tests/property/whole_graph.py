"""One load balancer and one target in which every field that can hold a string holds one; what stands there is harmless."""

from __future__ import annotations

import itertools
from typing import Any

import every_string

from compiler.graph import LoadBalancer

_COMPARISONS = ("REGEX", "STARTS_WITH", "ENDS_WITH", "CONTAINS", "EQUAL_TO")
_MONITOR = {
    "type": "HTTP",
    "delay": 5,
    "timeout": 3,
    "max_retries": 2,
    "http_method": "GET",
    "http_version": "1.1",
    "expected_codes": "200",
}
_POOL = {
    "name": "web",
    "protocol": "HTTP",
    "lb_algorithm": "SOURCE_IP",
    "hash": "map",
    "tls_enabled": True,
    "tls_container_ref": "first",
    "ca_tls_container_ref": "members-authority",
    "crl_container_ref": "members-revocations",
    "tls_ciphers": "DEFAULT",
    "tls_versions": ["TLSv1.3"],
    "alpn_protocols": ["http/1.1"],
    "session_persistence": {"type": "APP_COOKIE", "cookie_name": "session-cookie"},
    "members": [{"address": "192.0.2.1", "protocol_port": 80, "monitor_address": "192.0.2.9"}],
    "healthmonitor": {**_MONITOR, "url_path": "/health", "domain_name": "health.example"},
}
_RULES: list[dict[str, Any]] = [
    *(
        {"type": kind, "compare_type": compare, "value": "rule-value", **({"key": key} if key else {})}
        for kind, key in (("HOST_NAME", None), ("PATH", None), ("HEADER", "X-Key"), ("COOKIE", "cookie-key"), ("SSL_DN_FIELD", "CN"))
        for compare in _COMPARISONS
    ),
    {"type": "FILE_TYPE", "compare_type": "EQUAL_TO", "value": "rule-value"},
    {"type": "FILE_TYPE", "compare_type": "REGEX", "value": "rule-value"},
    {"type": "SSL_CONN_HAS_CERT", "compare_type": "EQUAL_TO", "value": "true"},
    {"type": "SSL_VERIFY_RESULT", "compare_type": "EQUAL_TO", "value": "0"},
]
_TLS_LISTENER = {
    "protocol": "TERMINATED_HTTPS",
    "protocol_port": 443,
    "default_pool": {"name": "web"},
    "default_tls_container_ref": "default",
    "sni_container_refs": ["second"],
    "client_ca_tls_container_ref": "authority",
    "client_crl_container_ref": "revocations",
    "client_authentication": "OPTIONAL",
    "tls_ciphers": "DEFAULT",
    "tls_versions": ["TLSv1.2"],
    "alpn_protocols": ["h2"],
    "allowed_cidrs": ["192.0.2.0/24"],
    "insert_headers": {"X-Forwarded-Port": "true"},
    "l7policies": [
        {"action": "REJECT", "rules": _RULES},
        {"action": "REDIRECT_TO_URL", "redirect_url": "http://url.example/", "rules": [_RULES[0]]},
        {"action": "REDIRECT_PREFIX", "redirect_prefix": "http://prefix.example", "rules": [_RULES[0]]},
        {"action": "REDIRECT_TO_POOL", "redirect_pool": {"name": "web"}, "rules": [_RULES[0]]},
        {"action": "REDIRECT_TO_POOL", "redirect_pool_id": "ffffffff-0000-4000-8000-000000000001", "rules": [_RULES[0]]},
    ],
}


def _datagram_listener(protocol: str, monitor: dict[str, Any]) -> dict[str, Any]:
    """A listener with a pool of its own, of which keepalived and nftables have every string."""
    members = [
        {"address": "192.0.2.2", "protocol_port": 53, "monitor_address": "192.0.2.8"},
        {"address": "2001:db8::2", "protocol_port": 53, "monitor_address": "2001:db8::8"},
    ]
    pool = {
        "protocol": protocol,
        "lb_algorithm": "ROUND_ROBIN",
        "session_persistence": {"type": "SOURCE_IP", "persistence_timeout": 60, "persistence_granularity": "255.255.255.0"},
        "members": members,
        "healthmonitor": monitor,
    }
    return {"protocol": protocol, "protocol_port": 53, "allowed_cidrs": ["198.51.100.0/24", "2001:db8:5::/64"], "default_pool": pool}


def _identified(value: Any, numbers: itertools.count[int], key: str = "loadbalancer") -> Any:
    """The same data, every object with an id: else names would give them."""
    if isinstance(value, list):
        return [_identified(item, numbers, key) for item in value]
    if not isinstance(value, dict):
        return value
    done = {inner: _identified(item, numbers, inner) for inner, item in value.items()}
    is_object = key not in ("insert_headers", "session_persistence", "additional_vips") and set(value) != {"name"}
    return {"id": f"0e0e0e0e-0000-4000-8000-{next(numbers):012x}", **done} if is_object else done


GRAPH: dict[str, Any] = every_string.filled(
    LoadBalancer,
    _identified(
        {
            "vip_address": "203.0.113.10",
            "additional_vips": [{"ip_address": "2001:db8::11"}],
            "listeners": [
                _TLS_LISTENER,
                {"protocol": "TCP", "protocol_port": 80, "default_pool_id": "ffffffff-0000-4000-8000-000000000001"},
                _datagram_listener("UDP", {**_MONITOR, "url_path": "/health", "domain_name": "health.example"}),
                _datagram_listener("SCTP", {"type": "SCTP", "delay": 5, "timeout": 3, "max_retries": 2}),
            ],
            "pools": [
                _POOL,
                {
                    "id": "ffffffff-0000-4000-8000-000000000001",
                    "name": "pinged",
                    "protocol": "HTTP",
                    "lb_algorithm": "ROUND_ROBIN",
                    "healthmonitor": {"type": "PING", "delay": 5, "timeout": 3, "max_retries": 2},
                    "members": _POOL["members"],
                },
            ],
        },
        itertools.count(1),
    ),
)

#: Of its strings only `bind_address` is left out: where it is given, the VIPs do not count.
TARGET: dict[str, Any] = {
    "topology": "ACTIVE_STANDBY",
    "run_directory": "/run/harmless",
    "user": "somebody",
    "group": "some-group",
    "log": "/dev/harmless",
    "check_command": "/usr/bin/harmless",
    "amphora": "amphora-one",
    "amphorae": [{"id": "amphora-one", "address": "203.0.113.2", "priority": 100}, {"id": "amphora-two", "address": "203.0.113.3"}],
    "vrrp": {"interface": "eth1"},
    "networks": [
        {
            "address": "203.0.113.10",
            "cidr": "203.0.113.0/24",
            "gateway": "203.0.113.1",
            "host_routes": [{"destination": "198.51.100.0/24", "nexthop": "203.0.113.9"}],
        },
        {
            "address": "2001:db8::11",
            "cidr": "2001:db8::/64",
            "gateway": "2001:db8::1",
            "host_routes": [{"destination": "2001:db8:7::/64", "nexthop": "2001:db8::9"}],
        },
    ],
}
