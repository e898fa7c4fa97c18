"""Clients counted: how many of a sample move between two ways of picking, how few could, and how many each member has."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from compiler.index import reference
from compiler.pickers import Candidates, Family
from compiler.problems import ObjectRef
from fastpath.moves import least_share, loads, moved


class Clients(NamedTuple):
    """Clients of one address family: their addresses one after the other, 4 or 16 bytes each, and the port that each comes from."""

    addresses: bytes
    ports: array[int]


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """A member's clients before and after, and how many it is due by its weight; None where it is not there, or where that cannot be told."""

    object: ObjectRef
    address: str
    protocol_port: int
    before: int | None
    due_before: float | None
    after: int | None
    due_after: float | None


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to `clients`. There are several for a pool where address families are balanced apart (LVS), or where the HAProxys'
    versions leave open how they hash; `when` says so. Shares are 0 to 1; balance is the greatest ratio of a member's load to what it is due.
    """

    when: str
    clients: int
    moved: int | None
    share: float | None
    least_share: float | None
    balance_before: float | None
    balance_after: float | None
    members: tuple[Load, ...]


def compare(when: str, before: Candidates | None, after: Candidates | None, sample: Sequence[tuple[Family, Clients]]) -> Case:
    """What becomes of the sample's clients between two ways of picking; None where nothing is hashed."""
    total = sum(len(clients.ports) for _, clients in sample)
    one = _picks(before, sample)
    other = one if before and after and before.made == after.made else _picks(after, sample)
    one_loads, other_loads = _loads(before, one), _loads(after, other)
    one_due, other_due = _due(before, total), _due(after, total)
    count = least = None
    if before and after:
        places = {member.id: place for place, member in enumerate(after.members)}
        became = [places.get(member.id, -1) for member in before.members]
        count = sum(moved(then, now, became) for then, now in zip(one, other, strict=True))
        least = least_share(before.weights, after.weights, became)
    members = {member.id: member for side in (after, before, after) if side for member in side.members}
    return Case(
        when=when,
        clients=total,
        moved=count,
        share=count / total if count is not None and total else None,
        least_share=least,
        balance_before=_balance(one_loads, one_due),
        balance_after=_balance(other_loads, other_due),
        members=tuple(
            Load(
                object=reference(member),
                address=member.address,
                protocol_port=member.protocol_port,
                before=one_loads.get(key),
                due_before=one_due.get(key),
                after=other_loads.get(key),
                due_after=other_due.get(key),
            )
            for key, member in members.items()
        ),
    )


def _picks(side: Candidates | None, sample: Sequence[tuple[Family, Clients]]) -> list[array[int]]:
    if side is None:
        return []
    return [side.picker.pick_many(clients.addresses, clients.ports, width=4 if family == 4 else 16) for family, clients in sample]


def _loads(side: Candidates | None, picks: Sequence[array[int]]) -> dict[str, int]:
    """Member id → clients."""
    if side is None:
        return {}
    counts = [loads(some, len(side.members)) for some in picks]
    return {member.id: sum(each) for member, each in zip(side.members, zip(*counts, strict=True), strict=True)}


def _due(side: Candidates | None, total: int) -> dict[str, float]:
    """Member id → clients that it is due."""
    if side is None:
        return {}
    weight = sum(side.weights) or 1
    return {member.id: total * own / weight for member, own in zip(side.members, side.weights, strict=True)}


def _balance(counts: Mapping[str, int], due: Mapping[str, float]) -> float | None:
    return max((counts[key] / part for key, part in due.items() if part), default=None)
