"""`Target`: its forms, and everything that makes one unusable, all at once."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import compiler
from compiler import ProblemError, Target, Topology
from compiler.target import Feature, first_with, has, parse_size, parse_version


def refused(text: str) -> list[tuple[str, str]]:
    with pytest.raises(ProblemError) as caught:
        Target.parse(text)
    assert {problem.code for problem in caught.value.problems} == {"invalid-target"}
    return [(problem.path, problem.message) for problem in caught.value.problems]


class TestParse:
    def test_nothing_is_the_default(self) -> None:
        assert Target.parse("") == Target.parse(" , ,") == Target()

    def test_everything(self) -> None:
        text = (
            "haproxy=3.0.1,keepalived=2.3,cpus=4,mem=2G,run_directory=/srv/x,user=,group=hap,bind=::1,port_offset=-10,"
            "maxconn=7,log=,hard_stop_after=8,max_reloads=9,redispatch=off"
        )
        assert Target.parse(text) == Target(
            haproxy=(3, 0, 1),
            keepalived=(2, 3),
            cpus=4,
            memory=2 * 1024**3,
            run_directory="/srv/x",
            user=None,
            group="hap",
            bind_address="::1",
            port_offset=-10,
            maxconn=7,
            log=None,
            hard_stop_after=8,
            max_reloads=9,
            redispatch=False,
        )

    def test_blanks_around_items(self) -> None:
        assert Target.parse(" cpus=2 , maxconn=5 ") == Target(cpus=2, maxconn=5)

    @pytest.mark.parametrize(
        ("text", "path", "said"),
        [
            ("cpu=4", "target.cpu", "unknown key 'cpu'"),
            ("cpus", "target.cpus", "''"),
            ("cpus=four", "target.cpus", "'four'"),
            ("cpus=0", "target", ">= 1"),
            ("cpus=2000", "target", "<= 64"),
            ("haproxy=3", "target.haproxy", "a version such as"),
            ("haproxy=new", "target.haproxy", "a version such as"),
            ("haproxy=2.4", "target.haproxy", "2.6 is the oldest"),
            ("mem=lots", "target.memory", "a size such as"),
            ("mem=-1G", "target.memory", "a size such as"),
            ("mem=", "target.memory", "a size such as"),
            ("topology=TRIO", "target.topology", "TRIO"),
            ("maxconn=0", "target", ">= 1"),
            ("hard_stop_after=0", "target", ">= 1"),
            ("max_reloads=0", "target", ">= 1"),
            ("redispatch=perhaps", "target.redispatch", "on or off"),
            ("run_directory=relative", "target.run_directory", "absolute"),
            ("run_directory=/a b", "target.run_directory", "absolute"),
            ("run_directory=/a\nb", "target.run_directory", "absolute"),
            ("run_directory=/é", "target.run_directory", "absolute"),
            ("run_directory=/" + "x" * 60, "target.run_directory", "61 characters"),
            ("bind=everywhere", "target.bind_address", "an IPv4 or IPv6 address"),
            ("bind=fe80::1%a\nb", "target.bind_address", "an IPv4 or IPv6 address"),
            ("user=a b", "target.user", "'a b'"),
            ("group=a#b", "target.group", "'a#b'"),
            ("log=a'b", "target.log", "letters"),
        ],
    )
    def test_what_is_wrong(self, text: str, path: str, said: str) -> None:
        ((told, message),) = refused(text)
        assert told == path
        assert said in message

    def test_everything_wrong_at_once(self) -> None:
        assert [path for path, _ in refused("cpus=x,mem=y,nothing=1,haproxy=z")] == [
            "target.cpus",
            "target.memory",
            "target.nothing",
            "target.haproxy",
        ]
        assert [path for path, _ in refused("run_directory=x,user=a b,log=a b")] == ["target.run_directory", "target.user", "target.log"]

    def test_the_nearest_key_is_told(self) -> None:
        with pytest.raises(ProblemError) as caught:
            Target.parse("maxcon=5")
        assert caught.value.problems[0].hint == "did you mean 'maxconn'?"


class TestRead:
    PAIR = """
