"""A load balancer with every feature goes through Octavia's driver to a real agent, and real traffic through what comes of it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from octavia_models import Amphora, described
from octavia_process import Controller, OctaviaError
from octavia_site import CLIENT, MEMBERS, VIP, VIP6, Site
from support.graphs import listener, member, path_is, policy, pool, rule
from support.polling import eventually

from compiler.secrets import Secret, Secrets
from hydria.lab.certificates import Authority
from hydria.lab.client import Answer, Connection, fetch

if TYPE_CHECKING:
    from hydria.lab.backends import EchoBackend, HttpBackend

pytest_plugins = ["octavia_fixtures"]

HTTP_MONITOR = {"type": "HTTP", "delay": 1, "timeout": 1, "max_retries": 1, "url_path": "/health", "expected_codes": "200-299"}
TCP_MONITOR = {"type": "TCP", "delay": 1, "timeout": 1, "max_retries": 1}
NOBODY = "198.51.100.250"


class Everything(NamedTuple):
    """What is behind and around the load balancer."""

    site: Site
    users: Authority
    members: Authority
    one: HttpBackend
    two: HttpBackend
    special: HttpBackend
    secure: HttpBackend
    echo: EchoBackend

    def secrets(self) -> Secrets:
        return Secrets(
            {
                "default": Secret(self.users.server("www.example.org").bundle_pem),
                "shop": Secret(self.users.server("shop.example.org").bundle_pem),
                "users-ca": Secret(self.users.certificate_pem),
                "users-crl": Secret(self.users.crl()),
                "members-ca": Secret(self.members.certificate_pem),
                "members-crl": Secret(self.members.crl()),
                "to-members": Secret(self.members.client("amphora").bundle_pem),
            }
        )

    def graph(self, *more: dict[str, Any]) -> dict[str, Any]:
        """In the API's words; `more` are further listeners."""
        one, two = member(self.one), member(self.two)
        terminated = {
            "protocol": "TERMINATED_HTTPS",
            "default_tls_container_ref": "default",
            "sni_container_refs": ["shop"],
            "client_ca_tls_container_ref": "users-ca",
            "client_crl_container_ref": "users-crl",
            "client_authentication": "OPTIONAL",
            "hsts_max_age": 3600,
            "insert_headers": {"X-SSL-Client-CN": "true", "X-Forwarded-Proto": "true"},
        }
        policies = [
            policy("REJECT", rule("PATH", "STARTS_WITH", "/forbidden")),
            policy("REDIRECT_TO_URL", path_is("/old"), redirect_url="https://www.example.org/new", redirect_http_code=301),
            policy("REDIRECT_PREFIX", rule("HOST_NAME", "EQUAL_TO", "m.example.org"), redirect_prefix="https://mobile.example.org"),
            policy("REDIRECT_TO_POOL", rule("HEADER", "EQUAL_TO", "yes", key="X-Special"), redirect_pool="special"),
        ]
        headers = {"X-Forwarded-For": "true", "X-Forwarded-Port": "true", "X-Forwarded-Proto": "true"}
        return {
            "name": "everything",
            "vip_address": VIP,
            "additional_vips": [{"ip_address": VIP6}],
            "listeners": [
                listener("http", "web", *policies, protocol_port=80, insert_headers=headers, connection_limit=2000),
                listener("tcp", "echo", protocol="TCP", protocol_port=81, timeout_client_data=30_000, timeout_tcp_inspect=100),
                listener("passed through", "secure", protocol="HTTPS", protocol_port=8443),
                listener("terminated", "encrypted", protocol_port=443, **terminated),
                listener("proxy", "proxy", protocol_port=82),
                listener("proxy 2", "proxy 2", protocol_port=83),
                listener("ping", "pinged", protocol_port=84),
                listener("cookie", "sticky", protocol_port=85),
                listener("statistics", protocol="PROMETHEUS", protocol_port=9090),
                listener("off", "web", protocol_port=86, admin_state_up=False),
                *more,
            ],
            "pools": [
                pool("web", one, two, healthmonitor=HTTP_MONITOR, session_persistence={"type": "HTTP_COOKIE"}),
                pool("special", self.special, {**one, "backup": True}, {**two, "admin_state_up": False}),
                pool("echo", self.echo, protocol="TCP", session_persistence={"type": "SOURCE_IP"}, healthmonitor=TCP_MONITOR),
                pool("secure", self.secure, protocol="HTTPS", lb_algorithm="LEAST_CONNECTIONS"),
                pool(
                    "encrypted",
                    self.secure,
                    tls_enabled=True,
                    ca_tls_container_ref="members-ca",
                    crl_container_ref="members-crl",
                    tls_container_ref="to-members",
                    alpn_protocols=["http/1.1"],
                ),
                pool("proxy", one, protocol="PROXY", lb_algorithm="SOURCE_IP"),
                pool("proxy 2", one, protocol="PROXYV2"),
                pool("pinged", one, {**one, "name": "nobody", "address": NOBODY}, healthmonitor={**TCP_MONITOR, "type": "PING"}),
                pool("sticky", one, two, session_persistence={"type": "APP_COOKIE", "cookie_name": "JSESSIONID"}),
            ],
        }


