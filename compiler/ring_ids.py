"""Server ids on the ring of HAProxy's consistent hash: of which releases the rings differ, and the ids with which they do not.

HAProxy counts a server's points from a number that it makes of the server's id: 4096 times the id, of which only the low 20 bits count. Releases
from 3.0 to 3.2.6 hash the id instead. Both are found out by running them; the second can be turned round. So a server is known here by
a number below 2^20, its place; what is written is that number or, for a HAProxy that hashes ids, the one whose hash is 4096 times
the place. Then every release has the same ring, and machines with different ones send a client to the same member.
"""

from __future__ import annotations

from collections.abc import Mapping

from compiler.target import Version
from fastpath.hashing import IdBase, rehashed_twin, twin_of_rehashed
from fastpath.places import is_place

#: Places are below this; 0 is none.
PLACES = 2**20
#: How many numbers are places (`fastpath.places.is_place`).
USABLE_PLACES = 524_098

#: HAProxy → the first versions of its branches whose consistent hash is as before 3.0 again (its changelog).
_REPAIRED: dict[Version, Version] = {(3, 2): (3, 2, 7)}
_CHANGED: Version = (3, 0)
_REPAIRED_FOR_GOOD: Version = (3, 3)
#: The latest version of a branch that is known to have the changed hash; what comes after it may or may not.
_LAST_SEEN_CHANGED: dict[Version, Version] = {(3, 0): (3, 0, 11), (3, 1): (3, 1, 0)}


def id_bases(version: Version) -> tuple[IdBase, ...]:
    """How this HAProxy makes points of server ids; both ways where its version does not tell."""
    if version < _CHANGED or version >= _REPAIRED_FOR_GOOD:
        return ("x4096",)
    branch = version[:2]
    if len(version) > 2:
        if branch in _REPAIRED:
            return ("x4096",) if version >= _REPAIRED[branch] else ("rehash",)
        if version <= _LAST_SEEN_CHANGED.get(branch, ()):
            return ("rehash",)
    return ("x4096", "rehash")


def written(places: Mapping[str, int], haproxy: Version) -> dict[str, int]:
    """Whose place → the id by which this HAProxy has the server there. Where its version leaves open how it makes points, the place itself:
    that is right for half of them, and keeps servers apart with the others.
    """
    if id_bases(haproxy) == ("rehash",):
        return {name: rehashed_twin(place) for name, place in places.items()}
    return dict(places)


def place_of(number: int) -> int:
    """The place that a written id stands for, in whichever way it was written; 0 for none."""
    if number < PLACES:
        return number if is_place(number) else 0
    return twin_of_rehashed(number) if number < 2**31 else 0
