"""`build`: makes a lab. Whatever fails, or is interrupted, leaves nothing; what is killed leaves what `record.end` removes."""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import msgspec

from agent.errors import SystemFault
from agent.files import create_file
from compiler.secrets import Secret
from hydria import pki
from hydria.lab import amphora as amphorae
from hydria.lab import bridges, record
from hydria.lab.attendant import SOCKET
from hydria.lab.certificates import Authority
from hydria.lab.lab import CLIENTS, MEMBERS, Lab
from hydria.lab.pid_one import HYPERVISOR
from hydria.lab.topology import CONTROLLER, NETWORKS, Amphora, Plan, Wishes, plan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from agent.client import AgentClient

#: Days.
_VALID = 365
#: Seconds until one of a pair has the VIPs, and clients reach them.
_SETTLING = 60.0
_BETWEEN = 0.05

Tell = "Callable[[str], None]"


def build(name: str, text: bytes, wishes: Wishes, given: Mapping[str, Secret], tell: Callable[[str], None]) -> Lab:
    """A lab for a graph. `given`: secrets that are not to be made here; `tell` is told what is being done.

    Raises ProblemError, AgentError, CallError, OSError.
    """
    wanted = plan(name, text, wishes)
    directory = record.begin(name)
    try:
        lab = Lab(directory)
        tell("certificates")
        _write(directory, wanted, wishes)
        tell("hypervisor and networks")
        launch(directory)
        _cables(lab)
        tell("members and amphorae")
        lab.call(
            HYPERVISOR,
            "run",
            command=[sys.executable, "-m", "hydria.lab.attendant", str(directory)],
            log=str(directory / "attendant.log"),
            network=MEMBERS,
        )
        for one in wanted.amphorae:
            amphorae.boot(lab, one)
        material = {**_made(wanted, directory), **given}
        with lab.driving() as clients:
            _each(lab, clients, lambda one, client: amphorae.await_agent(lab, one, client))
            tell("the VIP's and the members' interfaces")
            _each(lab, clients, lambda one, client: amphorae.introduce(lab, one, client))
            tell("the graph")
            _each(lab, clients, lambda _, client: client.put_loadbalancer(wanted.lb, wanted.graph.encode(), material, target=wanted.hints))
        tell("somebody to have the VIP, and members to be there")
        _wait(lambda: len(lab.holders()) == 1, "one amphora has the VIPs")
        _wait((directory / SOCKET).exists, "the members are there")
        (directory / record.UP).touch()
        lab.tell(f"up, {lab.holders()[0]} is master")
    except BaseException:
        record.end(name)
        raise
    return lab


def _write(directory: Path, wanted: Plan, wishes: Wishes) -> None:
    key = secrets.token_urlsafe(24)
    made = pki.authorities(_VALID)
    authority = Authority()
    files: dict[str, tuple[bytes, int]] = {
        record.PLAN: (msgspec.json.format(msgspec.json.encode(wanted)), 0o600),
        "graph.json": (wanted.graph.encode(), 0o644),
        record.HEARTBEAT_KEY: (key.encode(), 0o600),
        record.AUTHORITY: (authority.certificate_pem, 0o644),
        record.AUTHORITY_KEY: (authority.key_pem, 0o600),
        **{f"pki/{name}": file for name, file in pki.authority_files(made).items()},
        **{f"pki/controllers/lab/{name}": file for name, file in pki.controller_files(made, "lab", _VALID)[1].items()},
    }
    lab = Lab(directory)
    lab.plan = wanted
    for one in wanted.amphorae:
        own = pki.agent_files(made, one.id, _VALID)[1]
        own["amphora-agent.conf"] = (amphorae.settings(lab, one, key, wishes.heartbeat_interval).encode(), 0o600)
        files |= {f"{one.name}/{name}": file for name, file in own.items()}
        (directory / one.name / "octavia" / "certs").mkdir(parents=True)
    for name, (content, mode) in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        create_file(path, content, mode)


def launch(directory: Path) -> None:
    """Starts the hypervisor of a lab. Raises SystemFault."""
    command = [sys.executable, "-m", "hydria.lab.pid_one", str(directory)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, start_new_session=True
    )
    if done.returncode != 0:
        raise SystemFault(f"no namespaces can be had here: {done.stdout.strip().splitlines()[-1:] or done.returncode}")


def _cables(lab: Lab) -> None:
    """Networks, and on them the hypervisor, the clients and the members."""
    hypervisor = lab.network(HYPERVISOR)
    bridges.bring_up_loopback(hypervisor)
    for name in NETWORKS.values():
        bridges.bridge(hypervisor, name)
    bridges.settle(hypervisor, NETWORKS["management"], [f"{CONTROLLER}/24"])
    for name in (CLIENTS, MEMBERS):
        lab.call(HYPERVISOR, "network", name=name)
        bridges.bring_up_loopback(lab.network(name))
    bridges.cable(hypervisor, NETWORKS["vip"], CLIENTS, lab.network(CLIENTS), interface="eth0")
    clients = [f"{address}/{subnet.prefix}" for subnet in lab.plan.subnets for address in (subnet.gateway, *subnet.clients)]
    bridges.settle(lab.network(CLIENTS), "eth0", list(dict.fromkeys(clients)))
    bridges.cable(hypervisor, NETWORKS["members"], MEMBERS, lab.network(MEMBERS), interface="eth0")
    addresses = [f"{one.address}/{64 if ':' in one.address else 16}" for one in lab.plan.backends]
    bridges.settle(lab.network(MEMBERS), "eth0", list(dict.fromkeys(addresses)))


def _made(wanted: Plan, directory: Path) -> dict[str, Secret]:
    """A secret for each reference: a certificate for NAME.example and *.NAME.example, where the reference's last part is NAME."""
    authority = Authority.read((directory / record.AUTHORITY).read_bytes(), (directory / record.AUTHORITY_KEY).read_bytes())
    found = {}
    for reference, kind in wanted.secrets.items():
        name = reference.rstrip("/").rpartition("/")[2]
        if kind == "certificate":
            found[reference] = Secret(authority.server(f"{name}.example", f"*.{name}.example").bundle_pem)
        else:
            found[reference] = Secret(authority.certificate_pem if kind == "authority" else authority.crl())
    return found


def _each(lab: Lab, clients: Mapping[str, AgentClient], act: Callable[[Amphora, AgentClient], object]) -> None:
    """Does something with all amphorae at once. Their threads are where the calling one is."""
    with ThreadPoolExecutor(len(lab.plan.amphorae)) as pool:
        for done in [pool.submit(act, one, clients[one.name]) for one in lab.plan.amphorae]:
            done.result()


def _wait(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + _SETTLING
    while not condition():
        if time.monotonic() > until:
            raise SystemFault(f"after {_SETTLING:g} seconds it is still not so that {what}")
        time.sleep(_BETWEEN)
