"""Makes the throw-away keys and certificates below each feature's `secrets/`, once; what is there already stays.

`python tests/golden/make_secrets.py`. They are good for a hundred years, so that expected files never change, and protect nothing.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HERE = Path(__file__).parent
_FROM = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
_UNTIL = dt.datetime(2125, 1, 1, tzinfo=dt.UTC)
_PEM = serialization.Encoding.PEM

#: Feature → the names of its secrets: `ca` and `crl` are an authority and its revocation list, all others certificates for these names.
SECRETS: dict[str, dict[str, tuple[str, ...]]] = {
    "terminated-https": {"default": ("www.example.org", "example.org")},
    "sni": {"default": ("www.example.org",), "shop": ("shop.example.org", "SHOP.example.net"), "wildcard": ("*.wild.example.org",)},
    "insert-headers": {"default": ("www.example.org",), "ca": ()},
    "client-authentication": {"default": ("www.example.org",), "ca": (), "crl": ()},
    "hsts": {"default": ("www.example.org",)},
    "tls-parameters": {"default": ("www.example.org",)},
    "tls-without-alpn": {"default": ("www.example.org",)},
    "re-encryption": {"member-ca": (), "client": (), "member-crl": (), "default": ("www.example.org",)},
    "proxy-pools": {"default": ("www.example.org",)},
    "rules": {"default": ("www.example.org",), "ca": ()},
    "api-show": {"default": ("www.example.org",)},
}


class _Authority:
    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("Golden CA")
        builder = self._builder(self._name, self._key)
        usage = x509.KeyUsage(
            digital_signature=False,
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
        self.certificate = builder.add_extension(usage, critical=True).sign(self._key, hashes.SHA256()).public_bytes(_PEM)

    def issue(self, common_name: str, names: tuple[str, ...]) -> bytes:
        """Key, issuer and certificate, in this order, which is not the one that HAProxy needs."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(_name(common_name), key)
        if names:
            alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
            builder = builder.add_extension(alternatives, critical=False)
        private = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return private + self.certificate + builder.sign(self._key, hashes.SHA256()).public_bytes(_PEM)

    def crl(self) -> bytes:
        builder = x509.CertificateRevocationListBuilder().issuer_name(self._name).last_update(_FROM).next_update(_UNTIL)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(_PEM)

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self._name).public_key(key.public_key())
        return builder.serial_number(x509.random_serial_number()).not_valid_before(_FROM).not_valid_after(_UNTIL)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def main() -> None:
    for feature, secrets in SECRETS.items():
        directory = HERE / feature / "secrets"
        if directory.exists():
            continue
        directory.mkdir(parents=True)
        authority = _Authority()
        for name, names in secrets.items():
            if name.endswith("ca"):
                text = authority.certificate
            elif name.endswith("crl"):
                text = authority.crl()
            else:
                text = authority.issue(names[0] if names else name, names)
            (directory / f"{name}.pem").write_bytes(text)


if __name__ == "__main__":
    main()
