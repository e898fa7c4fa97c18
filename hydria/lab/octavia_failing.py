"""What can go wrong in a lab of Octavia's, and how it is made good again: amphorae, members, and Octavia's own processes.

An amphora whose power was cut stays off: to have another one in its place is what Octavia is for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.errors import NotFoundError
from hydria.lab import amphora as amphorae
from hydria.lab import bridges
from hydria.lab.failing import PROGRAMS, kill_program
from hydria.lab.octavia_plan import MANAGEMENT, PRIVATE, PUBLIC
from hydria.lab.pid_one import HYPERVISOR

if TYPE_CHECKING:
    from hydria.lab.failing import What
    from hydria.lab.octavia_lab import OctaviaLab

#: What an amphora's machine is called, after its id.
_MACHINE = "amphora-{}"
#: Networks of traffic: by the other one amphorae are driven.
_TRAFFIC = (PUBLIC, PRIVATE)


def kill(lab: OctaviaLab, target: str, what: What = "all") -> None:
    """Has something of an amphora (by its id, or its machine's name), a member, or one of Octavia's processes fail: see `hydria.lab.failing.kill`.

    Raises NotFoundError, InvalidRequest, CallError, OSError.
    """
    if target in lab.octavia.places:
        lab.attendant("refuse", names=[target])
        lab.tell(f"member {target} killed")
    elif target in lab.roles:
        lab.control("stop", name=target)
        lab.tell(f"{target} killed")
    else:
        _fail(lab, target, what)
        lab.tell(f"{target}: {what} killed")


def _fail(lab: OctaviaLab, target: str, what: What) -> None:
    """Has something of an amphora fail."""
    if what in PROGRAMS:
        kill_program(lab, _machine(lab, target), what)
    elif what == "all":
        machine = _machine(lab, target)
        lab.first_process(machine)  # whose power is cut is on
        amphorae.cut_power(lab, machine, _ports(lab, machine))
    else:
        hypervisor = lab.network(HYPERVISOR)
        for port, network in _ports(lab, _machine(lab, target)).items():
            if network not in _TRAFFIC:
                continue
            if what == "network":
                bridges.silence(hypervisor, network, port, silent=True)
            else:
                bridges.pull(hypervisor, port, out=True)


def heal(lab: OctaviaLab, target: str | None = None) -> list[str]:
    """Makes good what is wrong with processes of Octavia's, members, and networks of amphorae that are on, or with one of them; what was done.

    Raises NotFoundError, CallError, OSError.
    """
    done = []
    for role, pid in lab.roles.items():
        if pid is None and target in (None, role):
            lab.control("start", name=role)
            done.append(f"{role} started")
    members: dict[str, list[Any]] = lab.attendant("members")["members"]
    if away := [name for name, (accepts, _) in members.items() if not accepts and target in (None, name)]:
        lab.attendant("accept", names=away)
        done += [f"member {name} back" for name in away]
    known = target in members or target in lab.roles
    machines = lab.machines if target is None else [] if known else [_machine(lab, target)]
    for machine in machines:
        if lab.runs(machine) and _reconnected(lab, machine):
            done.append(f"{machine}: network back")
    for each in done:
        lab.tell(each)
    return done


def _reconnected(lab: OctaviaLab, machine: str) -> bool:
    """Has its networks pass everything; whether one did not."""
    hypervisor = lab.network(HYPERVISOR)
    there = bridges.ports(hypervisor)
    wrong = {port: network for port, network in _ports(lab, machine).items() if there.get(port, (True, True)) != (True, True)}
    for port, network in wrong.items():
        bridges.pull(hypervisor, port, out=False)
        bridges.silence(hypervisor, network, port, silent=False)
    return bool(wrong)


def _machine(lab: OctaviaLab, target: str) -> str:
    """The machine of an amphora. Raises NotFoundError."""
    machines = lab.machines
    for name in (target, _MACHINE.format(target)):
        if name in machines:
            return name
    others = ", ".join([*machines, *lab.octavia.places, *lab.roles][:40])
    raise NotFoundError(f"there is no amphora, no member and no process {target}; there are {others}")


def _ports(lab: OctaviaLab, machine: str) -> dict[str, str]:
    """The hypervisor's ends of a machine's cables → the networks that they belong to, whether they are on them or not.

    Each end is called after its port (`hydria.octavia.cloud_things.Port.tap`), whose device is the server; what these are is asked of the cloud.
    """
    networks = {one["id"]: one["name"] for one in lab.ask("/v2.0/networks")["networks"]}
    [amphora] = [one for one in lab.ask("/v2.0/octavia/amphorae")["amphorae"] if machine == _MACHINE.format(one["id"])] or [None]
    if amphora is None:
        raise NotFoundError(f"Octavia knows of no amphora {machine}")
    ports = lab.ask(f"/v2.0/ports?device_id={amphora['compute_id']}")["ports"]
    return {f"tap{port['id'][:11]}": networks.get(port["network_id"], MANAGEMENT) for port in ports}
