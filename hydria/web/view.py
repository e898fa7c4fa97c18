"""What was seen of agents → what the page shows. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from compiler.index import Index
from hydria.flows import Flow, Line, total
from hydria.web import applies, certificates, page, words
from hydria.web.flowing import told

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from compiler.graph import Member as GraphMember
    from hydria.web.seen import Served, Sighting
    from hydria.web.watching import Picture

#: Members of a pool that are shown.
_MOST = 100


class _Here(NamedTuple):
    """A load balancer at one agent, and what that one has said lately of it: nothing where it does not answer now."""

    sighting: Sighting
    served: Served
    lines: Sequence[Line]


def view(picture: Picture, at: float) -> page.Page:
    """The page at that time, in seconds since 1970."""
    places: dict[str, list[_Here]] = {}
    for sighting in picture.sightings:
        lines = told(sighting)
        for served in sighting.now.served if sighting.now else ():
            lb = served.status.loadbalancer
            places.setdefault(lb, []).append(_Here(sighting, served, [line for line in lines if line.row.loadbalancer == lb]))
    carrying = {each.sighting.name for those in places.values() for each in those}
    return page.Page(
        title=picture.title,
        at=at,
        balancers=tuple(sorted((_balancer(those, picture.flowed) for those in places.values()), key=lambda each: (each.name, each.id))),
        agents=tuple(_idle(each) for each in picture.sightings if each.name not in carrying),
        certificates=certificates.of_agents(picture.sightings),
    )


def _balancer(places: list[_Here], flowed: Mapping[tuple[str, str], Sequence[Flow | None]]) -> page.Balancer:
    first = _leading(places)
    graph, status = first.served.graph, first.served.status
    listeners = tuple(_listeners(first, places, flowed))
    silent = all(each.sighting.error for each in places)
    own = "UNKNOWN" if silent else words.balancer(status.state, (each.status for each in listeners))
    return page.Balancer(
        id=status.loadbalancer,
        name=(graph.name if graph else "") or status.loadbalancer,
        vips=(graph.vip_address, *(each.ip_address for each in graph.additional_vips)) if graph else (),
        status=own,
        tone="bad" if silent else words.tone(own),
        amphorae=tuple(_amphora(each) for each in places),
        listeners=listeners,
        applies=applies.latest([(each.sighting.name, each.served) for each in places]),
        certificates=certificates.of_balancer([(each.sighting, each.served) for each in places]),
    )


def _leading(places: Sequence[_Here]) -> _Here:
    """Whose word counts for what serves: who has the VIPs, or else the first that answers."""
    return min(places, key=lambda each: (bool(each.sighting.error), not each.served.status.vip_here))


# --- listeners, pools, members ---


def _listeners(first: _Here, places: Sequence[_Here], flowed: Mapping[tuple[str, str], Sequence[Flow | None]]) -> Iterable[page.Listener]:
    graph = first.served.graph
    index = Index(graph) if graph is not None else None
    given = {each.id: each for each in graph.listeners} if graph is not None else {}
    rows = {row.id: row for row in first.served.rows if row.kind == "listener"}
    for identity in [*given, *(each for each in rows if each not in given)]:
        listener, row = given.get(identity), rows.get(identity)
        used = {pool.id for pool in index.pools_of(listener)} if index is not None and listener is not None else set()
        pools = tuple(_pools(first, places, identity, used))
        own = words.listener(row.status if row is not None else "", (each.status for each in pools))
        here = [line for each in places for line in each.lines if line.row.kind == "listener" and line.row.id == identity]
        http = listener is not None and listener.protocol in ("HTTP", "TERMINATED_HTTPS")
        yield page.Listener(
            id=identity,
            name=(listener.name if listener else "") or identity,
            protocol=listener.protocol if listener else "",
            port=listener.protocol_port if listener else None,
            status=own,
            tone=words.tone(own),
            sessions=sum(line.row.sessions for line in here),
            rates=_rates([line.flow for line in here]),
            unit="requests" if http else "connections",
            history=tuple(
                None if flow is None else round(flow.requests if http else flow.sessions, 3)
                for flow in flowed.get((first.served.status.loadbalancer, identity), ())
            ),
            pools=pools,
        )


def _pools(first: _Here, places: Sequence[_Here], listener: str, used: set[str]) -> Iterable[page.Pool]:
    graph = first.served.graph
    known = Index(graph).pools if graph is not None else {}
    for row in first.served.rows:
        # A pool of IPVS has one listener, which its rows do not name.
        if row.kind != "pool" or not (row.listener == listener or (not row.listener and row.pool in used)):
            continue
        given = known.get(row.pool)
        members = tuple(_members(first, places, (row.listener, row.pool), {each.id: each for each in given.members} if given else {}))
        own = words.pool(row.status, (each.status for each in members))
        yield page.Pool(
            id=row.pool,
            name=(given.name if given else "") or row.pool,
            algorithm=(given.lb_algorithm if given else "") or "",
            status=own,
            tone=words.tone(own),
            # Those with which something is the matter are what somebody looks for.
            members=members if len(members) <= _MOST else tuple(sorted(members, key=lambda each: each.status == "ONLINE")[:_MOST]),
            more=max(0, len(members) - _MOST),
        )


def _members(first: _Here, places: Sequence[_Here], whose: tuple[str, str], given: Mapping[str, GraphMember]) -> Iterable[page.Member]:
    flowing: dict[str, list[Line]] = {}
    for each in places:
        for line in each.lines:
            if line.row.kind == "member" and (line.row.listener, line.row.pool) == whose:
                flowing.setdefault(line.row.id, []).append(line)
    for row in first.served.rows:
        if row.kind != "member" or (row.listener, row.pool) != whose:
            continue
        member, here = given.get(row.id), flowing.get(row.id, [])
        own = words.member(row.status)
        yield page.Member(
            id=row.id,
            name=(member.name if member else "") or row.id,
            place=f"{f'[{member.address}]' if ':' in member.address else member.address}:{member.protocol_port}" if member else "",
            status=own,
            tone=words.tone(own),
            reason=row.reason,
            # HAProxy's are larger where a hash needs them so.
            weight=member.weight if member else row.weight,
            backup=row.backup,
            sessions=sum(line.row.sessions for line in here),
            # IPVS counts for listeners alone.
            rates=_rates([line.flow for line in here]) if row.listener else None,
        )


def _rates(flows: Sequence[Flow | None]) -> page.Rates | None:
    flow = total(flows)
    return None if flow is None else page.Rates(**{name: round(value, 3) for name, value in flow._asdict().items()})


# --- amphorae ---


def _amphora(here: _Here) -> page.Amphora:
    sighting, status = here.sighting, here.served.status
    role = {True: "master", False: "standby", None: ""}[status.vip_here]
    facts = [f"change in progress: {status.step}"] if status.step else []
    if status.trial is not None:
        facts.append(f"on trial: in {status.trial.left:.0f} seconds generation {status.trial.back_to} serves again, unless it is confirmed")
    facts += [f"old worker: {each.connections} connections, {each.uptime} seconds old" for each in status.old_workers]
    facts += [f"leaving: {server}, {connections} connections" for server, connections in status.leaving.items()]
    return page.Amphora(
        name=sighting.name,
        id=sighting.amphora,
        place=sighting.place,
        role="" if sighting.error else role,
        tone="bad" if sighting.error else "warn" if facts else "good",
        haproxy=sighting.now.haproxy if sighting.now else "",
        generation=status.generation,
        error=sighting.error,
        facts=tuple(facts),
    )


def _idle(sighting: Sighting) -> page.Amphora:
    return page.Amphora(
        name=sighting.name,
        id=sighting.amphora,
        place=sighting.place,
        role="",
        tone="bad" if sighting.error else "quiet",
        haproxy=sighting.now.haproxy if sighting.now else "",
        error=sighting.error,
    )
