"""Listeners of each protocol through real HAProxy: who may come in, over what, and what the members get to see of it."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from support.graphs import listener, path_is, policy, pool
from support.polling import eventually
from support.serving import serve

from compiler.secrets import Secret
from hydria.lab.backends import EchoBackend, HttpBackend
from hydria.lab.certificates import Authority
from hydria.lab.client import NoAnswerError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.serving import Serving

    from agent.haproxy import Haproxy
    from hydria.lab.certificates import Certificate
    from hydria.lab.client import Connection

VIPS = [pytest.param("127.0.0.1", id="ipv4"), pytest.param("::1", id="ipv6")]

ALLOWED = ["127.0.0.8/32", "127.1.0.0/16", "::1/128"]
DENIED_V6 = ["127.0.0.0/8", "2001:db8::/32"]


class Pki:
    """Who vouches for whom: one authority for servers, one for clients, one that nobody trusts."""

    def __init__(self) -> None:
        self.servers = Authority("servers")
        self.clients = Authority("clients")
        self.strangers = Authority("strangers")
        self.default = self.servers.server("default.example")
        self.exact = self.servers.server("shop.example", "www.shop.example")
        self.wildcard = self.servers.server("*.wild.example")
        self.nameless = self.servers.server("only-cn.example", common_name="only-cn.example")
        self.ann = self.clients.client("ann")
        self.revoked = self.clients.client("revoked")
        self.stranger = self.strangers.client("stranger")

    @property
    def secrets(self) -> dict[str, Secret]:
        return {
            "default": Secret(self.default.bundle_pem),
            "exact": Secret(self.exact.bundle_pem),
            "wildcard": Secret(self.wildcard.bundle_pem),
            "clients": Secret(self.clients.certificate_pem),
            "servers": Secret(self.servers.certificate_pem),
            "strangers": Secret(self.strangers.certificate_pem),
            "revoked": Secret(self.clients.crl(self.revoked)),
            "ann": Secret(self.ann.bundle_pem),
        }

    def context(self, certificate: Certificate | None = None, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
        return self.servers.client_context(certificate=certificate, alpn=alpn)


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki()


@pytest.fixture(scope="module")
def echo() -> Iterator[EchoBackend]:
    with EchoBackend("echo") as backend:
        yield backend


@pytest.fixture(scope="module")
def serving(haproxy: Haproxy, pki: Pki, echo: EchoBackend) -> Iterator[Serving]:
    tls = {"protocol": "TERMINATED_HTTPS", "default_tls_container_ref": "default"}
    authenticated = {**tls, "client_ca_tls_container_ref": "clients"}
    with (
        HttpBackend("web") as web,
        HttpBackend("web6", address="::1") as web6,
        HttpBackend("secure", tls=pki.exact.server_context()) as secure,
        EchoBackend("sealed", tls=pki.exact.server_context()) as sealed,
        full_backlog() as full,
    ):
        pools = [
            pool("web", web),
            pool("web6", web6),
            pool("echo", echo, protocol="TCP"),
            pool("sealed", sealed, protocol="HTTPS"),
            pool("proxy1", web, protocol="PROXY"),
            pool("proxy2", web, protocol="PROXYV2"),
            pool("proxy1-tcp", echo, protocol="PROXY"),
            pool("proxy2-tcp", echo, protocol="PROXYV2"),
            pool("encrypted", secure, tls_enabled=True),
            pool("verified", secure, tls_enabled=True, ca_tls_container_ref="servers"),
            pool("distrusted", secure, tls_enabled=True, ca_tls_container_ref="strangers"),
            pool("full", {"address": "127.0.0.1", "protocol_port": full}),
        ]
        listeners = [
            listener("http", "web"),
            listener("http6", "web6"),
            listener("tcp", "echo", protocol="TCP"),
            listener("https", "sealed", protocol="HTTPS"),
            listener("terminated", "web", sni_container_refs=["exact", "wildcard"], **tls),
            listener("sni-only", "web", protocol="TERMINATED_HTTPS", sni_container_refs=["exact", "wildcard"]),
            listener("tls12", "web", tls_versions=["TLSv1.2"], **tls),
            listener("tls13", "web", tls_versions=["TLSv1.3"], **tls),
            listener("ciphers", "web", tls_versions=["TLSv1.2"], tls_ciphers="ECDHE-ECDSA-CHACHA20-POLY1305", **tls),
            listener("http11", "web", alpn_protocols=["http/1.1"], **tls),
            listener("hsts", "web", hsts_max_age=31536000, hsts_include_subdomains=True, hsts_preload=True, **tls),
            listener("optional", "web", client_authentication="OPTIONAL", **authenticated),
            listener("mandatory", "web", client_authentication="MANDATORY", **authenticated),
            listener("crl", "web", client_authentication="MANDATORY", client_crl_container_ref="revoked", **authenticated),
            listener("none", "web", client_authentication="NONE", **authenticated),
            *(listener(name, name) for name in ("proxy1", "proxy2", "encrypted", "verified", "distrusted")),
            listener("encrypted-twice", "encrypted", **tls),
            *(listener(name, name, protocol="TCP") for name in ("proxy1-tcp", "proxy2-tcp")),
            listener("cidr-http", "web", allowed_cidrs=ALLOWED),
            listener("cidr-tcp", "echo", protocol="TCP", allowed_cidrs=ALLOWED),
            listener("cidr-tls", "web", allowed_cidrs=ALLOWED, **tls),
            listener("cidr-not6", "web", allowed_cidrs=DENIED_V6),
            listener("limited", "echo", protocol="TCP", connection_limit=2),
            listener("slow-client", "web", timeout_client_data=300),
            listener("slow-member", "web", timeout_member_data=300),
            listener("slow-connect", "full", timeout_member_connect=100),
            listener("slow-client-tcp", "echo", protocol="TCP", timeout_client_data=300),
            listener("off", "web", admin_state_up=False),
            listener("off-tls", "web", admin_state_up=False, **tls),
            listener("policy-tls", "web", policy("REJECT", path_is("/no")), **tls),
            listener("no-pool", None),
            listener("no-pool-tcp", None, protocol="TCP"),
        ]
        with serve(haproxy, listeners, pools, secrets=pki.secrets) as serving:
            yield serving


def introduction(serving: Serving, name: str, *, tls: ssl.SSLContext | None = None, **keywords: Any) -> dict[str, Any]:
    """What an echo server says of itself and of the connection, after it has been shown to echo."""
    with serving.connect(name, tls=tls, **keywords) as connection:
        connection.send(b"hello\n")
        about = connection.receive_line()
        assert connection.receive_line() == b"hello\n"
    said: dict[str, Any] = json.loads(about)
    return said


@pytest.mark.parametrize("vip", VIPS)
class TestProtocols:
    def test_http(self, serving: Serving, vip: str) -> None:
        answer = serving.fetch("http", "/a?b=c", vip=vip, headers={"X-Test": "yes"})
        assert (answer.status, answer.name) == (200, "web")
        seen = answer.json()
        assert (seen["method"], seen["target"], seen["arrival"]["tls"], seen["arrival"]["proxy"]) == ("GET", "/a?b=c", None, None)
        assert ["x-test", "yes"] in [[name.lower(), value] for name, value in seen["headers"]]

    def test_http_to_an_ipv6_member(self, serving: Serving, vip: str) -> None:
        assert serving.fetch("http6", vip=vip).json()["arrival"]["peer"] == "::1"

    def test_tcp(self, serving: Serving, vip: str) -> None:
        assert introduction(serving, "tcp", vip=vip)["name"] == "echo"

    def test_https_passes_tls_through_to_the_member(self, serving: Serving, pki: Pki, vip: str) -> None:
        with serving.connect("https", vip=vip, tls=pki.context(), server_name="whatever.example") as connection:
            assert connection.certificate == pki.exact.der
        about = introduction(serving, "https", vip=vip, tls=pki.context(), server_name="whatever.example")
        assert (about["name"], about["arrival"]["tls"]["server_name"]) == ("sealed", "whatever.example")

    def test_terminated_https_ends_tls_and_speaks_http_to_the_member(self, serving: Serving, pki: Pki, vip: str) -> None:
        answer = serving.fetch("terminated", "/x", vip=vip, tls=pki.context())
        assert (answer.status, answer.name, answer.json()["arrival"]["tls"]) == (200, "web", None)


class TestCertificates:
    @pytest.mark.parametrize(
        ("server_name", "expected"),
        [
            (None, "default"),
            ("default.example", "default"),
            ("shop.example", "exact"),
            ("www.shop.example", "exact"),
            ("WWW.Shop.Example", "exact"),
            ("a.wild.example", "wildcard"),
            ("b.wild.example", "wildcard"),
            ("a.b.wild.example", "default"),
            ("wild.example", "default"),
            ("unknown.example", "default"),
        ],
    )
    def test_the_name_asked_for_decides(self, serving: Serving, pki: Pki, server_name: str | None, expected: str) -> None:
        answer = serving.fetch("terminated", tls=pki.context(), server_name=server_name)
        shown = {pki.default.der: "default", pki.exact.der: "exact", pki.wildcard.der: "wildcard"}
        assert answer.status == 200
        assert shown[answer.certificate or b""] == expected

    def test_without_a_default_the_first_sni_certificate_is_it(self, serving: Serving, pki: Pki) -> None:
        assert serving.fetch("sni-only", tls=pki.context(), server_name="unknown.example").certificate == pki.exact.der
        assert serving.fetch("sni-only", tls=pki.context(), server_name="x.wild.example").certificate == pki.wildcard.der


class TestTls:
    def test_both_versions_by_default(self, serving: Serving, pki: Pki) -> None:
        assert serving.fetch("terminated", tls=pki.context()).tls_version == "TLSv1.3"
        assert serving.fetch("terminated", tls=at_most_12(pki.context())).tls_version == "TLSv1.2"

    def test_tls_versions_bound_what_is_spoken(self, serving: Serving, pki: Pki) -> None:
        assert serving.fetch("tls12", tls=pki.context()).tls_version == "TLSv1.2"
        assert serving.fetch("tls13", tls=pki.context()).tls_version == "TLSv1.3"
        with pytest.raises(OSError, match=r"(?i)alert|version|eof|reset"):
            serving.fetch("tls13", tls=at_most_12(pki.context()))

    def test_tls_ciphers_bound_what_is_spoken(self, serving: Serving, pki: Pki) -> None:
        assert serving.fetch("ciphers", tls=pki.context()).status == 200
        context = pki.context()
        context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        with pytest.raises(OSError, match=r"(?i)alert|handshake|eof|reset"):
            serving.fetch("ciphers", tls=context)

    def test_alpn_prefers_http2_by_default(self, serving: Serving, pki: Pki) -> None:
        with serving.connect("terminated", tls=pki.context(alpn=("http/1.1", "h2"))) as connection:
            assert connection.alpn == "h2"
        assert serving.fetch("terminated", tls=pki.context(alpn=("http/1.1",))).alpn == "http/1.1"

    def test_alpn_protocols_bound_what_is_spoken(self, serving: Serving, pki: Pki) -> None:
        assert serving.fetch("http11", tls=pki.context(alpn=("h2", "http/1.1"))).alpn == "http/1.1"

    def test_http2_is_served(self, serving: Serving) -> None:
        host, port = serving.address("terminated")
        options = ["--silent", "--insecure", "--http2", "--max-time", "10", "--write-out", r"\n%{http_version} %{http_code}"]
        done = subprocess.run(["curl", *options, f"https://{host}:{port}/over-h2"], capture_output=True, text=True, check=True)
        body, _, about = done.stdout.rpartition("\n")
        assert (about, json.loads(body)["target"]) == ("2 200", "/over-h2")

    def test_hsts(self, serving: Serving, pki: Pki) -> None:
        header = serving.fetch("hsts", tls=pki.context()).header("Strict-Transport-Security") or ""
        assert {part.strip() for part in header.split(";")} == {"max-age=31536000", "includeSubDomains", "preload"}
        assert serving.fetch("terminated", tls=pki.context()).header("Strict-Transport-Security") is None

    def test_plain_http_does_not_get_to_a_member(self, serving: Serving) -> None:
        try:
            answer = serving.fetch("terminated", "/secret")
        except NoAnswerError:
            return
        assert (answer.name, answer.status in {301, 302, 307, 308, 400}) == (None, True)

    def test_policies_act_behind_tls(self, serving: Serving, pki: Pki) -> None:
        assert serving.fetch("policy-tls", "/no", tls=pki.context()).status == 403
        assert serving.fetch("policy-tls", "/yes", tls=pki.context()).status == 200


class TestClientCertificates:
    def test_none_asks_for_none(self, serving: Serving, pki: Pki) -> None:
        assert serving.fetch("none", tls=pki.context()).status == 200
        assert serving.fetch("none", tls=pki.context(pki.stranger)).status == 200

    def test_optional_takes_none_or_a_good_one(self, serving: Serving, pki: Pki) -> None:
        assert serving.fetch("optional", tls=pki.context()).status == 200
        assert serving.fetch("optional", tls=pki.context(pki.ann)).status == 200

    def test_mandatory_takes_only_a_good_one(self, serving: Serving, pki: Pki) -> None:
        assert serving.fetch("mandatory", tls=pki.context(pki.ann)).status == 200
        for bad in (None, pki.stranger):
            with pytest.raises(OSError, match=r"(?i)alert|eof|reset|answer"):
                serving.fetch("mandatory", tls=pki.context(bad))

    def test_a_revoked_certificate_is_refused(self, serving: Serving, pki: Pki) -> None:
        assert serving.fetch("crl", tls=pki.context(pki.ann)).status == 200
        assert serving.fetch("mandatory", tls=pki.context(pki.revoked)).status == 200
        with pytest.raises(OSError, match=r"(?i)alert|eof|reset|answer"):
            serving.fetch("crl", tls=pki.context(pki.revoked))


class TestTowardsMembers:
    @pytest.mark.parametrize(("name", "version"), [("proxy1", 1), ("proxy2", 2)])
    def test_the_proxy_header_tells_the_client(self, serving: Serving, name: str, version: int) -> None:
        answer = serving.fetch(name, source="127.0.0.77")
        proxy = answer.json()["arrival"]["proxy"]
        assert (proxy["version"], proxy["source"], proxy["source_port"]) == (version, "127.0.0.77", answer.local[1])
        assert (proxy["destination"], proxy["destination_port"]) == serving.address(name)

    @pytest.mark.parametrize(("name", "version"), [("proxy1-tcp", 1), ("proxy2-tcp", 2)])
    def test_the_proxy_header_precedes_tcp(self, serving: Serving, name: str, version: int) -> None:
        proxy = introduction(serving, name, vip="::1")["arrival"]["proxy"]
        assert (proxy["version"], proxy["source"]) == (version, "::1")

    def test_a_pool_with_tls_encrypts(self, serving: Serving) -> None:
        assert serving.fetch("encrypted").json()["arrival"]["tls"]["version"] == "TLSv1.3"

    def test_a_pool_with_tls_sends_the_clients_server_name(self, serving: Serving, pki: Pki) -> None:
        answer = serving.fetch("encrypted-twice", tls=pki.context(), server_name="asked.example")
        assert answer.json()["arrival"]["tls"]["server_name"] == "asked.example"

    def test_a_pool_with_an_authority_trusts_only_it(self, serving: Serving) -> None:
        assert serving.fetch("verified").name == "secure"
        assert serving.fetch("distrusted").status == 503

    def test_a_pool_with_a_certificate_presents_it(self, haproxy: Haproxy, pki: Pki) -> None:
        with HttpBackend("mutual", tls=pki.exact.server_context(client_ca=pki.clients)) as mutual:
            pools = [pool("mutual", mutual, tls_enabled=True, tls_container_ref="ann")]
            with serve(haproxy, [listener("mutual", "mutual")], pools, secrets=pki.secrets) as serving:
                assert serving.fetch("mutual").json()["arrival"]["tls"]["client"].startswith("CN=ann,")


class TestAllowedCidrs:
    @pytest.mark.parametrize("source", ["127.0.0.8", "127.1.2.3", "127.1.255.255"])
    def test_who_is_in_comes_in(self, serving: Serving, pki: Pki, source: str) -> None:
        assert serving.fetch("cidr-http", source=source).status == 200
        assert serving.fetch("cidr-tls", source=source, tls=pki.context()).status == 200
        assert introduction(serving, "cidr-tcp", source=source)["name"] == "echo"

    @pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.9", "127.2.0.1"])
    @pytest.mark.parametrize("name", ["cidr-http", "cidr-tls", "cidr-tcp"])
    def test_who_is_not_in_is_turned_away_unheard(self, serving: Serving, name: str, source: str) -> None:
        assert_turned_away(serving, name, source=source)

    def test_who_is_not_in_gets_no_handshake(self, serving: Serving) -> None:
        hello = ssl.MemoryBIO()
        client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="default.example")
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        assert_turned_away(serving, "cidr-tls", hello.read(), source="127.0.0.9")

    def test_ipv6(self, serving: Serving) -> None:
        assert serving.fetch("cidr-http", vip="::1").status == 200
        assert serving.fetch("cidr-not6", source="127.9.9.9").status == 200
        assert_turned_away(serving, "cidr-not6", vip="::1")


class TestLimits:
    def test_a_connection_above_the_limit_waits_until_another_ends(self, serving: Serving, echo: EchoBackend) -> None:
        eventually(lambda: echo.open == 0, "no connection of another test")
        with serving.connect("limited") as first, serving.connect("limited") as second:
            for connection in (first, second):
                connection.send(b"x\n")
                assert json.loads(connection.receive_line())["name"] == "echo"
            # The kernel takes the third; HAProxy does not until there is room.
            with serving.connect("limited") as third:
                third.send(b"third\n")
                row = next(
                    row for row in frontends(serving) if row["svname"] == "FRONTEND" and row["pxname"] == listener_id(serving, "limited")
                )
                assert (row["scur"], row["slim"], echo.open) == ("2", "2", 2)
                first.close()
                assert json.loads(third.receive_line())["name"] == "echo"
                assert third.receive_line() == b"third\n"

    def test_timeout_client_data_ends_a_request_that_does_not_come(self, serving: Serving) -> None:
        with serving.connect("slow-client") as connection:
            assert connection.exchange(b"GET / HTTP/1.1\r\nHost: never-finished").status == 408

    def test_timeout_client_data_ends_an_idle_connection(self, serving: Serving) -> None:
        with serving.connect("slow-client-tcp") as connection:
            assert_closed(connection)

    def test_timeout_member_data_ends_an_answer_that_does_not_come(self, serving: Serving) -> None:
        assert serving.fetch("slow-member", headers={"X-Lab-Delay": "1.5"}).status == 504
        assert serving.fetch("http", headers={"X-Lab-Delay": "0.5"}).status == 200

    def test_timeout_member_connect_gives_a_member_up_that_does_not_accept(self, serving: Serving) -> None:
        """With the default of 5 s, the client's own patience would end before the retries do."""
        assert serving.fetch("slow-connect").status == 503

    def test_a_listener_that_is_switched_off_does_not_bind(self, serving: Serving, pki: Pki) -> None:
        with pytest.raises(ConnectionRefusedError):
            serving.fetch("off")
        with pytest.raises(ConnectionRefusedError):
            serving.fetch("off-tls", tls=pki.context())

    def test_a_listener_without_a_pool_has_nobody_to_answer(self, serving: Serving) -> None:
        assert serving.fetch("no-pool").status == 503
        assert_turned_away(serving, "no-pool-tcp")


@contextmanager
def full_backlog() -> Iterator[int]:
    """A port where connections are neither accepted nor refused: its queue is full."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        port: int = listening.getsockname()[1]
        yield port


def at_most_12(context: ssl.SSLContext) -> ssl.SSLContext:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def assert_closed(connection: Connection) -> None:
    """The other side ends the connection without a word."""
    with suppress(ConnectionResetError):
        assert connection.receive() == b""


def assert_turned_away(serving: Serving, name: str, first: bytes = b"", **keywords: Any) -> None:
    """There is a listener, but whatever the client says, it hears nothing; the reset may come at any moment."""
    with suppress(ConnectionResetError, BrokenPipeError), serving.connect(name, **keywords) as connection:
        connection.send(first)
        assert_closed(connection)


def frontends(serving: Serving) -> list[dict[str, str]]:
    return serving.process.stats.show_stat()


def listener_id(serving: Serving, name: str) -> str:
    return next(part.id for part in serving.graph.listeners if part.name == name)
