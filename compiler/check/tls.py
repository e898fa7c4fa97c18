"""TLS: what a listener or a re-encrypting pool asks for, and whether the secrets it names can be used."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from functools import partial

from compiler.certificates import Authorities, BadSecret, Identity, Revocations, UnknownSecret
from compiler.check.report import Report, shown
from compiler.graph import Listener, Pool
from compiler.material import Material

#: Oldest first, as HAProxy orders them (`ssl-min-ver`, `ssl-max-ver`).
VERSIONS = ("SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
ALPN = ("h2", "http/1.1", "http/1.0")

_LISTENER_FIELDS = (
    "default_tls_container_ref",
    "sni_container_refs",
    "client_ca_tls_container_ref",
    "client_crl_container_ref",
    "tls_ciphers",
    "tls_versions",
    "alpn_protocols",
    "hsts_max_age",
    "hsts_include_subdomains",
    "hsts_preload",
)
_POOL_FIELDS = ("tls_container_ref", "ca_tls_container_ref", "crl_container_ref", "tls_ciphers", "tls_versions", "alpn_protocols")


def check(report: Report, material: Material, now: dt.datetime | None) -> None:
    """TLS of every listener and pool, and the secrets that they name; their dates too where `now` is given."""
    for listener in report.graph.listeners:
        if listener.protocol == "TERMINATED_HTTPS":
            _listener(report, listener, material, now)
        else:
            _unused(report, listener, _LISTENER_FIELDS, f"a {listener.protocol} listener does not end TLS")
            if listener.client_authentication != "NONE":
                _unused(report, listener, ("client_authentication",), f"a {listener.protocol} listener does not end TLS")
    for pool in report.index.pools.values():
        if pool.tls_enabled:
            _pool(report, pool, material, now)
        else:
            _unused(report, pool, _POOL_FIELDS, "the pool does not encrypt (tls_enabled is false)")


def _unused(report: Report, node: Listener | Pool, fields: tuple[str, ...], why: str) -> None:
    for field in fields:
        if getattr(node, field):
            report.warning(node, field, "not-applicable", f"{field} is given, but {why}")


def _listener(report: Report, listener: Listener, material: Material, now: dt.datetime | None) -> None:
    secret = partial(_secret, report, listener, now=now)
    if not listener.default_tls_container_ref and not listener.sni_container_refs:
        message = "a TERMINATED_HTTPS listener needs a certificate: default_tls_container_ref, or sni_container_refs"
        report.error(listener, "default_tls_container_ref", "missing-field", message)
    secret("default_tls_container_ref", listener.default_tls_container_ref, material.identity)
    for number, reference in enumerate(listener.sni_container_refs):
        if not reference:
            report.error(listener, f"sni_container_refs[{number}]", "missing-field", "'' given; a secret's reference is needed")
        secret(f"sni_container_refs[{number}]", reference, material.identity)
    secret("client_ca_tls_container_ref", listener.client_ca_tls_container_ref, material.authorities)
    secret("client_crl_container_ref", listener.client_crl_container_ref, material.revocations)
    if listener.client_authentication != "NONE" and not listener.client_ca_tls_container_ref:
        message = f"client_authentication {listener.client_authentication} needs client_ca_tls_container_ref to verify clients against"
        report.error(listener, "client_ca_tls_container_ref", "missing-field", message)
    if listener.client_crl_container_ref and not listener.client_ca_tls_container_ref:
        report.error(listener, "client_crl_container_ref", "conflicting-fields", "a revocation list needs client_ca_tls_container_ref")
    if (listener.hsts_include_subdomains or listener.hsts_preload) and listener.hsts_max_age is None:
        field = "hsts_preload" if listener.hsts_preload else "hsts_include_subdomains"
        report.error(listener, field, "conflicting-fields", f"{field} needs hsts_max_age")
    _parameters(report, listener)


def _pool(report: Report, pool: Pool, material: Material, now: dt.datetime | None) -> None:
    secret = partial(_secret, report, pool, now=now)
    secret("tls_container_ref", pool.tls_container_ref, material.identity)
    secret("ca_tls_container_ref", pool.ca_tls_container_ref, material.authorities)
    secret("crl_container_ref", pool.crl_container_ref, material.revocations)
    if pool.crl_container_ref and not pool.ca_tls_container_ref:
        report.error(pool, "crl_container_ref", "conflicting-fields", "a revocation list needs ca_tls_container_ref")
    _parameters(report, pool)


def _secret(
    report: Report,
    node: Listener | Pool,
    field: str,
    reference: str | None,
    parse: Callable[[str], Identity | Authorities | Revocations],
    *,
    now: dt.datetime | None,
) -> None:
    if not reference:
        return
    try:
        found = parse(reference)
    except UnknownSecret as error:
        report.error(node, field, "unknown-secret", f"{shown(reference)} given: {error}")
    except BadSecret as error:
        report.error(node, field, "bad-secret", f"{shown(reference)}: {error}")
    else:
        if now is not None:
            _dates(report, node, field, found, now)


def _dates(report: Report, node: Listener | Pool, field: str, found: Identity | Authorities | Revocations, now: dt.datetime) -> None:
    if isinstance(found, Revocations):
        if found.next_update is not None and found.next_update <= now:
            message = (
                f"the revocation list was to be renewed by {found.next_update:%Y-%m-%d %H:%M} UTC: HAProxy refuses every peer until it is"
            )
            report.warning(node, field, "expired", message)
        if found.last_update > now:
            message = f"the revocation list begins on {found.last_update:%Y-%m-%d %H:%M} UTC: HAProxy refuses every peer until then"
            report.warning(node, field, "not-yet-valid", message)
    elif found.not_after <= now:
        report.warning(node, field, "expired", f"a certificate ended on {found.not_after:%Y-%m-%d %H:%M} UTC: peers will refuse it")
    elif found.not_before > now:
        message = f"a certificate begins on {found.not_before:%Y-%m-%d %H:%M} UTC: peers refuse it until then"
        report.warning(node, field, "not-yet-valid", message)


def _useless(report: Report, node: Listener | Pool) -> None:
    """Ciphers and versions that together do not do what they look like."""
    versions = node.tls_versions or ("TLSv1.2", "TLSv1.3")
    newest = max(map(VERSIONS.index, versions))
    if newest < VERSIONS.index("TLSv1.2") and "@SECLEVEL=0" not in (node.tls_ciphers or ""):
        message = f"OpenSSL 3 refuses {', '.join(versions)} at its default security level, so no handshake succeeds"
        report.warning(node, "tls_versions", "not-applicable", message, "tls_ciphers: DEFAULT:@SECLEVEL=0 lets it")
    names = [name for name in re.split("[:,]", node.tls_ciphers or "") if name]
    suites = [name for name in names if name.startswith("TLS_")]
    if names and suites == names and any(version != "TLSv1.3" for version in versions):
        message = "only suites of TLS 1.3 given: earlier versions, which are allowed too, use HAProxy's own ciphers"
        report.warning(node, "tls_ciphers", "not-applicable", message, "tls_versions: [TLSv1.3] allows no other version")
    elif names and not suites and set(versions) == {"TLSv1.3"}:
        report.warning(
            node, "tls_ciphers", "not-applicable", "TLS 1.3 alone is allowed, which has none of these ciphers (its names begin with TLS_)"
        )


def _parameters(report: Report, node: Listener | Pool) -> None:
    if node.tls_ciphers and not re.fullmatch(r"[A-Za-z0-9_+!@=.-]+([:,][A-Za-z0-9_+!@=.-]+)*", node.tls_ciphers):
        message = f"{shown(node.tls_ciphers)} given; OpenSSL names of ciphers with : between them are needed"
        report.error(node, "tls_ciphers", "invalid-value", message)
    if node.tls_versions:
        places = sorted({VERSIONS.index(version) for version in node.tls_versions})
        if places[-1] - places[0] + 1 != len(places):
            missing = ", ".join(version for version in VERSIONS[places[0] : places[-1]] if version not in node.tls_versions)
            message = f"{', '.join(node.tls_versions)} given; HAProxy takes a range of versions without gaps (missing: {missing})"
            report.error(node, "tls_versions", "inexpressible", message)
    _useless(report, node)
    for number, protocol in enumerate(node.alpn_protocols or ()):
        if protocol not in ALPN:
            report.error(node, f"alpn_protocols[{number}]", "invalid-value", f"{shown(protocol)} given; allowed: {', '.join(ALPN)}")
