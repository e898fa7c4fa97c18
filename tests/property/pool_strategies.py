"""Random pools and health monitors, valid by construction."""

from __future__ import annotations

from typing import Any

import hostile
from graph_parts import (
    AUTHORITY,
    CERTIFICATES,
    REVOCATIONS,
    Part,
    member_lists,
    member_lists_of,
    mostly,
    names,
    optional,
    part,
    tls_ciphers,
    tls_versions,
    tokens,
)
from hypothesis import strategies as st

_STREAM_MONITORS = ("HTTP", "HTTPS", "TCP", "TLS-HELLO", "PING")
_DATAGRAM_MONITORS = {"UDP": ("UDP-CONNECT", "HTTP", "TCP"), "SCTP": ("SCTP", "HTTP", "TCP", "UDP-CONNECT")}
_ALGORITHMS = ("ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_IP", "SOURCE_IP_PORT")

_any_path = hostile.texts.filter(lambda text: " " not in text).map(lambda text: f"/{text}")
#: What keepalived's configuration can hold of a path; the rest has a %-form (RFC 3986 2.1).
_plain_path = st.text("abcXYZ019_./:@%+,=^?*;&()|<>-", max_size=30).map(lambda text: f"/{text}")
_codes = st.lists(st.tuples(st.integers(100, 599), st.integers(0, 50)), min_size=1, max_size=3).map(
    lambda pairs: ",".join(f"{low}-{min(low + more, 599)}" if more else str(low) for low, more in pairs)
)


@st.composite
def monitors(draw: st.DrawFn, kinds: tuple[str, ...], *, datagrams: bool = False) -> Part:
    kind = draw(st.sampled_from(kinds))
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
        methods = ["GET"] if datagrams else ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "TRACE", "PATCH", "CONNECT"]
        path = _plain_path if datagrams else _any_path
        monitor |= draw(part({}, {"http_method": st.sampled_from(methods), "url_path": path, "expected_codes": _codes}))
        monitor |= draw(st.sampled_from([{}, {"http_version": 1.1, "domain_name": "a-b.example_1.org"}, {"http_version": "1.0"}]))
    return monitor


@st.composite
def _common(draw: st.DrawFn, protocol: str) -> Part:
    """What every pool has; sometimes an id, by which it is referred to then."""
    pool: Part = {"protocol": protocol, "lb_algorithm": draw(st.sampled_from(_ALGORITHMS)), "description": draw(names)}
    pool["admin_state_up"] = draw(mostly)
    if pool["lb_algorithm"].startswith("SOURCE"):
        pool["hash"] = draw(st.sampled_from(["consistent", "map"]))
    return pool


@st.composite
def pools(draw: st.DrawFn, protocols: tuple[str, ...], *, cookies: bool = False) -> Part:
    """A pool behind HAProxy, with a unique name yet to be given. `cookies`: only listeners that speak HTTP will use it."""
    pool: Part = draw(_common(draw(st.sampled_from(protocols))))
    persistence: list[st.SearchStrategy[Any]] = [st.none(), st.just({"type": "SOURCE_IP"})]
    if cookies or pool["protocol"] == "HTTP":
        persistence += [st.just({"type": "HTTP_COOKIE"}), tokens.map(lambda name: {"type": "APP_COOKIE", "cookie_name": name})]
    pool |= {
        "session_persistence": draw(st.one_of(persistence)),
        "members": draw(member_lists),
        "healthmonitor": draw(optional(monitors(_STREAM_MONITORS))),
    }
    if draw(st.booleans()):
        verified = draw(st.booleans())
        pool |= {
            "tls_enabled": True,
            "tls_container_ref": draw(optional(st.sampled_from(CERTIFICATES))),
            "ca_tls_container_ref": AUTHORITY if verified else None,
            "crl_container_ref": REVOCATIONS if verified and draw(st.booleans()) else None,
            "tls_ciphers": draw(optional(tls_ciphers)),
            "tls_versions": draw(optional(tls_versions())),
            "alpn_protocols": draw(optional(st.lists(st.sampled_from(["h2", "http/1.1", "http/1.0"]), unique=True))),
        }
    return pool


_granularities = st.one_of(st.integers(1, 128).map(str), st.sampled_from(["255.255.255.255", "255.255.255.0", "255.0.0.0"]))


@st.composite
def datagram_pools(draw: st.DrawFn, protocol: str, families: tuple[int, ...]) -> Part:
    """A pool of UDP or SCTP, with members of these families and a unique name yet to be given."""
    kept = part(
        {"type": st.just("SOURCE_IP")}, {"persistence_timeout": st.integers(1, 2_678_400), "persistence_granularity": _granularities}
    )
    pool: Part = draw(_common(protocol))
    pool |= {
        "session_persistence": draw(optional(kept)),
        "members": draw(member_lists_of(families, 0)),
        "healthmonitor": draw(optional(monitors(_DATAGRAM_MONITORS[protocol], datagrams=True))),
    }
    return pool