@pytest.fixture(scope="module")
def everything(controller: Controller, directory: Path) -> Iterator[Everything]:
    with Site(controller, directory / "driver-site") as site:
        members = Authority("Members")
        tls = members.server("www.example.org", "shop.example.org").server_context(client_ca=members)
        tls.verify_mode = ssl.CERT_OPTIONAL
        found = Everything(
            site,
            Authority("Users"),
            members,
            site.http_backend("one"),
            site.http_backend("two", MEMBERS[1]),
            site.http_backend("special"),
            site.http_backend("secure", tls=tls),
            site.echo_backend("echo"),
        )
        site.describe(found.graph(), found.secrets())
        site.plug_vip(site.machine)
        site.plug_members(site.machine)
        site.update()
        yield found


def get(everything: Everything, port: int, target: str = "/", address: str = VIP, **options: Any) -> Answer:
    """A request of the client's."""
    with everything.site.client.entered():
        return fetch((address, port), target, **options)


def test_interfaces_are_as_octavia_says(everything: Everything) -> None:
    traffic = everything.site.machine.traffic
    assert traffic.addresses("eth1") == {VIP, VIP6, "203.0.113.21"}
    assert traffic.addresses("eth2") == {"198.51.100.21", "2001:db8:2::21"}
    assert traffic.mac("eth1") == everything.site.mac(everything.site.machine, 1)
    amphora = {"model": "amphora", "of": everything.site.machine.id}
    assert everything.site.driver_call("get_interface_from_ip", amphora, VIP) == "eth1"


def test_requests_are_shared_between_members_by_either_address(everything: Everything) -> None:
    for address in (VIP, VIP6):
        assert {get(everything, 80, address=address).name for _ in range(4)} == {"one", "two"}


def test_headers_are_inserted(everything: Everything) -> None:
    headers = dict(get(everything, 80).json()["headers"])
    assert headers["x-forwarded-for"] == CLIENT
    assert (headers["x-forwarded-port"], headers["x-forwarded-proto"]) == ("80", "http")


def test_policies_do_what_they_say(everything: Everything) -> None:
    assert get(everything, 80, "/forbidden/x").status == 403
    moved = get(everything, 80, "/old")
    assert (moved.status, moved.location) == (301, "https://www.example.org/new")
    assert get(everything, 80, "/a?b=c", host="m.example.org").location == "https://mobile.example.org/a?b=c"
    assert get(everything, 80, headers={"X-Special": "yes"}).name == "special"


