"""Secrets: every form that people have them in becomes what HAProxy reads, everything else a reason; and nothing of a key is ever shown."""

from __future__ import annotations

import datetime as dt
import itertools
import json
import traceback
from contextlib import suppress
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, NoEncryption, PrivateFormat, pkcs12
from cryptography.x509.oid import NameOID

import compiler
from compiler import Secret, Secrets
from compiler.certificates import BadSecret, Identity, UnknownSecret
from compiler.material import Material

PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
FROM = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
UNTIL = dt.datetime(2036, 1, 1, tzinfo=dt.UTC)


class Issuer:
    """An authority, root or in between."""

    def __init__(self, name: str, parent: Issuer | None = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        parent = parent or self
        self.certificate = certificate(self.name, self.key, parent)

    def crl(self, next_update: dt.datetime) -> x509.CertificateRevocationList:
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.name).last_update(FROM).next_update(next_update)
        return builder.sign(self.key, hashes.SHA256())


def certificate(subject: x509.Name, key: Any, issuer: Issuer, names: tuple[str, ...] = (), until: dt.datetime = UNTIL) -> x509.Certificate:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer.name).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(FROM).not_valid_after(until)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
    return builder.sign(issuer.key, hashes.SHA256())


def named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


class Site:
    """A certificate below two intermediates."""

    def __init__(self) -> None:
        self.root = Issuer("root")
        self.outer = Issuer("outer", self.root)
        self.inner = Issuer("inner", self.outer)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.leaf = certificate(named("www.example.org"), self.key, self.inner, ("www.example.org", "*.EXAMPLE.org", "www.example.org"))
        self.chain = [self.leaf, self.inner.certificate, self.outer.certificate, self.root.certificate]

    def key_pem(self, passphrase: bytes | None = None, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
        return self.key.private_bytes(PEM, form, BestAvailableEncryption(passphrase) if passphrase else NoEncryption())

    @property
    def expected(self) -> bytes:
        return pem(*self.chain) + self.key_pem()


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(found.public_bytes(PEM) for found in certificates)


@pytest.fixture(scope="module")
def site() -> Site:
    return Site()


def identity(parts: dict[str, bytes] | bytes) -> Identity:
    return Material(Secrets({"ref": Secret(parts)})).identity("ref")


def refusal(parts: dict[str, bytes] | bytes, kind: str = "identity") -> str:
    with pytest.raises(BadSecret) as caught:
        getattr(Material(Secrets({"ref": Secret(parts)})), kind)("ref")
    return str(caught.value)


class TestIdentity:
    def test_pem_in_any_order_comes_out_in_haproxys(self, site: Site) -> None:
        pieces = [site.key_pem(), *(pem(found) for found in site.chain)]
        for order in itertools.permutations(pieces):
            assert identity(b"".join(order)).pem == site.expected

    def test_text_around_and_between_is_left_out(self, site: Site) -> None:
        pieces = [site.key_pem(), *(pem(found) for found in site.chain)]
        noisy = b"Bag Attributes\r\n    friendlyName: x\r\n" + b"\nsubject=CN = x\n\n".join(pieces).replace(b"\n", b"\r\n")
        assert identity(noisy).pem == site.expected

    def test_a_certificate_that_comes_twice_goes_once(self, site: Site) -> None:
        assert identity(site.key_pem() + pem(site.leaf, site.leaf, *site.chain)).pem == site.expected

    def test_who_has_issued_nobody_comes_last(self, site: Site) -> None:
        stranger = Issuer("stranger").certificate
        assert identity(site.key_pem() + pem(stranger, *site.chain)).pem == pem(*site.chain, stranger) + site.key_pem()

    def test_only_a_leaf(self, site: Site) -> None:
        assert identity(pem(site.leaf) + site.key_pem()).pem == pem(site.leaf) + site.key_pem()

    def test_split_parts(self, site: Site) -> None:
        parts = {"certificate": pem(site.leaf).rstrip(), "private_key": site.key_pem().rstrip(), "intermediates": pem(*site.chain[:0:-1])}
        assert identity(parts).pem == site.expected
        del parts["intermediates"]
        assert identity(parts).pem == pem(site.leaf) + site.key_pem()

    @pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
    def test_a_key_in_an_older_form(self, site: Site, form: PrivateFormat) -> None:
        assert identity(site.key_pem(form=form) + pem(*site.chain)).pem == site.expected

    @pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
    @pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n"])
    def test_an_encrypted_key_with_its_passphrase(self, site: Site, form: PrivateFormat, ending: bytes) -> None:
        parts = {"bundle": site.key_pem(b"open sesame", form) + pem(*site.chain), "private_key_passphrase": b"open sesame" + ending}
        assert identity(parts).pem == site.expected

    def test_other_kinds_of_keys(self, site: Site) -> None:
        for key in (rsa.generate_private_key(65537, 2048), ed25519.Ed25519PrivateKey.generate()):
            text = key.private_bytes(PEM, PrivateFormat.PKCS8, NoEncryption())
            assert identity(text + pem(certificate(named("x"), key, site.root))).names == ("x",)

    @pytest.mark.parametrize("passphrase", [None, b"open sesame"])
    def test_pkcs12(self, site: Site, passphrase: bytes | None) -> None:
        encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
        data = pkcs12.serialize_key_and_certificates(b"x", site.key, site.leaf, site.chain[:0:-1], encryption)
        parts = {"bundle": data, **({"private_key_passphrase": passphrase} if passphrase else {})}
        assert identity(parts).pem == site.expected

    def test_names_are_those_of_the_certificate_in_small_letters_and_once(self, site: Site) -> None:
        assert identity(site.expected).names == ("www.example.org", "*.example.org")

    def test_the_common_name_counts_where_there_are_no_others(self, site: Site) -> None:
        found = certificate(named("Plain.Example"), site.key, site.root)
        assert identity(pem(found) + site.key_pem()).names == ("plain.example",)

    def test_dates(self, site: Site) -> None:
        found = identity(site.expected)
        assert (found.not_before, found.not_after) == (FROM, UNTIL)

    def test_what_does_not_belong_together(self, site: Site) -> None:
        other = ec.generate_private_key(ec.SECP256R1()).private_bytes(PEM, PrivateFormat.PKCS8, NoEncryption())
        message = refusal(other + pem(*site.chain))
        assert "belongs to none of the certificates" in message
        assert "CN=www.example.org" in message

    def test_what_is_missing_or_too_much(self, site: Site) -> None:
        assert "0 private keys found" in refusal(pem(*site.chain))
        assert "2 private keys found" in refusal(site.key_pem() + site.key_pem() + pem(site.leaf))
        assert "no certificate found" in refusal(site.key_pem())
        assert "0 private keys found" in refusal({"certificate": pem(site.leaf)})
        assert "no certificate found" in refusal({"private_key": site.key_pem(), "certificate": b"x"})

    def test_passphrases_that_do_not_open(self, site: Site) -> None:
        encrypted = site.key_pem(b"open sesame") + pem(*site.chain)
        assert "is encrypted and no passphrase was given" in refusal(encrypted)
        assert "does not parse" in refusal({"bundle": encrypted, "private_key_passphrase": b"wrong"})
        assert "is not encrypted, but a passphrase was given" in refusal({"bundle": site.expected, "private_key_passphrase": b"x"})
        data = pkcs12.serialize_key_and_certificates(b"x", site.key, site.leaf, None, BestAvailableEncryption(b"open sesame"))
        for parts in ({"bundle": data}, {"bundle": data, "private_key_passphrase": b"wrong"}):
            assert "PKCS#12" in refusal(parts)

    def test_pkcs12_without_a_key_or_a_certificate(self, site: Site) -> None:
        without_key = pkcs12.serialize_key_and_certificates(b"x", None, None, [site.leaf], NoEncryption())
        assert "holds no private key" in refusal(without_key)
        without_certificate = pkcs12.serialize_key_and_certificates(b"x", site.key, None, None, NoEncryption())
        assert "holds no certificate" in refusal(without_certificate)

    @pytest.mark.parametrize("data", [b"", b"x", b"\x30\x80" * 50, bytes(range(256)) * 10])
    def test_what_is_nothing_at_all(self, data: bytes) -> None:
        assert "neither PEM nor PKCS#12" in refusal(data)

    @pytest.mark.parametrize(
        "label", [b"PRIVATE KEY", b"EC PRIVATE KEY", b"RSA PRIVATE KEY", b"ENCRYPTED PRIVATE KEY", b"OPENSSH PRIVATE KEY"]
    )
    def test_a_key_that_is_damaged(self, site: Site, label: bytes) -> None:
        assert "private key" in refusal(b"-----BEGIN " + label + b"-----\nAAAA\n-----END " + label + b"-----\n" + pem(site.leaf))

    def test_a_certificate_that_is_damaged(self, site: Site) -> None:
        damaged = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        assert "certificate 2 does not parse" in refusal(site.key_pem() + pem(site.leaf) + damaged)

    def test_every_cut_of_a_good_bundle_is_refused_or_read(self, site: Site) -> None:
        for end in range(0, len(site.expected), 37):
            with suppress(BadSecret):
                assert site.expected.startswith(identity(site.expected[:end]).pem)

    def test_every_cut_of_a_good_pkcs12_is_refused(self, site: Site) -> None:
        data = pkcs12.serialize_key_and_certificates(b"x", site.key, site.leaf, None, NoEncryption())
        for end in range(0, len(data), 29):
            assert refusal(data[:end])


class TestAuthoritiesAndRevocations:
    def test_authorities_as_pem_keep_their_order_and_the_first_end_counts(self, site: Site) -> None:
        soon = certificate(named("soon"), site.key, site.root, until=FROM + dt.timedelta(days=1))
        material = Material(Secrets({"ref": Secret(b"text\n" + pem(site.root.certificate, soon, site.root.certificate))}))
        found = material.authorities("ref")
        assert found.pem == pem(site.root.certificate, soon)
        assert found.not_after == FROM + dt.timedelta(days=1)

    def test_one_authority_as_der(self, site: Site) -> None:
        material = Material(Secrets({"ref": Secret(site.root.certificate.public_bytes(DER))}))
        assert material.authorities("ref").pem == pem(site.root.certificate)

    def test_authorities_in_parts(self, site: Site) -> None:
        parts = {"certificate": pem(site.root.certificate).rstrip(), "intermediates": pem(site.inner.certificate)}
        assert Material(Secrets({"ref": Secret(parts)})).authorities("ref").pem == pem(site.root.certificate, site.inner.certificate)

    def test_a_key_beside_an_authority_is_not_handed_on(self, site: Site) -> None:
        material = Material(Secrets({"ref": Secret(site.key_pem() + pem(site.root.certificate))}))
        assert b"PRIVATE" not in material.authorities("ref").pem

    @pytest.mark.parametrize("data", [b"", b"x", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
    def test_no_authority(self, data: bytes) -> None:
        assert refusal(data, "authorities")

    def test_revocations_as_pem_and_der(self, site: Site) -> None:
        later, sooner = site.root.crl(UNTIL), site.inner.crl(FROM + dt.timedelta(days=1))
        both = later.public_bytes(PEM) + sooner.public_bytes(PEM)
        found = Material(Secrets({"ref": Secret(both)})).revocations("ref")
        assert found.pem == both
        assert found.next_update == FROM + dt.timedelta(days=1)
        assert Material(Secrets({"ref": Secret(later.public_bytes(DER))})).revocations("ref").pem == later.public_bytes(PEM)

    @pytest.mark.parametrize("data", [b"", b"x", b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"])
    def test_no_revocations(self, data: bytes) -> None:
        assert "no revocation list found" in refusal(data, "revocations")

    def test_a_certificate_is_no_revocation_list(self, site: Site) -> None:
        assert "no revocation list found" in refusal(pem(site.root.certificate), "revocations")


class TestMaterial:
    def test_a_reference_to_nothing(self) -> None:
        material = Material(Secrets({}, {"closed": "the vault is closed"}))
        for reference, reason in (("closed", "the vault is closed"), ("other", "no secret was given")):
            with pytest.raises(UnknownSecret, match=reason):
                material.identity(reference)

    def test_a_secret_is_parsed_once_also_when_it_is_bad(self) -> None:
        material = Material(Secrets({"ref": Secret(b"x")}))
        errors = []
        for _ in range(2):
            with pytest.raises(BadSecret) as caught:
                material.identity("ref")
            errors.append(caught.value)
        assert errors[0] is errors[1]

    def test_one_reference_may_be_an_identity_here_and_an_authority_there(self, site: Site) -> None:
        material = Material(Secrets({"ref": Secret(site.expected)}))
        assert material.identity("ref").pem == site.expected
        assert material.authorities("ref").pem == pem(*site.chain)


def document(**fields: Any) -> str:
    front = {"protocol": "TERMINATED_HTTPS", "protocol_port": 443, "default_tls_container_ref": "ref", **fields}
    return json.dumps({"vip_address": "203.0.113.10", "listeners": [front]})


class TestDates:
    @pytest.mark.parametrize(
        ("now", "codes"),
        [
            (None, []),
            (FROM + dt.timedelta(days=1), []),
            (FROM - dt.timedelta(days=1), ["not-yet-valid"]),
            (UNTIL + dt.timedelta(days=1), ["expired"]),
        ],
    )
    def test_of_a_certificate(self, site: Site, now: dt.datetime | None, codes: list[str]) -> None:
        bundle = compiler.build(compiler.load(document()), None, {"ref": Secret(site.expected)}, now=now)
        assert bundle.ok
        assert [problem.code for problem in bundle.problems] == codes
        assert {problem.path for problem in bundle.problems} <= {"loadbalancer.listeners[0].default_tls_container_ref"}

    def test_of_what_stands_between_a_certificate_and_its_authority(self, site: Site) -> None:
        """Peers need it, so they refuse a good certificate because of it; but the authority itself they have of their own."""
        end = FROM + dt.timedelta(days=10)
        for chain, codes in (
            ([certificate(site.inner.name, site.inner.key, site.outer, until=end), site.outer.certificate], ["expired"]),
            ([site.inner.certificate, certificate(site.outer.name, site.outer.key, site.root, until=end)], ["expired"]),
            ([*site.chain[1:3], certificate(site.root.name, site.root.key, site.root, until=end)], []),
            ([*site.chain[1:3], certificate(named("of others"), site.root.key, site.outer, until=end)], []),
        ):
            secret = Secret(site.key_pem() + pem(site.leaf, *chain))
            bundle = compiler.build(compiler.load(document()), None, {"ref": secret}, now=end)
            assert [problem.code for problem in bundle.problems] == codes

    def test_of_an_authority_and_a_revocation_list_that_have_not_begun(self, site: Site) -> None:
        text = document(client_ca_tls_container_ref="ca", client_crl_container_ref="crl", client_authentication="MANDATORY")
        secrets = {
            "ref": Secret(site.expected),
            "ca": Secret(pem(site.root.certificate)),
            "crl": Secret(site.root.crl(UNTIL).public_bytes(PEM)),
        }
        bundle = compiler.build(compiler.load(text), None, secrets, now=FROM - dt.timedelta(days=1))
        assert {(problem.path.rpartition(".")[2], problem.code) for problem in bundle.problems} == {
            ("default_tls_container_ref", "not-yet-valid"),
            ("client_ca_tls_container_ref", "not-yet-valid"),
            ("client_crl_container_ref", "not-yet-valid"),
        }

    def test_of_an_authority_and_a_revocation_list(self, site: Site) -> None:
        text = document(client_ca_tls_container_ref="ca", client_crl_container_ref="crl", client_authentication="MANDATORY")
        secrets = {
            "ref": Secret(site.expected),
            "ca": Secret(pem(site.root.certificate)),
            "crl": Secret(site.root.crl(FROM + dt.timedelta(days=2)).public_bytes(PEM)),
        }
        bundle = compiler.build(compiler.load(text), None, secrets, now=FROM + dt.timedelta(days=3))
        assert [(problem.path.rpartition(".")[2], problem.code) for problem in bundle.problems] == [("client_crl_container_ref", "expired")]
        bundle = compiler.build(compiler.load(text), None, secrets, now=UNTIL)
        assert {problem.path.rpartition(".")[2] for problem in bundle.problems} == {
            "default_tls_container_ref",
            "client_ca_tls_container_ref",
            "client_crl_container_ref",
        }


class TestNothingIsShown:
    def shown(self, site: Site) -> list[str]:
        secret = Secret({"bundle": site.expected, "private_key_passphrase": b"open sesame"})
        secrets = Secrets({"ref": secret})
        bundle = compiler.build(compiler.load(document()), None, {"ref": Secret(site.expected)})
        assert bundle.ok
        things: list[object] = [secret, secrets, identity(site.expected), bundle, *bundle.files.values(), bundle.files, [secret]]
        found = [text for thing in things for text in (repr(thing), str(thing), f"{thing}")]
        for parts in ({"bundle": site.key_pem(b"open sesame") + pem(site.leaf), "private_key_passphrase": b"wrong pass"}, site.key_pem()):
            try:
                identity(parts)
            except BadSecret as error:
                found += [str(error), "".join(traceback.format_exception(error))]
        return found

    def test_of_keys_and_passphrases(self, site: Site) -> None:
        body = b"".join(site.key_pem().split(b"\n")[1:-2]).decode()
        for text in self.shown(site):
            assert "PRIVATE KEY-----\n" not in text
            assert body[:20] not in text
            assert "open sesame" not in text
            assert "wrong pass" not in text

    def test_a_secret_says_which_parts_it_has(self) -> None:
        assert repr(Secret({"certificate": b"a", "private_key": b"b"})) == "Secret(<certificate, private_key>)"

    @pytest.mark.parametrize("parts", [{}, {"key": b""}, {"certificate": b"", "chain": b""}])
    def test_parts_that_no_secret_has(self, parts: dict[str, bytes]) -> None:
        with pytest.raises(ValueError, match="a secret has parts of bundle, certificate"):
            Secret(parts)

    def test_secrets_are_equal_by_their_parts(self) -> None:
        assert Secret(b"a") == Secret({"bundle": b"a"})
        assert Secret(b"a") != Secret(b"b")
        assert hash(Secret(b"a")) == hash(Secret({"bundle": b"a"}))
