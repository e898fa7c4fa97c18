"""TLS of listeners through real HAProxy: versions, ciphers, names, client certificates of every sort, HTTP/2, HSTS."""

from __future__ import annotations

import datetime as dt
import json
import ssl
import subprocess
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import hashes
from support.graphs import listener, path_is, policy, pool
from support.serving import serve

import compiler
from compiler.secrets import Secret
from hydria.lab.backends import HttpBackend
from hydria.lab.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.serving import Serving

    from agent.haproxy import Haproxy
    from hydria.lab.certificates import Certificate
    from hydria.lab.client import Answer

LONG_AGO = dt.datetime.now(dt.UTC) - dt.timedelta(days=90)
REFUSED = r"(?i)alert|handshake|version|eof|reset|pipe|answer"
SUITES = "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256"
CIPHERS = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256"
HEADERS = ("X-SSL-Client-Verify", "X-SSL-Client-Has-Cert", "X-SSL-Client-DN", "X-SSL-Client-CN", "X-SSL-Client-SHA1")
HSTS = "max-age=600; includeSubDomains"


class Pki:
    def __init__(self) -> None:
        self.servers = Authority("servers")
        self.clients = Authority("clients")
        self.strangers = Authority("strangers")
        server = self.servers.server
        self.certificates = {
            "default": server("default.example", "shared.example"),
            "several": server("one.example", "two.example", "shared.example", "exact.wild.example"),
            "wild": server("*.wild.example"),
            "idn": server("xn--bcher-kva.example"),
            "upper": server("UPPER.Example"),
            "nameless": server(common_name="only-cn.example"),
        }
        client = self.clients.client
        self.people = {
            "good": client("good"),
            "revoked": client("revoked"),
            "expired": client("expired", issued=LONG_AGO),
            "stranger": self.strangers.client("stranger"),
        }
        self.secrets = {name: Secret(made.bundle_pem) for name, made in self.certificates.items()} | {
            "clients": Secret(self.clients.certificate_pem),
            "crl": Secret(self.clients.crl(self.people["revoked"])),
            "old-crl": Secret(self.clients.crl(issued=LONG_AGO)),
        }

    def context(self, person: str | None = None) -> ssl.SSLContext:
        return self.servers.client_context(certificate=self.people[person] if person else None)

    def named(self, der: bytes | None) -> str:
        return next(name for name, made in self.certificates.items() if made.der == der)


def listeners() -> list[dict[str, Any]]:
    tls = {"protocol": "TERMINATED_HTTPS", "default_tls_container_ref": "default"}
    authenticated = {**tls, "client_ca_tls_container_ref": "clients", "insert_headers": dict.fromkeys(HEADERS, "true")}
    checked = {**authenticated, "client_crl_container_ref": "crl"}
    outdated = {**authenticated, "client_crl_container_ref": "old-crl"}
    return [
        listener("names", "web", sni_container_refs=["several", "wild", "idn", "upper", "nameless"], **tls),
        listener("old", "web", tls_versions=["TLSv1", "TLSv1.1"], tls_ciphers="DEFAULT:@SECLEVEL=0", **tls),
        listener("wide", "web", tls_versions=["TLSv1.1", "TLSv1.2", "TLSv1.3"], tls_ciphers="DEFAULT:@SECLEVEL=0", **tls),
        listener("ciphers", "web", tls_ciphers=f"{SUITES}:{CIPHERS}", **tls),
        *(listener(mode, "web", client_authentication=mode, **authenticated) for mode in ("NONE", "OPTIONAL", "MANDATORY")),
        *(listener(f"{mode}-crl", "web", client_authentication=mode, **checked) for mode in ("OPTIONAL", "MANDATORY")),
        *(listener(f"{mode}-old-crl", "web", client_authentication=mode, **outdated) for mode in ("OPTIONAL", "MANDATORY")),
        listener(
            "hsts",
            "web",
            policy("REJECT", path_is("/no")),
            policy("REDIRECT_TO_URL", path_is("/away"), redirect_url="https://away.example/"),
            policy("REDIRECT_PREFIX", path_is("/moved"), redirect_prefix="https://moved.example"),
            hsts_max_age=600,
            hsts_include_subdomains=True,
            **tls,
        ),
        listener("hsts-alone", None, hsts_max_age=600, hsts_include_subdomains=True, **tls),
        listener("alpn-h2", "web", alpn_protocols=["h2"], **tls),
        listener("alpn-10", "web", alpn_protocols=["http/1.0"], **tls),
    ]


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki()


