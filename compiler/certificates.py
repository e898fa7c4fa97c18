"""TLS material: secrets in the forms people have them → the PEM that HAProxy reads.

A server's or client's identity may be a PEM bundle in any order, PKCS#12, or split parts; authorities are certificates; revocation
lists are PEM or DER. Everything is parsed, and the key must belong to the certificate, before a byte is written.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TypeVar

import msgspec
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtensionOID, NameOID

from compiler.errors import CompilerError
from compiler.secrets import Secret, Secrets


class BadSecret(CompilerError):  # noqa: N818  (callers turn it into a Problem)
    """The secret cannot be used; the message says why and what is needed."""

    code = "bad-secret"


class UnknownSecret(CompilerError):  # noqa: N818  (callers turn it into a Problem)
    """No secret was given under the reference; the message says why."""

    code = "unknown-secret"


class Identity(msgspec.Struct, frozen=True):
    """A private key with its certificate and chain. `pem` is what HAProxy reads: certificate, chain in order, key.

    `names` are those that SNI may ask for: the certificate's DNS names, or its common name where it has none (RFC 9110 4.3.4).
    The dates are those between which all of the chain is valid; an authority that issued itself does not count, as peers have their own copy.
    """

    pem: bytes
    names: tuple[str, ...]
    not_before: dt.datetime
    not_after: dt.datetime

    def __repr__(self) -> str:
        return f"Identity(<secret>, names={self.names!r})"


class Authorities(msgspec.Struct, frozen=True):
    """Certificates to verify a peer against; the dates are those between which all are valid."""

    pem: bytes
    not_before: dt.datetime
    not_after: dt.datetime


class Revocations(msgspec.Struct, frozen=True):
    """Certificate revocation lists; `last_update` of the one that begins last, `next_update` of the one that ends first, None where none says."""

    pem: bytes
    last_update: dt.datetime
    next_update: dt.datetime | None


_T = TypeVar("_T")
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s.*?-----END \1-----", re.DOTALL)


class Material:
    """The given secrets, parsed on demand and once. Methods raise UnknownSecret or BadSecret."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._parsed: dict[tuple[str, str], object] = {}

    def identity(self, reference: str) -> Identity:
        """The key and certificate under a `*_tls_container_ref`."""
        return self._once("identity", reference, _identity)

    def authorities(self, reference: str) -> Authorities:
        """The certificates under a `*ca_tls_container_ref`."""
        return self._once("authorities", reference, _authorities)

    def revocations(self, reference: str) -> Revocations:
        """The revocation list under a `*crl_container_ref`."""
        return self._once("revocations", reference, _revocations)

    def _once(self, kind: str, reference: str, parse: Callable[[Secret], _T]) -> _T:
        if reference not in self._secrets:
            raise UnknownSecret(self._secrets.reasons.get(reference, "no secret was given under this reference"))
        key = (kind, reference)
        if key not in self._parsed:
            try:
                self._parsed[key] = parse(self._secrets[reference])
            except BadSecret as error:
                self._parsed[key] = error
        found = self._parsed[key]
        if isinstance(found, BadSecret):
            raise found
        return found  # type: ignore[return-value]


def _identity(secret: Secret) -> Identity:
    parts = secret.parts
    passphrase = parts.get("private_key_passphrase", b"").rstrip(b"\r\n") or None
    bundle = parts.get("bundle")
    if bundle is not None and not _PEM.search(bundle):
        key, certificates = _from_pkcs12(bundle, passphrase)
    else:
        text = bundle if bundle is not None else b"\n".join(filter(None, map(parts.get, ("certificate", "intermediates", "private_key"))))
        key, certificates = _from_pem(text, passphrase)
    mine = key.public_key()
    leaf = next((certificate for certificate in certificates if _key_of(certificate) == mine), None)
    if leaf is None:
        subjects = ", ".join(_subject(certificate) for certificate in certificates)
        raise BadSecret(f"the private key belongs to none of the certificates ({subjects})")
    chain = _ordered(leaf, [certificate for certificate in certificates if certificate != leaf])
    text = b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Identity(text, _names(leaf), *_valid([leaf, *_between(chain)]))


