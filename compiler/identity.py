"""Identity: stable ids for objects that come without one, and stable numbers for HAProxy's servers.

Both are pure functions of the graph, so that the same input always gives the same output, on every machine.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from msgspec.structs import force_setattr

from compiler.graph import Listener, LoadBalancer, Node, Pool
from compiler.ring_ids import PLACES, place_of
from fastpath.places import is_place, places_for

#: Characters of a UUID.
_UUID_LENGTH = 36
_NAMESPACE = uuid.UUID("a4f1d2c8-7d0b-5e63-9f0a-3a1c52b7e9d4")


def complete(graph: LoadBalancer) -> LoadBalancer:
    """The same graph, every object with an id: those without get a UUIDv5 of their place.

    A listener's place is its transport and port, a member's its address and port (what a client would notice), a pool's and a policy's
    its name, else where it stands; a rule's is what it looks at, not the value, which may change. So neither reordering (but for rules of
    one policy that look at the same) nor describing something else changes an id.
    References to pools keep what they have. Only `compiler.load` calls this, before anybody else has seen the structs.
    """
    if not graph.id:
        force_setattr(graph, "id", str(uuid.uuid5(_NAMESPACE, f"loadbalancer/{graph.name or graph.vip_address}")))
    keys = _Keys(graph.id)
    for number, pool in enumerate(graph.pools):
        _complete_pool(pool, keys, f"#{number}")
    listener_keys = _Keys(graph.id)
    for listener in graph.listeners:
        listener_keys.name(listener, f"listener/{transport(listener)}/{listener.protocol_port}")
        if listener.default_pool is not None:
            _complete_pool(listener.default_pool, keys, f"{listener.id}/default_pool")
        policy_keys = _Keys(listener.id)
        for number, policy in enumerate(listener.l7policies):
            policy_keys.name(policy, f"l7policy/{policy.name or f'#{number}'}")
            if policy.redirect_pool is not None:
                _complete_pool(policy.redirect_pool, keys, f"{policy.id}/redirect_pool")
            rule_keys = _Keys(policy.id)
            for rule in policy.rules:
                rule_keys.name(rule, f"l7rule/{rule.type}/{rule.compare_type}/{rule.key}/{rule.invert}")
    return graph


def _complete_pool(pool: Pool, keys: _Keys, place: str) -> None:
    if pool.is_reference:
        return
    keys.name(pool, f"pool/{pool.name or place}")
    member_keys = _Keys(pool.id)
    for member in pool.members:
        if not member.id:
            member_keys.name(member, f"member/{member.address}/{member.protocol_port}")
    if pool.healthmonitor is not None:
        _Keys(pool.id).name(pool.healthmonitor, "healthmonitor")


class _Keys:
    """Gives ids below one parent; a key that comes again is numbered."""

    def __init__(self, parent: str) -> None:
        self._parent = uuid.UUID(parent)
        self._seen: Counter[str] = Counter()

    def name(self, node: Node, key: str) -> None:
        if node.id:
            return
        self._seen[key] += 1
        again = f"/again/{self._seen[key]}" if self._seen[key] > 1 else ""
        force_setattr(node, "id", str(uuid.uuid5(self._parent, key + again)))


def transport(listener: Listener) -> str:
    """`tcp`, `udp` or `sctp`: what the listener's port belongs to."""
    return {"UDP": "udp", "SCTP": "sctp"}.get(listener.protocol, "tcp")


def server_ids(members: Iterable[str], previous: Mapping[str, int] | None = None) -> dict[str, int]:
    """Member id → the place of its HAProxy server on the ring (`ring_ids`), no two alike: at most `ring_ids.USABLE_PLACES` members.

    The first wish is the place for the UUID's last five hex digits. Whoever had an id in `previous`, as it is written for whichever
    HAProxy, keeps its place. Of several who wish the same, the smallest UUID has it; the others, when all first wishes are settled, take
    further digits of their UUIDs, then the next free place. So the result depends on the set of members and on `previous` alone, not on
    their order; and without a clash on nobody else at all.
    """
    wanted = list(members)
    assigned = _kept(wanted, previous) if previous else {}
    taken = set(assigned.values())
    rest = [member for member in wanted if member not in assigned] if assigned else wanted
    first = places_for("".join(rest).encode(), _UUID_LENGTH)
    wished = set(first)
    if not taken and len(wished) == len(first):  # the usual case
        return dict(zip(rest, first, strict=True))
    contested = {number for number, count in Counter(first).items() if count > 1} | (wished & taken)
    contenders: dict[int, list[str]] = {}
    for member, number in zip(rest, first, strict=True):
        if number in contested:
            contenders.setdefault(number, []).append(member)
        else:
            assigned[member] = number
    losers: list[str] = []
    for number, several in contenders.items():
        several.sort()
        if number not in taken:
            assigned[several[0]] = number
            del several[0]
        losers += several
    taken.update(assigned.values())
    for member in sorted(losers):
        assigned[member] = _further_wish(member, taken) or _next_free(member, taken)
        taken.add(assigned[member])
    return {member: assigned[member] for member in wanted}


def _kept(members: list[str], previous: Mapping[str, int]) -> dict[str, int]:
    """The places that members had before, each once."""
    assigned: dict[str, int] = {}
    taken: set[int] = set()
    for member in sorted(members):
        place = place_of(previous.get(member, 0))
        if place and place not in taken:
            assigned[member] = place
            taken.add(place)
    return assigned


def _further_wish(member: str, taken: Collection[int]) -> int:
    """The first place among its other digits that is not taken; 0 for none."""
    digits = member.replace("-", "")
    wishes = (int(digits[end - 5 : end], 16) for end in (27, 22, 17, 12, 7))
    return next((wish for wish in wishes if is_place(wish) and wish not in taken), 0)


def _next_free(member: str, taken: Collection[int]) -> int:
    steps = ((int(member[-5:], 16) + step) % PLACES for step in range(PLACES))
    return next(number for number in steps if is_place(number) and number not in taken)
