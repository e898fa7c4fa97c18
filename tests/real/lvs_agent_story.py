"""What happens on a kernel that has IPVS: a machine with an agent, which two drivers use, and clients who see what comes of it.

One load balancer is Octavia's: texts as its controller renders them come by the 1.0 contract. The other is a graph, by 2.0. Both have the same
members. Run by `lvs_agent_guest.py`; `test_lvs_by_agent.py` says what should have come of it.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time
import traceback
import zlib
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from lvs_guest import CLIENT, MEMBERS, VIPS, Server, ask, names, servers
from support.agents import AgentMachine, Cloud, Trust
from support.namespaces import Namespace
from support.polling import eventually

from agent.client import AgentClient
from agent.network.requests import NetworkPlug, Rule, VipPlug

VIP_MAC, MEMBERS_MAC = "fa:16:3e:00:00:01", "fa:16:3e:00:00:02"
STRANGER = {4: "10.99.0.3", 6: "fd99::3"}
PATIENCE = 120.0


class Named(Namespace):
    """A namespace with the name that it is called by."""

    def __init__(self, name: str) -> None:
        self.label = self.name = name
        subprocess.run(["ip", "netns", "add", name], check=True)
        self.ip("link set lo up")
        for which in ("all", "default"):
            self.sysctl(f"ipv6/conf/{which}/accept_dad", "0")


class Accepting:
    """A member's TCP port, which checks look at: as HTTP, it says that it is well."""

    def __init__(self, namespace: Namespace, version: int, address: str, port: int) -> None:
        with namespace.entered():
            self.socket = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((address, port))
        self.socket.listen(50)
        self.socket.settimeout(0.2)
        self.going = True
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while self.going:
            try:
                connection, _ = self.socket.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(2)
                try:
                    if connection.recv(1000):
                        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n")
                except OSError:
                    continue

    def close(self) -> None:
        self.going = False
        self.thread.join()
        self.socket.close()


class Beats:
    """The controller's end of heartbeats: the last message."""

    def __init__(self, machine: Namespace) -> None:
        with machine.entered():
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 5555))
        self.last: dict[str, Any] = {}
        self.totals: Counter[tuple[str, str]] = Counter()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self) -> None:
        while True:
            message = json.loads(zlib.decompress(self.socket.recv(65536)[:-64]))
            for listener, told in message["listeners"].items():
                for name in ("rx", "tx", "totconns"):
                    self.totals[listener, name] += told["stats"][name]
            self.last = message

    def members(self, pool: str) -> dict[str, str]:
        """Member → status, over the listeners of a pool."""
        pools = self.last.get("pools", {}).items()
        return {member: status for key, told in pools if key.startswith(pool) for member, status in told["members"].items()}


class Site:
    """The machine, its network, and who is there besides."""

    def __init__(self, stack: ExitStack, directory: Path) -> None:
        trust = Trust()
        cloud = stack.enter_context(Cloud("vips", "members"))
        client = stack.enter_context(Named("client"))
        everywhere = [f"{CLIENT[4]}/24", f"{STRANGER[4]}/24", f"{CLIENT[6]}/64", f"{STRANGER[6]}/64", "10.90.0.254/24", "fd90::fe/64"]
        cloud.join("vips", client, "eth0", *everywhere)
        self.namespaces = {name: stack.enter_context(Named(name)) for name in MEMBERS}
        for name, addresses in MEMBERS.items():
            cloud.join("members", self.namespaces[name], "eth0", f"{addresses[4]}/24", f"{addresses[6]}/64")
        self.amphora = stack.enter_context(AgentMachine(directory, trust, "127.0.0.1"))
        self.amphora.machine.ip("link set lo up")
        self.amphora.configure(self.amphora.settings(controllers="127.0.0.1:5555", interval=1))
        self.beats = Beats(self.amphora.machine)
        self.amphora.start()
        ca, certificate = directory / "server_ca.pem", directory / "client.pem"
        ca.write_bytes(trust.agents.certificate_pem)
        certificate.write_bytes(trust.controller().bundle_pem)
        self.client = AgentClient("127.0.0.1", amphora_id=self.amphora.id, ca=ca, certificate=certificate)
        self.plug(cloud)

    def plug(self, cloud: Cloud) -> None:
        cloud.plug("vips", self.amphora.machine, VIP_MAC, "ens3")
        vip = {"subnet_cidr": "10.90.0.0/24", "gateway": "10.90.0.254", "mac_address": VIP_MAC, "vrrp_ip": "10.90.0.21"}
        vip["additional_vips"] = [{"ip_address": VIPS[6], "subnet_cidr": "fd90::/64", "gateway": "fd90::fe"}]  # type: ignore[assignment]
        self.call("plug_vip", VipPlug.decode(VIPS[4], json.dumps(vip).encode()))
        cloud.plug("members", self.amphora.machine, MEMBERS_MAC, "ens4")
        subnets = [("10.97.1.1", "10.97.1.0/24"), ("10.97.2.1", "10.97.2.0/24"), ("fd97:1::1", "fd97:1::/64"), ("fd97:2::1", "fd97:2::/64")]
        fixed_ips = [{"ip_address": address, "subnet_cidr": cidr} for address, cidr in subnets]
        self.call("plug_network", NetworkPlug.decode(json.dumps({"mac_address": MEMBERS_MAC, "fixed_ips": fixed_ips}).encode()))

    def call(self, name: str, *arguments: Any, **named: Any) -> Any:
        with self.amphora.machine.entered():
            return getattr(self.client, name)(*arguments, **named)

    def shown(self) -> str:
        return self.amphora.traffic.run("ipvsadm", "-Ln")