def _from_pkcs12(data: bytes, passphrase: bytes | None) -> tuple[PrivateKeyTypes, list[x509.Certificate]]:
    try:
        key, leaf, others = pkcs12.load_key_and_certificates(data, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadSecret(f"it is neither PEM nor PKCS#12 that opens with the passphrase given: {_first_line(error)}") from error
    if key is None or leaf is None:
        raise BadSecret(f"the PKCS#12 holds no {'private key' if key is None else 'certificate'}")
    return key, [leaf, *others]


def _from_pem(text: bytes, passphrase: bytes | None) -> tuple[PrivateKeyTypes, list[x509.Certificate]]:
    keys = [match[0] for match in _PEM.finditer(text) if match[1].endswith(b"PRIVATE KEY")]
    if len(keys) != 1:
        raise BadSecret(f"{len(keys)} private keys found; exactly one is needed")
    try:
        key = serialization.load_pem_private_key(keys[0] + b"\n", passphrase)
    except TypeError as error:
        why = "is encrypted and no passphrase was given" if passphrase is None else "is not encrypted, but a passphrase was given"
        raise BadSecret(f"the private key {why}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadSecret(f"the private key does not parse: {_first_line(error)}") from error
    return key, _certificates(text)


def _certificates(text: bytes) -> list[x509.Certificate]:
    found: list[x509.Certificate] = []
    for match in _PEM.finditer(text):
        if match[1] not in (b"CERTIFICATE", b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE"):
            continue
        try:
            certificate = x509.load_pem_x509_certificate(match[0] + b"\n")
        except ValueError as error:
            raise BadSecret(f"certificate {len(found) + 1} does not parse: {_first_line(error)}") from error
        if certificate not in found:
            found.append(certificate)
    if not found:
        raise BadSecret("no certificate found; PEM (-----BEGIN CERTIFICATE-----) is needed")
    return found


def _authorities(secret: Secret) -> Authorities:
    text = b"\n".join(filter(None, map(secret.parts.get, ("bundle", "certificate", "intermediates"))))
    if not _PEM.search(text):
        try:
            found = [x509.load_der_x509_certificate(text)]
        except ValueError as error:
            raise BadSecret("no certificate found; PEM or DER is needed") from error
    else:
        found = _certificates(text)
    pem = b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in found)
    return Authorities(pem, *_valid(found))


def _revocations(secret: Secret) -> Revocations:
    text = secret.parts.get("bundle", secret.parts.get("certificate", b""))
    blocks = [match[0] + b"\n" for match in _PEM.finditer(text) if match[1] == b"X509 CRL"]
    try:
        found = [x509.load_pem_x509_crl(block) for block in blocks] or [x509.load_der_x509_crl(text)]
    except ValueError as error:
        raise BadSecret(f"no revocation list found; PEM (-----BEGIN X509 CRL-----) or DER is needed: {_first_line(error)}") from error
    ends = [crl.next_update_utc for crl in found if crl.next_update_utc is not None]
    begin = max(crl.last_update_utc for crl in found)
    return Revocations(b"".join(crl.public_bytes(serialization.Encoding.PEM) for crl in found), begin, min(ends, default=None))


def _key_of(certificate: x509.Certificate) -> object:
    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None


def _ordered(leaf: x509.Certificate, others: list[x509.Certificate]) -> list[x509.Certificate]:
    """Leaf, then each issuer in turn, as TLS wants them (RFC 8446 4.4.2); a certificate that is nobody's issuer comes last."""
    chain, rest = [leaf], list(others)
    while (issuer := next((other for other in rest if other.subject == chain[-1].issuer), None)) is not None:
        rest.remove(issuer)
        chain.append(issuer)
    return chain + rest


def _between(chain: list[x509.Certificate]) -> Iterator[x509.Certificate]:
    """Those of the chain that stand between its leaf and an authority that issued itself."""
    for issued, issuer in pairwise(chain):
        if issued.issuer != issuer.subject or issuer.issuer == issuer.subject:
            return
        yield issuer


def _valid(certificates: list[x509.Certificate]) -> tuple[dt.datetime, dt.datetime]:
    """From when to when all are."""
    return max(found.not_valid_before_utc for found in certificates), min(found.not_valid_after_utc for found in certificates)


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
        names = extension.value.get_values_for_type(x509.DNSName)  # type: ignore[attr-defined]
    except (x509.ExtensionNotFound, ValueError):
        names = []
    if not names:
        names = [str(attribute.value) for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return tuple(dict.fromkeys(name.lower() for name in names))


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "no subject"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].split("(")[0].strip()
