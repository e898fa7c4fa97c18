"""What an authority issues is accepted by OpenSSL at its strictest, for its purpose and no other; what is no authority is not taken for one."""

from __future__ import annotations

import datetime as dt
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from hydria.authority import Authority, Purpose

if TYPE_CHECKING:
    from pathlib import Path

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("Agents", organisation="Hydria", days=100)


def verify(directory: Path, authority: Authority, certificate: bytes, *options: str) -> str:
    """What `openssl verify` says of it: "" if it is fine, otherwise why not."""
    (directory / "ca.pem").write_bytes(authority.certificate_pem)
    (directory / "certificate.pem").write_bytes(certificate)
    command = ["openssl", "verify", "-x509_strict", "-check_ss_sig", "-CAfile", "ca.pem", *options, "certificate.pem"]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stderr


@pytest.mark.parametrize(("purpose", "other"), [("server", "client"), ("client", "server")])
def test_a_certificate_is_good_for_its_purpose_at_the_strictest(tmp_path: Path, authority: Authority, purpose: Purpose, other: str) -> None:
    made = authority.issue(purpose, "one", ["one.example", "192.0.2.1", "2001:db8::1"], organisation="Hydria", days=10)
    assert verify(tmp_path, authority, made.certificate_pem, "-purpose", f"ssl{purpose}") == ""
    assert "unsuitable certificate purpose" in verify(tmp_path, authority, made.certificate_pem, "-purpose", f"ssl{other}")
    assert verify(tmp_path, authority, authority.certificate_pem) == ""
    for name in (("-verify_hostname", "one.example"), ("-verify_ip", "192.0.2.1"), ("-verify_ip", "2001:db8::1")):
        assert verify(tmp_path, authority, made.certificate_pem, *name) == ""
    assert "hostname mismatch" in verify(tmp_path, authority, made.certificate_pem, "-verify_hostname", "one")


def test_what_strict_verification_asks_for_is_there(authority: Authority) -> None:
    made = authority.issue("server", "one", ["one.example"], organisation="Hydria", days=10)
    for certificate in (made.certificate, authority.certificate):
        held = {type(extension.value): extension for extension in certificate.extensions}
        assert held[x509.BasicConstraints].critical
        assert held[x509.KeyUsage].critical
        assert {x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier} <= held.keys()


def test_another_authority_of_the_same_name_is_another(tmp_path: Path, authority: Authority) -> None:
    made = Authority.create("Agents", organisation="Hydria", days=100).issue("server", "one", organisation="Hydria", days=10)
    assert verify(tmp_path, authority, made.certificate_pem) != ""


def test_nothing_is_valid_longer_than_its_authority(authority: Authority) -> None:
    def days(certificate: x509.Certificate) -> float:
        return (certificate.not_valid_after_utc - NOW) / dt.timedelta(days=1)

    assert days(authority.certificate) == pytest.approx(100, abs=0.1)
    assert days(authority.issue("server", "one", organisation="Hydria", days=10).certificate) == pytest.approx(10, abs=0.1)
    assert days(authority.issue("server", "one", organisation="Hydria", days=1000).certificate) == pytest.approx(100, abs=0.1)


def test_an_authority_is_read_back_and_keys_are_not_shown(tmp_path: Path, authority: Authority) -> None:
    read = Authority.read(authority.certificate_pem, authority.key_pem)
    made = read.issue("client", "controller", organisation="Hydria", days=10)
    assert verify(tmp_path, authority, made.certificate_pem) == ""
    assert (repr(read), repr(made)) == ("Authority(CN=Agents,O=Hydria)", "Certificate(CN=controller,O=Hydria)")


def test_what_is_no_authority_is_refused(authority: Authority) -> None:
    leaf = authority.issue("server", "one", organisation="Hydria", days=10)
    other = Authority.create("Other", organisation="Hydria", days=10)
    old = Authority.create("Old", organisation="Hydria", days=10, issued=NOW - dt.timedelta(days=11))
    plain = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    long = rsa.generate_private_key(65537, 2048).private_bytes(*plain, serialization.NoEncryption())
    locked = other.key.private_bytes(*plain, serialization.BestAvailableEncryption(b"word"))
    for certificate, key, words in (
        (b"nothing", other.key_pem, "the certificate is not one in PEM"),
        (other.certificate_pem, b"nothing", "the key is not one in PEM"),
        (other.certificate_pem, locked, "without a passphrase"),
        (other.certificate_pem, long, "not on an elliptic curve"),
        (other.certificate_pem, authority.key_pem, "not that of the certificate"),
        (leaf.certificate_pem, leaf.key_pem, "not an authority's"),
        (old.certificate_pem, old.key_pem, "was valid until"),
    ):
        with pytest.raises(ValueError, match=words):
            Authority.read(certificate, key)


def test_the_common_name_is_no_alternative_name(authority: Authority) -> None:
    made = authority.issue("client", "controller", organisation="Hydria", days=10).certificate
    assert made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "controller"
    with pytest.raises(x509.ExtensionNotFound):
        made.extensions.get_extension_for_class(x509.SubjectAlternativeName)
