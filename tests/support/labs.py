"""Labs of tests: each with a name of its own, and gone afterwards, whatever happened."""

from __future__ import annotations

import itertools
import json
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydria.lab import failing, record
from hydria.lab.building import build
from hydria.lab.certificates import Authority
from hydria.lab.client import Answer, fetch
from hydria.lab.lab import CLIENTS, Lab
from hydria.lab.namespaces import inside
from hydria.lab.topology import Wishes
from support.polling import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

VIP, VIP6 = "192.0.2.10", "2001:db8::10"
_NUMBERS = itertools.count()


def lab_name(label: str) -> str:
    """A name that no other test has."""
    return f"t{os.getpid()}-{next(_NUMBERS)}-{label}"


def graph(**changed: Any) -> dict[str, Any]:
    """VIPs of both families; HTTP with persistence by source, TLS, and a listener for some clients only; members that are checked once a second."""
    members = [{"name": f"m{number}", "address": "127.0.0.1", "protocol_port": 8080} for number in range(3)]
    monitor = {"type": "HTTP", "delay": 2, "timeout": 1, "max_retries": 1, "max_retries_down": 2}
    pool = {
        "name": "servers",
        "protocol": "HTTP",
        "lb_algorithm": "ROUND_ROBIN",
        "session_persistence": {"type": "SOURCE_IP"},
        "members": members,
        "healthmonitor": monitor,
    }
    behind: dict[str, Any] = {"default_pool": {"name": "servers"}}
    return {
        "name": "pair",
        "vip_address": VIP,
        "additional_vips": [{"ip_address": VIP6}],
        "listeners": [
            {"name": "web", "protocol": "HTTP", "protocol_port": 80, **behind},
            {"name": "secure", "protocol": "TERMINATED_HTTPS", "protocol_port": 443, "default_tls_container_ref": "shop", **behind},
            {"name": "guarded", "protocol": "HTTP", "protocol_port": 81, "allowed_cidrs": ["192.0.2.128/25"], **behind},
        ],
        "pools": [pool],
        **changed,
    }


@contextmanager
def lab(label: str, wishes: Wishes | None = None, described: dict[str, Any] | None = None) -> Iterator[Lab]:
    """One that is up."""
    name = lab_name(label)
    try:
        yield build(name, json.dumps({"loadbalancer": described or graph()}).encode(), wishes or Wishes(), {}, lambda _: None)
    finally:
        record.end(name)


def get(lab: Lab, vip: str = VIP, port: int = 80, **keywords: Any) -> Answer:
    """A request of a client."""
    with inside(lab.network(CLIENTS)):
        return fetch((vip, port), patience=5, **keywords)


def forwarder(lab: Lab, vip: str = VIP) -> str:
    """The amphora that forwards a client's request, as a member sees it; "" where none does."""
    try:
        peer = get(lab, vip).json()["arrival"]["peer"]
    except OSError:
        return ""
    return next(one.name for one in lab.plan.amphorae if any(address.partition("/")[0] == peer for address in one.members))


def authority(lab: Lab) -> Authority:
    """Who has issued what its listeners present."""
    return Authority.read((lab.directory / record.AUTHORITY).read_bytes(), (lab.directory / record.AUTHORITY_KEY).read_bytes())


def healed(lab: Lab) -> str:
    """Makes all good; the one that has the VIPs when there is one, both have all their programs, and it serves."""
    failing.heal(lab)
    return eventually(lambda: whole(lab), "an amphora that has the VIPs, another one that could have them", 60)


def whole(lab: Lab) -> str:
    """The one master, if it forwards what clients send to all VIPs, and every amphora could be it; "" where it is not so."""
    holders = lab.holders()
    if len(holders) != 1 or not all(fit(lab, amphora.name) for amphora in lab.plan.amphorae):
        return ""
    return holders[0] if all(forwarder(lab, vip) == holders[0] for vip in lab.plan.vips) else ""


def fit(lab: Lab, amphora: str) -> bool:
    """Whether all its programs run, and its keepalived has been told that its HAProxy serves."""
    running = [one["name"] for one in lab.processes(amphora)]
    if not lab.plan.pair:
        return {"hydria-agent", "haproxy"} <= set(running)
    try:
        told = Path(f"/proc/{lab.first_process(amphora)}/root/run/hydria/{lab.plan.lb}.health").read_text().strip()
    except FileNotFoundError:
        return False
    # The second process of keepalived is the one for VRRP.
    return {"hydria-agent", "haproxy"} <= set(running) and running.count("keepalived") == 2 and told == "0"


def left_of(name: str) -> list[str]:
    """What is there of a lab: its directory, processes that name it."""
    directory = record.place(name)
    found = [str(directory)] if directory.exists() else []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if os.fsencode(directory) in line:
            found.append(line.replace(b"\0", b" ").decode(errors="replace"))
    return found
