"""A pair of amphorae whose keepalived is real: who holds the VIPs, and how they move."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.namespaces import Namespace, switched
from support.polling import eventually

import compiler
from agent import bundle_directory
from compiler.bundle import VRRP_CONF

if TYPE_CHECKING:
    from collections.abc import Iterator

VIPS = {"192.0.2.10", "192.0.2.11", "2001:db8::10"}
ADDRESSES = {"ipv4": ("192.0.2.101", "192.0.2.102"), "ipv6": ("2001:db8::101", "2001:db8::102")}
#: Who asks for VIPs, as any machine of their network.
NEIGHBOUR = ("192.0.2.50", "2001:db8::50")
GRAPH = {
    "name": "lb",
    "vip_address": "192.0.2.10",
    "additional_vips": [{"ip_address": "192.0.2.11"}, {"ip_address": "2001:db8::10"}],
    "listeners": [{"name": "web", "protocol": "HTTP", "protocol_port": 80}],
}
NETWORKS = [
    {
        "address": "192.0.2.10",
        "cidr": "192.0.2.0/24",
        "gateway": "192.0.2.1",
        "host_routes": [{"destination": "198.51.100.0/24", "nexthop": "192.0.2.254"}],
    },
    {"address": "192.0.2.11", "cidr": "192.0.2.0/24"},
    {"address": "2001:db8::10", "cidr": "2001:db8::/64", "gateway": "2001:db8::1"},
]


class Amphora:
    """One side: a namespace, the files that are rendered for it, and its keepalived."""

    def __init__(self, namespace: Namespace, directory: Path, family: str, *, first: bool, preempt: bool) -> None:
        self.namespace = namespace
        self.directory = directory
        self.run_directory = directory / "run"
        self.run_directory.mkdir(parents=True)
        graph = compiler.load(json.dumps({"loadbalancer": GRAPH}))
        self.health = self.run_directory / f"{graph.id}.health"
        one, other = ADDRESSES[family]
        described = {
            "topology": "ACTIVE_STANDBY",
            "amphora": "a" if first else "b",
            "amphorae": [{"id": "a", "address": one, "priority": 100}, {"id": "b", "address": other, "priority": 90}],
            "vrrp": {"interface": "eth1", "router_id": 17, "advert_interval": 250, "preempt": preempt},
            "networks": NETWORKS,
            "run_directory": str(self.run_directory),
        }
        bundle = compiler.build(graph, compiler.Target.read(json.dumps(described)))
        assert bundle.ok, "\n".join(map(str, bundle.problems))
        bundle_directory.replace(bundle, directory / "bundle")
        self.log = directory / "keepalived.log"
        self._process: subprocess.Popen[bytes] | None = None

    def check(self) -> str:
        return self.namespace.run("keepalived", "-t", "-l", "-f", str(self.directory / "bundle" / VRRP_CONF))

    def start(self) -> None:
        files = ("--pid", str(self.run_directory / "keepalived.pid"), "--vrrp_pid", str(self.run_directory / "vrrp.pid"))
        command = ["keepalived", "-n", "-l", "-D", "-P", "-f", str(self.directory / "bundle" / VRRP_CONF), *files]
        with self.namespace.entered(), self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def stop(self) -> None:
        """As an administrator does: keepalived gives the VIPs back."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
            self._process = None

    def kill(self) -> None:
        """As a crash does: everything of it stays as it was, but nobody speaks for it any more."""
        if self._process is not None:
            # The part that speaks VRRP is a child with a process group of its own.
            child = int((self.run_directory / "vrrp.pid").read_text())
            for pid in (self._process.pid, child):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def words(self) -> str:
        """All that its keepalived said."""
        return self.log.read_text()

    def held(self) -> set[str]:
        """The VIPs that it has."""
        return self.namespace.addresses("eth1") & VIPS

    def is_master(self) -> bool:
        return self.held() == VIPS

    def is_backup(self) -> bool:
        return not self.held()

    def routes(self) -> set[tuple[str, str | None]]:
        """Destination and gateway of what is in table 1, of both families."""
        found = set()
        for flag in ("-4", "-6"):
            with suppress(AssertionError):  # ip calls a table that nobody has ever used an error
                found |= {(route["dst"], route.get("gateway")) for route in self.namespace.ip_json(f"{flag} route show table 1")}
        return {(destination, gateway) for destination, gateway in found if not destination.startswith(("fe80", "multicast"))}

    def rules(self) -> set[str]:
        """Whose packets use table 1."""
        rules = [rule for flag in ("-4", "-6") for rule in self.namespace.ip_json(f"{flag} rule show")]
        return {rule["src"] for rule in rules if rule["table"] == "1"}


