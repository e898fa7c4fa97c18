"""A certificate authority for trying things out: server and client certificates, good for some days, and what TLS needs to use them.

Not for production: keys are neither protected nor kept, and nothing but loopback should ever trust what this makes.
"""

from __future__ import annotations

import datetime as dt
import ssl
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from hydria import authority

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ORGANISATION = "Hydria lab"
_VALID_DAYS = 30


@dataclass(frozen=True, repr=False)
class Certificate(authority.Certificate):
    """A certificate that can be put to use at once."""

    @property
    def bundle_pem(self) -> bytes:
        """Key, certificate and issuer in one: what a `tls_container_ref` may refer to."""
        return self.key_pem + self.certificate_pem + self.issuer_pem

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

    def __init__(self, name: str = "Hydria lab CA", made: authority.Authority | None = None) -> None:
        self._authority = made or authority.Authority.create(name, organisation=_ORGANISATION, days=_VALID_DAYS)

    @classmethod
    def read(cls, certificate: bytes, key: bytes) -> Authority:
        """One that was made before, from PEM. Raises ValueError."""
        return cls(made=authority.Authority.read(certificate, key))

    @property
    def certificate(self) -> x509.Certificate:
        """The authority's own certificate."""
        return self._authority.certificate

    @property
    def key_pem(self) -> bytes:
        """The authority's private key."""
        return self._authority.key_pem

    @property
    def certificate_pem(self) -> bytes:
        """The authority's own certificate, PEM."""
        return self._authority.certificate_pem

    def server(self, *names: str, common_name: str | None = None, issued: dt.datetime | None = None) -> Certificate:
        """A server's certificate for these host names (wildcards allowed) and IP addresses; its CN is the first, unless another is given.

        It is good for some days from `issued` on, which is now unless something else is said.
        """
        return self._issue("server", common_name or names[0], names, _ORGANISATION, issued)

    def client(self, common_name: str, *, organisation: str = _ORGANISATION, issued: dt.datetime | None = None) -> Certificate:
        """A client's certificate, good as a server's is."""
        return self._issue("client", common_name, (), organisation, issued)

    def crl(self, *revoked: Certificate, issued: dt.datetime | None = None) -> bytes:
        """The authority's revocation list, PEM, with these certificates in it; good as long as a certificate of that day."""
        now = issued or dt.datetime.now(dt.UTC)
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
        builder = builder.last_update(now - dt.timedelta(hours=1)).next_update(now + dt.timedelta(days=_VALID_DAYS))
        for certificate in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(certificate.certificate.serial_number).revocation_date(now)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self._authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

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
        purpose: authority.Purpose,
        common_name: str,
        names: Iterable[str],
        organisation: str,
        issued: dt.datetime | None,
    ) -> Certificate:
        made = self._authority.issue(purpose, common_name, names, organisation=organisation, days=_VALID_DAYS, issued=issued)
        return Certificate(made.certificate, made.key, made.issuer)
