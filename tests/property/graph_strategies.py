"""Random load balancers, valid by construction, as plain data in the API's words."""

from __future__ import annotations

import uuid
from typing import Any

import hostile
from hypothesis import strategies as st

Part = dict[str, Any]

#: The references that graphs made here use; a test gives the secrets for them.
CERTIFICATES = ("default", "first", "second")
AUTHORITY, REVOCATIONS = "authority", "revocations"

uuids = st.builds(lambda number: str(uuid.UUID(int=number)), st.integers(0, 2**128 - 1))
ipv4 = st.ip_addresses(v=4).map(str)
ipv6 = st.ip_addresses(v=6).map(str)
#: Addresses of the documentation, so that nothing here is anybody's.
ports = st.integers(1, 65535)
names = st.sampled_from(["", "web", "x\n    http-request deny", "'\"\\#$HOME %[src]", "Grüße 日本 😀", "\u2028\x00\x1e{{ 7 }}"])
#: Mostly up: what is disabled is not written, and nothing then is tested.
mostly = st.sampled_from([True, True, True, True, False])
tokens = st.text("abcXYZ019!#$%&'*+.^_`|~-", min_size=1, max_size=12)
timeouts = st.integers(1, 2**31 - 1)


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A field that may be left out, or be null, or hold something."""
    return st.one_of(st.none(), strategy)


def part(required: Part, maybe: Part | None = None) -> st.SearchStrategy[Part]:
    return st.fixed_dictionaries(required, optional=maybe or {})


members = part(
    {"address": st.one_of(ipv4, ipv6), "protocol_port": ports},
    {
        "name": names,
        "weight": st.integers(0, 256),
        "backup": st.booleans(),
        "admin_state_up": mostly,
        "monitor_address": optional(st.one_of(ipv4, ipv6)),
        "monitor_port": optional(ports),
    },
)
member_lists = st.lists(members, min_size=1, max_size=5, unique_by=lambda member: (member["address"], member["protocol_port"]))

_paths = hostile.texts.filter(lambda text: " " not in text).map(lambda text: f"/{text}")
_codes = st.lists(st.tuples(st.integers(100, 599), st.integers(0, 50)), min_size=1, max_size=3).map(
    lambda pairs: ",".join(f"{low}-{min(low + more, 599)}" if more else str(low) for low, more in pairs)
)


@st.composite
def monitors(draw: st.DrawFn) -> Part:
    kind = draw(st.sampled_from(["HTTP", "HTTPS", "TCP", "TLS-HELLO"]))
    timeout = draw(st.integers(1, 100))
    monitor: Part = {
        "type": kind,
        "timeout": timeout,
        "delay": draw(st.integers(timeout + 1, 200)),
        "max_retries": draw(st.integers(1, 10)),
        "max_retries_down": draw(st.integers(1, 10)),
        "admin_state_up": draw(mostly),
    }
    if kind in ("HTTP", "HTTPS"):
        monitor |= draw(
            part(
                {},
                {
                    "http_method": st.sampled_from(["GET", "HEAD", "OPTIONS", "POST"]),
                    "url_path": _paths,
                    "expected_codes": _codes,
                },
            )
        )
        monitor |= draw(st.sampled_from([{}, {"http_version": 1.1, "domain_name": "a-b.example_1.org"}, {"http_version": "1.0"}]))
    return monitor


def pools(protocols: tuple[str, ...]) -> st.SearchStrategy[Part]:
    """A pool, with a unique name yet to be given."""

    @st.composite
    def build(draw: st.DrawFn) -> Part:
        protocol = draw(st.sampled_from(protocols))
        persistence: list[st.SearchStrategy[Any]] = [st.none(), st.just({"type": "SOURCE_IP"})]
        if protocol == "HTTP":
            persistence += [st.just({"type": "HTTP_COOKIE"}), tokens.map(lambda name: {"type": "APP_COOKIE", "cookie_name": name})]
        pool: Part = {
            "protocol": protocol,
            "lb_algorithm": draw(st.sampled_from(["ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_IP", "SOURCE_IP_PORT"])),
            "session_persistence": draw(st.one_of(persistence)),
            "members": draw(member_lists),
            "healthmonitor": draw(optional(monitors())),
            "admin_state_up": draw(mostly),
            "description": draw(names),
        }
        if pool["lb_algorithm"].startswith("SOURCE"):
            pool["hash"] = draw(st.sampled_from(["consistent", "map"]))
        if draw(st.booleans()):
            pool |= {"tls_enabled": True, "ca_tls_container_ref": draw(optional(st.just(AUTHORITY)))}
        return pool

    return build()


_KEYED = {"HEADER": tokens, "COOKIE": tokens, "SSL_DN_FIELD": st.sampled_from(["CN", "O", "OU"])}


def rules(kinds: tuple[str, ...]) -> st.SearchStrategy[Part]:
    @st.composite
    def build(draw: st.DrawFn) -> Part:
        kind = draw(st.sampled_from(kinds))
        compare = draw(st.sampled_from(["STARTS_WITH", "ENDS_WITH", "CONTAINS", "EQUAL_TO", "REGEX"]))
        value = draw(hostile.texts)
        if kind == "FILE_TYPE":
            compare = "EQUAL_TO"
        elif kind.startswith("SSL_") and kind != "SSL_DN_FIELD":
            compare, value = "EQUAL_TO", "True" if kind == "SSL_CONN_HAS_CERT" else str(draw(st.integers(0, 99999)))
        if compare == "REGEX":
            value = draw(st.sampled_from([r"^/a(b|c)\d{2}[^'\"#$]+$", ".*", r"\\'", "a b  c", "%[src] $HOME"]))
        rule: Part = {"type": kind, "compare_type": compare, "value": value, "invert": draw(st.booleans()), "admin_state_up": draw(mostly)}
        if kind in _KEYED:
            rule["key"] = draw(_KEYED[kind])
        return rule

    return build()


_urls = hostile.texts.filter(lambda text: " " not in text).map(lambda text: f"https://host.example/{text}")


def policies(pool_names: list[str], kinds: tuple[str, ...]) -> st.SearchStrategy[Part]:
    @st.composite
    def build(draw: st.DrawFn) -> Part:
        actions = ["REJECT", "REDIRECT_TO_URL", "REDIRECT_PREFIX", *(["REDIRECT_TO_POOL"] if pool_names else [])]
        action = draw(st.sampled_from(actions))
        policy: Part = {
            "action": action,
            "name": draw(names),
            "position": draw(optional(st.integers(1, 2**31 - 1))),
            "rules": draw(st.lists(rules(kinds), min_size=1, max_size=3)),
            "admin_state_up": draw(mostly),
        }
        if action == "REDIRECT_TO_POOL":
            policy["redirect_pool"] = {"name": draw(st.sampled_from(pool_names))}
        elif action != "REJECT":
            policy["redirect_url" if action == "REDIRECT_TO_URL" else "redirect_prefix"] = draw(_urls)
            policy["redirect_http_code"] = draw(optional(st.sampled_from([301, 302, 303, 307, 308])))
        return policy

    return build()


_HEADERS = ("X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto")
_TLS_HEADERS = ("X-SSL-Client-Verify", "X-SSL-Client-Has-Cert", "X-SSL-Client-DN", "X-SSL-Client-CN", "X-SSL-Issuer", "X-SSL-Client-SHA1")
_RULES = ("HOST_NAME", "PATH", "FILE_TYPE", "HEADER", "COOKIE")
_TLS_RULES = ("SSL_CONN_HAS_CERT", "SSL_VERIFY_RESULT", "SSL_DN_FIELD")


@st.composite
def listeners(draw: st.DrawFn, web: list[str], stream: list[str]) -> Part:
    """A listener over pools of these names; its port is yet to be given."""
    protocol = draw(st.sampled_from(["HTTP", "TERMINATED_HTTPS", "TCP", "HTTPS"]))
    http, tls = protocol in ("HTTP", "TERMINATED_HTTPS"), protocol == "TERMINATED_HTTPS"
    choices = web if http else stream
    used: bool = draw(mostly)
    listener: Part = {
        "protocol": protocol,
        "name": draw(names),
        "default_pool": {"name": draw(st.sampled_from(choices))} if choices and used else None,
        "admin_state_up": draw(mostly),
        "connection_limit": draw(st.one_of(st.just(-1), st.integers(1, 2**31 - 1))),
        "timeout_client_data": draw(timeouts),
        "timeout_member_connect": draw(timeouts),
        "timeout_member_data": draw(timeouts),
        "timeout_tcp_inspect": draw(st.integers(0, 2**31 - 1)),
        "allowed_cidrs": draw(optional(st.lists(st.sampled_from(["192.0.2.0/24", "0.0.0.0/0", "198.51.100.7", "10.1.2.3/8"]), max_size=4))),
    }
    if http:
        listener["l7policies"] = draw(st.lists(policies(web, _RULES + (_TLS_RULES if tls else ())), max_size=3))
        headers = st.sampled_from(_HEADERS + (_TLS_HEADERS if tls else ()))
        listener["insert_headers"] = draw(st.dictionaries(headers, st.sampled_from(["true", "false", True, False]), max_size=5))
    if tls:
        first = draw(st.integers(1, 4))
        listener |= {
            "default_tls_container_ref": CERTIFICATES[0],
            "sni_container_refs": draw(st.lists(st.sampled_from(CERTIFICATES), max_size=3)),
            "client_authentication": draw(st.sampled_from(["NONE", "OPTIONAL", "MANDATORY"])),
            "client_ca_tls_container_ref": AUTHORITY,
            "client_crl_container_ref": draw(optional(st.just(REVOCATIONS))),
            "tls_versions": ["SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"][first : draw(st.integers(first + 1, 5))],
            "alpn_protocols": draw(optional(st.lists(st.sampled_from(["h2", "http/1.1", "http/1.0"]), unique=True))),
            "tls_ciphers": draw(optional(st.sampled_from(["DEFAULT", "ECDHE-ECDSA-AES128-GCM-SHA256:TLS_AES_128_GCM_SHA256"]))),
        }
        if draw(st.booleans()):
            listener |= {"hsts_max_age": draw(st.integers(0, 10**9)), "hsts_include_subdomains": draw(st.booleans())}
    return listener


@st.composite
def graphs(draw: st.DrawFn) -> Part:
    """A whole document."""
    web = [{**pool, "name": f"web {n}'#"} for n, pool in enumerate(draw(st.lists(pools(("HTTP",)), min_size=1, max_size=2)))]
    stream = [{**pool, "name": f"stream {n}"} for n, pool in enumerate(draw(st.lists(pools(("TCP", "HTTPS")), min_size=1, max_size=2)))]
    chosen = draw(st.lists(listeners([pool["name"] for pool in web], [pool["name"] for pool in stream]), min_size=1, max_size=3))
    numbers = draw(st.lists(ports, min_size=len(chosen), max_size=len(chosen), unique=True))
    return {
        "loadbalancer": {
            "name": draw(names),
            "description": draw(names),
            "vip_address": "203.0.113.10",
            "additional_vips": draw(st.sampled_from([[], [{"ip_address": "2001:db8::10"}]])),
            "tags": draw(st.lists(names, max_size=2)),
            "listeners": [{**listener, "protocol_port": port} for listener, port in zip(chosen, numbers, strict=True)],
            "pools": web + stream,
        }
    }
