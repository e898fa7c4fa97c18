#!/usr/bin/python3
"""The first and only program of a kernel that has IPVS: sets up services, sends a datagram for each client, tells which real server each got.

It runs as init under user-mode Linux, on the host's files, with nothing but the standard library. What to do is in the file that the variable
HYDRIA_ASKED names (see `ipvs_kernel.py`), what came of it goes to HYDRIA_ANSWERED.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.append(str(Path(__file__).parents[2]))

from hydria.lab import uml_modules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

REBOOT_POWER_OFF = 0x4321FEDC

LIBC = ctypes.CDLL(None, use_errno=True)
SERVICES = {"4": "198.51.100.1", "6": "2001:db8::1"}


def mount(kind: str, where: str) -> None:
    if LIBC.mount(kind.encode(), where.encode(), kind.encode(), 0, None):
        raise OSError(ctypes.get_errno(), f"{kind} cannot be mounted on {where}")


def load_modules(names: Iterable[str]) -> None:
    uml_modules.load(names)


def run(*command: str) -> None:
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise RuntimeError(f"{' '.join(command)}: {finished.stderr.strip() or finished.stdout.strip()}")


def endpoint(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def send(family: str, clients: list[tuple[str, int]], port: int) -> None:
    for client in clients:
        with socket.socket(socket.AF_INET if family == "4" else socket.AF_INET6, socket.SOCK_DGRAM) as sending:
            sending.bind(client)
            with suppress(PermissionError):  # said where no real server takes the client
                sending.sendto(b"?", (SERVICES[family], port))


def connections() -> dict[tuple[int, str, int], tuple[str, int]]:
    """(port of the service, client) → real server, as /proc/net/ip_vs_conn lists them."""
    found = {}
    for line in Path("/proc/net/ip_vs_conn").read_text().splitlines()[1:]:
        _, client, client_port, _, port, server, server_port, *_ = line.split()
        found[int(port, 16), text(client), int(client_port, 16)] = (text(server), int(server_port, 16))
    return found


def text(address: str) -> str:
    """An address as inet_ntop writes it; given as eight hex digits (IPv4) or as eight groups of four (IPv6)."""
    packed = bytes.fromhex(address.strip("[]").replace(":", ""))
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def answer(asked: list[dict[str, object]]) -> list[list[list[tuple[str, int] | None]]]:
    """For each scenario, stage and client: the real server, None for none."""
    sent: list[list[list[tuple[int, str, int]]]] = []
    for number, scenario in enumerate(asked):
        family, port = str(scenario["family"]), 10000 + number
        service = ("-u", endpoint(SERVICES[family], port))
        flags = ("-b", str(scenario["flags"])) if scenario["flags"] else ()
        run("ipvsadm", "-A", *service, "-s", str(scenario["scheduler"]), *flags)
        sent.append([])
        for stage in scenario["stages"]:  # type: ignore[attr-defined]
            for command, (address, server_port), *options in stage["commands"]:
                run("ipvsadm", command, *service, "-r", endpoint(address, server_port), *(["-m", *options] if command != "-d" else []))
            clients = [(address, client_port) for address, client_port in stage["clients"]]
            send(family, clients, port)
            sent[-1].append([(port, *client) for client in clients])
    found = connections()
    return [[[found.get(client) for client in stage] for stage in stages] for stages in sent]


def main() -> None:
    mount("proc", "/proc")
    mount("sysfs", "/sys")
    load_modules(("ip_vs", "ip_vs_sh", "ip_vs_mh"))
    run("ip", "link", "set", "lo", "up")
    # Every address is ours: clients send from whichever they like, and real servers need not exist.
    run("ip", "route", "add", "local", "default", "dev", "lo")
    run("ip", "-6", "route", "add", "local", "default", "dev", "lo")
    Path("/proc/sys/net/ipv6/ip_nonlocal_bind").write_text("1")
    asked = json.loads(Path(os.environ["HYDRIA_ASKED"]).read_text())
    Path(os.environ["HYDRIA_ANSWERED"]).write_text(json.dumps({"answers": answer(asked["scenarios"])}))


def as_first_process(main: Callable[[], None]) -> None:
    """Does what the guest is there for, and switches it off."""
    os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    try:
        main()
    except BaseException:  # noqa: BLE001  # nobody is above us: the console is where it can be read
        traceback.print_exc()
    finally:
        os.sync()
        LIBC.reboot(REBOOT_POWER_OFF)


if __name__ == "__main__":
    as_first_process(main)
