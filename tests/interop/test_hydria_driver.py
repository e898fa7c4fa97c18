"""Octavia drives Hydria's amphorae with Hydria's driver: graphs go to agents that take them, everything else as ever, and traffic flows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hydria_driven import AGENT_OF_1_0, asked, become, generations, of, ways
from octavia_models import reference
from octavia_process import OUR_DRIVER, OWN_DRIVER, Controller, OctaviaError
from octavia_site import CLIENT, MEMBERS, VIP, Site
from support.graphs import listener, member, policy, pool, rule

from compiler.secrets import Secret, Secrets
from hydria.lab.backends import HttpBackend
from hydria.lab.certificates import Authority
from hydria.lab.client import Answer, fetch

pytest_plugins = ["octavia_fixtures"]

#: What Octavia's templates do not quote.
ODD = """it's {odd} "here" # 'there' $HOME -i"""


class Served(NamedTuple):
    site: Site
    users: Authority
    one: HttpBackend
    two: HttpBackend

    def graph(self, *more: dict[str, Any], **of_one: Any) -> dict[str, Any]:
        """In the API's words; `of_one` are fields of the first member."""
        tls = {"protocol": "TERMINATED_HTTPS", "default_tls_container_ref": "default", "sni_container_refs": ["shop"]}
        return {
            "name": "driven",
            "vip_address": VIP,
            "listeners": [
                listener("web", "servers", policy("REJECT", rule("HEADER", "EQUAL_TO", ODD, key="X-Odd")), protocol_port=80),
                listener("terminated", "servers", protocol_port=443, **tls),
                listener("not for all", "servers", protocol_port=81, allowed_cidrs=["203.0.113.0/28"]),
                listener("off", "servers", protocol_port=86, admin_state_up=False),
                *more,
            ],
            "pools": [pool("servers", member(self.one, **of_one), member(self.two))],
        }

    def secrets(self) -> Secrets:
        return Secrets({name: Secret(self.users.server(f"{name}.example.org").bundle_pem) for name in ("default", "shop")})

    def get(self, port: int, path: str = "/", **options: Any) -> Answer:
        with self.site.client.entered():
            return fetch((VIP, port), path, **options)

    def listens(self, port: int) -> bool:
        try:
            return self.get(port).status == 200
        except ConnectionRefusedError:
            return False


@pytest.fixture(scope="module")
def serving(controller: Controller, directory: Path) -> Iterator[Served]:
    with Site(controller, directory / "hydria-site", driver=OUR_DRIVER) as site:
        found = Served(site, Authority("Users"), site.http_backend("one"), site.http_backend("two", MEMBERS[1]))
        site.describe(found.graph(), found.secrets())
        site.plug_vip(site.machine)
        site.plug_members(site.machine)
        yield found


@pytest.fixture
def served(serving: Served) -> Served:
    """As every test finds it."""
    serving.site.describe(serving.graph(), serving.secrets())
    serving.site.update()
    return serving


def test_a_load_balancer_comes_as_one_graph(served: Served) -> None:
    # Octavia's client of 1.0 was not asked for anything.
    assert served.site.octavia.exchanges == []
    assert ways(served.site)[0][0] == "2.0"
    assert {served.get(80).name for _ in range(4)} == {"one", "two"}
    with pytest.raises(ConnectionRefusedError):
        served.get(86)


def test_certificates_come_from_octavias_certificate_manager(served: Served) -> None:
    context = served.users.client_context()
    certificates = {served.get(443, tls=context, server_name=f"{name}.example.org").certificate for name in ("default", "shop")}
    assert len(certificates) == 2


def test_values_are_quoted_and_allowed_addresses_are_kept_to(served: Served) -> None:
    assert served.get(80, headers={"X-Odd": ODD}).status == 403
    assert CLIENT == "203.0.113.100"
    with pytest.raises((ConnectionError, TimeoutError)):
        served.get(81, patience=2)


def test_a_weight_changes_without_a_reload(served: Served) -> None:
    site = served.site
    site.describe(served.graph(weight=0), served.secrets())
    site.update()
    assert ways(site)[0] == ("2.0", "runtime")
    assert {served.get(80).name for _ in range(4)} == {"two"}


def test_the_same_again_changes_nothing(served: Served) -> None:
    before = generations(served.site)
    served.site.update()
    for method in ("start", "reload"):
        served.site.driver_call(method, {"model": "load_balancer"}, of(served.site.machine))
    served.site.driver_call("update", {"model": "load_balancer"})
    assert generations(served.site) == before


def test_problems_of_a_graph_are_told_by_the_exception(served: Served) -> None:
    site = served.site
    before = generations(site)
    site.describe(served.graph(listener("again", "servers", protocol_port=80)), served.secrets())
    with pytest.raises(OctaviaError) as caught:
        site.update()
    assert caught.value.type == "NotProvisioned"
    again = site.graph.listeners[-1].id
    assert f"listener {again}: loadbalancer.listeners[4].protocol_port: " in str(caught.value)
    assert "[duplicate-port]" in str(caught.value)
    assert generations(site) == before


