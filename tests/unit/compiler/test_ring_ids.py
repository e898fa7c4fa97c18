"""The ids with which every release of HAProxy has the same ring. That HAProxy really has it: `tests/real/test_upgrading.py`."""

from __future__ import annotations

import random

import pytest

from compiler.ring_ids import PLACES, USABLE_PLACES, id_bases, place_of, written
from compiler.target import Version
from fastpath.hashing import Ring, Server, rehashed_twin
from fastpath.places import is_place, places_for

PLAIN: Version = (2, 6, 12)
HASHING: Version = (3, 0, 11)


def test_there_are_as_many_places_as_it_says() -> None:
    assert sum(map(is_place, range(-1, PLACES + 1))) == USABLE_PLACES


def test_rings_of_both_kinds_are_the_same() -> None:
    chance = random.Random(5)
    places = {str(place): place for place in filter(is_place, (chance.randrange(PLACES) for _ in range(40)))}
    weights = [chance.randrange(1, 257) for _ in places]
    rings = [
        Ring(
            [Server(id=number, weight=weight) for number, weight in zip(written(places, version).values(), weights, strict=True)],
            id_base=base,
        )
        for version in (PLAIN, HASHING)
        for base in id_bases(version)
    ]
    clients = chance.randbytes(4 * 20_000)
    assert len(rings) == 2
    assert rings[0].pick_many(clients) == rings[1].pick_many(clients)


def test_a_place_is_what_has_a_twin() -> None:
    assert all(is_place(number) == (rehashed_twin(number) != 0) for number in range(1, PLACES))
    assert not any(map(is_place, (-1, 0, PLACES, 2**70)))


def test_the_number_is_what_the_last_five_digits_are() -> None:
    assert places_for(b"-e05ac-E05AC-00001", 6) == places_for(b"e05ace05ac00001", 5)
    assert places_for(b"", 36) == []


@pytest.mark.parametrize(
    ("ids", "width", "why"),
    [
        (b"0000g", 5, "must end in five hexadecimal digits, not b'0000g'"),
        (b"00000/0000", 5, "must end in five hexadecimal digits, not b'/0000'"),
        (b"000000", 5, "must be 5 or longer and be given whole, not 6 characters"),
        (b"0000", 4, "must be 5 or longer"),
    ],
)
def test_what_is_no_id_is_refused(ids: bytes, width: int, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        places_for(ids, width)


def test_every_number_comes_to_a_place() -> None:
    found = places_for("".join(map("{:05x}".format, range(PLACES))).encode(), 5)
    assert all(map(is_place, set(found)))
    assert all(place == number for number, place in enumerate(found) if is_place(number))


def test_what_is_written_tells_the_place() -> None:
    places = {str(place): place for place in range(1, PLACES, 97) if is_place(place)}
    for version in (PLAIN, HASHING):
        ids = written(places, version)
        assert all(0 < number < 2**31 for number in ids.values())
        assert {name: place_of(number) for name, number in ids.items()} == places


@pytest.mark.parametrize("number", [-1, 0, 6, 2**20, 2**31 - 1, 2**31, 2**40])
def test_what_was_never_written_is_no_place(number: int) -> None:
    assert place_of(number) == 0


@pytest.mark.parametrize("version", [(3, 0), (3, 0, 12), (3, 1, 5), (3, 2)])
def test_a_release_that_may_be_of_either_kind_gets_the_places(version: Version) -> None:
    assert written({"a": 5}, version) == {"a": 5}
