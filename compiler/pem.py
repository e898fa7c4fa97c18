"""TLS material: secrets in the forms people have them → the PEM that HAProxy reads.

A server's or client's identity may be a PEM bundle in any order, PKCS#12, or split parts; authorities are certificates; revocation
lists are PEM or DER. Everything is parsed, and the key must belong to the certificate, before a byte is written.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtensionOID, NameOID

from compiler.certificates import Authorities, BadSecret, Identity, Revocations
from compiler.secrets import Secret

_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s.*?-----END \1-----", re.DOTALL)


def identity(secret: Secret) -> Identity:
    """A key and its certificate. Raises BadSecret."""
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


def authorities(secret: Secret) -> Authorities:
    """Certificates to verify a peer against. Raises BadSecret."""
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


def revocations(secret: Secret) -> Revocations:
    """Revocation lists. Raises BadSecret."""
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
