"""Which member of a pool a client gets: computed where it is a function of the client's address alone, with the arithmetic of `fastpath`.

What comes before any scheduler is not computed here: a stick table, a cookie, a check that found a member down (`down` says which).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

import msgspec

from compiler import pickers
from compiler.graph import Listener, Member, Pool
from compiler.identity import server_ids, transport
from compiler.ring_ids import id_bases, written
from compiler.target import Target


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """Who connects. `address` is an IP address; `port` the one that it connects from, None where that is not known."""

    address: str
    port: int | None = None


class Picked(msgspec.Struct, frozen=True):
    """The member, or why there is none to be named."""

    member: Member | None
    because: str


def candidates(pool: Pool, listener: Listener, client: Client, *, down: Collection[str] = ()) -> list[Member]:
    """The members that the client can get if it is new: those switched on with a weight and not `down`. Backups only where there is no
    other; but LVS, which has members of the client's address family only, knows no backups.
    """
    lvs = transport(listener) != "tcp"
    members = _of_family(pool, client) if lvs else pool.members
    usable = [member for member in members if member.admin_state_up and member.weight and member.id not in down]
    return usable if lvs else [member for member in usable if not member.backup] or usable


def pick(pool: Pool, listener: Listener, client: Client, target: Target, *, down: Collection[str] = ()) -> Picked:
    """The member that a client without history gets, as far as that follows from the graph."""
    able = candidates(pool, listener, client, down=down)
    if len(able) < 2:
        return Picked(able[0], "there is no other") if able else Picked(None, "there is none")
    if pool.lb_algorithm not in ("SOURCE_IP", "SOURCE_IP_PORT"):
        return Picked(None, f"{pool.lb_algorithm or 'ROUND_ROBIN'} decides for each connection anew, by what went before")
    if pool.lb_algorithm == "SOURCE_IP_PORT" and client.port is None:
        return Picked(None, "SOURCE_IP_PORT depends on the client's port too, which was not given")
    packed = ipaddress.ip_address(client.address).packed
    made = _pickers(pool, listener, client, target, down)
    picks = {each.members[each.picker.pick(packed, client.port)].id: each for each in made}
    if len(picks) > 1:
        version = ".".join(map(str, target.haproxy))
        return Picked(None, f"releases of HAProxy {version} differ in their consistent hash; the exact one (--target haproxy=…) tells")
    how = "hash" if pool.hash == "map" else "consistent hash"
    port = " and port" if pool.lb_algorithm == "SOURCE_IP_PORT" else ""
    member = next(member for member in able if member.id in picks)
    return Picked(member, f"the {how} of the client's address{port} leads to it")


def _pickers(pool: Pool, listener: Listener, client: Client, target: Target, down: Collection[str]) -> list[pickers.Candidates]:
    """What there may be: one, or one for each way that the consistent hash may be made, where HAProxy's version leaves that open."""
    if transport(listener) != "tcp":
        return [pickers.lvs(pool, 6 if ":" in client.address else 4, down=down)]
    ids = written(server_ids([member.id for member in pool.members]), target.haproxy)
    bases = id_bases(target.haproxy) if pool.hash == "consistent" else id_bases(target.haproxy)[:1]
    return [pickers.haproxy(pool, ids, base, down=down) for base in bases]


def _of_family(pool: Pool, client: Client) -> list[Member]:
    """The members that LVS has for this client: those of its address family. It holds no disabled ones."""
    return [member for member in pool.members if member.admin_state_up and (":" in member.address) == (":" in client.address)]
