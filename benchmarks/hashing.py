"""Source hashing: picks a second, rings built, a plan for a million clients. Beside it: bisection in plain Python, and a hash ring from PyPI."""

from __future__ import annotations

import random
from array import array
from bisect import bisect_left
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from zlib import crc32

from uhashring import HashRing  # type: ignore[import-untyped]

from benchmarks.measuring import Table, best_of
from fastpath.hashing import Map, Ring, Server
from fastpath.ipvs import Maglev, RealServer, SourceHashing
from fastpath.moves import loads, moved

MILLION = 1_000_000
FEW = 50_000

SERVERS = [Server(id=number, weight=100) for number in range(1, 101)]
LARGE = [Server(id=number, weight=256) for number in range(1, 392)]
REAL_SERVERS = [RealServer(bytes([10, 0, 0, number]), 80) for number in range(1, 101)]


def run() -> Iterator[Table]:
    dice = random.Random(1)
    clients4, clients16 = dice.randbytes(4 * MILLION), dice.randbytes(16 * MILLION)
    ports = array("H", [dice.randint(1024, 65535) for _ in range(MILLION)])
    yield _picks(clients4, clients16, ports)
    yield _building()
    yield _plan(clients4, clients16, ports)


def _picks(clients4: bytes, clients16: bytes, ports: array[int]) -> Table:
    ring, ring_port = Ring(SERVERS), Ring(SERVERS, key="source-port")
    few = [clients4[at : at + 4] for at in range(0, 4 * FEW, 4)]
    spans, owners = _plain_ring()
    numbers = [_full_hash(int.from_bytes(address)) for address in few]
    by_bisection = [owners[bisect_left(spans, number)] for number in numbers]
    if by_bisection != list(ring.pick_many(clients4[: 4 * FEW])):
        raise RuntimeError("bisection and fastpath disagree")
    hash_ring = _hash_ring()
    keys = [".".join(map(str, address)) for address in few]
    two = ThreadPoolExecutor(2)
    halves = (clients4[: 2 * MILLION], clients4[2 * MILLION :])
    measured = [
        ("fastpath, batch, IPv4", MILLION, lambda: ring.pick_many(clients4)),
        ("fastpath, batch, IPv4, two threads", MILLION, lambda: list(two.map(ring.pick_many, halves))),
        ("fastpath, batch, IPv6", MILLION, lambda: ring.pick_many(clients16, width=16)),
        ("fastpath, batch, IPv4 and port as text", MILLION, lambda: ring_port.pick_many(clients4, ports)),
        ("fastpath, batch, IPv6 and port as text", MILLION, lambda: ring_port.pick_many(clients16, ports, width=16)),
        ("fastpath, batch, map-based, IPv4", MILLION, lambda: Map(SERVERS).pick_many(clients4)),
        ("fastpath, batch, IPVS sh", MILLION, lambda: SourceHashing(REAL_SERVERS).pick_many(clients4)),
        ("fastpath, batch, IPVS mh", MILLION, lambda: Maglev(REAL_SERVERS).pick_many(clients4)),
        ("fastpath, one at a time", FEW, lambda: [ring.pick(address) for address in few]),
        ("plain Python, bisect alone, clients hashed before", FEW, lambda: [owners[bisect_left(spans, number)] for number in numbers]),
        ("plain Python, hash and bisect", FEW, lambda: [owners[bisect_left(spans, _full_hash(int.from_bytes(one)))] for one in few]),
        ("uhashring with CRC-32, get_node", FEW, lambda: [hash_ring.get_node(key) for key in keys]),
    ]
    rows: list[tuple[str | float, ...]] = []
    for name, count, work in measured:
        millions = count / best_of(work) / MILLION
        rows.append((name, millions, float(rows[0][1]) / millions if rows else 1.0))
    return Table("Picks, 100 servers of weight 100: 160 000 points", ("how", "million a second", "times slower than the first"), rows)


def _building() -> Table:
    dice = random.Random(2)
    mixed = [Server(weight=dice.randint(1, 256)) for _ in range(1000)]
    measured = [
        ("fastpath.Ring, 160 000 points", lambda: Ring(SERVERS)),
        ("fastpath.Ring, 1 601 536 points", lambda: Ring(LARGE)),
        ("fastpath.Map, 1000 servers of mixed weight", lambda: Map(mixed)),
        ("fastpath.Maglev, 100 real servers", lambda: Maglev(REAL_SERVERS)),
        ("plain Python, 160 000 points sorted", _plain_ring),
        ("uhashring with CRC-32, 160 000 points", _hash_ring),
    ]
    return Table("Building", ("what", "milliseconds"), [(name, best_of(work) * 1000) for name, work in measured])


def _plan(clients4: bytes, clients16: bytes, ports: array[int]) -> Table:
    left = SERVERS[:50] + SERVERS[51:]
    became = [*range(50), -1, *range(50, 99)]

    def plan(key: str) -> tuple[int, list[int], list[int]]:
        before, after = (Ring(servers, key="source-port" if key.endswith("port") else "source") for servers in (SERVERS, left))
        old, new = (
            ring.pick_many(clients16 if "IPv6" in key else clients4, ports, width=16 if "IPv6" in key else 4) for ring in (before, after)
        )
        return moved(old, new, became), loads(old, 100), loads(new, 99)

    rows: list[tuple[str | float, ...]] = []
    for key in ("IPv4", "IPv6", "IPv4 and port", "IPv6 and port"):
        share, _, load = plan(key)
        rows.append((key, best_of(lambda key=key: plan(key)) * 1000, share / MILLION, max(load) * len(load) / MILLION))  # type: ignore[misc]
    title = "A plan: 1 of 100 servers goes, a million clients, both rings built"
    return Table(title, ("clients", "milliseconds", "share that moves", "max/mean load after"), rows)


def _full_hash(a: int) -> int:
    a = (a * 4097 + 0x7ED55D16) & 0xFFFFFFFF
    a = a ^ 0xC761C23C ^ (a >> 19)
    a = (a * 33 + 0x165667B1) & 0xFFFFFFFF
    a = ((a + 0xD3A2646C) ^ (a << 9)) & 0xFFFFFFFF
    a = (a * 9 + 0xFD7046C5) & 0xFFFFFFFF
    a = a ^ 0xB55A4F09 ^ (a >> 16)
    return (a * 3221225473) & 0xFFFFFFFF


def _plain_ring() -> tuple[list[int], list[int]]:
    """The greatest number of each point, and its server."""
    ring = sorted(
        (_full_hash((server.id * 4096 + n) & 0xFFFFFFFF), place) for place, server in enumerate(SERVERS) for n in range(16 * server.weight)
    )
    points, owners = [point for point, _ in ring], [place for _, place in ring]
    wrap = (points[-1] + points[0] + 2**32) // 2
    spans = [(low + high) // 2 for low, high in pairwise(points)] + [min(wrap, 2**32 - 1)]
    if wrap >= 2**32:
        return [wrap - 2**32, *spans], [owners[-1], *owners]
    return [*spans, 2**32 - 1], [*owners, owners[0]]


def _hash_ring() -> HashRing:
    """As many points, and the quickest hash of strings that the standard library has instead of MD5."""
    return HashRing({f"s{server.id}": {"vnodes": 1600} for server in SERVERS}, hash_fn=lambda key: crc32(key.encode()))
