"""UDP and SCTP listeners: keepalived takes the virtual servers, and the packet filter, loaded by real nft, admits whom it should.

There is no LVS here: what would be forwarded is delivered to a socket on the VIP, behind the same filter.
"""

from __future__ import annotations

import json
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest
from support.namespaces import Namespace, join

import compiler
from agent import bundle_directory
from compiler.bundle import FILTER_NFT, lvs_conf

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.graphs import Part

    from compiler.bundle import Bundle

VIPS = {4: ("10.90.0.1", "10.90.0.11"), 6: ("fd90::1", "fd90::11")}
ALLOWED = {4: ("10.98.0.2", "10.98.4.7", "10.98.7.255"), 6: ("fd98::2", "fd98:0:0:4::7")}
DENIED = {4: ("10.98.0.3", "10.98.3.255", "10.98.8.0"), 6: ("fd98::3", "fd98:0:0:5::7")}
CIDRS = ["10.98.0.2/32", "10.98.4.0/23", "10.98.6.1/23", "fd98::2/128", "fd98:0:0:4::/64"]
MONITORS: list[Part] = [
    {"type": "UDP-CONNECT"},
    {"type": "TCP"},
    {"type": "HTTP", "url_path": "/health?a=1&b=2", "expected_codes": "200,204-206", "http_version": 1.1, "domain_name": "h.example"},
    {"type": "SCTP"},
]


def udp(name: str, port: int, protocol: str = "UDP", **fields: Any) -> Part:
    members = [
        {"address": "10.97.0.2", "protocol_port": 9000, "weight": 3},
        {"address": "10.97.0.3", "protocol_port": 9001, "weight": 0},
        {"address": "fd97::2", "protocol_port": 9000, "monitor_address": "fd97::3", "monitor_port": 80},
    ]
    used = {"name": name, "protocol": protocol, "lb_algorithm": "ROUND_ROBIN", "members": members, **fields.pop("pool", {})}
    return {"name": name, "protocol": protocol, "protocol_port": port, "default_pool": used, **fields}


def listeners() -> list[Part]:
    times = {"delay": 3, "timeout": 2, "max_retries": 1}
    found = [
        udp("limited", 5000, allowed_cidrs=CIDRS),
        udp("open", 5001),
        udp("only4", 5002, allowed_cidrs=["0.0.0.0/0"]),
        udp("only6", 5003, allowed_cidrs=["::/0"]),
        udp("sctp", 5000, "SCTP", allowed_cidrs=["10.98.0.3/32", "fd98::3/128"]),
        udp("sctp-open", 5001, "SCTP"),
    ]
    for number, monitor in enumerate(MONITORS):
        protocol = "SCTP" if monitor["type"] == "SCTP" else "UDP"
        found.append(udp(f"monitored-{number}", 5100 + number, protocol, pool={"healthmonitor": {**times, **monitor}}))
    algorithms = ("LEAST_CONNECTIONS", "SOURCE_IP", "SOURCE_IP_PORT")
    for number, algorithm in enumerate(algorithms):
        kept = {"type": "SOURCE_IP", "persistence_timeout": 60, "persistence_granularity": "255.255.255.0"}
        found.append(udp(f"algorithm-{number}", 5200 + number, pool={"lb_algorithm": algorithm}, connection_limit=100))
        found.append(udp(f"mapped-{number}", 5300 + number, "SCTP", pool={"lb_algorithm": algorithm, "hash": "map"}))
        if algorithm == "LEAST_CONNECTIONS":
            found.append(udp(f"kept-{number}", 5400 + number, pool={"lb_algorithm": algorithm, "session_persistence": kept}))
    return found


def build(described: list[Part]) -> tuple[compiler.LoadBalancer, Bundle]:
    first, *others = [*VIPS[4], *VIPS[6]]
    additional = [{"ip_address": vip} for vip in others]
    graph = compiler.load(
        json.dumps({"loadbalancer": {"name": "lb", "vip_address": first, "additional_vips": additional, "listeners": described}})
    )
    # The checks of keepalived -t want the program to be there.
    bundle = compiler.build(graph, compiler.Target(check_command="/bin/true"))
    assert bundle.ok, "\n".join(map(str, bundle.problems))
    return graph, bundle


@pytest.fixture(scope="module")
def balancer() -> Iterator[Namespace]:
    with Namespace("lb") as namespace:
        for vip in VIPS[4]:
            namespace.ip(f"address add {vip}/32 dev lo")
        for vip in VIPS[6]:
            namespace.ip(f"address add {vip}/128 dev lo nodad")
        yield namespace