def test_cookies_keep_clients_at_their_members(everything: Everything) -> None:
    first = get(everything, 80)
    cookie = str(first.header("Set-Cookie")).partition(";")[0]
    assert {get(everything, 80, headers={"Cookie": cookie}).name for _ in range(4)} == {first.name}
    session = get(everything, 85, headers={"X-Lab-Set-Cookie": "JSESSIONID=abc"})
    assert {get(everything, 85, headers={"Cookie": "JSESSIONID=abc"}).name for _ in range(4)} == {session.name}


def test_a_member_that_fails_its_check_gets_nothing(everything: Everything) -> None:
    everything.two.statuses["/health"] = 503
    eventually(lambda: {get(everything, 80).name for _ in range(6)} == {"one"}, "the absence of a failed member")
    everything.two.statuses.clear()
    eventually(lambda: {get(everything, 80).name for _ in range(6)} == {"one", "two"}, "its return")


def test_a_member_that_cannot_be_pinged_gets_nothing(everything: Everything) -> None:
    eventually(lambda: all(get(everything, 84).status == 200 for _ in range(6)), "answers from those that are there", 40)


def test_tcp_is_carried(everything: Everything) -> None:
    with everything.site.client.entered(), Connection((VIP, 81)) as connection:
        connection.send(b"hello\n")
        assert b'"echo"' in connection.receive_line()
        assert connection.receive_line() == b"hello\n"


def test_tls_is_carried(everything: Everything) -> None:
    answer = get(everything, 8443, tls=everything.members.client_context(), server_name="www.example.org")
    assert answer.name == "secure"


def test_tls_is_terminated_and_begun_anew(everything: Everything) -> None:
    user = everything.users.client("somebody")
    answer = get(everything, 443, tls=everything.users.client_context(certificate=user), server_name="shop.example.org")
    assert answer.name == "secure"
    assert answer.header("Strict-Transport-Security") == "max-age=3600;"
    request = answer.json()
    assert dict(request["headers"])["x-ssl-client-cn"] == "somebody"
    assert dict(request["headers"])["x-forwarded-proto"] == "https"
    assert "amphora" in request["arrival"]["tls"]["client"]
    other = get(everything, 443, tls=everything.users.client_context(), server_name="www.example.org")
    assert other.certificate != answer.certificate


@pytest.mark.parametrize(("port", "version"), [(82, 1), (83, 2)])
def test_members_learn_of_the_client_by_the_proxy_protocol(everything: Everything, port: int, version: int) -> None:
    proxy = get(everything, port).json()["arrival"]["proxy"]
    assert (proxy["version"], proxy["source"]) == (version, CLIENT)


def test_what_is_off_is_not_there(everything: Everything) -> None:
    with pytest.raises(ConnectionRefusedError):
        get(everything, 86)


def test_all_listeners_are_told(everything: Everything) -> None:
    site = everything.site
    told = {shown["uuid"]: (shown["status"], shown["type"]) for shown in site.client_call("get_all_listeners")}
    kinds = {"HTTPS": "TCP", "PROMETHEUS": "HTTP"}
    assert told == {each.id: ("ACTIVE", kinds.get(each.protocol, each.protocol)) for each in site.graph.listeners if each.admin_state_up}


def test_the_same_again_sends_no_certificate_twice(everything: Everything) -> None:
    everything.site.update()
    sent = [exchange.path for exchange in everything.site.octavia.exchanges if exchange.method == "PUT"]
    assert len(sent) == 2
    assert not [path for path in sent if "certificates" in path]


def test_a_change_disturbs_no_connection(everything: Everything) -> None:
    site = everything.site
    with site.client.entered(), Connection((VIP, 81)) as connection:
        connection.send(b"before\n")
        connection.receive_line()
        assert connection.receive_line() == b"before\n"
        site.describe(everything.graph(listener("more", "web", protocol_port=87)), everything.secrets())
        site.update()
        connection.send(b"after\n")
        assert connection.receive_line() == b"after\n"
    assert get(everything, 87).status == 200


