"""The files that haproxy.cfg names: certificates, crt-lists, authorities, revocation lists, lists of addresses and of patterns; and how TLS uses them."""

from __future__ import annotations

import ipaddress
import re
import uuid
from typing import NamedTuple

from compiler import ir, quoting
from compiler.bundle import File
from compiler.check.tls import VERSIONS
from compiler.graph import L7Rule, Listener, Pool
from compiler.material import Material
from compiler.quoting import Inexpressible, Word
from compiler.target import Feature, Target

_REFERENCES = uuid.UUID("3d2c2f0e-5b0a-5a3c-8f57-b1de0b6f8f5e")
#: What SNI can ask for (RFC 6066 3, RFC 6125 6.4.3); anything else in a certificate is not a name for HAProxy's crt-list.
_SNI_NAME = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")


class Made(NamedTuple):
    """A file, and the field for which it was made."""

    file: File
    node: Listener | Pool | L7Rule
    field: str


class Files:
    """Makes files once each; `made` holds them by path, with the object and field that asked first."""

    def __init__(self, material: Material, target: Target) -> None:
        self._material = material
        self._target = target
        self.made: dict[str, Made] = {}

    def allowed(self, listener: Listener) -> Word | None:
        """The list of the networks that may connect, None where all may."""
        if not listener.allowed_cidrs:
            return None
        networks = sorted({ipaddress.ip_network(cidr, strict=False) for cidr in listener.allowed_cidrs}, key=lambda n: (n.version, n))
        return self._add(
            f"lists/{listener.id}.allowed", "".join(f"{network}\n" for network in networks).encode(), listener, "allowed_cidrs"
        )

    def value(self, rule: L7Rule, pattern: str) -> Word | None:
        """The pattern of a rule, in a list of its own: so it can be changed while HAProxy runs. None where a list cannot hold it."""
        try:
            line = quoting.pattern(pattern)
        except Inexpressible:
            return None
        return self._add(f"lists/{rule.id}.value", f"{line}\n".encode(), rule, "value")

    def identity(self, node: Listener | Pool, field: str, reference: str) -> Word:
        """Certificate, chain and key. Named after the reference, not the content, so that a renewed certificate keeps its file."""
        return self._add(f"certs/{stem(reference)}.pem", self._material.identity(reference).pem, node, field, secret=True)

    def crt_list(self, listener: Listener) -> Word:
        """The listener's certificates with the names they answer to, the default first (5.1 crt-list)."""
        asked = {f"sni_container_refs[{n}]": reference for n, reference in enumerate(listener.sni_container_refs)}
        if listener.default_tls_container_ref:
            asked = {"default_tls_container_ref": listener.default_tls_container_ref} | asked
        lines: dict[str, str] = {}
        for field, reference in asked.items():
            names = [name for name in self._material.identity(reference).names if _SNI_NAME.fullmatch(name)]
            lines.setdefault(reference, " ".join([self.identity(listener, field, reference), *names]) + "\n")
        return self._add(f"certs/{listener.id}.crt-list", "".join(lines.values()).encode(), listener, next(iter(asked)))

    def authorities(self, node: Listener | Pool, field: str) -> Word | None:
        """The certificates that the field names, to verify against."""
        reference = getattr(node, field)
        if not reference:
            return None
        return self._add(f"certs/{stem(reference)}.ca.pem", self._material.authorities(reference).pem, node, field)

    def revocations(self, node: Listener | Pool, field: str) -> Word | None:
        """The revocation list that the field names."""
        reference = getattr(node, field)
        if not reference:
            return None
        return self._add(f"certs/{stem(reference)}.crl.pem", self._material.revocations(reference).pem, node, field)

    def tls(self, node: Listener | Pool, certificates: Word | None, verify: str) -> ir.Tls:
        """The TLS parameters that listeners and pools have in common."""
        prefix = "client_" if isinstance(node, Listener) else ""
        ca, crl = (f"{prefix}ca_tls_container_ref", f"{prefix}crl_container_ref")
        versions = sorted(VERSIONS.index(version) for version in node.tls_versions or ("TLSv1.2", "TLSv1.3"))
        ciphers, suites = _ciphers(node.tls_ciphers)
        alpn = node.alpn_protocols
        if alpn is None and isinstance(node, Listener):
            alpn = ("h2", "http/1.1", "http/1.0")
        return ir.Tls(
            certificates=certificates,
            ca_file=None if verify == "none" else self.authorities(node, ca),
            crl_file=None if verify == "none" else self.revocations(node, crl),
            verify=quoting.keyword(verify),
            ciphers=ciphers,
            ciphersuites=suites,
            min_version=_version(versions[0]),
            max_version=_version(versions[-1]),
            alpn=quoting.word(",".join(alpn)) if alpn else None,
            # Since it can be told not to, HAProxy offers h2 by itself where nothing is said.
            no_alpn=alpn is not None and not alpn and self._target.has(Feature.NO_ALPN),
        )

    def _add(self, path: str, content: bytes, node: Listener | Pool | L7Rule, field: str, *, secret: bool = False) -> Word:
        self.made.setdefault(path, Made(File(content, 0o600 if secret else 0o644, secret), node, field))
        return quoting.path(path)


def stem(reference: str) -> str:
    """What files are called that there are because of a reference, without what kind of file each is."""
    return str(uuid.uuid5(_REFERENCES, reference))


def _version(place: int) -> Word:
    name = VERSIONS[place]
    return quoting.keyword("TLSv1.0" if name == "TLSv1" else name)


def _ciphers(text: str | None) -> tuple[Word | None, Word | None]:
    """The API's one list → HAProxy's two: `ciphers` to TLS 1.2, `ciphersuites` (the names that begin with TLS_) for 1.3."""
    names = [name for name in re.split(r"[:,]", text or "") if name]
    old = [name for name in names if not name.startswith("TLS_")]
    new = [name for name in names if name.startswith("TLS_")]
    return (quoting.word(":".join(old)) if old else None, quoting.word(":".join(new)) if new else None)