def test_a_listener_whose_certificate_is_gone_stops_no_other(served: Served) -> None:
    site = served.site
    lost = listener("lost", "servers", protocol="TERMINATED_HTTPS", protocol_port=444, default_tls_container_ref="lost")
    secret = {"lost": Secret(served.users.server("lost.example.org").bundle_pem)}
    site.describe(served.graph(lost, listener("more", "servers", protocol_port=87)), Secrets(served.secrets() | secret))
    (site.octavia.secrets / f"{reference('lost')}.crt").unlink()
    site.octavia.command("keep_listeners")
    site.update()
    assert served.listens(87)
    assert not served.listens(444)
    statuses = site.octavia.command("listener_statuses")
    wrong = {each.name for each in site.graph.listeners if statuses[each.id] == "ERROR"}
    assert wrong == {"lost"}


def test_how_sources_are_hashed_is_for_the_operator_to_say(served: Served) -> None:
    site = served.site
    graph = served.graph()
    [servers] = graph["pools"]
    graph["pools"] = [servers | {"lb_algorithm": "SOURCE_IP"}]
    site.describe(graph, served.secrets())
    try:
        for source_hash, hash_type in (("consistent", "consistent"), ("map", "map-based")):
            site.octavia.configure(OUR_DRIVER, hydria={"source_hash": source_hash})
            site.update()
            files = asked(site.machine, f"/2.0/loadbalancers/{site.graph.id}/files")
            [text] = [each["text"] for each in files if each["path"] == "haproxy.cfg"]
            assert f"hash-type {hash_type}" in text
    finally:
        site.octavia.configure(OUR_DRIVER, hydria={"source_hash": "consistent"})


def test_an_agent_that_is_away_is_waited_for_as_octavia_waits(served: Served) -> None:
    site = served.site
    site.machine.kill()
    with pytest.raises(OctaviaError) as caught:
        site.update()
    assert caught.value.type == "NotReached"
    assert site.machine.address in str(caught.value)
    site.machine.start()


def test_it_may_be_driven_by_octavias_own_driver_and_back(served: Served) -> None:
    """As an operator does who tries the driver, and goes back."""
    site = served.site
    for driver, contract in ((OWN_DRIVER, "1.0"), (OUR_DRIVER, "2.0")):
        site.drive_by(driver)
        site.describe({**served.graph(), "listeners": [listener("web", "servers", protocol_port=80)]})
        site.update()
        assert ways(site)[0][0] == contract
        assert {served.get(80).name for _ in range(4)} == {"one", "two"}


def test_what_is_not_about_listeners_goes_by_the_1_0_contract(served: Served) -> None:
    site = served.site
    site.driver_call("upload_cert_amp", of(site.machine), {"model": "bytes", "of": site.machine.issue().bundle_pem.decode()})
    text = site.octavia.command("agent_config", amphora_id=site.machine.id, topology="SINGLE")
    site.driver_call("update_amphora_agent_config", of(site.machine), text)
    assert [each.path for each in site.octavia.exchanges if each.method == "PUT"] == ["/1.0/config"]
    assert site.driver_call("get_interface_from_ip", of(site.machine), VIP) == "eth1"
    assert {"ACTIVE"} == {each["status"] for each in site.client_call("get_all_listeners")}


def test_a_deleted_listener_is_gone_and_the_last_takes_everything_along(served: Served) -> None:
    site = served.site
    for number, each in enumerate(site.graph.listeners, 1):
        left = [other.id for other in site.graph.listeners[number:] if other.admin_state_up]
        site.driver_call("delete", {"model": "listener", "of": each.id})
        site.octavia.command("forget", listener=each.id)
        assert {told["uuid"] for told in site.client_call("get_all_listeners")} == set(left)
    assert asked(site.machine, "/2.0/loadbalancers") == []
    assert not (site.machine.base / site.graph.id).exists()


def test_an_agent_of_1_0_alone_is_driven_by_octavias_contract_until_it_is_another(served: Served) -> None:
    site = served.site
    current = site.machine.program
    become(site.machine, AGENT_OF_1_0)
    assert asked(site.machine, "/2.0/loadbalancers") == 404
    site.update()
    uploads = [each.path for each in site.octavia.exchanges if each.method == "PUT"]
    assert uploads[-2:] == [f"/1.0/loadbalancer/{site.machine.id}/{site.graph.id}/haproxy", f"/1.0/loadbalancer/{site.graph.id}/reload"]
    for method in ("start", "reload"):
        site.driver_call(method, {"model": "load_balancer"}, of(site.machine))
        assert site.octavia.exchanges[-1].path == f"/1.0/loadbalancer/{site.graph.id}/{method}"
    assert {served.get(80).name for _ in range(4)} == {"one", "two"}
    [*_, last] = site.graph.listeners
    site.driver_call("delete", {"model": "listener", "of": last.id})
    assert site.octavia.exchanges[-1].path == f"/1.0/loadbalancer/{site.graph.id}/reload"

    become(site.machine, current)
    site.describe(served.graph(), served.secrets())
    site.update()
    assert site.octavia.exchanges == []
    assert ways(site)[0][0] == "2.0"
    assert {served.get(80).name for _ in range(4)} == {"one", "two"}
