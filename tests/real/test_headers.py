"""Inserted headers, as the member sees them; and what a client sends under their names itself."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from support.graphs import listener, pool
from support.serving import serve

from compiler.secrets import Secret
from hydria.lab.backends import HttpBackend
from hydria.lab.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.serving import Serving

    from agent.haproxy import Haproxy
    from hydria.lab.client import Answer

FORWARDED = ("X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto")
OF_CERTIFICATE = (
    "X-SSL-Client-Verify",
    "X-SSL-Client-Has-Cert",
    "X-SSL-Client-DN",
    "X-SSL-Client-CN",
    "X-SSL-Issuer",
    "X-SSL-Client-SHA1",
    "X-SSL-Client-Not-Before",
    "X-SSL-Client-Not-After",
)


class Pki:
    def __init__(self) -> None:
        self.authority = Authority("Test CA")
        self.server = self.authority.server("lab.example")
        self.ann = self.authority.client("ann", organisation="North")


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki()


@pytest.fixture(scope="module")
def serving(haproxy: Haproxy, pki: Pki) -> Iterator[Serving]:
    tls = {
        "protocol": "TERMINATED_HTTPS",
        "default_tls_container_ref": "server",
        "client_ca_tls_container_ref": "clients",
        "client_authentication": "OPTIONAL",
    }
    secrets = {"server": Secret(pki.server.bundle_pem), "clients": Secret(pki.authority.certificate_pem)}
    forwarded = dict.fromkeys(FORWARDED, "true")
    listeners = [
        listener("none", "web"),
        listener("off", "web", insert_headers=dict.fromkeys(FORWARDED, "false")),
        listener("forwarded", "web", insert_headers=forwarded),
        listener("forwarded-tls", "web", insert_headers=forwarded, **tls),
        listener("certificate", "web", insert_headers=dict.fromkeys(OF_CERTIFICATE, "true"), **tls),
    ]
    with HttpBackend("web") as web, serve(haproxy, listeners, [pool("web", web)], secrets=secrets) as serving:
        yield serving


def seen(answer: Answer, name: str) -> list[str]:
    """The values of a header at the member."""
    return [value for key, value in answer.json()["headers"] if key.lower() == name.lower()]


@pytest.mark.parametrize("name", FORWARDED)
def test_nothing_is_inserted_unasked(serving: Serving, name: str) -> None:
    assert seen(serving.fetch("none"), name) == []
    assert seen(serving.fetch("off"), name) == []


def test_forwarded_for_is_the_clients_address(serving: Serving) -> None:
    assert seen(serving.fetch("forwarded", source="127.0.0.42"), "X-Forwarded-For") == ["127.0.0.42"]
    assert seen(serving.fetch("forwarded", vip="::1"), "X-Forwarded-For") == ["::1"]


def test_forwarded_for_of_a_client_comes_before_the_true_one(serving: Serving) -> None:
    values = seen(serving.fetch("forwarded", source="127.0.0.42", headers={"X-Forwarded-For": "1.2.3.4"}), "X-Forwarded-For")
    assert [part.strip() for value in values for part in value.split(",")] == ["1.2.3.4", "127.0.0.42"]


def test_forwarded_port_is_the_listeners(serving: Serving, pki: Pki) -> None:
    assert seen(serving.fetch("forwarded"), "X-Forwarded-Port") == [str(serving.address("forwarded")[1])]
    answer = serving.fetch("forwarded-tls", tls=pki.authority.client_context())
    assert seen(answer, "X-Forwarded-Port") == [str(serving.address("forwarded-tls")[1])]


def test_forwarded_proto_is_what_the_client_spoke(serving: Serving, pki: Pki) -> None:
    assert seen(serving.fetch("forwarded"), "X-Forwarded-Proto") == ["http"]
    assert seen(serving.fetch("forwarded-tls", tls=pki.authority.client_context()), "X-Forwarded-Proto") == ["https"]


@pytest.mark.parametrize("name", ["X-Forwarded-Port", "X-Forwarded-Proto"])
def test_a_client_cannot_forge_port_and_protocol(serving: Serving, name: str) -> None:
    assert "forged" not in seen(serving.fetch("forwarded", headers={name: "forged"}), name)


def test_of_the_certificate_everything_is_told(serving: Serving, pki: Pki) -> None:
    answer = serving.fetch("certificate", tls=pki.authority.client_context(certificate=pki.ann))
    told = {name: seen(answer, name) for name in OF_CERTIFICATE}
    certificate = pki.ann.certificate
    assert told["X-SSL-Client-Verify"] == ["0"]
    assert told["X-SSL-Client-Has-Cert"] == ["1"]
    assert told["X-SSL-Client-CN"] == ["ann"]
    assert told["X-SSL-Client-DN"] == ["/O=North/CN=ann"]
    assert told["X-SSL-Issuer"] == ["/O=Hydria lab/CN=Test CA"]
    assert [value.lower() for value in told["X-SSL-Client-SHA1"]] == [certificate.fingerprint(hashes.SHA1()).hex()]
    assert [asn1_time(value) for value in told["X-SSL-Client-Not-Before"]] == [certificate.not_valid_before_utc]
    assert [asn1_time(value) for value in told["X-SSL-Client-Not-After"]] == [certificate.not_valid_after_utc]


def asn1_time(text: str) -> dt.datetime:
    """`261122154500Z`, as HAProxy shows a UTCTime."""
    return dt.datetime.strptime(text, "%y%m%d%H%M%SZ").replace(tzinfo=dt.UTC)


def test_without_a_certificate_nothing_is_made_up(serving: Serving, pki: Pki) -> None:
    answer = serving.fetch("certificate", tls=pki.authority.client_context())
    assert seen(answer, "X-SSL-Client-Has-Cert") == ["0"]
    assert [value for value in seen(answer, "X-SSL-Client-CN") if value] == []


@pytest.mark.parametrize("name", OF_CERTIFICATE)
def test_a_client_cannot_forge_what_its_certificate_would_say(serving: Serving, pki: Pki, name: str) -> None:
    answer = serving.fetch("certificate", tls=pki.authority.client_context(), headers={name: "forged"})
    assert "forged" not in seen(answer, name)


def test_subjects_are_those_of_the_certificate(pki: Pki) -> None:
    """What the expectations above rest on."""
    assert pki.ann.certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value == "ann"
