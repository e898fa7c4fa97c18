#!/usr/bin/python3
"""The first and only program of a kernel that has IPVS: services with real servers, some datagrams, and what Hydria reads of both.

It runs as init under user-mode Linux (see `test_ipvs_counters.py`). What reads runs on the Python of the tests, which has the packages for it.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import time
import traceback
from pathlib import Path

from ipvs_guest import LIBC, as_first_process, load_modules, mount, run

CLONE_NEWNET = 0x40000000
READER = """
import json
from agent.heartbeat.ipvs import Ipvs
def told(service):
    return f"{service.protocol} {service.place.address.hex()} {service.place.port}"
ipvs = Ipvs("amphora")
table = {told(service): {f"{place.address.hex()} {place.port}": list(server) for place, server in servers.items()}
         for service, servers in ipvs.table().items()}
counters = {told(service): [counts.rx, counts.tx, counts.connections] for service, counts in ipvs.counters().items()}
print(json.dumps({"table": table, "counters": counters}))
"""


def in_amphora(*command: str) -> None:
    run("ip", "netns", "exec", "amphora", *command)


def opened(address: str, port: int) -> socket.socket:
    with open("/run/netns/amphora") as there:  # noqa: PTH123  # the descriptor is all that is wanted
        LIBC.setns(there.fileno(), CLONE_NEWNET)
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(10)
    made.bind((address, port))
    return made


def story(asked: dict[str, str]) -> dict[str, object]:
    for vip, real in (("198.51.100.1", "198.51.100.7"), ("[2001:db8::1]", "[2001:db8::7]")):
        in_amphora("ipvsadm", "-A", "-u", f"{vip}:5000", "-s", "wrr")
        in_amphora("ipvsadm", "-a", "-u", f"{vip}:5000", "-r", f"{real}:9000", "-m", "-w", "3")
        in_amphora("ipvsadm", "-a", "-u", f"{vip}:5000", "-r", f"{real}:9001", "-m", "-w", "0")
    in_amphora("ipvsadm", "-A", "-u", "198.51.100.2:53", "-s", "rr")
    in_amphora("ipvsadm", "-A", "-f", "7", "-s", "rr")
    in_amphora("ipvsadm", "-a", "-f", "7", "-r", "198.51.100.9", "-m")
    # What reads shall not be where what is read is.
    with open("/proc/self/ns/net") as before:  # noqa: PTH123  # as above
        with opened("198.51.100.7", 9000) as server, opened("192.0.2.1", 4000) as client:
            for size in (100, 200, 300):
                client.sendto(b"x" * size, ("198.51.100.1", 5000))
                _, sender = server.recvfrom(2000)
                server.sendto(b"y" * 10, sender)
        LIBC.setns(before.fileno(), CLONE_NEWNET)
    # Newer kernels add up their counters every other second.
    deadline = time.monotonic() + 20
    while " 684 " not in shown() and time.monotonic() < deadline:
        time.sleep(0.1)
    done = subprocess.run(
        [asked["python"], "-c", READER],
        cwd=asked["root"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONDONTWRITEBYTECODE": "1"},
    )
    return {
        "code": done.returncode,
        "said": done.stdout,
        "complained": done.stderr[-3000:],
        "shown": shown(),
    }


def shown() -> str:
    """As ipvsadm shows it."""
    command = ["ip", "netns", "exec", "amphora", "ipvsadm", "-Ln", "--stats", "--exact"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def main() -> None:
    mount("proc", "/proc")
    mount("sysfs", "/sys")
    load_modules(("ip_vs", "ip_vs_rr", "ip_vs_wrr"))
    if LIBC.mount(b"tmpfs", b"/run", b"tmpfs", 0, b"mode=755"):
        raise OSError(ctypes.get_errno(), "tmpfs cannot be mounted on /run")
    run("ip", "netns", "add", "amphora")
    in_amphora("ip", "link", "set", "lo", "up")
    # Every address is ours.
    in_amphora("ip", "route", "add", "local", "default", "dev", "lo")
    in_amphora("ip", "-6", "route", "add", "local", "default", "dev", "lo")
    asked = json.loads(Path(os.environ["HYDRIA_ASKED"]).read_text())
    try:
        answer: dict[str, object] = story(asked)
    except BaseException:  # noqa: BLE001  # the host tells it
        answer = {"error": traceback.format_exc()}
    Path(os.environ["HYDRIA_ANSWERED"]).write_text(json.dumps(answer))


if __name__ == "__main__":
    as_first_process(main)