class Pair:
    def __init__(self, first: Amphora, second: Amphora, neighbour: Namespace) -> None:
        self.first, self.second, self.neighbour = first, second, neighbour

    def settled(self, master: Amphora) -> None:
        other = self.second if master is self.first else self.first
        try:
            eventually(lambda: master.is_master() and other.is_backup(), f"{master.namespace.label} alone has the VIPs")
        except AssertionError as error:
            raise AssertionError(f"{error}\nfirst:\n{self.first.words()}\nsecond:\n{self.second.words()}") from None

    def known_at_the_neighbour(self) -> dict[str, str]:
        """VIP → the hardware address that its neighbour would send to; nothing is asked."""
        shown = self.neighbour.ip_json("neigh show dev eth1")
        return {entry["dst"]: entry.get("lladdr", "") for entry in shown if entry["dst"] in VIPS}

    def ask(self) -> None:
        """The neighbour sends to each VIP, and so learns where they are; it never asks again while nothing is sent."""
        for vip in VIPS:
            eventually(lambda vip=vip: self._answers(vip), f"an answer of {vip}")  # type: ignore[misc]

    def _answers(self, vip: str) -> bool:
        # As a program of its own, because it gives up being root.
        command = [sys.executable, "-c", "import sys; from agent.probe import echo; echo(sys.argv[1], 1)", vip]
        with self.neighbour.entered():
            return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


@contextmanager
def running_pair(family: str, *, preempt: bool = False) -> Iterator[Pair]:
    with ExitStack() as stack:
        # Not pytest's: a UNIX socket's path must be short.
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hydria-")))
        namespaces = stack.enter_context(switched("first", "second", "neighbour"))
        for number, namespace in enumerate(namespaces):
            namespace.ip(f"address add {(*ADDRESSES['ipv4'], NEIGHBOUR[0])[number]}/24 dev eth1")
            namespace.ip(f"address add {(*ADDRESSES['ipv6'], NEIGHBOUR[1])[number]}/64 dev eth1 nodad")
        sides = []
        for namespace in namespaces[:2]:
            first = namespace is namespaces[0]
            side = Amphora(namespace, directory / namespace.label, family, first=first, preempt=preempt)
            stack.callback(side.kill)
            sides.append(side)
            side.start()
            # The second comes when the first is master: were both new, whoever is quicker would keep the VIPs (nopreempt).
            eventually(side.is_master if first else lambda side=side: "Entering BACKUP STATE" in side.words(), "its start")  # type: ignore[misc]
        pair = Pair(sides[0], sides[1], namespaces[2])
        pair.settled(pair.first)
        yield pair