@pytest.fixture(scope="module")
def client(balancer: Namespace) -> Iterator[Namespace]:
    with Namespace("client") as namespace:
        join(balancer, "eth1", namespace, "eth0")
        balancer.ip("address add 10.99.0.1/24 dev eth1")
        balancer.ip("address add fd99::1/64 dev eth1 nodad")
        balancer.ip("route add 10.98.0.0/16 via 10.99.0.2")
        balancer.ip("-6 route add fd98::/16 via fd99::2")
        namespace.ip("address add 10.99.0.2/24 dev eth0")
        namespace.ip("address add fd99::2/64 dev eth0 nodad")
        for address in (*ALLOWED[4], *DENIED[4]):
            namespace.ip(f"address add {address}/32 dev lo")
        for address in (*ALLOWED[6], *DENIED[6]):
            namespace.ip(f"address add {address}/128 dev lo nodad")
        namespace.ip("route add 10.90.0.0/16 via 10.99.0.1")
        namespace.ip("-6 route add fd90::/16 via fd99::1")
        yield namespace


@pytest.fixture(scope="module")
def filtering(balancer: Namespace, tmp_path_factory: pytest.TempPathFactory) -> Namespace:
    """The balancer with its filter loaded; twice, for nothing may come of that."""
    bundle_directory.replace(build(listeners())[1], directory := tmp_path_factory.mktemp("lb") / "bundle")
    for _ in range(2):
        balancer.run("nft", "-f", str(directory / FILTER_NFT))
    return balancer


def test_keepalived_takes_every_listener(client: Namespace, balancer: Namespace, tmp_path: Path) -> None:
    del client
    graph, bundle = build(listeners())
    bundle_directory.replace(bundle, tmp_path / "bundle")
    for part in graph.listeners:
        balancer.run("keepalived", "-t", "-l", "-f", str(tmp_path / "bundle" / lvs_conf(part.id)))


def test_what_is_loaded_twice_is_there_once(filtering: Namespace) -> None:
    shown = json.loads(filtering.run("nft", "-j", "list", "ruleset"))["nftables"]
    assert len([part for part in shown if "table" in part]) == 1
    # Four listeners are limited, for each family of VIPs; and there is the masquerading.
    assert len([part for part in shown if "rule" in part]) == 4 * 2 + 1


def test_a_load_balancers_filter_leaves_others_alone(filtering: Namespace, tmp_path: Path) -> None:
    filtering.run("nft", "add", "table", "inet", "somebody_elses")
    bundle_directory.replace(build(listeners())[1], tmp_path / "bundle")
    filtering.run("nft", "-f", str(tmp_path / "bundle" / FILTER_NFT))
    assert "table inet somebody_elses" in filtering.run("nft", "list", "tables").splitlines()
    filtering.run("nft", "delete", "table", "inet", "somebody_elses")


def family(version: int) -> socket.AddressFamily:
    return socket.AF_INET if version == 4 else socket.AF_INET6


def who_comes_through(
    balancer: Namespace, client: Namespace, *, version: int, vip: str, port: int, marker_port: int, sctp: bool = False
) -> set[str]:
    """Sends from every address to the port, then to one where everybody may come; who had come to the first when that has."""
    sources = [*ALLOWED[version], *DENIED[version]]
    kind, protocol = (socket.SOCK_RAW, socket.IPPROTO_SCTP) if sctp else (socket.SOCK_DGRAM, 0)

    def receiving(number: int) -> socket.socket:
        with balancer.entered():
            made = socket.socket(family(version), kind, protocol)
        made.settimeout(10)
        made.bind((vip, 0 if sctp else number))
        return made

    def send(source: str, number: int) -> None:
        with client.entered():
            made = socket.socket(family(version), kind, protocol)
        with made:
            made.bind((source, 0))
            # An SCTP packet is its common header and a chunk (RFC 9260 3.1): here an INIT that nobody reads.
            packet = struct.pack("!HHII", 7000, number, 0, 0) + struct.pack("!BBHIIHHI", 1, 0, 20, 1, 65536, 1, 1, 1) if sctp else b"x"
            made.sendto(packet, (vip, 0 if sctp else number))

    with receiving(port) as limited, receiving(marker_port) as marker:
        for source in sources:
            send(source, port)
        send(sources[0], marker_port)
        if sctp:
            return set(sctp_until(marker, marker_port, port))
        marker.recv(100)
        limited.setblocking(False)
        came = set()
        while True:
            try:
                came.add(limited.recvfrom(100)[1][0])
            except BlockingIOError:
                return came


