"""`check`: for everything that a graph can be wrong about beyond its types, exactly this problem, of this object, at this field."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

import compiler
from compiler import Secret, Severity, Target, Topology
from hydria.lab.certificates import Authority

ID = "6f1f4c3e-0d5e-4b0f-9c53-2f1d8f0f7a11"
OTHER_ID = "6f1f4c3e-0d5e-4b0f-9c53-2f1d8f0f7a12"

E, W = Severity.ERROR, Severity.WARNING
Told = tuple[Severity, str, str, str]


@pytest.fixture(scope="module")
def secrets() -> dict[str, Secret]:
    authority = Authority()
    return {
        "certificate": Secret(authority.server("www.example.org").bundle_pem),
        "authority": Secret(authority.certificate_pem),
        "revocations": Secret(authority.crl()),
        "broken": Secret(b"-----BEGIN NOTHING-----"),
    }


def pool(**fields: Any) -> dict[str, Any]:
    return {"name": "web", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": [member()], **fields}


def member(**fields: Any) -> dict[str, Any]:
    return {"address": "192.0.2.1", "protocol_port": 8080, **fields}


def monitor(kind: str = "HTTP", **fields: Any) -> dict[str, Any]:
    return {"type": kind, "delay": 5, "timeout": 3, "max_retries": 2, **fields}


def listener(protocol: Any = "HTTP", port: Any = 80, **fields: Any) -> dict[str, Any]:
    return {"protocol": protocol, "protocol_port": port, **fields}


def terminated(**fields: Any) -> dict[str, Any]:
    return listener("TERMINATED_HTTPS", 443, **{"default_tls_container_ref": "certificate", **fields})


def policy(action: str = "REJECT", *rules: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"action": action, "rules": list(rules) or [rule()], **fields}


def rule(kind: str = "PATH", compare: str = "EQUAL_TO", value: str = "/x", **fields: Any) -> dict[str, Any]:
    return {"type": kind, "compare_type": compare, "value": value, **fields}


def graph(*listeners: dict[str, Any], pools: list[dict[str, Any]] | None = None, **fields: Any) -> dict[str, Any]:
    return {"vip_address": "203.0.113.10", "listeners": list(listeners), "pools": pools or [], **fields}


def with_pool(protocol: str = "HTTP", **fields: Any) -> dict[str, Any]:
    """A graph of one listener over one pool of this protocol."""
    kind = {"HTTP": "HTTP", "UDP": "UDP", "SCTP": "SCTP"}.get(protocol, "TCP")
    return graph(listener(kind, default_pool={"name": "web"}), pools=[pool(protocol=protocol, **fields)])


def with_rule(**fields: Any) -> dict[str, Any]:
    return graph(listener(l7policies=[policy("REJECT", {**rule(), **fields})]))


def problems(document: dict[str, Any], secrets: dict[str, Secret], target: Target | None = None) -> tuple[compiler.Problem, ...]:
    bundle = compiler.build(compiler.load(json.dumps({"loadbalancer": copy.deepcopy(document)})), target, secrets)
    assert bundle.ok == bool(bundle.files) == (not any(problem.severity is E for problem in bundle.problems))
    return bundle.problems


def told(document: dict[str, Any], secrets: dict[str, Secret], target: Target | None = None) -> list[Told]:
    """(severity, type of the object, path below the load balancer, code) of each problem."""
    found = []
    for problem in problems(document, secrets, target):
        assert problem.object is not None
        assert problem.message
        path = problem.path.removeprefix("loadbalancer").removeprefix(".")
        found.append((problem.severity, problem.object.type, path, problem.code))
    return found


P0, L0 = "pools[0]", "listeners[0]"
RULE = f"{L0}.l7policies[0].rules[0]"

CASES: dict[str, tuple[dict[str, Any], list[Told]]] = {
    # -- identity and references
    "two objects with one id": (
        graph(listener(id=ID), pools=[pool(id=ID)]),
        [(E, "pool", f"{P0}.id", "duplicate-id")],
    ),
    "one id in other letters": (
        graph(listener(id=ID.upper()), pools=[pool(id=ID)]),
        [(E, "pool", f"{P0}.id", "duplicate-id")],
    ),
    "two members with one id": (
        graph(pools=[pool(members=[member(id=ID), member(id=ID, protocol_port=1)])]),
        [(E, "member", f"{P0}.members[1].id", "duplicate-id")],
    ),
    "a default pool of no known id": (
        graph(listener(default_pool_id=ID)),
        [(E, "listener", f"{L0}.default_pool_id", "dangling-reference")],
    ),
    "a default pool of no known name": (
        graph(listener(default_pool={"name": "wep"}), pools=[pool()]),
        [(E, "listener", f"{L0}.default_pool.name", "dangling-reference")],
    ),
    "a default pool referred to by an id that is not known": (
        graph(listener(default_pool={"id": ID})),
        [(E, "listener", f"{L0}.default_pool.id", "dangling-reference")],
    ),
    "a name that two pools have": (
        graph(listener(default_pool={"name": "web"}), pools=[pool(), pool(members=[])]),
        [(E, "listener", f"{L0}.default_pool.name", "ambiguous-reference")],
    ),
    "a default pool that says nothing": (
        graph(listener(default_pool={})),
        [(E, "listener", f"{L0}.default_pool", "missing-field")],
    ),
    "a redirect pool of no known id": (
        graph(listener(l7policies=[policy("REDIRECT_TO_POOL", redirect_pool_id=ID)])),
        [(E, "l7policy", f"{L0}.l7policies[0].redirect_pool_id", "dangling-reference")],
    ),
    "a redirect pool of no known name": (
        graph(listener(l7policies=[policy("REDIRECT_TO_POOL", redirect_pool={"name": "wep"})]), pools=[pool()]),
        [(E, "l7policy", f"{L0}.l7policies[0].redirect_pool.name", "dangling-reference")],
    ),
    "a pool and the id of another": (
        graph(listener(default_pool={"name": "web"}, default_pool_id=OTHER_ID), pools=[pool(id=ID), pool(name="b", id=OTHER_ID)]),
        [(E, "listener", f"{L0}.default_pool_id", "conflicting-fields")],
    ),
    "a pool and its own id": (graph(listener(default_pool={"name": "web"}, default_pool_id=ID), pools=[pool(id=ID)]), []),
    "a list of ids instead of pools": (
        graph(pools=[{"id": ID}]),
        [(E, "pool", f"{P0}.protocol", "missing-field")],
    ),
    "a pool without an algorithm": (
        graph(pools=[{"name": "web", "protocol": "HTTP"}]),
        [(E, "pool", f"{P0}.lb_algorithm", "missing-field")],
    ),
    "a pool without a protocol": (
        graph(pools=[{"name": "web", "lb_algorithm": "ROUND_ROBIN"}]),
        [(E, "pool", f"{P0}.protocol", "missing-field")],
    ),
    "two listeners on one port": (
        graph(listener(), listener("TCP")),
        [(E, "listener", "listeners[1].protocol_port", "duplicate-port")],
    ),
    "UDP and TCP on one port": (graph(listener("TCP"), listener("UDP")), []),
    # -- the load balancer's addresses
    "a VIP that is no address": (graph(vip_address="web"), [(E, "loadbalancer", "vip_address", "invalid-value")]),
    "a VIP with a prefix": (graph(vip_address="192.0.2.1/24"), [(E, "loadbalancer", "vip_address", "invalid-value")]),
    "a VIP with a zone": (graph(vip_address="fe80::1%eth0"), [(E, "loadbalancer", "vip_address", "invalid-value")]),
    "a VIP with a leading zero": (graph(vip_address="192.0.2.01"), [(E, "loadbalancer", "vip_address", "invalid-value")]),
    "an additional VIP that is no address": (
        graph(additional_vips=[{"ip_address": "203.0.113.11"}, {"ip_address": "x"}]),
        [(E, "loadbalancer", "additional_vips[1].ip_address", "invalid-value")],
    ),
    "a VIP given twice": (
        graph(vip_address="2001:db8::1", additional_vips=[{"ip_address": "2001:DB8:0::1"}]),
        [(E, "loadbalancer", "additional_vips[0].ip_address", "conflicting-fields")],
    ),
    # -- listeners
    "a limit of no connections": (
        graph(listener(connection_limit=0)),
        [(E, "listener", f"{L0}.connection_limit", "invalid-value")],
    ),
    **{
        f"{field} longer than HAProxy holds": (
            graph(listener(**{field: 2**31})),
            [(E, "listener", f"{L0}.{field}", "inexpressible")],
        )
        for field in ("timeout_client_data", "timeout_member_connect", "timeout_member_data", "timeout_tcp_inspect")
    },
    **{
        f"{field} of nothing": (graph(listener(**{field: 0})), [(W, "listener", f"{L0}.{field}", "not-applicable")])
        for field in ("timeout_client_data", "timeout_member_connect", "timeout_member_data")
    },
    "no inspection": (graph(listener(timeout_tcp_inspect=0)), []),
    **{
        f"an allowed network {cidr!r}": (
            graph(listener(allowed_cidrs=["192.0.2.0/24", cidr])),
            [(E, "listener", f"{L0}.allowed_cidrs[1]", "invalid-value")],
        )
        for cidr in (
            "",
            "everybody",
            "192.0.2.0/33",
            "192.0.2.0/24 ",
            "192.0.2.0/24\n",
            "192.0.2.0/24,10.0.0.0/8",
            "-f /etc/passwd",
        )
    },
    **{
        f"an allowed network with a zone {cidr!r}": (
            graph(listener(allowed_cidrs=[cidr]), vip_address="2001:db8::1"),
            [(E, "listener", f"{L0}.allowed_cidrs[0]", "invalid-value")],
        )
        for cidr in ("fe80::%eth0/64", "fe80::%a\nb/64", "fe80::%a")
    },
    "an allowed network of no VIP's family": (
        graph(listener(allowed_cidrs=["2001:db8::/32"])),
        [(E, "listener", f"{L0}.allowed_cidrs[0]", "incompatible-family")],
    ),
    "an allowed network of an additional VIP's family": (
        graph(listener(allowed_cidrs=["2001:db8::/32"]), additional_vips=[{"ip_address": "2001:db8::1"}]),
        [],
    ),
    "a header that nobody knows": (
        graph(listener(insert_headers={"X-Forwarded-Fore": "true"})),
        [(E, "listener", f"{L0}.insert_headers.X-Forwarded-Fore", "invalid-value")],
    ),
    "a header that is neither wanted nor not": (
        graph(listener(insert_headers={"X-Forwarded-For": "perhaps"})),
        [(E, "listener", f"{L0}.insert_headers.X-Forwarded-For", "invalid-value")],
    ),
    "a header of TLS without TLS": (
        graph(listener(insert_headers={"X-SSL-Client-CN": "true"})),
        [(E, "listener", f"{L0}.insert_headers.X-SSL-Client-CN", "incompatible-header")],
    ),
    "a header into a stream": (
        graph(listener("TCP", insert_headers={"X-Forwarded-For": True})),
        [(E, "listener", f"{L0}.insert_headers.X-Forwarded-For", "incompatible-header")],
    ),
    "a header that is not wanted": (graph(listener("TCP", insert_headers={"X-Forwarded-For": "false", "X-SSL-Issuer": False})), []),
    **{
        f"a {kind} listener over a {protocol} pool": (
            graph(
                listener(
                    kind, default_tls_container_ref="certificate" if kind == "TERMINATED_HTTPS" else None, default_pool={"name": "web"}
                ),
                pools=[pool(protocol=protocol)],
            ),
            [(E, "listener", f"{L0}.default_pool", "incompatible-protocols")],
        )
        for kind, protocol in (
            ("HTTP", "TCP"),
            ("HTTP", "HTTPS"),
            ("HTTP", "UDP"),
            ("TERMINATED_HTTPS", "HTTPS"),
            ("TERMINATED_HTTPS", "TCP"),
            ("HTTPS", "HTTP"),
            ("TCP", "UDP"),
            ("UDP", "TCP"),
            ("UDP", "SCTP"),
            ("SCTP", "HTTP"),
            ("PROMETHEUS", "HTTP"),
        )
    },
    "a pool by its id that does not go with the listener": (
        graph(listener(default_pool_id=ID), pools=[pool(id=ID, protocol="TCP")]),
        [(E, "listener", f"{L0}.default_pool_id", "incompatible-protocols")],
    ),
    "a redirect to a pool that does not go with the listener": (
        graph(listener(l7policies=[policy("REDIRECT_TO_POOL", redirect_pool={"name": "web"})]), pools=[pool(protocol="HTTPS")]),
        [(E, "l7policy", f"{L0}.l7policies[0].redirect_pool", "incompatible-protocols")],
    ),
    # -- policies and rules
    "policies of a stream": (
        graph(listener("TCP", l7policies=[policy()])),
        [(E, "listener", f"{L0}.l7policies", "incompatible-policy")],
    ),
    "a redirect to no URL": (
        graph(listener(l7policies=[policy("REDIRECT_TO_URL")])),
        [(E, "l7policy", f"{L0}.l7policies[0].redirect_url", "missing-field")],
    ),
    "a redirect to no prefix": (
        graph(listener(l7policies=[policy("REDIRECT_PREFIX")])),
        [(E, "l7policy", f"{L0}.l7policies[0].redirect_prefix", "missing-field")],
    ),
    "a redirect to no pool": (
        graph(listener(l7policies=[policy("REDIRECT_TO_POOL")])),
        [(E, "l7policy", f"{L0}.l7policies[0].redirect_pool", "missing-field")],
    ),
    **{
        f"a redirect to {url!r}": (
            graph(listener(l7policies=[policy(action, **{field: url})])),
            [(E, "l7policy", f"{L0}.l7policies[0].{field}", code)],
        )
        for action, field in (("REDIRECT_TO_URL", "redirect_url"), ("REDIRECT_PREFIX", "redirect_prefix"))
        for url, code in (
            ("", "inexpressible"),
            ("/path", "invalid-value"),
            ("ftp://host.example/", "invalid-value"),
            ("javascript:alert(1)", "invalid-value"),
            ("https://", "invalid-value"),
            ("http://[::1", "invalid-value"),
            ("http://host.example/a b", "invalid-value"),
            ("http://host.example/\r\nSet-Cookie: a=b", "inexpressible"),
            ("http://host.example/\x00", "inexpressible"),
        )
    },
    "fields that a policy does not use": (
        graph(listener(l7policies=[policy("REJECT", redirect_url="http://x.example", redirect_http_code=301)])),
        [
            (W, "l7policy", f"{L0}.l7policies[0].redirect_url", "not-applicable"),
            (W, "l7policy", f"{L0}.l7policies[0].redirect_http_code", "not-applicable"),
        ],
    ),
    "a policy whose rules are all disabled": (
        graph(listener(l7policies=[policy("REJECT", rule(admin_state_up=False))])),
        [(W, "l7policy", f"{L0}.l7policies[0].rules", "not-applicable")],
    ),
    "a disabled policy without rules": (graph(listener(l7policies=[{"action": "REJECT", "admin_state_up": False}])), []),
    "more rules than HAProxy takes": (
        graph(listener(l7policies=[policy("REJECT", *(rule(value=f"/{n}") for n in range(57)))])),
        [(E, "l7policy", f"{L0}.l7policies[0].rules", "too-many")],
    ),
    "as many rules as HAProxy takes": (graph(listener(l7policies=[policy("REJECT", *(rule(value=f"/{n}") for n in range(56)))])), []),
    **{
        f"{kind} compared by {compare}": (
            graph(terminated(l7policies=[policy("REJECT", rule(kind, compare, "0" if kind == "SSL_VERIFY_RESULT" else "true"))])),
            [(E, "l7rule", f"{RULE}.compare_type", "incompatible-policy")],
        )
        for kind, compare in (
            ("FILE_TYPE", "CONTAINS"),
            ("FILE_TYPE", "STARTS_WITH"),
            ("FILE_TYPE", "ENDS_WITH"),
            ("SSL_CONN_HAS_CERT", "REGEX"),
            ("SSL_VERIFY_RESULT", "CONTAINS"),
        )
    },
    **{
        f"{kind} without TLS": (
            with_rule(type=kind, value="0" if kind == "SSL_VERIFY_RESULT" else "true", key="CN" if kind == "SSL_DN_FIELD" else None),
            [(E, "l7rule", f"{RULE}.type", "incompatible-policy")],
        )
        for kind in ("SSL_CONN_HAS_CERT", "SSL_VERIFY_RESULT", "SSL_DN_FIELD")
    },
    "a key that is not used": (with_rule(key="X"), [(W, "l7rule", f"{RULE}.key", "not-applicable")]),
    "a header without a name": (with_rule(type="HEADER"), [(E, "l7rule", f"{RULE}.key", "missing-field")]),
    "a cookie with an empty name": (with_rule(type="COOKIE", key=""), [(E, "l7rule", f"{RULE}.key", "missing-field")]),
    **{
        f"a header named {key!r}": (with_rule(type="HEADER", key=key), [(E, "l7rule", f"{RULE}.key", "inexpressible")])
        for key in ("X Y", "X:", 'X"', "X)", "X,Y", "Ä", "X\n")
    },
    "a connection that has no certificate": (
        graph(terminated(l7policies=[policy("REJECT", rule("SSL_CONN_HAS_CERT", value="false"))])),
        [(E, "l7rule", f"{RULE}.value", "invalid-value")],
    ),
    "a result of verification that is no number": (
        graph(terminated(l7policies=[policy("REJECT", rule("SSL_VERIFY_RESULT", value="ok"))])),
        [(E, "l7rule", f"{RULE}.value", "invalid-value")],
    ),
    **{
        f"a value {value!r}": (with_rule(value=value), [(E, "l7rule", f"{RULE}.value", "inexpressible")])
        for value in ("", "a\nb", "a\x00", "\x7f", "\t")
    },
    # -- pools
    "a hash that nothing uses": (
        with_pool(hash="map"),
        [(W, "pool", f"{P0}.hash", "not-applicable")],
    ),
    **{
        f"{kind} for a {protocol} pool": (
            with_pool(protocol, session_persistence={"type": kind, "cookie_name": "x" if kind == "APP_COOKIE" else None}),
            [(E, "pool", f"{P0}.session_persistence.type", "incompatible-persistence")],
        )
        for kind in ("HTTP_COOKIE", "APP_COOKIE")
        for protocol in ("TCP", "HTTPS", "PROXY", "PROXYV2", "UDP", "SCTP")
    },
    "cookies for a PROXY pool behind HTTP": (
        graph(listener(default_pool={"name": "web"}), pools=[pool(protocol="PROXY", session_persistence={"type": "HTTP_COOKIE"})]),
        [],
    ),
    "an application's cookie without a name": (
        with_pool(session_persistence={"type": "APP_COOKIE"}),
        [(E, "pool", f"{P0}.session_persistence.cookie_name", "missing-field")],
    ),
    "an application's cookie with a name that is none": (
        with_pool(session_persistence={"type": "APP_COOKIE", "cookie_name": "a b"}),
        [(E, "pool", f"{P0}.session_persistence.cookie_name", "inexpressible")],
    ),
    **{
        f"a cookie's name for {kind}": (
            with_pool(session_persistence={"type": kind, "cookie_name": "x"}),
            [(E, "pool", f"{P0}.session_persistence.cookie_name", "conflicting-fields")],
        )
        for kind in ("SOURCE_IP", "HTTP_COOKIE")
    },
    "times and masks for an HTTP pool": (
        with_pool(session_persistence={"type": "SOURCE_IP", "persistence_timeout": 5, "persistence_granularity": "255.255.255.0"}),
        [
            (W, "pool", f"{P0}.session_persistence.persistence_timeout", "not-applicable"),
            (W, "pool", f"{P0}.session_persistence.persistence_granularity", "not-applicable"),
        ],
    ),
    **{
        f"a member at {address!r}": (
            with_pool(members=[member(address=address)]),
            [(E, "member", f"{P0}.members[0].address", "invalid-value")],
        )
        for address in (
            "",
            "web.example.org",
            "192.0.2.1:80",
            "192.0.2",
            "192.0.2.256",
            "[::1]",
            "fe80::1%lo",
            "::g",
            "127.0.0.1\n",
            "١٩٢.0.2.1",
        )
    },
    "a member checked at what is no address": (
        with_pool(members=[member(monitor_address="localhost")]),
        [(E, "member", f"{P0}.members[0].monitor_address", "invalid-value")],
    ),
    "two members in one place": (
        with_pool(members=[member(), member(protocol_port=1), member(name="again")]),
        [(E, "member", f"{P0}.members[2].address", "duplicate-member")],
    ),
    "a pool that nobody uses is looked at too": (
        graph(pools=[pool(members=[member(address="x")])]),
        [(E, "member", f"{P0}.members[0].address", "invalid-value")],
    ),
    # -- monitors
    **{
        f"{kind} for a {protocol} pool": (
            with_pool(protocol, healthmonitor=monitor(kind)),
            [(E, "healthmonitor", f"{P0}.healthmonitor.type", "incompatible-monitor")],
        )
        for protocol, kind in (
            ("HTTP", "UDP-CONNECT"),
            ("TCP", "SCTP"),
            ("UDP", "PING"),
            ("UDP", "SCTP"),
            ("SCTP", "HTTPS"),
            ("UDP", "TLS-HELLO"),
        )
    },
    "a timeout as long as the delay": (
        with_pool(healthmonitor=monitor(delay=3)),
        [(E, "healthmonitor", f"{P0}.healthmonitor.timeout", "monitor-timing")],
    ),
    "fields of HTTP for a TCP monitor": (
        with_pool(healthmonitor=monitor("TCP", url_path="/", expected_codes="200", http_method="GET", http_version=1.1, domain_name="x")),
        [
            (W, "healthmonitor", f"{P0}.healthmonitor.{field}", "not-applicable")
            for field in ("http_method", "http_version", "url_path", "expected_codes", "domain_name")
        ],
    ),
    "a version of HTTP that there is not": (
        with_pool(healthmonitor=monitor(http_version=2.0)),
        [(E, "healthmonitor", f"{P0}.healthmonitor.http_version", "invalid-value")],
    ),
    **{
        f"a path {path!r}": (
            with_pool(healthmonitor=monitor(url_path=path)),
            [(E, "healthmonitor", f"{P0}.healthmonitor.url_path", code)],
        )
        for path, code in (
            ("", "inexpressible"),
            ("health", "invalid-value"),
            ("/a b", "invalid-value"),
            ("/a\nb", "inexpressible"),
            ("/\r\n", "inexpressible"),
            ("http://x/", "invalid-value"),
        )
    },
    **{
        f"expected codes {codes!r}": (
            with_pool(healthmonitor=monitor(expected_codes=codes)),
            [(E, "healthmonitor", f"{P0}.healthmonitor.expected_codes", "invalid-value")],
        )
        for codes in ("", "OK", "2xx", "99", "600", "204-200", "200-", "200,,201", "200;201", "200 201", 20, -200, "٢٠٠")
    },
    **{
        f"a host name {name!r}": (
            with_pool(healthmonitor=monitor(http_version=1.1, domain_name=name)),
            [(E, "healthmonitor", f"{P0}.healthmonitor.domain_name", "invalid-value")],
        )
        for name in ("", "a b", "a\nb", "a:80", "ä.example", "%[src]", "a\n", "x" * 254)
    },
    **{
        f"a host name with HTTP {version}": (
            with_pool(healthmonitor=monitor(http_version=version, domain_name="x.example")),
            [(E, "healthmonitor", f"{P0}.healthmonitor.domain_name", "conflicting-fields")],
        )
        for version in (None, 1.0, "1.0")
    },
    # -- TLS
    "a TLS listener without a certificate": (
        graph(terminated(default_tls_container_ref=None)),
        [(E, "listener", f"{L0}.default_tls_container_ref", "missing-field")],
    ),
    "a TLS listener with SNI certificates alone": (
        graph(terminated(default_tls_container_ref=None, sni_container_refs=["certificate"])),
        [],
    ),
    **{
        f"a secret that is not there: {field}": (
            graph(terminated(**{"client_ca_tls_container_ref": "authority", field: "nothing"})),
            [(E, "listener", f"{L0}.{field}", "unknown-secret")],
        )
        for field in ("default_tls_container_ref", "client_ca_tls_container_ref", "client_crl_container_ref")
    },
    "an SNI certificate that is not there": (
        graph(terminated(sni_container_refs=["certificate", "nothing"])),
        [(E, "listener", f"{L0}.sni_container_refs[1]", "unknown-secret")],
    ),
    **{
        f"a secret that is something else: {field}": (
            graph(terminated(**{"client_ca_tls_container_ref": "authority", field: "broken"})),
            [(E, "listener", f"{L0}.{field}", "bad-secret")],
        )
        for field in ("default_tls_container_ref", "client_ca_tls_container_ref", "client_crl_container_ref")
    },
    **{
        f"a pool's secret that is not there: {field}": (
            with_pool(tls_enabled=True, **{"ca_tls_container_ref": "authority", field: "nothing"}),
            [(E, "pool", f"{P0}.{field}", "unknown-secret")],
        )
        for field in ("tls_container_ref", "ca_tls_container_ref", "crl_container_ref")
    },
    **{
        f"clients {how} verified against nothing": (
            graph(terminated(client_authentication=how)),
            [(E, "listener", f"{L0}.client_ca_tls_container_ref", "missing-field")],
        )
        for how in ("OPTIONAL", "MANDATORY")
    },
    "a revocation list without an authority": (
        graph(terminated(client_crl_container_ref="revocations")),
        [(E, "listener", f"{L0}.client_crl_container_ref", "conflicting-fields")],
    ),
    "a pool's revocation list without an authority": (
        with_pool(tls_enabled=True, crl_container_ref="revocations"),
        [(E, "pool", f"{P0}.crl_container_ref", "conflicting-fields")],
    ),
    "HSTS for subdomains without an age": (
        graph(terminated(hsts_include_subdomains=True)),
        [(E, "listener", f"{L0}.hsts_include_subdomains", "conflicting-fields")],
    ),
    "HSTS preloaded without an age": (
        graph(terminated(hsts_preload=True)),
        [(E, "listener", f"{L0}.hsts_preload", "conflicting-fields")],
    ),
    **{
        f"ciphers {ciphers!r}": (
            graph(terminated(tls_ciphers=ciphers)),
            [(E, "listener", f"{L0}.tls_ciphers", "invalid-value")],
        )
        for ciphers in ("A B", "A\n", "A;B", ":", ",", "A'", "A::B", ":A", "A#")
    },
    "a pool's ciphers": (
        with_pool(tls_enabled=True, tls_ciphers="A B"),
        [(E, "pool", f"{P0}.tls_ciphers", "invalid-value")],
    ),
    "versions with a gap": (
        graph(terminated(tls_versions=["TLSv1.1", "TLSv1.3"])),
        [(E, "listener", f"{L0}.tls_versions", "inexpressible")],
    ),
    "a pool's versions with a gap": (
        with_pool(tls_enabled=True, tls_versions=["TLSv1", "TLSv1.2"]),
        [(E, "pool", f"{P0}.tls_versions", "inexpressible")],
    ),
    "a protocol that is not negotiated": (
        graph(terminated(alpn_protocols=["h2", "spdy/1"])),
        [(E, "listener", f"{L0}.alpn_protocols[1]", "invalid-value")],
    ),
    "TLS for a plain listener": (
        graph(listener(default_tls_container_ref="certificate", tls_versions=["TLSv1.2"], hsts_max_age=1)),
        [
            (W, "listener", f"{L0}.default_tls_container_ref", "not-applicable"),
            (W, "listener", f"{L0}.tls_versions", "not-applicable"),
            (W, "listener", f"{L0}.hsts_max_age", "not-applicable"),
        ],
    ),
    "TLS for a plain pool": (
        with_pool(tls_container_ref="certificate", tls_ciphers="DEFAULT"),
        [(W, "pool", f"{P0}.tls_container_ref", "not-applicable"), (W, "pool", f"{P0}.tls_ciphers", "not-applicable")],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_told(case: str, secrets: dict[str, Secret]) -> None:
    document, expected = CASES[case]
    assert told(document, secrets) == expected


def test_everything_is_told_at_once(secrets: dict[str, Secret]) -> None:
    document = graph(
        listener(connection_limit=0, default_pool={"name": "nobody"}),
        listener("TCP", l7policies=[policy("REDIRECT_TO_URL")]),
        pools=[pool(members=[member(address="x")], healthmonitor=monitor(delay=1))],
        vip_address="y",
    )
    assert sorted(told(document, secrets)) == sorted(
        [
            (E, "loadbalancer", "vip_address", "invalid-value"),
            (E, "listener", f"{L0}.connection_limit", "invalid-value"),
            (E, "listener", f"{L0}.default_pool.name", "dangling-reference"),
            (E, "listener", "listeners[1].protocol_port", "duplicate-port"),
            (E, "listener", "listeners[1].l7policies", "incompatible-policy"),
            (E, "l7policy", "listeners[1].l7policies[0].redirect_url", "missing-field"),
            (E, "member", f"{P0}.members[0].address", "invalid-value"),
            (E, "healthmonitor", f"{P0}.healthmonitor.timeout", "monitor-timing"),
        ]
    )


def test_an_object_is_named_by_its_id_and_name(secrets: dict[str, Secret]) -> None:
    (problem,) = problems(graph(listener(id=ID, name="front", connection_limit=0)), secrets)
    assert problem.object == compiler.ObjectRef("listener", ID, "front")
    assert str(problem).startswith("error: loadbalancer.listeners[0].connection_limit: 0 given")
    assert f"[listener {ID} (front)] <invalid-value>" in str(problem)


def test_the_nearest_name_is_told(secrets: dict[str, Secret]) -> None:
    (problem,) = problems(graph(listener(default_pool={"name": "wep"}), pools=[pool()]), secrets)
    assert problem.hint == "did you mean 'web'?"


def test_why_a_secret_could_not_be_had_is_told(secrets: dict[str, Secret]) -> None:
    given = compiler.Secrets(secrets, {"nothing": "the vault is closed"})
    bundle = compiler.build(compiler.load(json.dumps(graph(terminated(default_tls_container_ref="nothing")))), None, given)
    assert "the vault is closed" in bundle.problems[0].message


class TestTarget:
    def test_a_port_that_the_offset_moves_out_of_range(self, secrets: dict[str, Secret]) -> None:
        target = Target(port_offset=65_500)
        assert told(graph(listener(port=36), listener(port=35)), secrets, target) == [
            (E, "listener", f"{L0}.protocol_port", "invalid-value")
        ]

    def test_networks_of_any_family_where_another_address_is_bound(self, secrets: dict[str, Secret]) -> None:
        document = graph(listener(allowed_cidrs=["2001:db8::/32", "192.0.2.0/24"]))
        assert told(document, secrets, Target(bind_address="127.0.0.1")) == []

    def test_a_target_that_cannot_be_used(self, secrets: dict[str, Secret]) -> None:
        (problem,) = problems(graph(), secrets, Target(haproxy=(2, 4)))
        assert (problem.path, problem.code, problem.object) == ("target.haproxy", "invalid-target", None)

    def test_memory_that_would_not_do_for_two_generations(self, secrets: dict[str, Secret]) -> None:
        document = graph(listener(connection_limit=10), listener(port=81))
        assert told(document, secrets, Target(memory=128 * 1024**2)) == [(W, "listener", "listeners[1].connection_limit", "memory-budget")]
        assert told(document, secrets, Target(memory=64 * 1024**3)) == []

    def test_memory_for_a_consistent_hash_is_that_of_its_ring(self, secrets: dict[str, Secret]) -> None:
        """2000 members of weight 1 are 2 048 000 points: some 100 MB of HAProxy's memory, where the members themselves take 14."""
        members = [member(address=f"10.0.{number // 256}.{number % 256}") for number in range(2000)]
        target = Target(memory=128 * 1024**2)
        for fields, expected in (
            ({"lb_algorithm": "SOURCE_IP"}, [(W, "listener", f"{L0}.connection_limit", "memory-budget")]),
            ({"lb_algorithm": "SOURCE_IP_PORT"}, [(W, "listener", f"{L0}.connection_limit", "memory-budget")]),
            ({"lb_algorithm": "SOURCE_IP", "hash": "map"}, []),
            ({"lb_algorithm": "ROUND_ROBIN"}, []),
        ):
            document = graph(listener(connection_limit=10, default_pool={"name": "web"}), pools=[pool(members=members, **fields)])
            assert told(document, secrets, target) == expected, fields

    def test_a_pair_needs_to_know_both(self, secrets: dict[str, Secret]) -> None:
        found = problems(graph(), secrets, Target(topology=Topology.ACTIVE_STANDBY))
        assert [problem.path for problem in found] == ["target.amphora", "target.amphorae"]


def test_every_code_of_checking_has_a_case() -> None:
    """So that a new code does not come without a test."""
    elsewhere = {
        *(
            "syntax",
            "too-large",
            "too-many-problems",
            "not-a-load-balancer",
            "unknown-field",
            "duplicate-field",
            "wrong-type",
        ),  # test_loading
        *("invalid-target", "memory-budget", "unsupported-by-target"),  # above, test_targets
        *("expired", "not-yet-valid"),  # test_tls_material
        *("rejected-by-haproxy", "haproxy-warning"),  # test_blaming
    }
    covered = {code for _, expected in CASES.values() for *_, code in expected}
    assert covered | elsewhere == set(compiler.CODES)
    assert not covered & elsewhere


def test_a_prometheus_listener_is_served_or_refused_but_not_ignored(secrets: dict[str, Secret]) -> None:
    bundle = compiler.build(compiler.load(json.dumps(graph(listener("PROMETHEUS", 9100)))), None, secrets)
    if bundle.ok:
        assert b"prometheus-exporter" in bundle.files[compiler.HAPROXY_CFG].content
    else:
        assert [(problem.path, problem.code) for problem in bundle.problems] == [(f"loadbalancer.{L0}.protocol", "not-yet")]
