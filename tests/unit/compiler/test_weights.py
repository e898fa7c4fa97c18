from __future__ import annotations

import ipaddress
import random
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.identity import server_ids
from compiler.weights import ring_factor
from fastpath import hashing


@pytest.mark.parametrize(
    ("weights", "factor"),
    [
        ([], 64),
        ([0, 0], 64),
        ([1, 1, 1], 64),
        ([1, 4], 64),
        ([1, 5], 16),
        ([16], 16),
        ([17], 4),
        ([64, 1], 4),
        ([65, 1], 1),
        ([256], 1),
        ([1] * 2048, 64),
        ([1] * 2049, 16),
        ([1] * 8193, 4),
        ([1] * 200_000, 1),
    ],
)
def test_the_factor_is_the_most_that_weights_and_points_allow(weights: list[int], factor: int) -> None:
    assert ring_factor(weights) == factor


@given(st.lists(st.integers(0, 256), max_size=50))
def test_no_weight_is_more_than_haproxy_takes(weights: list[int]) -> None:
    assert all(weight * ring_factor(weights) <= 256 for weight in weights)


@given(st.lists(st.integers(0, 4), max_size=50), st.integers(0, 4))
def test_a_light_member_more_changes_nothing_for_the_others(weights: list[int], another: int) -> None:
    assert ring_factor(weights) == ring_factor([*weights, another])


@pytest.mark.parametrize("members", [3, 10, 100])
def test_equal_members_share_evenly(members: int) -> None:
    """The figures of the documentation: the busiest of equal members has at most a tenth more than its share."""
    chance = random.Random(members)
    ids = server_ids(str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in range(members))
    weight = ring_factor([1] * members)
    ring = hashing.Ring(
        [hashing.Server(number, weight, False, True) for number in ids.values()],
        key="source",
        avalanche=True,
        allbackups=False,
        id_base="x4096",
    )
    loads = [0] * members
    for place in ring.pick_many(b"".join(ipaddress.IPv4Address(chance.getrandbits(32)).packed for _ in range(200_000))):
        loads[place] += 1
    assert max(loads) * members / 200_000 < 1.12