class Member:
    """All that a member serves."""

    def __init__(self, name: str, site: Site) -> None:
        self.servers: list[Server | Accepting] = []
        for version in (4, 6):
            self.servers += [Server(name, version, 9000, sctp=sctp) for sctp in (False, True)]
            self.servers += [Accepting(site.namespaces[name], version, MEMBERS[name][version], port) for port in (8080, 8081)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for server in self.servers:
            server.close()


def story(asked: dict[str, Any], stack: ExitStack) -> dict[str, Any]:
    site = Site(stack, Path("/run/a"))
    stack.enter_context(Member("m1", site))
    ports: dict[str, int] = asked["ports"]
    told: dict[str, Any] = {}
    with Member("m2", site):
        told["way"] = site.call("put_loadbalancer", asked["lb"], json.dumps(asked["graph"]).encode(), target={"maxconn": 2000}).way
        for listener, text in asked["octavia"].items():
            site.call("upload_lvs", listener, text.encode())
            site.call("reload", listener)
        wait(site, ports, {"m1", "m2"}, "both members everywhere")
        told["both"] = seen(ports)
        if asked["thorough"]:
            told["strangers"] = {
                f"{name} IPv{version}": reaches(name, port, version, STRANGER[version])
                for name, port in ports.items()
                for version in (4, 6)
            }
        watched(site, asked, "UP")
        told["members"] = statuses(site, asked)
    wait(site, {name: port for name, port in ports.items() if "listed" not in name}, {"m1"}, "m2 taken out")
    watched(site, asked, "DOWN")
    told["without m2"] = seen({name: port for name, port in ports.items() if "listed" not in name}, 4)
    told["members without m2"] = statuses(site, asked)
    if asked["thorough"]:
        told |= thoroughly(site, asked)
    told["counted"] = {
        name: {key: site.beats.totals[identifier, key] for key in ("rx", "tx", "totconns")}
        for name, identifier in asked["listeners"].items()
    }
    return told


def thoroughly(site: Site, asked: dict[str, Any]) -> dict[str, Any]:
    """m2 comes back; and the interface's rules."""
    told: dict[str, Any] = {}
    ports: dict[str, int] = asked["ports"]
    with Member("m2", site):
        wait(site, ports, {"m1", "m2"}, "m2 back")
        watched(site, asked, "UP")
        told["members again"] = statuses(site, asked)
        let_in = [
            {"protocol": "UDP", "cidr": f"{CLIENT[version]}/{length}", "port": ports["1.0 udp"]} for version, length in ((4, 32), (6, 128))
        ]
        site.call("set_rules", VIPS[4], Rule.decode_all(json.dumps(let_in).encode()))
        told["by the rules"] = {
            f"{who} {name} IPv{version}": reaches(name, ports[name], version, address[version])
            for who, address in (("client", CLIENT), ("stranger", STRANGER))
            for name in ("1.0 udp", "2.0 udp")
            for version in (4, 6)
        }
    return told


def wait(site: Site, ports: dict[str, int], members: set[str], what: str) -> None:
    wanted = {(name, version): {MEMBERS[member][version] for member in members} for name in ports for version in (4, 6)}

    def settled() -> bool:
        shown = site.shown()
        return all(set(servers(ports[name], version, shown)) == addresses for (name, version), addresses in wanted.items())

    try:
        eventually(settled, what, PATIENCE)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{site.shown()}") from error


def watched(site: Site, asked: dict[str, Any], status: str) -> None:
    """The heartbeats say of m2, wherever it is checked, what it is; and of m1 that it is well, whose check a busy machine may have made late."""
    wanted = {"m1": "UP", "m2": status}

    def says_so() -> bool:
        found = statuses(site, asked)
        return all(
            told == ("no check" if "listed" in name else wanted[member])
            for name, members in found.items()
            for member, each in members.items()
            for told in each
        )

    eventually(says_so, f"m2 {status} in the heartbeats", PATIENCE)


def statuses(site: Site, asked: dict[str, Any]) -> dict[str, dict[str, list[str]]]:
    """For each pool and member, what the last heartbeat said of its two addresses."""
    found: dict[str, dict[str, list[str]]] = {}
    for name, members in asked["members"].items():
        told = site.beats.members(asked["pools"][name])
        found[name] = {"m1": [], "m2": []}
        for identifier, member in members.items():
            found[name][member].append(told.get(identifier, "absent"))
    return found


def seen(ports: dict[str, int], count: int = 8) -> dict[str, dict[str, int]]:
    return {
        f"{name} IPv{version}": dict(names(version, port, count, sctp="sctp" in name)) for name, port in ports.items() for version in (4, 6)
    }


def reaches(name: str, port: int, version: int, client: str) -> bool:
    return ask(version, port, sctp="sctp" in name, client=client, patience=5) is not None


def main() -> None:
    asked = json.loads(Path(os.environ["HYDRIA_ASKED"]).read_text())
    answer: dict[str, Any] = {}
    began = time.monotonic()
    with ExitStack() as stack:
        try:
            answer["told"] = story(asked, stack)
        except BaseException:  # noqa: BLE001  # the host tells it
            answer["error"] = traceback.format_exc()
            log = Path("/run/a/agent.log")
            answer["log"] = log.read_text()[-2000:] if log.exists() else ""
        answer["seconds"] = time.monotonic() - began
        Path(os.environ["HYDRIA_ANSWERED"]).write_text(json.dumps(answer))
        os.sync()
        # What still runs ends with the kernel.
        os._exit(0)


if __name__ == "__main__":
    main()
