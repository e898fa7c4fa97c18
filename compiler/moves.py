"""Who goes elsewhere when one graph takes the place of another: for each source-hashed pool the clients that move, and the loads.

Clients come in as a sample. A client moves if another member gets it than before, and members are the same if their ids are. What comes
before the hash (connections that exist, stick tables, cookies) keeps clients where they are; that is told, not counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

import msgspec

from compiler import pickers
from compiler.graph import Listener, LoadBalancer, Pool
from compiler.identity import server_ids, transport
from compiler.index import Index, reference
from compiler.move_counts import Case, Clients, compare
from compiler.move_reasons import keeping, reasons, version_reason
from compiler.pickers import HASHED, Family
from compiler.problems import ObjectRef
from compiler.ring_ids import id_bases, written
from compiler.target import Target
from fastpath.hashing import IdBase

_FAMILIES: tuple[Family, ...] = (4, 6)


class Side(NamedTuple):
    """One of the two: a graph without errors, and what it is made for."""

    graph: LoadBalancer
    target: Target


class PoolMoves(msgspec.Struct, frozen=True, kw_only=True):
    """A pool that is source-hashed in one of the graphs. `before` and `after` tell how its clients are shared out, None where it is not used."""

    object: ObjectRef
    path: str
    listeners: tuple[ObjectRef, ...]
    matched_by: Literal["id", "name"] | None
    before: str | None
    after: str | None
    reasons: tuple[str, ...]
    persistence: str
    cases: tuple[Case, ...]


class Rerouted(msgspec.Struct, frozen=True, kw_only=True):
    """A listener whose default pool is another one now: none of its clients keeps its member."""

    listener: ObjectRef
    before: ObjectRef | None
    after: ObjectRef | None


class Moves(msgspec.Struct, frozen=True, kw_only=True):
    """The whole: source-hashed pools, listeners that lead elsewhere, and the pools that no hash decides for."""

    pools: tuple[PoolMoves, ...]
    rerouted: tuple[Rerouted, ...]
    not_hashed: tuple[ObjectRef, ...]


def families(old: Side, new: Side) -> tuple[Family, ...]:
    """The address families that clients come from: those that both have VIPs of; those of NEW where there is none."""
    before, after = (
        {6 if ":" in vip else 4 for vip in ([side.target.bind_address] if side.target.bind_address else _vips(side.graph))}
        for side in (old, new)
    )
    return tuple(family for family in _FAMILIES if family in ((before & after) or after))


def moves(old: Side, new: Side, sample: Mapping[Family, Clients], *, fresh: bool = False) -> Moves:
    """What becomes of `sample` when NEW takes the place of OLD while that runs; with `fresh`, as if NEW had been started without a past.

    Running, server ids that members have stay theirs (`identity.server_ids`), and LVS keeps the order of its real servers. OLD is taken to
    be as it is when started from its graph alone.
    """
    return _Comparison(old, new, sample, fresh).answer()


class _Used(NamedTuple):
    """A pool that clients can get to, and through which listeners."""

    pool: Pool
    listeners: list[Listener]

    @property
    def lvs(self) -> bool:
        return transport(self.listeners[0]) != "tcp"

    @property
    def hashed(self) -> bool:
        return self.pool.lb_algorithm in HASHED


class _Comparison:
    def __init__(self, old: Side, new: Side, sample: Mapping[Family, Clients], fresh: bool) -> None:
        self.old = old
        self.new = new
        self.sample = sample
        self.fresh = fresh
        self.indexes = Index(old.graph), Index(new.graph)

    def answer(self) -> Moves:
        before, after = _used(self.indexes[0]), _used(self.indexes[1])
        matched = _matched({key: used.pool for key, used in before.items()}, {key: used.pool for key, used in after.items()})
        pairs: list[tuple[_Used | None, _Used | None]] = [(before.get(matched.get(key, "")), used) for key, used in after.items()]
        pairs += [(used, None) for key, used in before.items() if key not in matched.values()]
        hashed, others = [], []
        for one, other in pairs:
            if any(used is not None and used.hashed for used in (one, other)):
                hashed.append(self._pool(one, other))
            else:
                others += [reference(used.pool) for used in (other or one,) if used is not None]
        return Moves(pools=tuple(hashed), rerouted=tuple(self._rerouted(matched)), not_hashed=tuple(others))

    def _pool(self, before: _Used | None, after: _Used | None) -> PoolMoves:
        told = after or before
        assert told is not None  # noqa: S101 - a pair has at least one
        index = self.indexes[1 if after else 0]
        cases = tuple(self._cases(before, after))
        one, other = (before.pool if before else None), (after.pool if after else None)
        found = reasons(one, other, lvs=told.lvs, fresh=self.fresh)
        if before and after and before.lvs != after.lvs:
            found = [f"{'LVS' if before.lvs else 'HAProxy'} served it, now {'LVS' if after.lvs else 'HAProxy'} does", *found]
        if before and after and not before.lvs and before.hashed and after.hashed and "consistent" in (before.pool.hash, after.pool.hash):
            found += version_reason(self.old.target.haproxy, self.new.target.haproxy)
        return PoolMoves(
            object=reference(told.pool),
            path=index.path(told.pool),
            listeners=tuple(map(reference, told.listeners)),
            matched_by=None if one is None or other is None else "id" if one.id == other.id else "name",
            before=_how(before),
            after=_how(after),
            reasons=tuple(found),
            persistence=keeping(one, other, lvs=told.lvs),
            cases=cases,
        )

    def _cases(self, before: _Used | None, after: _Used | None) -> Iterator[Case]:
        told = after or before
        if told is not None and told.lvs:
            for family, clients in self.sample.items():
                one = pickers.lvs(before.pool, family) if before and before.lvs and before.hashed else None
                running = one.members if one and not self.fresh else ()
                other = pickers.lvs(after.pool, family, running) if after and after.hashed else None
                if (one and one.members) or (other and other.members):
                    yield compare(f"IPv{family} clients", one, other, [(family, clients)])
            return
        clients_of_all = list(self.sample.items())
        ids = server_ids([member.id for member in before.pool.members]) if before else {}
        later = server_ids([member.id for member in after.pool.members], None if self.fresh else ids) if after else {}
        old, new = (written(ids, self.old.target.haproxy), written(later, self.new.target.haproxy))
        for one_base, other_base, when in self._variants(before, after):
            yield compare(
                when,
                pickers.haproxy(before.pool, old, one_base) if before and before.hashed and not before.lvs else None,
                pickers.haproxy(after.pool, new, other_base) if after and after.hashed else None,
                clients_of_all,
            )

    def _variants(self, before: _Used | None, after: _Used | None) -> Iterator[tuple[IdBase, IdBase, str]]:
        """The ways in which the two HAProxys may make points of ids. The same version is the same release."""
        old, new = self.old.target.haproxy, self.new.target.haproxy
        ones = id_bases(old) if _on_ring(before) else id_bases(old)[:1]
        others = id_bases(new) if _on_ring(after) else id_bases(new)[:1]
        for one in ones:
            for other in others:
                if old == new and len(ones) == len(others) and one != other:
                    continue
                sides = [(old, one)] * (len(ones) > 1) + [(new, other)] * (len(others) > 1 and not (old == new and len(ones) > 1))
                yield one, other, ", ".join(f"HAProxy {'.'.join(map(str, version))} {_RELEASES[base]}" for version, base in sides)

    def _rerouted(self, matched: Mapping[str, str]) -> Iterator[Rerouted]:
        old, new = self.indexes
        by_id = {listener.id: listener for listener in old.graph.listeners}
        for listener in new.graph.listeners:
            was = by_id.get(listener.id)
            if was is not None:
                one, other = old.default_pool(was), new.default_pool(listener)
                if (one.id if one else None) != (matched.get(other.id, other.id) if other else None):
                    yield Rerouted(
                        listener=reference(listener), before=reference(one) if one else None, after=reference(other) if other else None
                    )


_RELEASES: dict[IdBase, str] = {
    "x4096": "in a release that takes server ids as they are",
    "rehash": "in a release that hashes server ids once more",
}


def _how(used: _Used | None) -> str | None:
    if used is None:
        return None
    if not used.hashed:
        return f"{used.pool.lb_algorithm or 'ROUND_ROBIN'}: each connection is decided anew"
    of = "address and port" if used.pool.lb_algorithm == "SOURCE_IP_PORT" else "address"
    if used.lvs:
        return f"LVS {'sh' if used.pool.hash == 'map' else 'mh'} over the client's {of}"
    return f"HAProxy's {'map-based' if used.pool.hash == 'map' else 'consistent'} hash of the client's {of}"


def _on_ring(used: _Used | None) -> bool:
    return used is not None and used.hashed and not used.lvs and used.pool.hash == "consistent"


def _used(index: Index) -> dict[str, _Used]:
    """The pools in use, by id: enabled, behind an enabled listener."""
    found: dict[str, _Used] = {}
    for listener in index.graph.listeners:
        if index.graph.admin_state_up and listener.admin_state_up and listener.protocol != "PROMETHEUS":
            for pool in index.pools_of(listener):
                if pool.admin_state_up:
                    found.setdefault(pool.id, _Used(pool, [])).listeners.append(listener)
    return found


def _matched(old: Mapping[str, Pool], new: Mapping[str, Pool]) -> dict[str, str]:
    """Pool id in NEW → that in OLD: the same id, else the same name where only one has it."""
    matched = {key: key for key in new if key in old}
    before, after = ({key: pool for key, pool in side.items() if key not in matched and pool.name} for side in (old, new))
    for key, pool in after.items():
        named = [other for other in before.values() if other.name == pool.name]
        if len(named) == 1 and sum(other.name == pool.name for other in after.values()) == 1:
            matched[key] = named[0].id
    return matched


def _vips(graph: LoadBalancer) -> list[str]:
    return [graph.vip_address, *(vip.ip_address for vip in graph.additional_vips)]
