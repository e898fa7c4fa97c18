"""Random load balancers, valid by construction, as plain data in the API's words: every protocol of listeners and pools."""

from __future__ import annotations

import itertools
from typing import Any

from graph_parts import (
    AUTHORITY,
    CERTIFICATES,
    REVOCATIONS,
    Part,
    mostly,
    names,
    optional,
    ports,
    reference,
    timeouts,
    tls_ciphers,
    tls_versions,
    uuids,
)
from hypothesis import strategies as st
from policy_strategies import policies
from pool_strategies import datagram_pools, pools

#: Addresses of the documentation (RFC 5737, RFC 3849), so that no VIP is anybody's.
_VIPS = ("203.0.113.10", "203.0.113.11", "2001:db8::10", "2001:db8:0:1::10")
_CIDRS = {
    4: ["192.0.2.0/24", "0.0.0.0/0", "198.51.100.7", "10.1.2.3/8"],
    6: ["2001:db8::/32", "::/0", "2001:db8::7", "2001:db8::5:3/64"],
}
_HEADERS = ("X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto")
_TLS_HEADERS = (
    "X-SSL-Client-Verify",
    "X-SSL-Client-Has-Cert",
    "X-SSL-Client-DN",
    "X-SSL-Client-CN",
    "X-SSL-Issuer",
    "X-SSL-Client-SHA1",
    "X-SSL-Client-Not-Before",
    "X-SSL-Client-Not-After",
)
_RULES = ("HOST_NAME", "PATH", "FILE_TYPE", "HEADER", "COOKIE")
_TLS_RULES = ("SSL_CONN_HAS_CERT", "SSL_VERIFY_RESULT", "SSL_DN_FIELD")

#: Protocol of a listener → of which kinds (below) its pools are.
_USABLE = {
    "HTTP": ("web", "proxied web"),
    "TERMINATED_HTTPS": ("web", "proxied web"),
    "TCP": ("web", "stream", "proxied"),
    "HTTPS": ("stream", "proxied"),
    "PROMETHEUS": (),
    "UDP": ("UDP",),
    "SCTP": ("SCTP",),
}

#: Which kind a pool is of → the pools.
Kinds = dict[str, list[Part]]


def families_of(vips: list[str]) -> tuple[int, ...]:
    """The IP versions of these addresses."""
    return tuple(sorted({6 if ":" in vip else 4 for vip in vips}))


@st.composite
def listeners(draw: st.DrawFn, protocol: str, kinds: Kinds, families: tuple[int, ...]) -> Part:
    """A listener over these pools; its port is yet to be given."""
    usable = [pool for kind in _USABLE[protocol] for pool in kinds[kind]]
    cidrs = [cidr for family in families for cidr in _CIDRS[family]]
    listener: Part = {
        "protocol": protocol,
        "name": draw(names),
        "description": draw(names),
        "admin_state_up": draw(mostly),
        "connection_limit": draw(st.one_of(st.just(-1), st.integers(1, 2**31 - 1))),
        "timeout_client_data": draw(timeouts),
        "timeout_member_connect": draw(timeouts),
        "timeout_member_data": draw(timeouts),
        "timeout_tcp_inspect": draw(st.integers(0, 2**31 - 1)),
        "allowed_cidrs": draw(optional(st.lists(st.sampled_from(cidrs), max_size=4))),
    }
    if draw(mostly) and usable:
        listener |= reference("default_pool", draw(st.sampled_from(usable)))
    if protocol in ("HTTP", "TERMINATED_HTTPS"):
        tls = protocol == "TERMINATED_HTTPS"
        listener["l7policies"] = draw(st.lists(policies(usable, _RULES + (_TLS_RULES if tls else ())), max_size=3))
        headers = st.sampled_from(_HEADERS + (_TLS_HEADERS if tls else ()))
        listener["insert_headers"] = draw(st.dictionaries(headers, st.sampled_from(["true", "false", True, False]), max_size=5))
        listener |= draw(_tls_fields()) if tls else {}
    return listener


@st.composite
def _tls_fields(draw: st.DrawFn) -> Part:
    fields: Part = {
        "default_tls_container_ref": CERTIFICATES[0],
        "sni_container_refs": draw(st.lists(st.sampled_from(CERTIFICATES), max_size=3)),
        "client_authentication": draw(st.sampled_from(["NONE", "OPTIONAL", "MANDATORY"])),
        "client_ca_tls_container_ref": AUTHORITY,
        "client_crl_container_ref": draw(optional(st.just(REVOCATIONS))),
        "tls_versions": draw(optional(tls_versions())),
        "alpn_protocols": draw(optional(st.lists(st.sampled_from(["h2", "http/1.1", "http/1.0"]), unique=True))),
        "tls_ciphers": draw(optional(tls_ciphers)),
    }
    if draw(st.booleans()):
        fields |= {
            "hsts_max_age": draw(st.integers(0, 10**9)),
            "hsts_include_subdomains": draw(st.booleans()),
            "hsts_preload": draw(st.booleans()),
        }
    return fields


@st.composite
def _pools(draw: st.DrawFn, used: list[str], families: tuple[int, ...]) -> Kinds:
    """Pools of every kind that listeners of these protocols could use, and sometimes one more that nobody uses."""
    proxy = ("PROXY", "PROXYV2")
    made = {
        "web": pools(("HTTP",)),
        "proxied web": pools(proxy, cookies=True),
        "stream": pools(("TCP", "HTTPS")),
        "proxied": pools(proxy),
        "UDP": datagram_pools("UDP", families),
        "SCTP": datagram_pools("SCTP", families),
    }
    needed = {kind for protocol in used for kind in _USABLE[protocol]} | draw(st.sets(st.sampled_from(sorted(made)), max_size=1))
    found = {kind: draw(st.lists(strategy, max_size=2)) if kind in needed else [] for kind, strategy in made.items()}
    numbers = itertools.count()
    return {
        kind: [{**pool, "name": f"{kind} {next(numbers)}'#", **draw(_maybe_id(next(numbers)))} for pool in described]
        for kind, described in found.items()
    }


def _maybe_id(number: int) -> st.SearchStrategy[Part]:
    """An id that no other number gives, or none, so that the pool is known by its name."""
    return st.one_of(st.just({}), uuids.map(lambda text: {"id": f"{text[:-4]}{number:04x}"}))


@st.composite
def graphs(draw: st.DrawFn) -> Part:
    """A whole document."""
    vips = draw(st.lists(st.sampled_from(_VIPS), min_size=1, max_size=4, unique=True))
    families = families_of(vips)
    protocols = draw(st.lists(st.sampled_from(sorted(_USABLE)), min_size=1, max_size=4))
    kinds = draw(_pools(protocols, families))
    numbers = draw(st.lists(ports, min_size=len(protocols), max_size=len(protocols), unique=True))
    chosen = [draw(listeners(protocol, kinds, families)) for protocol in protocols]
    inside: dict[str, Any] = {
        "name": draw(names),
        "description": draw(names),
        "admin_state_up": draw(mostly),
        "vip_address": vips[0],
        "additional_vips": [{"ip_address": vip} for vip in vips[1:]],
        "tags": draw(st.lists(names, max_size=2)),
        "hard_stop_after": draw(optional(st.integers(1, 2_147_483))),
        "mworker_max_reloads": draw(optional(st.integers(1, 1_000_000))),
        "redispatch": draw(optional(st.booleans())),
        "listeners": [{**listener, "protocol_port": port} for listener, port in zip(chosen, numbers, strict=True)],
        "pools": [pool for kind in kinds.values() for pool in kind],
    }
    return {"loadbalancer": inside}