def sctp_until(raw: socket.socket, marker_port: int, port: int) -> Iterator[str]:
    """Sources of the SCTP packets to `port` that come before one to `marker_port`; a raw socket gets those to all ports."""
    while True:
        packet, peer = raw.recvfrom(200)
        header = packet[(packet[0] & 15) * 4 :] if raw.family == socket.AF_INET else packet
        number = int.from_bytes(header[2:4])
        if number == marker_port:
            return
        if number == port:
            yield peer[0]


@pytest.mark.parametrize("version", [4, 6])
class TestWhoIsAdmitted:
    def test_udp(self, filtering: Namespace, client: Namespace, version: int) -> None:
        for vip in VIPS[version]:
            came = who_comes_through(filtering, client, version=version, vip=vip, port=5000, marker_port=5001)
            assert came == set(ALLOWED[version]), vip

    def test_of_a_family_that_is_not_mentioned_nobody(self, filtering: Namespace, client: Namespace, version: int) -> None:
        everybody = {*ALLOWED[version], *DENIED[version]}
        for number, admitted in ((4, 5002), (6, 5003)):
            came = who_comes_through(filtering, client, version=version, vip=VIPS[version][0], port=admitted, marker_port=5001)
            assert came == (everybody if number == version else set())

    def test_a_listener_without_limits_is_open(self, filtering: Namespace, client: Namespace, version: int) -> None:
        came = who_comes_through(filtering, client, version=version, vip=VIPS[version][0], port=5100, marker_port=5001)
        assert came == {*ALLOWED[version], *DENIED[version]}

    def test_sctp_on_the_same_port_has_its_own_limits(self, filtering: Namespace, client: Namespace, version: int) -> None:
        for vip in VIPS[version]:
            came = who_comes_through(filtering, client, version=version, vip=vip, port=5000, marker_port=5001, sctp=True)
            assert came == {DENIED[version][0]}, vip


@pytest.mark.parametrize("version", [4, 6])
def test_what_is_forwarded_bears_the_balancers_address(filtering: Namespace, client: Namespace, version: int) -> None:
    """So that the member answers by way of it: there is no route to the client that the member knows."""
    filtering.sysctl("ipv4/ip_forward", "1")
    filtering.sysctl("ipv6/conf/all/forwarding", "1")
    # A namespace goes some time after it was removed: its cable must not be in the way of the next one's.
    prefix, length = ("10.97.0.", 24) if version == 4 else ("fd97::", 64)
    with Namespace("member") as member:
        join(filtering, f"to-member-{version}", member, "eth0")
        filtering.ip(f"address add {prefix}1/{length} dev to-member-{version} {'' if version == 4 else 'nodad'}")
        member.ip(f"address add {prefix}2/{length} dev eth0 {'' if version == 4 else 'nodad'}")
        client.ip(f"-{version} route add {prefix}{'0' if version == 4 else ''}/{length} via {'10.99.0.1' if version == 4 else 'fd99::1'}")
        with member.entered():
            serving = socket.socket(family(version), socket.SOCK_DGRAM)
        with client.entered():
            asking = socket.socket(family(version), socket.SOCK_DGRAM)
        with serving, asking:
            serving.settimeout(10)
            serving.bind((f"{prefix}2", 9000))
            asking.settimeout(10)
            asking.sendto(b"question", (f"{prefix}2", 9000))
            question, peer = serving.recvfrom(100)
            assert (question, peer[0]) == (b"question", f"{prefix}1")
            serving.sendto(b"answer", peer)
            assert asking.recv(100) == b"answer"


def test_a_filter_that_follows_replaces_the_one_before(balancer: Namespace, client: Namespace, tmp_path: Path) -> None:
    """Last in this file: it leaves the balancer with the limits of another graph."""
    described = [{**part, "allowed_cidrs": ["10.98.0.3/32"]} if part["name"] == "limited" else part for part in listeners()]
    bundle_directory.replace(build(described)[1], tmp_path / "bundle")
    balancer.run("nft", "-f", str(tmp_path / "bundle" / FILTER_NFT))
    came = who_comes_through(balancer, client, version=4, vip=VIPS[4][0], port=5000, marker_port=5001)
    assert came == {"10.98.0.3"}
