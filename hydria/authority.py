"""Certificate authorities and what they issue, with keys on P-256: the one place where Hydria makes certificates.

All hold what RFC 5280 asks for and OpenSSL's strict verification (X509_V_FLAG_X509_STRICT, Python's default from 3.13 on) insists on: key
identifiers of subject and issuer, key usage, critical basic constraints. What a certificate is good for is in its extended key usage.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Iterable

#: A certificate is valid from a bit before it was issued: clocks differ.
_TOLERANCE = dt.timedelta(hours=1)

Purpose = Literal["server", "client"]
_PURPOSES: dict[Purpose, x509.ObjectIdentifier] = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


@dataclass(frozen=True)
class Certificate:
    """A certificate, its key, and the certificate of who issued it. `repr` does not show the key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    issuer: x509.Certificate

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.certificate.subject.rfc4514_string()})"

    @property
    def certificate_pem(self) -> bytes:
        """The certificate alone."""
        return _certificate_pem(self.certificate)

    @property
    def key_pem(self) -> bytes:
        """The private key, PKCS#8, not encrypted."""
        return _key_pem(self.key)

    @property
    def issuer_pem(self) -> bytes:
        """The issuer's certificate."""
        return _certificate_pem(self.issuer)


class Authority:
    """An authority: its certificate, self-signed, and its key. It issues certificates for servers and clients, not for other authorities."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.certificate = certificate
        self.key = key

    def __repr__(self) -> str:
        return f"Authority({self.certificate.subject.rfc4514_string()})"

    @classmethod
    def create(cls, name: str, *, organisation: str, days: int, issued: dt.datetime | None = None) -> Authority:
        """A new one, good for `days` from `issued` on, which is now unless something else is said."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name, organisation)
        builder = _builder(subject, subject, key.public_key(), key.public_key(), _validity(days, issued))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(issues=True), critical=True)
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def read(cls, certificate: bytes, key: bytes) -> Authority:
        """One from PEM. Raises ValueError, which says what is wrong with it: something else, another's key, no authority, not valid any more."""
        try:
            read = x509.load_pem_x509_certificate(certificate)
        except ValueError as error:
            raise ValueError("the certificate is not one in PEM") from error
        try:
            read_key = serialization.load_pem_private_key(key, None)
        except (TypeError, ValueError) as error:
            raise ValueError("the key is not one in PEM, without a passphrase") from error
        if not isinstance(read_key, ec.EllipticCurvePrivateKey):
            raise ValueError("the key is not on an elliptic curve")  # noqa: TRY004 - the type is what the file holds
        if read_key.public_key() != read.public_key():
            raise ValueError("the key is not that of the certificate")
        try:
            authority = read.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except x509.ExtensionNotFound:
            authority = False
        if not authority:
            raise ValueError("the certificate is not an authority's")
        if read.not_valid_after_utc <= dt.datetime.now(dt.UTC):
            raise ValueError(f"the authority was valid until {read.not_valid_after_utc:%Y-%m-%d}")
        return cls(read, read_key)

    @property
    def certificate_pem(self) -> bytes:
        """The authority's own certificate."""
        return _certificate_pem(self.certificate)

    @property
    def key_pem(self) -> bytes:
        """The authority's private key, PKCS#8, not encrypted."""
        return _key_pem(self.key)

    def issue(
        self,
        purpose: Purpose,
        common_name: str,
        names: Iterable[str] = (),
        *,
        organisation: str,
        days: int,
        issued: dt.datetime | None = None,
    ) -> Certificate:
        """A new key and its certificate, for these host names (wildcards allowed) and IP addresses.

        It is good for `days` from `issued` on, which is now unless something else is said, but not longer than the authority itself.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        start, end = _validity(days, issued)
        validity = start, min(end, self.certificate.not_valid_after_utc)
        subject = _name(common_name, organisation)
        builder = _builder(subject, self.certificate.subject, key.public_key(), self.key.public_key(), validity)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(issues=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([_PURPOSES[purpose]]), critical=False)
        if alternatives := [_general_name(name) for name in names]:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        return Certificate(builder.sign(self.key, hashes.SHA256()), key, self.certificate)


def _certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _name(common_name: str, organisation: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation), x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _validity(days: int, issued: dt.datetime | None) -> tuple[dt.datetime, dt.datetime]:
    now = issued or dt.datetime.now(dt.UTC)
    return now - _TOLERANCE, now + dt.timedelta(days=days)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer_key: ec.EllipticCurvePublicKey,
    validity: tuple[dt.datetime, dt.datetime],
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(validity[0])
        .not_valid_after(validity[1])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
    )


def _usage(*, issues: bool) -> x509.KeyUsage:
    """What a key on a curve may do: sign handshakes, and an authority's certificates and revocation lists."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=issues,
        crl_sign=issues,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
