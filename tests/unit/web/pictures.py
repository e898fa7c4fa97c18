"""What somebody might have seen of a pair of amphorae that has one load balancer."""

from __future__ import annotations

import json
from typing import Any

import compiler
from agent.outcomes import GenerationInfo, Outcome, Status, Trial, Why
from agent.statistics import Row
from compiler.lower.files import stem
from hydria.flows import Flow
from hydria.web.seen import AgentLook, Expiry, PoolMove, Served, Sighting
from hydria.web.watching import Picture

LB, WEB, DNS, POOL, OTHER = (f"{number:08d}-0000-4000-8000-000000000000" for number in range(1, 6))
MEMBERS = tuple(f"{number:08d}-0000-4000-8000-00000000000a" for number in range(1, 4))
#: What HTML would take for its own.
NAME = "<b onclick='x'>it's & \"mine\"</b>"


def graph(**changed: Any) -> compiler.LoadBalancer:
    members = [
        {"id": one, "name": f"m{n}", "address": f"198.51.100.{n}", "protocol_port": 80, "weight": 2} for n, one in enumerate(MEMBERS)
    ]
    pool = {"id": POOL, "name": "servers", "protocol": "HTTP", "lb_algorithm": "SOURCE_IP", "members": members}
    udp = {
        "id": OTHER,
        "name": "resolvers",
        "protocol": "UDP",
        "lb_algorithm": "ROUND_ROBIN",
        "members": [{**members[0], "id": MEMBERS[0][:-1] + "b"}],
    }
    listeners = [
        {
            "id": WEB,
            "name": "web",
            "protocol": "TERMINATED_HTTPS",
            "protocol_port": 443,
            "default_tls_container_ref": "shop",
            "client_ca_tls_container_ref": "people",
            "default_pool_id": POOL,
        },
        {"id": DNS, "name": "dns", "protocol": "UDP", "protocol_port": 53, "default_pool_id": OTHER},
    ]
    document = {"id": LB, "name": NAME, "vip_address": "192.0.2.10", "listeners": listeners, "pools": [pool, udp], **changed}
    return compiler.load(json.dumps({"loadbalancer": document}))


def row(kind: Any, identity: str, status: str, **more: Any) -> Row:
    where = {"listener": WEB, "pool": "" if kind == "listener" else POOL}
    return Row(**{"kind": kind, "loadbalancer": LB, "id": identity, "status": status, **where, **more})


def rows(*statuses: str, requests: int = 0, bytes_out: int = 0) -> tuple[Row, ...]:
    """The web listener with members of these statuses, and what IPVS says of the other one."""
    members = [
        row("member", one, status, weight=128, reason="L4TOUT" * (status == "DOWN")) for one, status in zip(MEMBERS, statuses, strict=False)
    ]
    up = any(status == "UP" for status in statuses)
    return (
        row("listener", WEB, "OPEN", requests=requests, total=requests, sent=bytes_out, sessions=2),
        row("pool", POOL, "UP" if up else "DOWN"),
        *members,
        row("listener", DNS, "OPEN", listener=DNS, total=requests),
        row("pool", OTHER, "UP", listener="", pool=OTHER),
        row("member", MEMBERS[0][:-1] + "b", "no check", listener="", pool=OTHER),
    )


def outcome(way: Any, **more: Any) -> Outcome:
    return Outcome(loadbalancer=LB, way=way, generation=2, etag='"2"', steps_ms={"compile": 20.0, "load": 1500.0}, **more)


def generations() -> tuple[GenerationInfo, ...]:
    reasons = [Why("servers", "balance", "it is another one")]
    return (
        GenerationInfo(number=3, etag='"3"', contract="2.0", made=300.0, state="refused", refused="[ALERT] one\n[ALERT] no such file\n"),
        GenerationInfo(number=2, etag='"2"', contract="2.0", made=200.0, state="serving", outcome=outcome("reload", reasons=reasons)),
        GenerationInfo(
            number=1, etag='"1"', contract="2.0", made=100.0, state="past", outcome=outcome("start", commands=["set weight x"] * 30)
        ),
    )


def look(found: tuple[Row, ...], moment: float = 0.0, *, vip_here: bool | None = True, known: Any = True, **status: Any) -> AgentLook:
    told = Status(**{"loadbalancer": LB, "state": "ACTIVE", "generation": 2, "etag": '"2"', "vip_here": vip_here, **status})
    moved = {2: (PoolMove("servers", 0.25, 0.2, "member m2 is new"),)}
    serving = graph() if known is True else known
    ends = (
        Expiry("agent", "", "certificate", 300.0),
        Expiry("loadbalancer", LB, stem("shop"), 3.4),
        Expiry("loadbalancer", LB, f"{stem('people')}.ca", 20.0),
        Expiry("loadbalancer", OTHER, "of another", 1.0),
    )
    return AgentLook(moment, "3.0.11", (Served(told, found, serving, generations(), moved),), ends)


def trial() -> Trial:
    return Trial(loadbalancer=LB, generation=2, etag='"2"', back_to=1, left=41.6)


def sighting(number: int, now: AgentLook | None, before: AgentLook | None = None, error: str = "") -> Sighting:
    return Sighting(f"amphora-{number}", f"{number:08d}-0000-4000-8000-0000000000aa", f"192.0.2.{number}:9443", now, before, error)


def picture(*sightings: Sighting, **flowed: tuple[Flow | None, ...]) -> Picture:
    return Picture("Load balancers", sightings, {(LB, {"web": WEB, "dns": DNS}[name]): flows for name, flows in flowed.items()})