def test_start_and_reload_are_driver_calls_too(everything: Everything) -> None:
    amphora = {"model": "amphora", "of": everything.site.machine.id}
    for method in ("start", "reload"):
        everything.site.driver_call(method, {"model": "load_balancer"}, amphora)
        assert get(everything, 80).status == 200


def test_rules_of_an_sriov_port_are_set(everything: Everything) -> None:
    site = everything.site
    amphora = {"model": "amphora", "of": site.machine.id}
    rules = [{"protocol": "TCP", "cidr": f"{CLIENT}/32", "port": 80}, {"protocol": "vrrp", "cidr": "203.0.113.22/32", "port": 112}]
    site.driver_call("set_interface_rules", amphora, VIP, rules)
    assert get(everything, 80).status == 200
    with pytest.raises((TimeoutError, ConnectionRefusedError)):
        get(everything, 82, patience=2)
    open_to_all = [{"protocol": "TCP", "cidr": None, "port": each.protocol_port} for each in site.graph.listeners]
    site.driver_call("set_interface_rules", amphora, VIP, open_to_all)
    assert get(everything, 82).status == 200


def test_the_agent_may_die_and_come_back(everything: Everything) -> None:
    site = everything.site
    before = site.client_call("get_all_listeners")
    site.machine.kill()
    assert get(everything, 80).status == 200
    with pytest.raises(OctaviaError) as caught:
        site.client_call("get_info")
    assert caught.value.type == "TimeOutException"
    site.machine.start()
    assert site.client_call("get_all_listeners") == before
    site.update()
    assert get(everything, 80).status == 200


def test_the_machine_may_be_switched_off_and_on(everything: Everything) -> None:
    """Its interfaces are there again, as hardware is; of everything else, only what is on the disk."""
    site = everything.site
    before = site.client_call("get_all_listeners")
    site.machine.power_off()
    for number in (1, 2):
        site.attach(site.machine, number)
    site.machine.start()
    eventually(lambda: site.client_call("get_all_listeners") == before, "all listeners")
    eventually(lambda: answered(everything, VIP6) == {"one", "two"}, "answers by an address that the kernel looks at for a second first")


def answered(everything: Everything, address: str) -> set[str | None]:
    """By whom, of some requests; nobody where there is no answer."""
    try:
        return {get(everything, 80, address=address, patience=2).name for _ in range(4)}
    except OSError:
        return set()


def test_certificates_and_configuration_are_changed_by_the_driver(everything: Everything) -> None:
    site = everything.site
    amphora = {"model": "amphora", "of": site.machine.id}
    site.driver_call("upload_cert_amp", amphora, {"model": "bytes", "of": site.machine.issue().bundle_pem.decode()})
    text = site.octavia.command("agent_config", amphora_id=site.machine.id, topology="SINGLE")
    site.driver_call("update_amphora_agent_config", amphora, text)
    assert site.driver_call("get_info", amphora)["api_version"] == "1.0"
    site.driver_call("check", amphora)


def test_management_by_ipv6(everything: Everything) -> None:
    site = everything.site
    document = described(site.graph, [Amphora(site.machine.id, "2001:db8::21", site.vrrp_address(site.machine))])
    site.octavia.command("describe", document=document)
    assert site.client_call("get_info")["api_version"] == "1.0"


def test_a_deleted_listener_is_gone_and_the_last_takes_everything_along(everything: Everything) -> None:
    site = everything.site
    graph = everything.graph()
    site.describe(graph, everything.secrets())
    site.update()
    certificates = site.machine.base / "certs" / site.graph.id
    assert len(list(certificates.iterdir())) > 2
    for each in site.graph.listeners:
        site.driver_call("delete", {"model": "listener", "of": each.id})
        if each.admin_state_up:
            with pytest.raises(ConnectionRefusedError):
                get(everything, each.protocol_port)
    assert site.client_call("get_all_listeners") == []
    assert site.client_call("get_details")["haproxy_count"] == 0
    assert not certificates.exists()
    assert not (site.machine.base / site.graph.id).exists()
