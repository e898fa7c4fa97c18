"""Statistics for people and programs: a row for each listener, pool and member that a HAProxy has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import msgspec

from agent.errors import AgentError, SocketFault
from agent.heartbeat.counters import Counts, Ledger
from fastpath import stats

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from agent.haproxies import Haproxies
    from agent.heartbeat.heart import Lvs
    from agent.stats_socket import StatsSocket

Kind = Literal["listener", "pool", "member"]

#: Columns of `show stat` (management guide 9.1).
_TEXTS = ("pxname", "svname", "status", "check_status", "last_chk")
_NUMBERS = ("type", "weight", "scur", "stot", "rate", "req_tot", "bin", "bout", "ereq", "econ", "eresp", "qcur", "bck")

#: What `type` says; listening sockets (3) are not told of.
_KINDS: dict[int, Kind] = {0: "listener", 1: "pool", 2: "member"}

#: What the names of proxies have in them through which metrics pass inside the machine.
_INTERNAL = "prometheus-exporter"

#: "UP 1/3" is on its way to DOWN, "DOWN 1/2" on its way to UP: not yet another status.
_ON_ITS_WAY = re.compile(r" \d+/\d+$")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A listener, a pool as one listener uses it, or a member of such a pool.

    `loadbalancer` is "" where nobody knows. `id` is HAProxy's name of it, for a pool without its listener. `reason` says why a member is down.
    `sessions` and `queued` are now, `rate` is sessions in the last second; all others are since the worker was started. `requests` are HTTP's,
    `received` and `sent` bytes of clients' requests and of answers to them; `errors` are bad requests of a listener, failed connections and answers of
    pools and members.
    """

    kind: Kind
    loadbalancer: str = ""
    listener: str
    pool: str = ""
    id: str
    status: str
    reason: str = ""
    weight: int | None = None
    backup: bool = False
    sessions: int = 0
    queued: int = 0
    rate: int = 0
    total: int = 0
    requests: int = 0
    received: int = 0
    sent: int = 0
    errors: int = 0


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """`problems`: what of the statistics could not be had, and why."""

    rows: list[Row]
    problems: list[str] = []


class AgentStatistics:
    """Those of all that an agent has: HAProxies, and UDP and SCTP listeners."""

    def __init__(self, haproxies: Haproxies, lvs: Lvs | None) -> None:
        self._haproxies = haproxies
        self._lvs = lvs

    def read(self) -> Statistics:
        """What can be had of them now."""
        rows: list[Row] = []
        problems = []
        for lb in self._haproxies.loadbalancers():
            try:
                if self._haproxies.status(lb) != "OFFLINE":
                    rows += read(self._haproxies.stats(lb), lb)
            except AgentError as error:
                problems.append(f"load balancer {lb}: {error}")
        try:
            rows += read_lvs(self._lvs) if self._lvs is not None else []
        except AgentError as error:
            problems.append(f"UDP and SCTP listeners: {error}")
        return Statistics(rows=rows, problems=problems)


def read_lvs(lvs: Lvs) -> Iterator[Row]:
    """UDP and SCTP listeners, each followed by its pool and that by its members; IPVS counts for listeners alone. Raises AgentError."""
    ledger = Ledger()
    seen = lvs.look(ledger)
    for listener, state in seen.listeners.items():
        # A ledger that has seen nothing before owes all that there is.
        counts = ledger.owed.get(listener, Counts())
        yield Row(
            kind="listener",
            listener=listener,
            id=listener,
            status=state.status,
            sessions=state.connections,
            total=counts.connections,
            received=counts.rx,
            sent=counts.tx,
            errors=counts.errors,
        )
    # A pool of IPVS has one listener, which nobody needs to tell apart.
    for pool, told in seen.pools.items():
        yield Row(kind="pool", listener="", pool=pool, id=pool, status=told.status)
        for member, status in told.members.items():
            yield Row(kind="member", listener="", pool=pool, id=member, status=status)


def read(socket: StatsSocket, loadbalancer: str = "") -> list[Row]:
    """What a worker says: each listener, followed by its pools, each followed by its members. Raises SocketFault."""
    dump = socket.ask_bytes("show stat")
    try:
        columns = stats.columns(dump, _TEXTS, _NUMBERS)
    except ValueError as error:
        raise SocketFault(f"{socket.path}: `show stat` answers what cannot be read: {error}") from error
    found: Mapping[str, list[Any]] = {**columns.texts, **columns.numbers}
    lines = (dict(zip(found, values, strict=True)) for values in zip(*found.values(), strict=True))
    return list(_in_order(_row(line, loadbalancer) for line in lines if line["type"] in _KINDS and _INTERNAL not in line["pxname"]))


def _row(line: Mapping[str, Any], loadbalancer: str) -> Row:
    kind = _KINDS[line["type"]]
    proxy = line["pxname"]
    pool, _, listener = proxy.partition(":") if kind != "listener" else ("", "", proxy)

    def number(column: str) -> int:
        return line.get(column) or 0

    status = _ON_ITS_WAY.sub("", line["status"])
    reason = ": ".join(filter(None, (line.get("check_status", "").lstrip("* "), line.get("last_chk"))))
    return Row(
        kind=kind,
        loadbalancer=loadbalancer,
        listener=listener,
        pool=pool,
        id={"listener": listener, "pool": pool, "member": line["svname"]}[kind],
        status=status,
        reason=reason if kind == "member" and status == "DOWN" else "",
        weight=number("weight") if kind == "member" else None,
        backup=kind == "member" and number("bck") > 0,
        sessions=number("scur"),
        queued=number("qcur"),
        rate=number("rate"),
        total=number("stot"),
        requests=number("req_tot"),
        received=number("bin"),
        sent=number("bout"),
        errors=number("ereq") if kind == "listener" else number("econ") + number("eresp"),
    )


def _in_order(rows: Iterable[Row]) -> Iterator[Row]:
    # HAProxy lists proxies as they are configured, and a backend after its servers.
    listeners: dict[str, list[Row]] = {}
    pools: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        if row.kind == "listener":
            listeners.setdefault(row.listener, []).append(row)
        else:
            group = pools.setdefault(row.listener, {}).setdefault(row.pool, [])
            group.insert(0 if row.kind == "pool" else len(group), row)
    for listener in {**listeners, **pools}:
        yield from listeners.get(listener, ())
        for group in pools.get(listener, {}).values():
            yield from group