haproxy: "3.0"
topology: ACTIVE_STANDBY
amphora: one
amphorae:
  - {id: one, address: 192.0.2.11}
  - {id: two, address: 192.0.2.12, priority: 90}
vrrp: {interface: eth0, router_id: 7}
networks:
  - {address: 192.0.2.10, cidr: 192.0.2.0/24, gateway: 192.0.2.1, host_routes: [{destination: 198.51.100.0/24, nexthop: 192.0.2.2}]}
"""

    def test_a_pair(self) -> None:
        target = Target.read(self.PAIR)
        assert (target.topology, target.haproxy, target.amphora) == (Topology.ACTIVE_STANDBY, (3, 0), "one")
        assert [(amphora.id, amphora.priority) for amphora in target.amphorae] == [("one", 100), ("two", 90)]
        assert target.vrrp.router_id == 7

    def test_a_version_that_yaml_takes_for_a_number(self) -> None:
        assert Target.read("haproxy: 2.8").haproxy == (2, 8)

    def test_json_and_sizes(self) -> None:
        assert Target.read(json.dumps({"memory": "512M", "cpus": 2})) == Target(memory=512 * 1024**2, cpus=2)
        assert Target.read('{"memory": 1024}').memory == 1024

    @pytest.mark.parametrize(
        ("change", "path"),
        [
            (("amphora: one", "amphora: three"), "target.amphora"),
            (("  - {id: two, address: 192.0.2.12, priority: 90}\n", ""), "target.amphorae"),
            (("192.0.2.12", "nowhere"), "target.amphorae[1].address"),
            (("192.0.2.12", "'fe80::1%a'"), "target.amphorae[1].address"),
            (("id: two", "id: 't w'"), "target.amphorae[1].id"),
            (("interface: eth0", "interface: 'eth0 #'"), "target.vrrp.interface"),
            (("address: 192.0.2.10", "address: x"), "target.networks[0].address"),
            (("cidr: 192.0.2.0/24", "cidr: 192.0.2.0/240"), "target.networks[0].cidr"),
            (("cidr: 192.0.2.0/24", 'cidr: "fe80::%a\\nb/64"'), "target.networks[0].cidr"),
            (("gateway: 192.0.2.1", "gateway: x"), "target.networks[0].gateway"),
            (("nexthop: 192.0.2.2", "nexthop: x"), "target.networks[0].host_routes[0].nexthop"),
            (("destination: 198.51.100.0/24", "destination: x"), "target.networks[0].host_routes[0].destination"),
            (('haproxy: "3.0"', "haproxy: new"), "target.haproxy"),
            (("vrrp: {", "vrrp: {nothing: 1, "), "target"),
        ],
    )
    def test_what_is_wrong_with_a_pair(self, change: tuple[str, str], path: str) -> None:
        assert change[0] in self.PAIR
        with pytest.raises(ProblemError) as caught:
            Target.read(self.PAIR.replace(*change))
        assert [problem.path for problem in caught.value.problems] == [path]

    @pytest.mark.parametrize("text", ["", "5", "[]", "{", "a: b", "check_command: sh", "check_command: '/bin/sh -c'"])
    def test_what_is_no_target(self, text: str) -> None:
        with pytest.raises(ProblemError):
            Target.read(text)


class TestVersionsAndSizes:
    @pytest.mark.parametrize(
        ("text", "version"),
        [("2.6", (2, 6)), ("2.6.12-1+deb12u4", (2, 6, 12)), ("3.2.0", (3, 2, 0)), ("2.9-dev3", (2, 9)), ("10.11.12.13", (10, 11, 12, 13))],
    )
    def test_a_version(self, text: str, version: tuple[int, ...]) -> None:
        assert parse_version(text) == version

    @pytest.mark.parametrize("text", ["", "3", "v3.0", ".5", "x"])
    def test_no_version(self, text: str) -> None:
        with pytest.raises(ValueError, match="version"):
            parse_version(text)

    @pytest.mark.parametrize(
        ("text", "size"),
        [("0", 0), ("5", 5), ("1K", 1024), ("2m", 2 * 1024**2), ("3GiB", 3 * 1024**3), ("1TB", 1024**4), (" 7G ", 7 * 1024**3)],
    )
    def test_a_size(self, text: str, size: int) -> None:
        assert parse_size(text) == size

    @pytest.mark.parametrize("text", ["", "G", "1.5G", "-1", "1X", "1 G", "1GG"])
    def test_no_size(self, text: str) -> None:
        with pytest.raises(ValueError, match="size"):
            parse_size(text)

    @pytest.mark.parametrize("feature", Feature)
    def test_a_feature_begins_with_its_version(self, feature: Feature) -> None:
        first = parse_version(first_with(feature))
        assert Target(haproxy=first).has(feature)
        assert Target(haproxy=(*first, 1)).has(feature)
        assert not Target(haproxy=(first[0], first[1] - 1, 99)).has(feature)


def test_what_was_mended_in_an_older_branch_is_there_from_that_release_on() -> None:
    can = [has(version, Feature.AUTHORITIES_REPLACED) for version in ((2, 8, 24), (2, 8, 25), (3, 0, 11), (3, 2, 7), (3, 2, 8), (3, 4))]
    assert can == [False, True, False, False, True, True]


def test_a_wrong_target_is_a_problem_of_the_bundle() -> None:
    bundle = compiler.build(compiler.load('{"vip_address": "192.0.2.1"}'), Target(user="a b", run_directory="x"))
    assert [problem.path for problem in bundle.problems] == ["target.run_directory", "target.user"]
    assert not bundle.files


#: Words of keepalived's that all supported versions know.
KNOWN_TO_KEEPALIVED = {
    "HTTP_GET",
    "MISC_CHECK",
    "TCP_CHECK",
    "UDP_CHECK",
    "accept",
    "advert_int",
    "check_unicast_src",
    "connect_ip",
    "connect_port",
    "connect_timeout",
    "delay_before_retry",
    "delay_loop",
    "enable_script_security",
    "file",
    "garp_master_refresh",
    "garp_master_refresh_repeat",
    "global_defs",
    "http_protocol",
    "init_file",
    "interface",
    "lvs_method",
    "lvs_sched",
    "max_auto_priority",
    "mh-fallback",
    "misc_path",
    "misc_timeout",
    "nopreempt",
    "path",
    "persistence_granularity",
    "persistence_timeout",
    "priority",
    "protocol",
    "real_server",
    "retry",
    "script_user",
    "sh-fallback",
    "sh-port",
    "state",
    "status_code",
    "track_file",
    "unicast_src_ip",
    "url",
    "uthreshold",
    "version",
    "virtual_router_id",
    "virtual_server",
    "virtualhost",
    "vrrp_instance",
    "vrrp_version",
    "weight",
}


def test_keepalived_is_told_nothing_that_not_every_supported_version_knows() -> None:
    rendered = [path.read_text() for path in (Path(__file__).parents[2] / "golden").glob("*/expected/keepalived/*.conf")]
    assert rendered
    # What is in these are addresses, routes and names.
    lists = r"(virtual_(ipaddress|ipaddress_excluded|routes|rules|server_group)[^{]*|unicast_peer |track_file )\{[^}]*\}"
    blocks = [re.sub(lists, "", text) for text in rendered]
    words = {line.split()[0] for text in blocks for line in text.splitlines() if line.strip() and line.strip()[0] not in "#}"}
    assert words <= KNOWN_TO_KEEPALIVED
