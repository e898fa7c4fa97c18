"""What a lab of Octavia's is made with, before there is one."""

from __future__ import annotations

import configparser
import ipaddress
from pathlib import Path

import pytest

from hydria.lab import octavia_plan
from hydria.lab.octavia_plan import OctaviaPlan
from hydria.lab.octavia_servers import OWN, Servers, servers
from hydria.octavia import addresses, layout
from hydria.octavia.cloud_things import Range
from hydria.octavia.control import configuration

CLOUD = configuration.Cloud(management="m", group="g", flavor="f")


SECRETS = configuration.Secrets(heartbeat_key="key", passphrase="p" * 32, service="s")


def written(given: Servers = OWN, **wishes: object) -> configparser.RawConfigParser:
    parsed = configparser.RawConfigParser(default_section="")
    plan = OctaviaPlan(**{"name": "n", "port": 1, **wishes})  # type: ignore[arg-type]
    parsed.read_string(configuration.text(Path("/lab"), plan, CLOUD, given.in_the_lab, SECRETS))
    return parsed


def test_whoever_is_not_octavias_has_no_address_of_a_pool() -> None:
    assert tuple(layout.NETWORKS) == (octavia_plan.MANAGEMENT, octavia_plan.PUBLIC, octavia_plan.PRIVATE)
    members = OctaviaPlan(name="n", port=1, members=octavia_plan.MOST_MEMBERS).places.values()
    own = {network: [each.partition("/")[0] for each in given] for network, given in octavia_plan.HYPERVISOR_ADDRESSES.items()}
    own[octavia_plan.PUBLIC] += [each.partition("/")[0] for each in octavia_plan.CLIENT_ADDRESSES]
    own[octavia_plan.PRIVATE] += [address for place in members for address in place]
    for network, subnets in layout.NETWORKS.items():
        assert len(own[network]) == len(set(own[network]))
        assert {subnet.gateway for subnet in subnets} <= set(own[network])
        for address in map(ipaddress.ip_address, own[network]):
            [subnet] = [each for each in subnets if address in ipaddress.ip_network(each.cidr)]
            assert not any(_within(address, pool) for pool in subnet.pools), address


def _within(address: ipaddress.IPv4Address | ipaddress.IPv6Address, pool: Range) -> bool:
    return int(ipaddress.ip_address(addresses.same(pool.first))) <= int(address) <= int(ipaddress.ip_address(addresses.same(pool.last)))


def test_a_member_answers_at_each_of_its_addresses_plain_in_tls_and_by_udp() -> None:
    backends = OctaviaPlan(name="n", port=1, members=2).backends
    assert len(backends) == 12
    assert {(each.port, each.tls, each.udp) for each in backends} == {(80, False, False), (443, True, False), (53, False, True)}
    assert {each.address for each in backends if each.name == "member-2"} == {"198.51.100.12", "2001:db8:1::12"}


def test_what_the_user_says_is_in_octavias_configuration() -> None:
    said = written(pair=True, driver="octavia", beats=7, patience=70)
    assert said["controller_worker"]["loadbalancer_topology"] == "ACTIVE_STANDBY"
    assert said["controller_worker"]["amphora_driver"] == "amphora_haproxy_rest_driver"
    assert (said["health_manager"]["heartbeat_interval"], said["health_manager"]["heartbeat_timeout"]) == ("7", "70")
    assert written()["controller_worker"]["amphora_driver"] == "hydria"


@pytest.mark.parametrize("section", ["certificates", "haproxy_amphora", "hydria", "database"])
def test_its_files_are_in_the_labs_directory(section: str) -> None:
    places = [value for value in written()[section].values() if "/" in value]
    assert places
    assert all("/lab" in each for each in places)


def test_without_a_word_a_lab_has_all_of_its_own() -> None:
    said = written()
    assert said["database"]["connection"].startswith("sqlite:////lab/")
    assert (said["DEFAULT"]["transport_url"], said["api_settings"]["auth_strategy"]) == ("fake://", "testing")
    assert not {"task_flow", "oslo_messaging_rabbit", "keystone_authtoken"} & set(said)


def test_servers_that_are_given_are_in_octavias_configuration_as_they_are_reached_in_the_lab() -> None:
    named = servers("postgresql://me:pa$s@db.example/octavia", "rabbit://u:p@mq.example/lab", "redis://:secret@kv.example:7000/4")
    said = written(named)
    # A dollar is doubled: oslo.config would take it for the beginning of an option's name.
    assert dict(said["database"]) == {"connection": "postgresql+psycopg2://me:pa$$s@127.0.0.1:20001/octavia"}
    assert said["DEFAULT"]["transport_url"] == "rabbit://u:p@127.0.0.1:20002/lab"
    board = {key: said["task_flow"][f"jobboard_{key}"] for key in ("enabled", "backend_hosts", "backend_port", "redis_backend_db")}
    assert board == {"enabled": "True", "backend_hosts": "127.0.0.1", "backend_port": "20003", "redis_backend_db": "4"}
    assert said["task_flow"]["jobboard_backend_password"] == "secret"
    assert said["task_flow"]["jobboard_backend_namespace"] == "hydria-lab-n"


def test_keystone_is_asked_where_there_is_one() -> None:
    said = written(keystone=5001)
    assert said["api_settings"]["auth_strategy"] == "keystone"
    asked = said["keystone_authtoken"]
    assert (asked["auth_url"], asked["username"], asked["password"]) == ("http://127.0.0.1:5001/v3", "octavia", "s")
