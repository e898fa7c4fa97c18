#!/usr/bin/python3
"""The first and only program of a kernel that has IPVS: a balancer with real keepalived, a client and two members, and what passes between.

It runs as init under user-mode Linux, on the host's files, with nothing but the standard library (see `test_lvs.py`, which says what should have
come of it). The balancer is the first namespace; members know no way to the client but by the balancer.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import threading
import time
import traceback
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipvs_guest import LIBC, as_first_process, load_modules, mount, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLONE_NEWNET = 0x40000000
NEEDED = (
    *(f"ip_vs{name}" for name in ("", "_wrr", "_wlc", "_sh", "_mh")),
    *("sctp", "hmac", "veth", "iptable_nat", "ip6table_nat", "xt_MASQUERADE"),
)
VIPS = {4: "10.90.0.1", 6: "fd90::1"}
CLIENT = {4: "10.99.0.2", 6: "fd99::2"}
MEMBERS = {"m1": {4: "10.97.1.2", 6: "fd97:1::2"}, "m2": {4: "10.97.2.2", 6: "fd97:2::2"}}
PATIENCE = 60.0


def family(version: int) -> socket.AddressFamily:
    return socket.AF_INET if version == 4 else socket.AF_INET6


@contextmanager
def entered(namespace: str) -> Iterator[None]:
    """The calling thread is there."""
    with open("/proc/thread-self/ns/net") as before, open(f"/run/netns/{namespace}") as there:  # noqa: PTH123  # descriptors are all that is wanted
        LIBC.setns(there.fileno(), CLONE_NEWNET)
        try:
            yield
        finally:
            LIBC.setns(before.fileno(), CLONE_NEWNET)


def opened(namespace: str, version: int, *, sctp: bool) -> socket.socket:
    with entered(namespace):
        return socket.socket(family(version), socket.SOCK_STREAM if sctp else socket.SOCK_DGRAM, socket.IPPROTO_SCTP if sctp else 0)


class Server:
    """A member: says its name and who seems to ask."""

    def __init__(self, name: str, version: int, port: int, *, sctp: bool) -> None:
        self.name, self.sctp = name, sctp
        self.socket = opened(name, version, sctp=sctp)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((MEMBERS[name][version], port))
        if sctp:
            self.socket.listen(20)
        self.socket.settimeout(0.2)
        self.going = True
        self.thread = threading.Thread(target=self.serve_sctp if sctp else self.serve_udp, daemon=True)
        self.thread.start()

    def answer(self, peer: str) -> bytes:
        return json.dumps([self.name, peer]).encode()

    def serve_udp(self) -> None:
        while self.going:
            with suppress(TimeoutError, ConnectionError):
                _, peer = self.socket.recvfrom(100)
                self.socket.sendto(self.answer(peer[0]), peer)

    def serve_sctp(self) -> None:
        while self.going:
            with suppress(TimeoutError, OSError):
                connection, peer = self.socket.accept()
                with connection:
                    connection.settimeout(2)
                    if connection.recv(100):
                        connection.sendall(self.answer(peer[0]))

    def close(self) -> None:
        self.going = False
        self.thread.join()
        self.socket.close()


def ask(version: int, port: int, *, sctp: bool = False, client: str | None = None, patience: float = 20) -> tuple[str, str] | None:
    """Who answers a client, and whom the member took it for; None for nobody."""
    with opened("client", version, sctp=sctp) as asking:
        asking.settimeout(patience)
        with suppress(TimeoutError, ConnectionError, OSError):
            asking.bind((client or CLIENT[version], 0))
            asking.connect((VIPS[version], port))
            asking.sendall(b"?")
            name, peer = json.loads(asking.recv(200))
            return name, peer
    return None


def names(version: int, port: int, count: int, *, sctp: bool = False) -> dict[str, int]:
    return Counter(str((ask(version, port, sctp=sctp) or [None])[0]) for _ in range(count))


def until(look: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not look():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}; IPVS:\n{ipvs()}")
        time.sleep(0.1)


def ipvs() -> str:
    return subprocess.run(["ipvsadm", "-Ln"], capture_output=True, text=True, check=True).stdout


def servers(port: int, version: int, shown: str | None = None) -> dict[str, int]:
    """Address → weight of the real servers of the service at this port of the VIP, as `ipvsadm -Ln` has shown them."""
    found: dict[str, int] = {}
    mine = False
    vip = VIPS[4] if version == 4 else f"[{VIPS[6]}]"
    for line in (ipvs() if shown is None else shown).splitlines():
        if line.startswith(("UDP", "SCTP", "TCP", "FWM")):
            mine = line.split()[1] == f"{vip}:{port}"
        elif mine and line.lstrip().startswith("->") and "RemoteAddress" not in line:
            place, _, weight = line.split()[1:4]
            found[place.rpartition(":")[0].strip("[]")] = int(weight)
    return found


def build() -> None:
    """The network."""
    run("ip", "link", "set", "lo", "up")
    for name in ("client", *MEMBERS):
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
    for name, number in (("client", 0), ("m1", 1), ("m2", 2)):
        run("ip", "link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", name)
        v4, v6 = ("10.99.0", "fd99:") if name == "client" else (f"10.97.{number}", f"fd97:{number}:")
        for where, end, host in (((), f"to-{name}", 1), (("-n", name), "eth0", 2)):
            run("ip", *where, "link", "set", end, "up")
            run("ip", *where, "address", "add", f"{v4}.{host}/24", "dev", end)
            run("ip", *where, "address", "add", f"{v6}:{host}/64", "dev", end, "nodad")
    run("ip", "-n", "client", "route", "add", f"{VIPS[4]}/32", "via", "10.99.0.1")
    run("ip", "-n", "client", "-6", "route", "add", f"{VIPS[6]}/128", "via", "fd99::1")
    run("ip", "address", "add", f"{VIPS[4]}/32", "dev", "lo")
    run("ip", "address", "add", f"{VIPS[6]}/128", "dev", "lo", "nodad")
    # What an amphora sets so that it may forward, and so that LVS's connections are seen by the masquerading.
    for path in ("ipv4/ip_forward", "ipv6/conf/all/forwarding", "ipv4/vs/conntrack"):
        Path("/proc/sys/net", path).write_text("1")


Running = dict[tuple[str, int, str], Server]


def story(asked: dict[str, Any]) -> dict[str, object]:
    ports: dict[str, int] = asked["ports"]
    # This kernel has no nftables for IP: the one rule of the filter that LVS cannot do without is put the old way.
    for command in ("iptables-legacy", "ip6tables-legacy"):
        for protocol in ("udp", "sctp"):
            run(command, "-t", "nat", "-A", "POSTROUTING", "-p", protocol, "-j", "MASQUERADE")
    started = [start(number, conf) for number, conf in enumerate(asked["confs"])]
    places = [(name, version, kind) for name in MEMBERS for version in (4, 6) for kind in ("udp", "sctp")]
    running = {(name, version, kind): Server(name, version, 9000, sctp=kind == "sctp") for name, version, kind in places}
    for name, port in ports.items():
        for version in (4, 6):
            both = {MEMBERS[member][version] for member in MEMBERS}
            until(lambda port=port, version=version, both=both: set(servers(port, version)) == both, f"both members of {name} IPv{version}")  # type: ignore[misc]

    told: dict[str, object] = {"weights": {name: sorted(servers(port, 4).values()) for name, port in ports.items()}}
    for version in (4, 6):
        for kind in ("udp", "sctp"):
            told |= {f"{kind} IPv{version}: {key}": value for key, value in forwarding(running, kind, version, ports[kind]).items()}
        told |= {f"{name} IPv{version}": names(version, ports[name], 8) for name in ("kept", "drained", "hashed")}
    for program in started:
        program.terminate()
    for program in started:
        program.wait(20)
    # Three lines are headings.
    return told | {"when keepalived has ended": ipvs().splitlines()[3:]}


def start(number: int, conf: str) -> subprocess.Popen[bytes]:
    files = ("--pid", f"/run/keepalived-{number}.pid", "--checkers_pid", f"/run/checkers-{number}.pid")
    with Path(f"/run/keepalived-{number}.log").open("wb") as log:
        return subprocess.Popen(["keepalived", "-n", "-l", "-D", "-C", "-B", "-f", conf, *files], stdout=log, stderr=log)


def forwarding(running: Running, kind: str, version: int, port: int) -> dict[str, object]:
    """What clients see while both members serve, while m2 does not, and when it does again."""
    sctp = kind == "sctp"
    told: dict[str, object] = {"answers": names(version, port, 12, sctp=sctp)}
    told["taken for"] = sorted({str((ask(version, port, sctp=sctp) or [0, None])[1]) for _ in range(4)})
    running.pop(("m2", version, kind)).close()
    until(lambda: MEMBERS["m2"][version] not in servers(port, version), f"{kind} IPv{version}: m2 taken out")
    told["without m2"] = names(version, port, 8, sctp=sctp)
    running["m2", version, kind] = Server("m2", version, 9000, sctp=sctp)
    until(lambda: MEMBERS["m2"][version] in servers(port, version), f"{kind} IPv{version}: m2 back")
    told["with m2 again"] = sorted(names(version, port, 12, sctp=sctp))
    return told


def main() -> None:
    mount("proc", "/proc")
    mount("sysfs", "/sys")
    # What is written below /run must not be seen on the host.
    if LIBC.mount(b"tmpfs", b"/run", b"tmpfs", 0, b"mode=755"):
        raise OSError(ctypes.get_errno(), "tmpfs cannot be mounted on /run")
    load_modules(NEEDED)
    asked = json.loads(Path(os.environ["HYDRIA_ASKED"]).read_text())
    probe = Path("/run/hydria-probe")
    probe.write_text(f"#!/usr/bin/python3\nimport sys\nsys.path.insert(0, {asked['root']!r})\nfrom agent.probe import main\nmain()\n")
    probe.chmod(0o755)
    build()
    try:
        answer: dict[str, object] = {"told": story(asked)}
    except BaseException:  # noqa: BLE001  # the host tells it
        answer = {"error": traceback.format_exc()}
    answer["logs"] = {path.name: path.read_text(errors="replace")[-3000:] for path in sorted(Path("/run").glob("keepalived-*.log"))}
    Path(os.environ["HYDRIA_ANSWERED"]).write_text(json.dumps(answer))


if __name__ == "__main__":
    as_first_process(main)
