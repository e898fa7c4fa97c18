"""What stands in front of Octavia's API: look-ups, who asks, one change at a time."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from hydria.lab.octavia_plan import PROJECT, PROJECT_NAME
from hydria.octavia.cloud import FILE, Cloud
from hydria.octavia.cloud_things import Network, SecurityGroup, Subnet
from hydria.octavia.control.front import Front
from hydria.octavia.control.lookups import Lookups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    return Cloud.create(tmp_path / FILE)


class Api:
    """In the place of Octavia's: keeps who asked, with which roles, and how many did at once."""

    def __init__(self) -> None:
        self.projects: list[str] = []
        self.roles: list[str] = []
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
        time.sleep(0.02)
        with self._lock:
            self._now -= 1
            self.projects.append(environ.get("HTTP_X_PROJECT_ID", ""))
            self.roles.append(environ.get("HTTP_X_ROLES", ""))
        start_response("200 OK", [])
        return [b"octavia"]


class Asked:
    def __init__(self, cloud: Cloud, project: str | None = PROJECT, *, one_writer: bool = True) -> None:
        self.api = Api()
        self._front = Front(self.api, Lookups(cloud), project, one_writer=one_writer)

    def __call__(self, path: str, query: str = "", method: str = "GET", **headers: str) -> tuple[str, bytes]:
        said: list[str] = []
        environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, **headers}
        body = b"".join(self._front(environ, lambda status, _headers: said.append(status)))
        return said[0], body

    def json(self, path: str, query: str = "") -> Any:
        status, body = self(path, query)
        assert status == "200 OK", body
        return json.loads(body)


@pytest.fixture
def ask(cloud: Cloud) -> Asked:
    return Asked(cloud)


def test_networks_and_subnets_are_found_by_name_and_id(cloud: Cloud, ask: Asked) -> None:
    public, subnet = cloud.named(Network, "public"), cloud.named(Subnet, "public-subnet")
    [found] = ask.json("/v2.0/networks", "name=public")["networks"]
    assert (found["id"], found["router:external"], subnet.id in found["subnets"]) == (public.id, True, True)
    [found] = ask.json("/v2/subnets", f"id={subnet.id}")["subnets"]
    assert (found["cidr"], found["ip_version"], found["allocation_pools"]) == (
        "192.0.2.0/24",
        4,
        [{"start": "192.0.2.100", "end": "192.0.2.199"}],
    )
    assert ask.json(f"/v2.0/subnets/{subnet.id}")["subnet"]["name"] == "public-subnet"
    assert ask.json("/v2.0/subnets", "name=nowhere") == {"subnets": []}
    assert len(ask.json("/v2.0/networks")["networks"]) == 3
    status, body = ask("/v2.0/networks/nowhere")
    assert (status, json.loads(body)["NeutronError"]["type"]) == ("404 Not Found", "NetworkNotFound")


def test_what_is_not_a_name_is_compared_too(cloud: Cloud, ask: Asked) -> None:
    public = cloud.named(Network, "public")
    found = ask.json("/v2.0/subnets", f"network_id={public.id}&ip_version=6&sort_key=name")["subnets"]
    assert [each["name"] for each in found] == ["ipv6-public-subnet"]


def test_ports_groups_and_policies(cloud: Cloud, ask: Asked) -> None:
    group = cloud.create_security_group("web")
    port = cloud.create_port(cloud.named(Network, "public").id, name="vip", security_group_ids=[group.id])
    policy = cloud.create_qos_policy("slow")
    [found] = ask.json("/v2.0/ports", "name=vip")["ports"]
    assert (found["id"], found["security_groups"], found["status"]) == (port.id, [group.id], "DOWN")
    assert found["fixed_ips"][0]["ip_address"] == port.fixed_ips[0].ip_address
    assert ask.json("/v2.0/security-groups", "name=web")["security_groups"][0]["id"] == group.id
    [rule, *_] = ask.json(f"/v2.0/security-groups/{cloud.find(SecurityGroup)[0].id}")["security_group"]["security_group_rules"]
    assert (rule["protocol"], rule["port_range_min"]) == ("tcp", 9443)
    assert ask.json("/v2.0/qos/policies", "name=slow")["policies"][0]["id"] == policy.id


def test_whoever_is_asked_for_is_a_project(ask: Asked) -> None:
    assert ask.json(f"/projects/{PROJECT_NAME}")["project"]["id"] == PROJECT
    assert ask.json(f"/projects/{PROJECT}")["project"]["name"] == PROJECT_NAME
    assert ask.json("/projects/other")["project"]["id"] == "other"


def test_nobody_is_the_labs_project(ask: Asked) -> None:
    assert ask("/v2.0/lbaas/loadbalancers") == ("200 OK", b"octavia")
    ask("/v2.0/lbaas/loadbalancers", HTTP_X_PROJECT_ID="mine")
    assert ask.api.projects == [PROJECT, "mine"]
    # They may do everything, but those who say themselves what they may do.
    ask("/v2.0/lbaas/loadbalancers", HTTP_X_ROLES="reader")
    assert ask.api.roles == ["admin", "admin", "reader"]
    # What is not read is Octavia's to answer, whatever its path.
    assert ask("/v2.0/networks", method="POST") == ("200 OK", b"octavia")


def test_where_keystone_says_who_asks_nobody_else_does(cloud: Cloud) -> None:
    ask = Asked(cloud, project=None)
    assert ask("/v2.0/lbaas/loadbalancers") == ("200 OK", b"octavia")
    assert (ask.api.projects, ask.api.roles) == ([""], [""])


@pytest.mark.parametrize(("method", "one_writer", "most"), [("POST", True, 1), ("POST", False, 4), ("GET", True, 4)])
def test_changes_are_made_one_after_the_other_where_the_database_wants_that(cloud: Cloud, method: str, one_writer: bool, most: int) -> None:
    ask = Asked(cloud, one_writer=one_writer)
    threads = [threading.Thread(target=ask, args=("/v2.0/lbaas/listeners", "", method)) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(ask.api.projects) == 4
    assert (ask.api.most == 1) == (most == 1)
