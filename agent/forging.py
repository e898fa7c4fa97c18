"""`python -m agent.forging`: reads the certificates of an authority, writes a client's certificate and key from one that only has its name.

A program, and not a function of the agent's: what makes certificates is larger than the agent, and is needed once (`agent.proof`).
"""

from __future__ import annotations

import datetime as dt
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID


def forged(authority: bytes) -> bytes:
    """Certificate and key, PEM, from an authority that goes by the name of the real one, with another key. Raises ValueError."""
    name = x509.load_pem_x509_certificate(authority).subject
    now = dt.datetime.now(dt.UTC)
    issuing, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(issuing, hashes.SHA256())
    )
    words = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(*words)


if __name__ == "__main__":
    try:
        sys.stdout.buffer.write(forged(sys.stdin.buffer.read()))
    except ValueError as error:
        sys.exit(f"the clients' authority: {error}")
