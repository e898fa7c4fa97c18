"""Weights on HAProxy's ring: made larger together, so that a consistent hash shares clients out evenly.

A server has 16 points on the ring for each unit of its weight (configuration manual 4.2, hash-type consistent). With the usual weight
of 1 the busiest of ten servers gets a quarter more than its share; with 64 times as many points, some three in a hundred more.
"""

from __future__ import annotations

from collections.abc import Collection

#: The most that HAProxy takes as a weight, its points for each unit, and the points that a pool may have in all (about 50 bytes each in HAProxy 2.6).
_GREATEST = 256
_POINTS = 16
_POINTS_LIMIT = 2**21


def ring_factor(weights: Collection[int]) -> int:
    """What all weights of a consistently hashed pool are multiplied by: 64, 16, 4 or 1, the most that weights and points allow.

    It comes in coarse steps because it is common to all: within a step (no weight above 4, 16 or 64; not above 2048 members of weight
    1) a member that comes, goes or changes its weight changes no other member's line. Beyond, every line changes and most clients move.
    """
    heaviest, total = max(weights, default=0), sum(weights)
    factor = 64
    while factor > 1 and (heaviest * factor > _GREATEST or total * factor * _POINTS > _POINTS_LIMIT):
        factor //= 4
    return factor


def ring_points(weights: Collection[int]) -> int:
    """How many points a consistently hashed pool has on HAProxy's ring, all members being up."""
    return sum(weights) * ring_factor(weights) * _POINTS
