"""What members get to see through real HAProxy: TLS that is encrypted anew, PROXY headers of both versions."""

from __future__ import annotations

import datetime as dt
import json
import ssl
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from support.graphs import Part, listener, pool
from support.polling import eventually
from support.serving import serve

import compiler
from compiler.secrets import Secret
from hydria.lab.backends import EchoBackend, HttpBackend
from hydria.lab.certificates import Authority
from hydria.lab.ports import HeldPort

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.serving import Serving

    from agent.haproxy import Haproxy

#: Pools that cannot be served. HAProxy waits for as long as a connection may take, or a second, before each further attempt.
UNFIT = {"distrusted", "expired", "revoked", "outdated", "asks in vain", "1.2 to 1.3", "1.3 to 1.2", "aes256 to aes128"}
LONG_AGO = dt.datetime.now(dt.UTC) - dt.timedelta(days=90)
MONITOR = {"type": "HTTPS", "delay": 2, "timeout": 1, "max_retries": 1, "max_retries_down": 1, "url_path": "/health"}
VIPS = [pytest.param("127.0.0.1", id="ipv4"), pytest.param("::1", id="ipv6")]


class Pki:
    def __init__(self) -> None:
        self.members = Authority("members")
        self.others = Authority("others")
        self.clients = Authority("clients")
        self.good = self.members.server("member.example", "127.0.0.1")
        self.revoked = self.members.server("member.example")
        self.expired = self.members.server("member.example", issued=LONG_AGO)
        self.front = self.members.server("front.example")
        self.ann = self.clients.client("ann", organisation="North")
        self.balancer = self.clients.client("balancer")
        self.secrets = {
            "front": Secret(self.front.bundle_pem),
            "members": Secret(self.members.certificate_pem),
            "others": Secret(self.others.certificate_pem),
            "both": Secret(self.others.certificate_pem + self.members.certificate_pem),
            "clients": Secret(self.clients.certificate_pem),
            "balancer": Secret(self.balancer.bundle_pem),
            "crl": Secret(self.members.crl(self.revoked)),
            "old-crl": Secret(self.members.crl(issued=LONG_AGO)),
        }