@pytest.fixture(params=["ipv4", "ipv6"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """The family is that in which the two speak to each other; the VIPs are always of both."""
    with running_pair(request.param) as made:
        yield made


def test_one_has_everything_and_the_other_nothing(pair: Pair) -> None:
    for side in (pair.first, pair.second):
        assert side.check() == ""
    assert pair.first.rules() == VIPS
    assert pair.first.routes() == {
        ("192.0.2.0/24", None),
        ("default", "192.0.2.1"),
        ("198.51.100.0/24", "192.0.2.254"),
        ("2001:db8::/64", None),
        ("default", "2001:db8::1"),
    }
    assert (pair.second.held(), pair.second.rules(), pair.second.routes()) == (set(), set(), set())
    # So what the master sends from a VIP takes the VIP's routes.
    [route] = pair.first.namespace.ip_json("route get 203.0.113.1 from 192.0.2.10")
    assert (route["gateway"], route["dev"]) == ("192.0.2.1", "eth1")
    [route] = pair.first.namespace.ip_json("route get 198.51.100.7 from 192.0.2.10")
    assert route["gateway"] == "192.0.2.254"
    [route] = pair.first.namespace.ip_json("-6 route get 2001:db8:ffff::1 from 2001:db8::10")
    assert (route["gateway"], route["dev"]) == ("2001:db8::1", "eth1")


def test_when_the_master_dies_the_other_takes_over_and_says_so(pair: Pair) -> None:
    pair.ask()
    macs = [side.namespace.mac("eth1") for side in (pair.first, pair.second)]
    assert pair.known_at_the_neighbour() == dict.fromkeys(VIPS, macs[0])
    pair.first.kill()
    eventually(pair.second.is_master, "the takeover", patience=10)
    # Gratuitous ARP and unsolicited neighbour advertisements: the neighbour has sent nothing since.
    eventually(lambda: pair.known_at_the_neighbour() == dict.fromkeys(VIPS, macs[1]), f"{macs[1]} for every VIP, not {macs[0]}")
    assert (pair.second.rules(), len(pair.second.routes())) == (VIPS, 5)


def nothing_is_sent_its_way(side: Amphora) -> None:
    """No rule leads to table 1, and it is empty; but keepalived 2.3 leaves routes there, which nothing leads to any more."""
    assert side.rules() == set()
    version = subprocess.run(["keepalived", "--version"], capture_output=True, text=True, check=True).stderr
    if "Keepalived v2.2." in version:
        assert side.routes() == set()


def test_a_master_that_is_stopped_leaves_nothing_behind(pair: Pair) -> None:
    pair.first.stop()
    assert pair.first.held() == set()
    nothing_is_sent_its_way(pair.first)
    pair.settled(pair.second)


def test_the_health_file_moves_the_vips(pair: Pair) -> None:
    assert pair.first.health.read_text().strip() == "0", "keepalived makes the file, and all is well then"
    pair.first.health.write_text("1")
    pair.settled(pair.second)
    nothing_is_sent_its_way(pair.first)

    pair.first.health.write_text("0")
    eventually(lambda: "Entering BACKUP STATE" in pair.first.words().rpartition("FAULT")[2], "the way out of FAULT")
    pair.second.health.write_text("1")
    pair.settled(pair.first)

    # As Hydria writes files: to another name, then renamed.
    new = pair.second.health.with_suffix(".new")
    new.write_text("0\n")
    new.replace(pair.second.health)
    pair.first.health.write_text("1\n")
    pair.settled(pair.second)


def test_who_comes_back_does_not_take_over_unless_it_shall() -> None:
    with running_pair("ipv4") as pair:
        pair.first.stop()
        pair.settled(pair.second)
        pair.first.start()
        eventually(lambda: pair.first.words().count("Entering BACKUP STATE") >= 2, "its second start")
        # Only when the other is gone: had it taken over by itself, it would hold the VIPs while both run.
        assert pair.second.is_master()
        assert pair.first.is_backup()
        pair.second.stop()
        pair.settled(pair.first)


def test_with_preempt_the_higher_priority_takes_over() -> None:
    with running_pair("ipv4", preempt=True) as pair:
        pair.first.health.write_text("1")
        pair.settled(pair.second)
        pair.first.health.write_text("0")
        pair.settled(pair.first)


def test_health_that_is_bad_from_the_start_is_heeded() -> None:
    with running_pair("ipv4") as pair:
        pair.first.stop()
        pair.settled(pair.second)
        pair.first.health.write_text("1")
        pair.first.start()
        eventually(lambda: "FAULT" in pair.first.words(), "FAULT at the start")
        pair.second.stop()
        assert pair.first.is_backup()
