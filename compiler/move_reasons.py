"""Why clients of a source-hashed pool move, and what keeps them where they are: in words, from the two descriptions of the pool."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compiler.graph import Member, Pool
from compiler.identity import server_ids
from compiler.lower.keepalived import DEFAULT_PERSISTENCE
from compiler.pickers import HASHED
from compiler.ring_ids import id_bases
from compiler.target import Version
from compiler.weights import ring_factor

#: Names that a sentence holds; the rest is counted.
_NAMED = 5


def reasons(old: Pool | None, new: Pool | None, *, lvs: bool, fresh: bool) -> list[str]:
    """What is different, as far as it has a part in who gets a client. None: the pool is not used there."""
    if old is None or new is None:
        return ["nothing leads to it any more"] if new is None else ["nothing led to it before"] if old is None else []
    return [*_ways(old, new, lvs), *_members(old, new, lvs, fresh)]


def _ways(old: Pool, new: Pool, lvs: bool) -> Iterator[str]:
    if old.lb_algorithm != new.lb_algorithm:
        yield f"lb_algorithm was {old.lb_algorithm or 'ROUND_ROBIN'}, is {new.lb_algorithm or 'ROUND_ROBIN'}"
    if old.lb_algorithm not in HASHED or new.lb_algorithm not in HASHED:
        return
    if old.hash != new.hash:
        yield f"hash was {old.hash}, is {new.hash}"
    elif old.hash == "consistent" and not lvs:
        factors = [ring_factor([member.weight for member in pool.members]) for pool in (old, new)]
        if factors[0] != factors[1]:
            yield f"HAProxy's weights were {factors[0]} times those of the graph, are {factors[1]} times: all weights together allow no more"


def _members(old: Pool, new: Pool, lvs: bool, fresh: bool) -> Iterator[str]:
    before = {member.id: member for member in old.members}
    after = {member.id: member for member in new.members}
    stay = [(before[key], member) for key, member in after.items() if key in before]
    gone = [member for key, member in before.items() if key not in after]
    come = [member for key, member in after.items() if key not in before]
    if gone:
        yield f"gone: {_listed(map(_name, gone))}"
    if come:
        yield f"new: {_listed(map(_name, come))}"
    places = {(member.address, member.protocol_port) for member in gone}
    renamed = [member for member in come if (member.address, member.protocol_port) in places]
    if renamed:
        yield f"another id at the same address and port, so another member: {_listed(map(_name, renamed))}"
    yield from _changed(stay, lvs)
    if lvs or new.hash == "map":
        if [was.id for was in old.members if was.id in after] != [now.id for _, now in stay] and (fresh or not lvs):
            yield "the order of members, which counts here"
    elif fresh:
        ids = server_ids(before), server_ids(after)
        changed = [now for _, now in stay if ids[0][now.id] != ids[1][now.id]]
        if changed:
            yield f"another server id, without those of OLD: {_listed(map(_name, changed))}"


def _changed(stay: Sequence[tuple[Member, Member]], lvs: bool) -> Iterator[str]:
    """What is different of members that stay, each as it was and as it is."""
    weights = [f"{_name(now)} {was.weight} → {now.weight}" for was, now in stay if was.weight != now.weight]
    if weights:
        yield f"weight: {_listed(weights)}"
    for words, found in (
        ("disabled", [now for was, now in stay if was.admin_state_up and not now.admin_state_up]),
        ("enabled", [now for was, now in stay if now.admin_state_up and not was.admin_state_up]),
        ("a backup now", [now for was, now in stay if now.backup and not was.backup and not lvs]),
        ("no backup any more", [now for was, now in stay if was.backup and not now.backup and not lvs]),
        ("elsewhere", [now for was, now in stay if lvs and (was.address, was.protocol_port) != (now.address, now.protocol_port)]),
    ):
        if found:
            yield f"{words}: {_listed(map(_name, found))}"


def version_reason(old: Version, new: Version) -> list[str]:
    """That the two HAProxys may make points of server ids in different ways. Where both are known, ids are written so that they do not."""
    if old == new or len(id_bases(old)) == len(id_bases(new)) == 1:
        return []
    names = " and ".join(".".join(map(str, version)) for version in (old, new))
    why = "some releases from 3.0 to 3.2 hash them once more; exact versions tell"
    return [f"HAProxy {names} may make different points of the same server ids: {why}"]


def keeping(old: Pool | None, new: Pool | None, *, lvs: bool) -> str:
    """What session persistence does to the clients that it knows; "" where there is none."""
    was, now = (pool.session_persistence if pool is not None else None for pool in (old, new))
    if now is None:
        return f"{was.type} persistence ends: clients that it kept move as all do" if was is not None and new is not None else ""
    if old is not None and (was is None or was.type != now.type):
        begin = f"{now.type} persistence in place of {was.type}" if was is not None else f"{now.type} persistence is new"
        return f"{begin}: it keeps clients from now on, but knows none yet"
    if lvs:
        seconds = now.persistence_timeout or DEFAULT_PERSISTENCE
        return f"SOURCE_IP persistence keeps clients that came in the last {seconds} s where they are, as long as their member is there"
    if now.type == "HTTP_COOKIE":
        return "HTTP_COOKIE persistence keeps clients that send their cookie where they are, as long as their member is there"
    known = "addresses" if now.type == "SOURCE_IP" else f"values of the cookie {now.cookie_name}"
    return f"{now.type} persistence keeps clients whose {known} the stick table holds where they are, as long as their member is there"


def _name(member: Member) -> str:
    place = f"[{member.address}]" if ":" in member.address else member.address
    return member.name or f"{place}:{member.protocol_port}"


def _listed(names: Iterator[str] | Sequence[str]) -> str:
    every = list(names)
    return ", ".join(every[:_NAMED]) + (f" and {len(every) - _NAMED} more" if len(every) > _NAMED else "")
