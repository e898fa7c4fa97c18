"""What can go wrong in a lab, and how it is made good again. What is killed is killed at once, as by the kernel or by a power failure."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Literal

from agent.clock import SystemClock, wait_until
from agent.errors import InvalidRequest, NotFoundError
from hydria.lab import amphora as amphorae
from hydria.lab import bridges, kinds
from hydria.lab.pid_one import HYPERVISOR
from hydria.lab.topology import NETWORKS

if TYPE_CHECKING:
    from hydria.lab.lab import Lab
    from hydria.lab.topology import Amphora, Network

What = Literal["agent", "haproxy", "keepalived", "all", "network", "cable"]
WHATS: tuple[What, ...] = ("agent", "haproxy", "keepalived", "all", "network", "cable")

#: What its processes are called (proc_pid_comm(5)).
PROGRAMS: dict[What, list[str]] = {"agent": ["hydria-agent"], "haproxy": ["haproxy"], "keepalived": ["keepalived", "keepalived_vrrp"]}
#: Networks of traffic: those by which an amphora is driven stay, as in a cloud, where they are other ones.
_TRAFFIC: tuple[Network, ...] = ("vip", "members")
#: Seconds until processes that have been killed are gone.
_ENDING = 10.0


def kill(lab: Lab, target: str, what: What = "all") -> None:
    """Has something of an amphora, or a member, fail. Raises NotFoundError, InvalidRequest, CallError, OSError.

    `agent`, `haproxy`, `keepalived`: the processes are killed, and whoever keeps them running may bring them back. `all`: the power is cut.
    `network`: its networks of traffic pass nothing from it or to it, and it does not notice; `cable`: it does, there is no carrier.
    """
    amphora = lab.amphora(target)
    if amphora is None:
        _member(lab, target)
        lab.attendant("refuse", names=[target])
        lab.tell(f"member {target} killed")
    elif what == "all":
        # Whose power is cut is on.
        lab.first_process(target)
        amphorae.cut_power(lab, target, {amphorae.port(target, network): name for network, name in NETWORKS.items()})
        lab.tell(f"{target}: power cut")
    elif what in ("network", "cable"):
        hypervisor = lab.network(HYPERVISOR)
        for network in _TRAFFIC:
            port = amphorae.port(target, network)
            if what == "network":
                bridges.silence(hypervisor, NETWORKS[network], port, silent=True)
            else:
                bridges.pull(hypervisor, port, out=True)
        lab.tell(f"{target}: {what} away")
    else:
        kill_program(lab, target, what)
        lab.tell(f"{target}: {what} killed")


def kill_program(lab: Lab, machine: str, what: What) -> None:
    """Kills the processes of a program of a machine's; they are gone when this returns. Raises InvalidRequest, CallError."""
    there = kinds.found(lab, machine)
    killed = set(there.call("signal", number=signal.SIGKILL, pids=_running(lab, machine, what))["pids"])
    if not killed:
        raise InvalidRequest(f"{what} does not run on {machine}")
    # On a busy machine it takes a moment until a process that has been killed is no more.
    wait_until(lambda: killed.isdisjoint(one["pid"] for one in there.call("processes")["processes"]), _ENDING, SystemClock())


def _running(lab: Lab, machine: str, what: What) -> list[int]:
    """The processes of a program. An agent is not called after it any more where there is what gives gunicorn's processes titles."""
    return [
        one["pid"]
        for one in kinds.found(lab, machine).call("processes")["processes"]
        if one["name"] in PROGRAMS[what] or (what == "agent" and "hydria-agent" in " ".join(one["command"]))
    ]


def heal(lab: Lab, target: str | None = None) -> list[str]:
    """Makes good what is wrong with an amphora or a member, or with all of them; what was done. Raises as `kill`, SystemFault."""
    done = []
    for one in lab.plan.amphorae:
        if target in (None, one.name):
            done += _heal(lab, one)
    members = [one.name for one in lab.plan.backends if target in (None, one.name)]
    if target is not None and not members and lab.amphora(target) is None:
        _member(lab, target)
    away = [name for name, (accepts, _) in lab.attendant("members")["members"].items() if name in members and not accepts]
    if away:
        lab.attendant("accept", names=away)
        done += [f"member {name} back" for name in away]
    for each in done:
        lab.tell(each)
    return done


def _heal(lab: Lab, amphora: Amphora) -> list[str]:
    name = amphora.name
    if not lab.runs(name):
        _forget(lab, amphora)
        amphorae.boot(lab, amphora)
        _await(lab, amphora)
        return [f"{name}: power on"]
    done = []
    hypervisor = lab.network(HYPERVISOR)
    ports = bridges.ports(hypervisor)
    for network in NETWORKS:
        port = amphorae.port(name, network)
        plugged, passing = ports[port]
        if not plugged:
            bridges.pull(hypervisor, port, out=False)
        if not passing:
            bridges.silence(hypervisor, NETWORKS[network], port, silent=False)
        if not (plugged and passing) and f"{name}: network back" not in done:
            done.append(f"{name}: network back")
    if not _running(lab, name, "agent"):
        amphorae.start_agent(lab, amphora)
        _await(lab, amphora)
        done.append(f"{name}: agent started")
    return done


def _await(lab: Lab, amphora: Amphora) -> None:
    with lab.driving() as clients:
        amphorae.await_agent(lab, amphora, clients[amphora.name])


def _forget(lab: Lab, amphora: Amphora) -> None:
    """Removes the ends of the cables of a machine that is off, should the kernel not have come to it yet."""
    hypervisor = lab.network(HYPERVISOR)
    for network in NETWORKS:
        bridges.unplug(hypervisor, amphorae.port(amphora.name, network))


def _member(lab: Lab, name: str) -> None:
    known = [one.name for one in lab.plan.backends]
    if name not in known:
        there = ", ".join([*(one.name for one in lab.plan.amphorae), *known][:40])
        raise NotFoundError(f"there is no amphora and no member {name}; there are {there}")
