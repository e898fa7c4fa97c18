"""A certificate authority for trying things out: server and client certificates, good for some days, with keys on P-256.

Not for production: keys are neither protected nor kept, and nothing but loopback should ever trust what this makes.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ORGANISATION = "Hydria lab"
_VALID_DAYS = 30


@dataclass(frozen=True)
class Certificate:
    """A certificate, its key, and the certificate of who issued it; all PEM. `repr` does not show the key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    issuer: x509.Certificate

    def __repr__(self) -> str:
        return f"Certificate({self.certificate.subject.rfc4514_string()})"

    @property
    def certificate_pem(self) -> bytes:
        """The certificate alone."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key, PKCS#8, not encrypted."""
        return self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    @property
    def bundle_pem(self) -> bytes:
        """Key, certificate and issuer in one: what a `tls_container_ref` may refer to."""
        return self.key_pem + self.certificate_pem + self.issuer.public_bytes(serialization.Encoding.PEM)

    @property
    def der(self) -> bytes:
        """The certificate as it goes over the wire: to compare with what a peer showed."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def load_into(self, context: ssl.SSLContext) -> None:
        """Makes `context` present this certificate. The `ssl` module reads only files, so there is one for a moment, private to its owner."""
        with tempfile.NamedTemporaryFile(prefix="hydria-lab-", suffix=".pem") as file:
            file.write(self.bundle_pem)
            file.flush()
            context.load_cert_chain(file.name)

    def server_context(self, *, client_ca: Authority | None = None, alpn: Sequence[str] = ("http/1.1",)) -> ssl.SSLContext:
        """What a server needs to present this certificate; with `client_ca` it asks every client for a certificate of that authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.load_into(context)
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=client_ca.certificate_pem.decode("ascii"))
        return context


class Authority:
    """A self-signed authority that issues certificates and revokes them."""

    def __init__(self, name: str = "Hydria lab CA") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        builder = _builder(subject, subject, self._key.public_key())
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(usage, critical=True)
        identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        self.certificate = builder.sign(self._key, hashes.SHA256())

    @property
    def certificate_pem(self) -> bytes:
        """The authority's own certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def server(self, *names: str, common_name: str | None = None, issued: dt.datetime | None = None) -> Certificate:
        """A server's certificate for these host names (wildcards allowed) and IP addresses; its CN is the first, unless another is given.

        It is good for some days from `issued` on, which is now unless something else is said.
        """
        return self._issue(common_name or names[0], names, ExtendedKeyUsageOID.SERVER_AUTH, issued=issued)

    def client(self, common_name: str, *, organisation: str = _ORGANISATION, issued: dt.datetime | None = None) -> Certificate:
        """A client's certificate, good as a server's is."""
        return self._issue(common_name, (), ExtendedKeyUsageOID.CLIENT_AUTH, organisation, issued)

    def crl(self, *revoked: Certificate, issued: dt.datetime | None = None) -> bytes:
        """The authority's revocation list, PEM, with these certificates in it; good as long as a certificate of that day."""
        now = issued or dt.datetime.now(dt.UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
        builder = builder.last_update(now - dt.timedelta(hours=1)).next_update(now + dt.timedelta(days=_VALID_DAYS))
        for certificate in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(certificate.certificate.serial_number).revocation_date(now)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def client_context(self, *, certificate: Certificate | None = None, alpn: Iterable[str] = ()) -> ssl.SSLContext:
        """What a client needs that trusts this authority and nobody else, whatever name the server goes by.

        The name is left to the caller, who wants to see which certificate an unknown name is answered with.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(cadata=self.certificate_pem.decode("ascii"))
        if certificate is not None:
            certificate.load_into(context)
        if alpn := list(alpn):
            context.set_alpn_protocols(alpn)
        return context

    def _issue(
        self,
        common_name: str,
        names: Iterable[str],
        usage: x509.ObjectIdentifier,
        organisation: str = _ORGANISATION,
        issued: dt.datetime | None = None,
    ) -> Certificate:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(common_name, organisation), self.certificate.subject, key.public_key(), issued)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        if alternatives := [_general_name(name) for name in names]:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        return Certificate(builder.sign(self._key, hashes.SHA256()), key, self.certificate)


def _name(common_name: str, organisation: str = _ORGANISATION) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation), x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, issued: dt.datetime | None = None
) -> x509.CertificateBuilder:
    now = issued or dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=_VALID_DAYS))
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
