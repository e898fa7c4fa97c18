"""`build`: makes a lab of Octavia's. Whatever fails, or is interrupted, leaves nothing; what is killed leaves what `record.end` removes."""

from __future__ import annotations

import itertools
import os
import secrets
import socket
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgspec

from agent.errors import ConflictError
from agent.files import create_file
from hydria import pki
from hydria.lab import bridges, keystone, octavia_given, record
from hydria.lab.building import launch
from hydria.lab.certificates import Authority
from hydria.lab.lab import CLIENTS, MEMBERS
from hydria.lab.namespaces import inside
from hydria.lab.octavia_lab import OctaviaLab
from hydria.lab.octavia_plan import (
    AUTHORITY_SECRET,
    CERTIFICATES,
    CLIENT,
    CLIENT_ADDRESSES,
    CONTROL_LOG,
    HYPERVISOR_ADDRESSES,
    MEMBERS_LOG,
    OCTAVIA,
    PRIVATE,
    PUBLIC,
    SECRETS,
    OctaviaPlan,
)
from hydria.lab.octavia_servers import OWN, Servers
from hydria.lab.octavia_starting import await_octavia
from hydria.lab.pid_one import HYPERVISOR

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: The ports that everybody knows, and how many others are tried after each.
FIRST_PORT, _KEYSTONE_PORT, _PORTS = 9876, 5000, 100
#: Days.
_VALID = 365


def build(
    plan: OctaviaPlan, python: str, tell: Callable[[str], None], *, servers: Servers = OWN, with_keystone: bool = False
) -> OctaviaLab:
    """A lab. `python`: an interpreter that has Octavia; with the port 0 the plan's is one that is free. Raises AgentError, CallError, OSError."""
    directory = record.begin(plan.name)
    try:
        with ExitStack() as stack:
            listening = stack.enter_context(_listening("Octavia's API", plan.port, FIRST_PORT))
            identity = stack.enter_context(_listening("Keystone", 0, _KEYSTONE_PORT)) if with_keystone else None
            plan = msgspec.structs.replace(plan, port=_port(listening), keystone=_port(identity) if identity else 0)
            if servers.urls:
                tell("sure of the servers that are named")
                octavia_given.take(directory, servers, python)
            tell("certificates")
            _write(directory, plan)
            tell("hypervisor and networks")
            launch(directory)
            lab = OctaviaLab(directory)
            _networks(lab)
            octavia_given.reach(lab, servers)
            sockets = [listening]
            if identity:
                with inside(lab.network(HYPERVISOR)):
                    sockets += [identity, stack.enter_context(_listening("Keystone", plan.keystone, _KEYSTONE_PORT))]
            tell("Keystone and Octavia" if with_keystone else "Octavia")
            # What it says of itself when it starts is not for us; that it is in a lab is in its configuration.
            lab.call(
                HYPERVISOR,
                "run",
                command=[python, "-W", "ignore", "-m", "hydria.octavia.control", str(directory)],
                log=str(directory / CONTROL_LOG),
                giving=[each.fileno() for each in sockets],
            )
        _members(lab)
        await_octavia(lab)
        (directory / record.UP).touch()
        lab.tell("up")
    except BaseException:
        record.end(plan.name)
        raise
    return lab


def _listening(whose: str, wanted: int, first: int) -> socket.socket:
    """Where the user is: here, and not in the lab. Raises ConflictError."""
    for port in (wanted,) if wanted else range(first, first + _PORTS):
        try:
            return socket.create_server(("127.0.0.1", port), backlog=128)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
    ports = f"port {wanted}" if wanted else f"ports {first} to {first + _PORTS - 1}"
    raise ConflictError(f"{whose} cannot listen on 127.0.0.1, {ports}: {reason}; name another one with --port")


def _port(listening: socket.socket) -> int:
    return int(listening.getsockname()[1])


def _write(directory: Path, plan: OctaviaPlan) -> None:
    made = pki.authorities(_VALID)
    authority = Authority()
    files: dict[str, tuple[bytes, int]] = {
        OCTAVIA: (msgspec.json.format(msgspec.json.encode(plan)), 0o644),
        record.HEARTBEAT_KEY: (secrets.token_urlsafe(24).encode(), 0o600),
        record.AUTHORITY: (authority.certificate_pem, 0o644),
        record.AUTHORITY_KEY: (authority.key_pem, 0o600),
        **_secrets(authority),
        **{f"pki/{name}": file for name, file in pki.authority_files(made).items()},
        **{f"pki/controllers/lab/{name}": file for name, file in pki.controller_files(made, "lab", _VALID)[1].items()},
    }
    if plan.keystone:
        keystone.invent(directory)
    for name, (content, mode) in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        create_file(path, content, mode)


def _secrets(authority: Authority) -> dict[str, tuple[bytes, int]]:
    """What TLS listeners and pools may refer to: see `hydria.lab.octavia_plan`."""
    files: dict[str, tuple[bytes, int]] = {
        f"{SECRETS}/{AUTHORITY_SECRET}.crt": (authority.certificate_pem, 0o644),
        # For clients, who are not Octavia's.
        CLIENT: (authority.client("client").bundle_pem, 0o600),
    }
    for name, hosts in CERTIFICATES.items():
        issued = authority.server(*hosts)
        files[f"{SECRETS}/{name}.crt"] = issued.certificate_pem, 0o644
        files[f"{SECRETS}/{name}.key"] = issued.key_pem, 0o600
    return files


def _networks(lab: OctaviaLab) -> None:
    """Networks, on them clients and members, and the hypervisor, which is the router between these and drives amphorae."""
    hypervisor = lab.network(HYPERVISOR)
    bridges.bring_up_loopback(hypervisor)
    for name, addresses in HYPERVISOR_ADDRESSES.items():
        bridges.bridge(hypervisor, name)
        bridges.settle(hypervisor, name, addresses)
    bridges.forward(hypervisor, PUBLIC, PRIVATE)
    members = [f"{address}/{64 if ':' in address else 24}" for address in itertools.chain.from_iterable(lab.octavia.places.values())]
    for name, network, addresses in ((CLIENTS, PUBLIC, CLIENT_ADDRESSES), (MEMBERS, PRIVATE, tuple(members))):
        lab.call(HYPERVISOR, "network", name=name)
        bridges.bring_up_loopback(lab.network(name))
        bridges.cable(hypervisor, network, name, lab.network(name), interface="eth0")
        bridges.settle(lab.network(name), "eth0", addresses)
        bridges.lead_out(lab.network(name), "eth0", [each.partition("/")[0] for each in HYPERVISOR_ADDRESSES[network]])


def _members(lab: OctaviaLab) -> None:
    command = [sys.executable, "-m", "hydria.lab.octavia_members", str(lab.directory)]
    lab.call(HYPERVISOR, "run", command=command, log=str(lab.directory / MEMBERS_LOG), network=MEMBERS)
