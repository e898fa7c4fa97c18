"""The provider `hydria` of Octavia's API: SOURCE_IP_PORT, what it refuses at once, and that a load balancer of it is failed over and told of as any."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from octavia_cloud import User, UserError, octavia_lab
from support.pages import page
from support.polling import eventually

from hydria.lab.lab import CLIENTS
from hydria.lab.namespaces import inside

pytestmark = pytest.mark.slow

VIP = "192.0.2.10"
POOL = ("--protocol", "HTTP", "--lb-algorithm", "SOURCE_IP_PORT")


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with octavia_lab("provider", members=3, beats=1) as made:
        made.loadbalancer("create", "--name", "lb", "--vip-subnet-id", "public-subnet", "--vip-address", VIP, "--wait")
        made.loadbalancer("listener", "create", "--name", "web", "--protocol", "HTTP", "--protocol-port", "80", "--wait", "lb")
        made.loadbalancer("pool", "create", "--name", "servers", *POOL, "--listener", "web", "--wait")
        for name, (address, _) in made.lab.octavia.places.items():
            member = ("--subnet-id", "private-subnet", "--address", address, "--protocol-port", "80", "--wait", "servers")
            made.loadbalancer("member", "create", "--name", name, *member)
        yield made


def by_port(user: User, ports: range) -> dict[int, str]:
    """Which member a client gets that comes from each of these ports."""
    with inside(user.lab.network(CLIENTS)):
        return {port: answered(port) for port in ports}


def answered(port: int) -> str:
    with socket.socket() as connection:
        connection.settimeout(5)
        connection.bind(("192.0.2.201", port))
        connection.connect((VIP, 80))
        connection.sendall(b"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n")
        # To its end, so that it is the load balancer that closes: the port is free then.
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    name: str = json.loads(answer.partition(b"\r\n\r\n")[2])["name"]
    return name


def balancer(user: User) -> dict[str, Any]:
    shown: dict[str, Any] = user.loadbalancer("show", "lb")
    return shown


def test_ports_of_one_client_are_spread_and_each_keeps_its_member(user: User) -> None:
    assert user.loadbalancer("pool", "show", "servers")["lb_algorithm"] == "SOURCE_IP_PORT"
    first = by_port(user, range(20_000, 20_060))
    assert set(first.values()) == set(user.lab.octavia.places)
    assert by_port(user, range(20_000, 20_060)) == first


def test_the_provider_of_octavias_own_refuses_it(user: User) -> None:
    assert balancer(user)["provider"] == "hydria"
    made = user.loadbalancer("create", "--name", "other", "--provider", "amphora", "--vip-subnet-id", "public-subnet", "--wait")
    with pytest.raises(UserError, match="Amphora provider does not support SOURCE_IP_PORT"):
        user.loadbalancer("pool", "create", "--name", "others", *POOL, "--loadbalancer", "other")
    user.loadbalancer("delete", "--cascade", "--wait", made["id"])


def test_what_amphorae_would_refuse_is_refused_at_once_and_leaves_nothing_in_error(user: User) -> None:
    monitor = ("--name", "health", "--type", "HTTP", "--max-retries", "1")
    with pytest.raises(UserError, match="timeout 5 s with delay 5 s given; the timeout must be smaller"):
        user.loadbalancer("healthmonitor", "create", *monitor, "--delay", "5", "--timeout", "5", "servers")
    user.loadbalancer("healthmonitor", "create", *monitor, "--delay", "2", "--timeout", "1", "--wait", "servers")
    with pytest.raises(UserError, match="timeout 2 s with delay 2 s given"):
        user.loadbalancer("healthmonitor", "set", "--timeout", "2", "health")
    assert user.loadbalancer("healthmonitor", "show", "health")["timeout"] == 1
    user.loadbalancer("healthmonitor", "set", "--delay", "3", "--timeout", "2", "--wait", "health")
    user.loadbalancer("l7policy", "create", "--name", "policy", "--action", "REJECT", "--wait", "web")
    rule = ("--compare-type", "EQUAL_TO", "--value", "true", "--type")
    with pytest.raises(UserError, match="SSL_CONN_HAS_CERT needs a TERMINATED_HTTPS listener"):
        user.loadbalancer("l7rule", "create", *rule, "SSL_CONN_HAS_CERT", "policy")
    made = user.loadbalancer("l7rule", "create", *rule, "PATH", "--wait", "policy")
    with pytest.raises(UserError, match="SSL_CONN_HAS_CERT needs a TERMINATED_HTTPS listener"):
        user.loadbalancer("l7rule", "set", "--type", "SSL_CONN_HAS_CERT", "policy", made["id"])
    assert balancer(user)["provisioning_status"] == "ACTIVE"
    assert user.answers(VIP)


def test_the_status_page_of_a_lab_follows_what_octavia_makes(user: User) -> None:
    with page("lab", "web", "--name", user.lab.name) as shown:
        eventually(lambda: shown.balancer().get("listeners"), "a load balancer", 60)
        assert shown.balancer()["vips"] == [VIP]
        made = user.loadbalancer("create", "--name", "second", "--vip-subnet-id", "public-subnet", "--wait")
        user.loadbalancer("listener", "create", "--name", "other", "--protocol", "TCP", "--protocol-port", "80", "--wait", "second")
        eventually(lambda: "second" in {one["name"] for one in shown.document()["balancers"]}, "another one", 60)
        user.loadbalancer("delete", "--cascade", "--wait", made["id"])
        eventually(lambda: {one["name"] for one in shown.document()["balancers"]} == {"lb"}, "one again", 60)
        assert shown.document()["agents"] == []
        assert shown.end() == 0


def test_statuses_and_statistics_are_told_and_a_failover_goes_through(user: User) -> None:
    eventually(lambda: balancer(user)["operating_status"] == "ONLINE", "a load balancer that is ONLINE", 90)
    total = int(user.loadbalancer("stats", "show", "lb")["total_connections"])
    for _ in range(10):
        assert user.get(VIP).status == 200
    eventually(lambda: int(user.loadbalancer("stats", "show", "lb")["total_connections"]) == total + 10, "10 connections counted", 60)
    before = by_port(user, range(21_000, 21_030))
    [old] = user.amphorae(status="ALLOCATED")
    user.loadbalancer("failover", "--wait", "lb")
    [new] = user.amphorae(status="ALLOCATED")
    assert new["id"] != old["id"]
    assert by_port(user, range(21_000, 21_030)) == before
    eventually(lambda: balancer(user)["operating_status"] == "ONLINE", "a load balancer that is ONLINE again", 90)
