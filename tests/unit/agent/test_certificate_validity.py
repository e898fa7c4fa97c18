"""When certificates end, against what the X.509 library says."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from agent.metrics.validity import ends, first_end

KEY = ec.generate_private_key(ec.SECP256R1())
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x" * 60)])


def certificate(end: datetime) -> x509.Certificate:
    made = (
        x509.CertificateBuilder()
        .subject_name(NAME)
        .issuer_name(NAME)
        .public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
    )
    return made.not_valid_before(datetime(1960, 1, 1, tzinfo=UTC)).not_valid_after(end).sign(KEY, hashes.SHA256())


def der(end: datetime) -> bytes:
    return certificate(end).public_bytes(serialization.Encoding.DER)


def pem(end: datetime) -> bytes:
    return certificate(end).public_bytes(serialization.Encoding.PEM)


@given(st.datetimes(datetime(1960, 1, 2), datetime(9999, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis adds the zone
def test_both_forms_of_time(end: datetime) -> None:
    end = end.replace(microsecond=0)
    assert ends(der(end)) == end == certificate(end).not_valid_after_utc


def test_the_first_of_several_counts() -> None:
    soon, late = datetime(2030, 1, 1, tzinfo=UTC), datetime(2060, 1, 1, tzinfo=UTC)
    key = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    assert first_end(pem(late) + key + pem(soon)) == soon
    assert first_end(key) is None
    assert first_end(b"") is None


def test_marks_that_are_not_ended_are_passed_over_at_once() -> None:
    end = datetime(2030, 1, 1, tzinfo=UTC)
    many = b"-----BEGIN CERTIFICATE-----\n" * 100_000
    assert first_end(many) is None
    assert first_end(many + pem(end)) == end


@given(st.binary())
def test_what_is_no_certificate_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        ends(content)


SOUND = der(datetime(2030, 1, 1, tzinfo=UTC))


@given(st.integers(0, 200), st.integers(0, 255), st.integers(0, len(SOUND)))
def test_a_damaged_one_is_read_or_refused(place: int, byte: int, length: int) -> None:
    with suppress(ValueError):
        ends((SOUND[:place] + bytes([byte]) + SOUND[place + 1 :])[:length])
