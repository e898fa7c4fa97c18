"""Clients that are drawn for a plan: the same every time, so that two plans can be compared."""

from __future__ import annotations

import random
import sys
from array import array
from typing import TYPE_CHECKING

from compiler.move_counts import Clients

if TYPE_CHECKING:
    from collections.abc import Sequence

    from compiler.pickers import Family

_SEED = 4
_WIDTHS: dict[Family, int] = {4: 4, 6: 16}


def drawn(count: int, families: Sequence[Family]) -> dict[Family, Clients]:
    """`count` clients, as many of each family, from all addresses alike, each with a port from 32768 to 65535; every time the same."""
    dice = random.Random(_SEED)  # noqa: S311 - it must be foreseeable
    sample: dict[Family, Clients] = {}
    for place, family in enumerate(families):
        part = count // len(families) + (place < count % len(families))
        sample[family] = Clients(dice.randbytes(_WIDTHS[family] * part), _ports(dice, part))
    return sample


def ports(count: int) -> array[int]:
    """Ports alone."""
    return _ports(random.Random(_SEED), count)  # noqa: S311 - as above


def _ports(dice: random.Random, count: int) -> array[int]:
    high = int.from_bytes(b"\0\x80" * count, "little")
    found = array("H", (int.from_bytes(dice.randbytes(2 * count), "little") | high).to_bytes(2 * count, "little"))
    if sys.byteorder == "big":
        found.byteswap()
    return found