@pytest.fixture(scope="module")
def serving(haproxy: Haproxy, pki: Pki) -> Iterator[Serving]:
    with HttpBackend("web") as web, serve(haproxy, listeners(), [pool("web", web)], secrets=pki.secrets) as serving:
        yield serving


def version_of(serving: Serving, name: str, lowest: str, highest: str) -> str | None:
    """The version that is agreed on with a client that speaks these, the oldest included, which OpenSSL must be talked into."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version, context.maximum_version = ssl.TLSVersion[lowest], ssl.TLSVersion[highest]
    with serving.connect(name, tls=context) as connection:
        return connection.tls_version


class TestVersions:
    @pytest.mark.parametrize(
        ("name", "spoken", "agreed"),
        [
            ("old", ("TLSv1", "TLSv1_3"), "TLSv1.1"),
            ("old", ("TLSv1", "TLSv1"), "TLSv1"),
            ("old", ("TLSv1_2", "TLSv1_3"), None),
            ("wide", ("TLSv1", "TLSv1"), None),
            ("wide", ("TLSv1_1", "TLSv1_1"), "TLSv1.1"),
            ("wide", ("TLSv1_2", "TLSv1_2"), "TLSv1.2"),
            ("wide", ("TLSv1", "TLSv1_3"), "TLSv1.3"),
            ("names", ("TLSv1", "TLSv1_1"), None),
            ("names", ("TLSv1", "TLSv1_2"), "TLSv1.2"),
        ],
    )
    def test_the_best_that_both_speak(self, serving: Serving, name: str, spoken: tuple[str, str], agreed: str | None) -> None:
        if agreed is not None:
            assert version_of(serving, name, *spoken) == agreed
        else:
            with pytest.raises(OSError, match=REFUSED):
                version_of(serving, name, *spoken)


class TestCiphers:
    @pytest.mark.parametrize("cipher", CIPHERS.split(":"))
    def test_of_tls_12_each_that_is_listed(self, serving: Serving, pki: Pki, cipher: str) -> None:
        context = pki.context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(cipher)
        with serving.connect("ciphers", tls=context) as connection:
            assert connection.cipher == cipher

    @pytest.mark.parametrize("suite", SUITES.split(":"))
    def test_of_tls_13_each_that_is_listed(self, serving: Serving, suite: str) -> None:
        assert suite_of(serving, "ciphers", suite) == suite

    def test_what_is_not_listed_is_not_spoken(self, serving: Serving, pki: Pki) -> None:
        other = "TLS_CHACHA20_POLY1305_SHA256"
        assert suite_of(serving, "names", other) == other
        assert suite_of(serving, "ciphers", other) is None
        context = pki.context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ECDHE-ECDSA-CHACHA20-POLY1305")
        with serving.connect("names", tls=context) as connection:
            assert connection.cipher == "ECDHE-ECDSA-CHACHA20-POLY1305"
        with pytest.raises(OSError, match=REFUSED):
            serving.connect("ciphers", tls=context)


def suite_of(serving: Serving, name: str, suite: str) -> str | None:
    """What a client that speaks only this suite of TLS 1.3 agrees on; Python's own cannot be told."""
    host, port = serving.address(name)
    command = ["openssl", "s_client", "-connect", f"{host}:{port}", "-tls1_3", "-ciphersuites", suite, "-brief"]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=20, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("Ciphersuite: ")), None)


