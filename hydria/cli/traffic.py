"""What `hydria run` tells about traffic: HAProxy's statistics in the words of the graph. Pure; `run` asks, prints and waits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from compiler.identity import transport
from compiler.index import Index

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from compiler.graph import LoadBalancer
    from compiler.target import Target

# fmt: off
COLUMNS = (
    "pxname", "svname", "status", "weight", "check_status", "check_desc", "last_chk",
    "scur", "stot", "bin", "bout", "ereq", "econ", "eresp",
)
# fmt: on
"""Those of `show stat` that `rows` looks at."""


class Row(NamedTuple):
    """A listener, a pool (as one listener uses it) or a member of such a pool.

    `kind` is the graph's word; `title` what a person calls it; `place` the address and port where it is. `sessions` now, `total` ever; bytes
    `received` from clients and `sent` to them; `errors` are bad requests of a listener, failed connections and answers of pools and members.
    """

    kind: str
    id: str
    listener: str
    pool: str
    title: str
    protocol: str
    place: str
    status: str
    reason: str
    weight: int | None
    sessions: int
    total: int
    received: int
    sent: int
    errors: int


class Change(NamedTuple):
    """A member's status, seen by one listener, became another; `was` is "" at the first look."""

    row: Row
    pool: str
    was: str

    def __str__(self) -> str:
        was = f"{self.was} → " if self.was else ""
        why = f" ({self.row.reason})" if self.row.reason else ""
        return f"member {self.row.title} of pool {self.pool}: {was}{self.row.status}{why}"


class Names:
    """Titles and places of a graph's objects by their ids; an object without a name is called by where it is, or by its id.

    `listeners` are the ids of those that HAProxy serves, `elsewhere` of those that keepalived would.
    """

    def __init__(self, graph: LoadBalancer, target: Target) -> None:
        self.titles: dict[str, str] = {}
        self.protocols: dict[str, str] = {}
        self.places: dict[str, str] = {}
        enabled = [listener for listener in graph.listeners if listener.admin_state_up and graph.admin_state_up]
        self.listeners = [listener.id for listener in enabled if transport(listener) == "tcp"]
        self.elsewhere = [listener.id for listener in enabled if transport(listener) != "tcp"]
        for listener in graph.listeners:
            where = _place(target.bind_address or graph.vip_address, listener.protocol_port + target.port_offset)
            self.places[listener.id] = where
            self.protocols[listener.id] = listener.protocol
            self.titles[listener.id] = listener.name or where
        for pool in Index(graph).pools.values():
            self.protocols[pool.id] = pool.protocol or ""
            self.titles[pool.id] = pool.name or pool.id
            for member in pool.members:
                self.places[member.id] = _place(member.address, member.protocol_port)
                self.titles[member.id] = member.name or self.places[member.id]


def rows(stat: Iterable[Mapping[str, str]], names: Names) -> list[Row]:
    """The rows of `show stat` that belong to objects of the graph: each listener, followed by its pools, each followed by its members."""
    found: dict[str, list[Row]] = {}
    for line in stat:
        proxy, server = line["pxname"], line["svname"]
        pool, _, listener = proxy.partition(":")
        if server == "FRONTEND" and proxy in names.titles:
            found.setdefault(proxy, []).insert(0, _row("listener", (proxy, ""), proxy, names, line))
        elif server == "BACKEND" and pool in names.titles:
            found.setdefault(listener, []).append(_row("pool", (listener, pool), pool, names, line))
        elif pool in names.titles and server in names.titles:
            found.setdefault(listener, []).append(_row("member", (listener, pool), server, names, line))
    return [row for group in found.values() for row in _members_after_pool(group)]


def changes(before: Sequence[Row], after: Sequence[Row], names: Names) -> Iterator[Change]:
    """Each member whose status is not what it was."""
    known = {(row.listener, row.pool, row.id): row.status for row in before if row.kind == "member"}
    for row in after:
        was = known.get((row.listener, row.pool, row.id), "")
        if row.kind == "member" and row.status != was:
            yield Change(row, names.titles[row.pool], was)


def _place(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _members_after_pool(group: Sequence[Row]) -> Iterator[Row]:
    # HAProxy lists a backend after its servers.
    for row in group:
        if row.kind != "member":
            yield row
        if row.kind == "pool":
            yield from (member for member in group if member.kind == "member" and member.pool == row.id)


def _row(kind: str, owners: tuple[str, str], identifier: str, names: Names, line: Mapping[str, str]) -> Row:
    def number(column: str) -> int:
        return int(line.get(column) or 0)

    # "DOWN 1/2" is on its way to UP, "UP 1/3" on its way to DOWN: not yet another status.
    status = re.sub(r" \d+/\d+$", "", line["status"])
    # "L4CON", "Layer4 connection problem", "Connection refused": the more there is of it, the better a person can act.
    reason = ": ".join(filter(None, (line.get("check_status", "").lstrip("* "), line.get("check_desc"), line.get("last_chk"))))
    return Row(
        kind=kind,
        id=identifier,
        listener=owners[0],
        pool=owners[1],
        title=names.titles[identifier],
        protocol=names.protocols.get(identifier, ""),
        place=names.places.get(identifier, ""),
        status=status,
        reason=reason if status == "DOWN" else "",
        weight=number("weight") if kind == "member" else None,
        sessions=number("scur"),
        total=number("stot"),
        received=number("bin"),
        sent=number("bout"),
        errors=number("ereq") if kind == "listener" else number("econ") + number("eresp"),
    )
