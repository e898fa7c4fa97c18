"""How a pool becomes a picker of `fastpath`: its members as HAProxy's servers or LVS's real servers, in a state that is told.

Beside each picker stand the members in its order and what each is due: a client's pick is a place in that order.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping, Sequence
from typing import Literal, NamedTuple

from compiler.graph import Member, Pool
from compiler.lower.backends import server_weights
from fastpath import hashing, ipvs

Family = Literal[4, 6]

HASHED = ("SOURCE_IP", "SOURCE_IP_PORT")
"""The algorithms by which a client's address decides, alone or with its port."""


class Candidates(NamedTuple):
    """Who is picked from. `weights` are what each is due, 0 for one that takes no part; `made` is all that the picks follow from."""

    members: tuple[Member, ...]
    weights: tuple[int, ...]
    picker: hashing.Picker
    made: tuple[object, ...]


def haproxy(pool: Pool, ids: Mapping[str, int], base: hashing.IdBase, *, down: Collection[str] = ()) -> Candidates:
    """HAProxy's: `ids` maps member ids to server ids as they are written, `base` is how the consistent hash makes points of them (`ring_ids`), `down`
    holds the ids of members that checks have found down.
    """
    servers = [
        hashing.Server(
            id=ids[member.id],
            weight=weight,
            backup=member.backup,
            usable=member.admin_state_up and member.id not in down,
            hash_key="addr-port" if pool.hash == "address" else "id",
            address=ipaddress.ip_address(member.address).packed,
            port=member.protocol_port,
        )
        for member, weight in zip(pool.members, server_weights(pool), strict=True)
    ]
    key, backups = _key(pool), any(member.backup for member in pool.members)
    picker: hashing.Picker
    if pool.hash == "map":
        picker = hashing.Map(servers, key=key, allbackups=backups)
    else:
        picker = hashing.Ring(servers, key=key, avalanche=True, allbackups=backups, id_base=base)
    return Candidates(pool.members, picker.weights, picker, (pool.hash, key, base, tuple(servers)))


def lvs(pool: Pool, family: Family, running: Sequence[Member] = (), *, down: Collection[str] = ()) -> Candidates:
    """The kernel's, for the clients of one family. `running` are the real servers that it has already, in the order in which they were added.

    keepalived takes out those that are gone, changes weights where they are and adds what is new; so whoever stays keeps its place, and
    one whose weight becomes 0 keeps its share of the table, for which others then stand in. One that it finds `down` it takes out.
    """
    mine = [member for member in pool.members if member.admin_state_up and (":" in member.address) == (family == 6)]
    wanted = {member.id: member for member in mine if member.id not in down}
    weights = {member.id: member.weight for member in running if _stays(member, wanted)}
    members = tuple(wanted[each] for each in dict.fromkeys([*weights, *wanted]))
    servers = [
        ipvs.RealServer(
            ipaddress.ip_address(member.address).packed,
            member.protocol_port,
            member.weight,
            0 if member.weight else weights.get(member.id, 0),
        )
        for member in members
    ]
    key = _key(pool)
    picker: hashing.Picker
    picker = ipvs.SourceHashing(servers, key=key, fallback=True) if pool.hash == "map" else ipvs.Maglev(servers, key=key, fallback=True)
    return Candidates(members, tuple(member.weight for member in members), picker, (pool.hash, key, family, tuple(servers)))


def _stays(member: Member, wanted: Mapping[str, Member]) -> bool:
    """A real server is its address and port to the kernel: a member that gets another is taken out and added."""
    now = wanted.get(member.id)
    return now is not None and (now.address, now.protocol_port) == (member.address, member.protocol_port)


def _key(pool: Pool) -> hashing.Key:
    return "source-port" if pool.lb_algorithm == "SOURCE_IP_PORT" else "source"