class TestNames:
    @pytest.mark.parametrize(
        ("server_name", "expected"),
        [
            ("shared.example", "default"),
            ("one.example", "several"),
            ("two.example", "several"),
            ("TWO.EXAMPLE", "several"),
            ("exact.wild.example", "several"),
            ("other.wild.example", "wild"),
            ("xn--bcher-kva.example", "idn"),
            ("bücher.example", "idn"),
            ("XN--BCHER-KVA.example", "idn"),
            ("upper.example", "upper"),
            ("Upper.EXAMPLE", "upper"),
            ("only-cn.example", "nameless"),
            ("xone.example", "default"),
            ("127.0.0.1", "default"),
        ],
    )
    def test_a_name_gets_its_certificate(self, serving: Serving, pki: Pki, server_name: str, expected: str) -> None:
        answer = serving.fetch("names", tls=pki.context(), server_name=server_name)
        assert (answer.status, pki.named(answer.certificate)) == (200, expected)


class TestClientCertificates:
    @pytest.mark.parametrize(
        ("name", "welcome"),
        [
            ("NONE", {None, "good", "revoked", "expired", "stranger"}),
            ("OPTIONAL", {None, "good", "revoked"}),
            ("MANDATORY", {"good", "revoked"}),
            ("OPTIONAL-crl", {None, "good"}),
            ("MANDATORY-crl", {"good"}),
            ("OPTIONAL-old-crl", {None}),
            ("MANDATORY-old-crl", set()),
        ],
    )
    @pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
    @pytest.mark.parametrize("person", [None, "good", "revoked", "expired", "stranger"])
    def test_who_comes_in(
        self, serving: Serving, pki: Pki, *, name: str, welcome: set[str | None], person: str | None, version: str
    ) -> None:
        context = pki.context(person)
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
        if person in welcome:
            assert serving.fetch(name, tls=context).status == 200
        else:
            with pytest.raises(OSError, match=REFUSED):
                serving.fetch(name, tls=context)

    @pytest.mark.parametrize("name", ["OPTIONAL", "MANDATORY", "OPTIONAL-crl", "MANDATORY-crl"])
    def test_who_brings_one_is_told_to_the_member(self, serving: Serving, pki: Pki, name: str) -> None:
        told = headers_at_the_member(serving.fetch(name, tls=pki.context("good"), headers=dict.fromkeys(HEADERS, "forged")))
        assert told == {
            "X-SSL-Client-Verify": ["0"],
            "X-SSL-Client-Has-Cert": ["1"],
            "X-SSL-Client-DN": ["/O=Hydria lab/CN=good"],
            "X-SSL-Client-CN": ["good"],
            "X-SSL-Client-SHA1": [sha1(pki.people["good"])],
        }

    @pytest.mark.parametrize(("name", "person"), [("NONE", None), ("NONE", "good"), ("OPTIONAL", None), ("OPTIONAL-old-crl", None)])
    def test_of_who_brings_none_or_is_not_asked_nothing_is_made_up(self, serving: Serving, pki: Pki, name: str, person: str | None) -> None:
        told = headers_at_the_member(serving.fetch(name, tls=pki.context(person), headers=dict.fromkeys(HEADERS, "forged")))
        assert told["X-SSL-Client-Has-Cert"] == ["0"]
        assert {value for header in ("X-SSL-Client-DN", "X-SSL-Client-CN", "X-SSL-Client-SHA1") for value in told[header]} <= {""}

    def test_a_revocation_list_that_is_out_of_date_is_told_beforehand(self, serving: Serving, pki: Pki) -> None:
        now = dt.datetime.now(dt.UTC)
        built = compiler.build(serving.graph, serving.target, pki.secrets, now=now)
        found = {(problem.code, problem.path.rpartition(".")[2]) for problem in built.problems}
        assert built.ok
        assert found == {("expired", "client_crl_container_ref")}
        assert all("refuse" in problem.message for problem in built.problems)
        assert compiler.build(serving.graph, serving.target, pki.secrets, now=LONG_AGO + dt.timedelta(days=1)).files == built.files


