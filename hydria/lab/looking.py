"""A look at a lab from outside, without asking agents: what is switched on and runs, who has the VIPs, what heartbeats say."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from agent.settings import Endpoint
from hydria.lab import amphora as amphorae
from hydria.lab import bridges
from hydria.lab.calls import CallError
from hydria.lab.pid_one import HYPERVISOR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hydria.lab.lab import Lab
    from hydria.lab.topology import Backend

#: What runs on an amphora, by the names of processes.
_PROGRAMS = {"agent": "hydria-agent", "haproxy": "haproxy", "keepalived": "keepalived"}


class Amphora(msgspec.Struct, frozen=True):
    """`role`: master, standby, or off; `programs` that run; `network`: whether its traffic passes; `beats` received, and seconds since the last."""

    name: str
    role: str
    programs: tuple[str, ...]
    network: bool
    beats: int
    silent: float | None


class Member(msgspec.Struct, frozen=True):
    """`accepts`: whether it takes connections; `answered` so many requests; `told`: amphora → its state as that one's heartbeats say."""

    name: str
    pool: str
    place: str
    accepts: bool
    answered: int
    told: dict[str, str]


class Look(msgspec.Struct, frozen=True):
    """All of it. `wrong_beats`: datagrams whose signature was not right."""

    lab: str
    vips: tuple[str, ...]
    amphorae: tuple[Amphora, ...]
    members: tuple[Member, ...]
    wrong_beats: int

    @property
    def masters(self) -> list[str]:
        """Who has the VIPs: one, if all is well."""
        return [one.name for one in self.amphorae if one.role == "master"]

    @property
    def well(self) -> bool:
        """Whether all that should run does, and all members take connections."""
        running = all(len(one.programs) >= (3 if len(self.amphorae) > 1 else 2) and one.network for one in self.amphorae)
        return running and len(self.masters) == 1 and all(one.accepts for one in self.members)


def look(lab: Lab) -> Look:
    """Looks once. Raises CallError, OSError."""
    told = lab.attendant("beats")
    beats: dict[str, dict[str, Any]] = told["beats"]
    members: dict[str, list[Any]] = lab.attendant("members")["members"]
    ports = bridges.ports(lab.network(HYPERVISOR))
    return Look(
        lab=lab.name,
        vips=lab.plan.vips,
        amphorae=tuple(_amphora(lab, one.name, beats.get(one.id), ports) for one in lab.plan.amphorae),
        members=tuple(_member(lab, one, members[one.name], beats) for one in lab.plan.backends),
        wrong_beats=told["wrong"],
    )


def _amphora(lab: Lab, name: str, beat: Mapping[str, Any] | None, ports: Mapping[str, tuple[bool, bool]]) -> Amphora:
    beats, silent = (0, None) if beat is None else (beat["count"], round(time.time() - beat["at"], 1))
    passing = all(ports.get(amphorae.port(name, network), (False, False)) == (True, True) for network in ("vip", "members"))
    try:
        running = {one["name"] for one in lab.processes(name)}
    except CallError:
        return Amphora(name, "off", (), network=False, beats=beats, silent=silent)
    role = "master" if lab.holds_vips(name) else "standby"
    programs = tuple(program for program, called in _PROGRAMS.items() if called in running)
    return Amphora(name, role, programs, network=passing, beats=beats, silent=silent)


def _member(lab: Lab, one: Backend, is_now: Sequence[Any], beats: Mapping[str, Mapping[str, Any]]) -> Member:
    accepts, answered = is_now
    return Member(one.name, one.pool, str(Endpoint(one.address, one.port)), bool(accepts), int(answered), _told(lab, one.id, beats))


def _told(lab: Lab, member: str, beats: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Of the pool's first listener: what it is for all."""
    found = {}
    for one in lab.plan.amphorae:
        for pool in beats.get(one.id, {}).get("beat", {}).get("pools", {}).values():
            if member in pool["members"]:
                found[one.name] = str(pool["members"][member])
                break
    return found