def bounded(context: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    context.minimum_version = context.maximum_version = version
    return context


def only(context: ssl.SSLContext, ciphers: str) -> ssl.SSLContext:
    context.set_ciphers(ciphers)
    return bounded(context, ssl.TLSVersion.TLSv1_2)


@pytest.fixture(scope="module")
def pki() -> Pki:
    return Pki()


@pytest.fixture(scope="module")
def encrypting(haproxy: Haproxy, pki: Pki) -> Iterator[Serving]:
    """Each pool behind a listener of its own name that takes plain HTTP, and behind one `<name> tls` that ends TLS."""
    good = pki.good.server_context
    contexts = {
        "good": good(),
        "revoked": pki.revoked.server_context(),
        "expired": pki.expired.server_context(),
        "asks": good(client_ca=pki.clients),
        "1.2": bounded(good(), ssl.TLSVersion.TLSv1_2),
        "1.3": bounded(good(), ssl.TLSVersion.TLSv1_3),
        "aes128": only(good(), "ECDHE-ECDSA-AES128-GCM-SHA256"),
    }
    verified = {"ca_tls_container_ref": "members"}
    checked = {**verified, "crl_container_ref": "crl"}
    with ExitStack() as stack:
        members = {name: stack.enter_context(HttpBackend(name, tls=context)) for name, context in contexts.items()}
        inner = stack.enter_context(HeldPort(("127.0.0.1", "::1")))
        plain = stack.enter_context(HttpBackend("plain"))

        def to(member: str, name: str | None = None, **fields: Any) -> Part:
            return pool(name or member, members[member], tls_enabled=True, **fields)

        pools = [
            to("good"),
            to("good", "verified", **verified),
            to("good", "one of two", ca_tls_container_ref="both"),
            to("good", "distrusted", ca_tls_container_ref="others"),
            to("expired", "expired unverified"),
            to("expired", **verified),
            to("revoked", "revoked unchecked", **verified),
            to("revoked", **checked),
            to("good", "checked", **checked),
            to("good", "outdated", **verified, crl_container_ref="old-crl"),
            to("asks", tls_container_ref="balancer", **verified),
            to("asks", "asks in vain", **verified),
            to("1.2"),
            to("1.3"),
            to("1.3", "1.2 to 1.3", tls_versions=["TLSv1.2"]),
            to("1.2", "1.3 to 1.2", tls_versions=["TLSv1.3"]),
            to("good", "only 1.2", tls_versions=["TLSv1.2"]),
            to("aes128", tls_ciphers="ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384"),
            to("aes128", "aes256 to aes128", tls_ciphers="ECDHE-ECDSA-AES256-GCM-SHA384"),
            to("good", "alpn", alpn_protocols=["h2", "http/1.1"]),
            to("good", "monitored", **verified, healthmonitor=MONITOR),
            to("good", "monitored distrusted", ca_tls_container_ref="others", healthmonitor=MONITOR),
            pool("plain", plain),
            pool("inner", {"address": "127.0.0.1", "protocol_port": inner.port}, tls_enabled=True, alpn_protocols=["h2"]),
        ]
        tls = {"protocol": "TERMINATED_HTTPS", "default_tls_container_ref": "front"}
        names = [part["name"] for part in pools]
        listeners = [listener(name, name, **({"timeout_member_connect": 100} if name in UNFIT else {})) for name in names]
        listeners += [listener(f"{name} tls", name, **tls) for name in names]
        listeners += [listener("verified briefly", "verified", **tls, timeout_member_connect=100)]
        listeners += [listener("inside", "plain", **tls, protocol_port=inner.port)]
        yield stack.enter_context(serve(haproxy, listeners, pools, secrets=pki.secrets))


class TestEncryption:
    @pytest.mark.parametrize("name", ["good", "verified", "one of two", "expired unverified", "revoked unchecked", "checked", "asks"])
    def test_a_member_that_is_as_asked_serves(self, encrypting: Serving, name: str) -> None:
        answer = encrypting.fetch(name)
        assert answer.status == 200
        assert answer.json()["arrival"]["tls"]["version"] == "TLSv1.3"

    @pytest.mark.parametrize("name", ["distrusted", "expired", "revoked", "outdated"])
    def test_a_member_whose_certificate_is_not_good_does_not(self, encrypting: Serving, name: str) -> None:
        assert encrypting.fetch(name).status == 503

    def test_an_outdated_revocation_list_is_told_beforehand(self, encrypting: Serving, pki: Pki) -> None:
        built = compiler.build(encrypting.graph, encrypting.target, pki.secrets, now=dt.datetime.now(dt.UTC))
        assert built.ok
        assert {(problem.code, problem.path.rpartition(".")[2]) for problem in built.problems} == {("expired", "crl_container_ref")}

    def test_a_member_may_ask_for_a_certificate(self, encrypting: Serving) -> None:
        assert encrypting.fetch("asks").json()["arrival"]["tls"]["client"] == "CN=balancer,O=Hydria lab"
        assert encrypting.fetch("asks in vain").status in {502, 503}

    @pytest.mark.parametrize(
        ("name", "version"), [("good", "TLSv1.3"), ("1.2", "TLSv1.2"), ("1.3", "TLSv1.3"), ("only 1.2", "TLSv1.2"), ("aes128", "TLSv1.2")]
    )
    def test_versions_and_ciphers_that_both_speak(self, encrypting: Serving, name: str, version: str) -> None:
        assert encrypting.fetch(name).json()["arrival"]["tls"]["version"] == version

    @pytest.mark.parametrize("name", ["1.2 to 1.3", "1.3 to 1.2", "aes256 to aes128"])
    def test_no_common_version_or_cipher_is_no_service(self, encrypting: Serving, name: str) -> None:
        assert encrypting.fetch(name).status == 503

    def test_the_clients_server_name_is_asked_of_the_member(self, encrypting: Serving, pki: Pki) -> None:
        def asked(listener_name: str, server_name: str | None) -> str | None:
            tls = pki.members.client_context() if listener_name.endswith(" tls") else None
            told: str | None = encrypting.fetch(listener_name, tls=tls, server_name=server_name).json()["arrival"]["tls"]["server_name"]
            return told

        # Without a name first: HAProxy 3.0 may take up a session again that was made with one, and the member then knows that.
        assert asked("good", None) is None
        assert asked("good tls", None) is None
        assert asked("good tls", "asked.example") == "asked.example"
        assert asked("good tls", "other.example") == "other.example"

    def test_a_member_must_have_the_name_that_is_asked_for(self, encrypting: Serving, pki: Pki) -> None:
        """With an authority given and a name asked for, HAProxy also holds the certificate's name against it (5.2 verify, verifyhost)."""
        context = pki.members.client_context()
        assert encrypting.fetch("verified tls", tls=context, server_name="member.example").status == 200
        assert encrypting.fetch("verified briefly", tls=context, server_name="another.example").status == 503
        assert encrypting.fetch("good tls", tls=context, server_name="another.example").status == 200

    def test_a_connection_for_one_name_is_not_used_for_another(self, encrypting: Serving, pki: Pki) -> None:
        context = pki.members.client_context()
        for server_name in ("member.example", "a.example", "b.example", "member.example"):
            answer = encrypting.fetch("good tls", tls=context, server_name=server_name)
            assert answer.json()["arrival"]["tls"]["server_name"] == server_name

    def test_alpn_is_offered_to_the_member(self, encrypting: Serving) -> None:
        assert encrypting.fetch("alpn").json()["arrival"]["tls"]["alpn"] == "http/1.1"

    def test_http_2_is_spoken_to_a_member_that_can(self, encrypting: Serving) -> None:
        """The member is a listener of the same HAProxy, which counts what it was asked in HTTP/2."""

        def asked_in_http_2() -> int:
            inside = next(part.id for part in encrypting.graph.listeners if part.name == "inside")
            rows = encrypting.process.stats.show_stat()
            return sum(int(row["h2_headers_rcvd"]) for row in rows if row["pxname"] == inside and row["svname"] == "FRONTEND")

        before = asked_in_http_2()
        assert encrypting.fetch("inner").name == "plain"
        assert asked_in_http_2() == before + 1

    def test_monitors_verify_as_requests_do(self, encrypting: Serving) -> None:
        eventually(lambda: status(encrypting, "monitored") == "UP", "a verified member's check")
        eventually(lambda: status(encrypting, "monitored distrusted") == "DOWN", "a distrusted member's end")


def status(serving: Serving, name: str) -> str:
    return next(iter(serving.statuses(name, name).values())).partition(" ")[0]


@pytest.fixture(scope="module")
def web() -> Iterator[HttpBackend]:
    with HttpBackend("web") as backend:
        yield backend


@pytest.fixture(scope="module")
def announcing(haproxy: Haproxy, pki: Pki, web: HttpBackend) -> Iterator[Serving]:
    with EchoBackend("echo") as echo, HttpBackend("sealed", tls=pki.good.server_context()) as sealed:
        tls = {
            "protocol": "TERMINATED_HTTPS",
            "default_tls_container_ref": "front",
            "client_ca_tls_container_ref": "clients",
            "client_authentication": "OPTIONAL",
        }
        pools = [
            *(pool(f"{kind}-http", web, protocol=kind) for kind in ("PROXY", "PROXYV2")),
            *(pool(f"{kind}-tcp", echo, protocol=kind) for kind in ("PROXY", "PROXYV2")),
            *(pool(f"{kind}-sealed", sealed, protocol=kind, tls_enabled=True) for kind in ("PROXY", "PROXYV2")),
        ]
        for kind in ("PROXY", "PROXYV2"):
            monitor = {**MONITOR, "type": "HTTP", "url_path": f"/health/{kind}"}
            pools.append(pool(f"{kind}-monitored", web, protocol=kind, healthmonitor=monitor))
        listeners = [listener(part["name"], part["name"], protocol="TCP" if part["name"].endswith("-tcp") else "HTTP") for part in pools]
        listeners += [listener(f"{part['name']} tls", part["name"], **tls) for part in pools if part["name"].endswith("-http")]
        with serve(haproxy, listeners, pools, secrets=pki.secrets) as serving:
            yield serving


def header_over_tcp(serving: Serving, name: str, vip: str) -> tuple[dict[str, Any], tuple[str, int]]:
    """The PROXY header at an echo server, which must echo only what came after it; and the client's own address."""
    with serving.connect(name, vip=vip) as connection:
        connection.send(b"hello\n")
        proxy = json.loads(connection.receive_line())["arrival"]["proxy"]
        assert connection.receive_line() == b"hello\n"
        return proxy, connection.local


@pytest.mark.parametrize("vip", VIPS)
@pytest.mark.parametrize(("kind", "version"), [("PROXY", 1), ("PROXYV2", 2)])
class TestProxyHeaders:
    @pytest.mark.parametrize("over", ["http", "tcp", "sealed"])
    def test_the_client_and_where_it_came_in(self, announcing: Serving, *, kind: str, version: int, over: str, vip: str) -> None:
        name = f"{kind}-{over}"
        if over == "tcp":
            proxy, local = header_over_tcp(announcing, name, vip)
        else:
            answer = announcing.fetch(name, vip=vip)
            proxy, local = answer.json()["arrival"]["proxy"], answer.local
        host, port = announcing.address(name, vip)
        assert proxy == {
            "version": version,
            "source": vip,
            "source_port": local[1],
            "destination": host,
            "destination_port": port,
            "tls": None,
        }

    def test_two_clients_do_not_share_what_was_announced_for_one(self, announcing: Serving, *, kind: str, version: int, vip: str) -> None:
        del version
        for _ in range(4):
            answer = announcing.fetch(f"{kind}-http", vip=vip)
            assert answer.json()["arrival"]["proxy"]["source_port"] == answer.local[1]


@pytest.mark.parametrize(("kind", "version"), [("PROXY", 1), ("PROXYV2", 2)])
def test_monitors_send_the_header_too(announcing: Serving, web: HttpBackend, kind: str, version: int) -> None:
    """A member that awaits the header would take a check without one for an error."""
    path = f"/health/{kind}"
    checks = eventually(lambda: [request.arrival.proxy for request in list(web.requests) if request.target == path], "a check")
    assert status(announcing, f"{kind}-monitored") == "UP"
    assert {proxy and proxy.version for proxy in checks} == {version}


class TestProxyTls:
    def test_version_2_tells_of_the_clients_tls(self, announcing: Serving, pki: Pki) -> None:
        def told(context: ssl.SSLContext) -> Any:
            return announcing.fetch("PROXYV2-http tls", tls=context).json()["arrival"]["proxy"]["tls"]

        bare = pki.members.client_context()
        assert told(bare) == {"version": "TLSv1.3", "client_certificate": False, "verified": False, "common_name": None}
        mine = bounded(pki.members.client_context(certificate=pki.ann), ssl.TLSVersion.TLSv1_2)
        assert told(mine) == {"version": "TLSv1.2", "client_certificate": True, "verified": True, "common_name": "ann"}

    def test_version_1_has_only_addresses(self, announcing: Serving, pki: Pki) -> None:
        answer = announcing.fetch("PROXY-http tls", tls=pki.members.client_context())
        proxy = answer.json()["arrival"]["proxy"]
        assert (proxy["version"], proxy["source_port"], proxy["tls"]) == (1, answer.local[1], None)