def headers_at_the_member(answer: Answer) -> dict[str, list[str]]:
    seen = [(name.lower(), value) for name, value in answer.json()["headers"]]
    return {name: [value for key, value in seen if key == name.lower()] for name in HEADERS}


def sha1(certificate: Certificate) -> str:
    return certificate.certificate.fingerprint(hashes.SHA1()).hex().upper()


class TestHttp2:
    def test_many_requests_over_one_connection(self, serving: Serving, tmp_path: Path) -> None:
        told = curl(serving, "alpn-h2", *(f"/{number}" for number in range(20)), options=["--http2", "--parallel"], directory=tmp_path)
        assert {about["version"] for about, _ in told} == {"2"}
        assert {about["code"] for about, _ in told} == {200}
        assert sum(about["connects"] for about, _ in told) == 1
        assert {body["target"] for _, body in told} == {f"/{number}" for number in range(20)}
        assert {body["version"] for _, body in told} == {"HTTP/1.1"}

    def test_http_1_on_the_same_port(self, serving: Serving, tmp_path: Path) -> None:
        [(about, body)] = curl(serving, "names", "/x", options=["--http1.1"], directory=tmp_path)
        assert (about["version"], about["code"], body["target"]) == ("1.1", 200, "/x")

    @pytest.mark.parametrize(
        ("name", "offered", "agreed"),
        [
            ("names", ("http/1.1",), "http/1.1"),
            ("names", ("http/1.0",), "http/1.0"),
            ("names", ("http/1.0", "h2"), "h2"),
            ("names", (), None),
            ("alpn-h2", ("http/1.1", "h2"), "h2"),
            ("alpn-10", ("h2", "http/1.1", "http/1.0"), "http/1.0"),
            ("alpn-10", ("h2",), None),
        ],
    )
    def test_what_is_agreed_on(self, serving: Serving, pki: Pki, name: str, offered: tuple[str, ...], agreed: str | None) -> None:
        with serving.connect(name, tls=pki.servers.client_context(alpn=offered)) as connection:
            assert connection.alpn == agreed

    def test_policies_and_hsts_over_http_2(self, serving: Serving) -> None:
        host, port = serving.address("hsts")
        command = ["curl", "--silent", "--insecure", "--http2", "--include", f"https://{host}:{port}/no"]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        assert lines[0].split() == ["HTTP/2", "403"]
        assert f"strict-transport-security: {HSTS}" in lines


def curl(serving: Serving, name: str, *paths: str, options: list[str], directory: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Requests by one curl: for each, what curl says of it and what the member saw."""
    host, port = serving.address(name)
    about = r'{"file":"%{filename_effective}","version":"%{http_version}","code":%{http_code},"connects":%{num_connects}}\n'
    urls = [word for path in paths for word in ("--output", str(directory / path[1:]), f"https://{host}:{port}{path}")]
    command = ["curl", "--silent", "--insecure", "--max-time", "20", "--write-out", about, *options, *urls]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(paths), done.stdout
    return [(about, json.loads(Path(about["file"]).read_text())) for about in told]


class TestHsts:
    @pytest.mark.parametrize(("path", "status"), [("/", 200), ("/no", 403), ("/away", 302), ("/moved", 302)])
    def test_every_answer_has_it(self, serving: Serving, pki: Pki, path: str, status: int) -> None:
        answer = serving.fetch("hsts", path, tls=pki.context())
        assert (answer.status, answer.header("Strict-Transport-Security")) == (status, HSTS)

    def test_so_has_what_haproxy_answers_itself(self, serving: Serving, pki: Pki) -> None:
        answer = serving.fetch("hsts-alone", tls=pki.context())
        assert (answer.status, answer.header("Strict-Transport-Security")) == (503, HSTS)

    def test_a_members_own_is_replaced_not_doubled(self, serving: Serving, pki: Pki) -> None:
        answer = serving.fetch("hsts", tls=pki.context(), headers={"X-Lab-Header": "Strict-Transport-Security: max-age=1"})
        assert [value for name, value in answer.headers if name.lower() == "strict-transport-security"] == [HSTS]
