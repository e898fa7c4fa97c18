"""HAProxy's source hashing in plain Python, as slowly and plainly as it can be said: what `fastpath.hashing` is held against."""

from __future__ import annotations

import math
import socket
import zlib
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import NamedTuple

from fastpath.hashing import Server

WORD = 2**32


class Variant(NamedTuple):
    """A backend's `balance` and `hash-type` lines."""

    consistent: bool
    key: str = "source"
    function: str | None = None
    avalanche: bool = False
    allbackups: bool = False
    id_base: str = "x4096"


def full_hash(a: int) -> int:
    a = (a * 4097 + 0x7ED55D16) % WORD
    a = a ^ 0xC761C23C ^ (a >> 19)
    a = (a * 33 + 0x165667B1) % WORD
    a = ((a + 0xD3A2646C) ^ (a << 9)) % WORD
    a = (a * 9 + 0xFD7046C5) % WORD
    a = a ^ 0xB55A4F09 ^ (a >> 16)
    return a * 3221225473 % WORD


def rotl(a: int, by: int) -> int:
    return ((a << by) | (a >> (32 - by))) % WORD


def sdbm(key: bytes) -> int:
    h = 0
    for c in key:
        h = (c + 65599 * h) % WORD
    return h


def djb2(key: bytes) -> int:
    h = 5381
    for c in key:
        h = (h * 33 + c) % WORD
    return h


def wt6(key: bytes) -> int:
    h0, h1, s0, s1 = 0xA53C965A, 0x5CA6953A, 6, 18
    for c in key:
        h0, h1 = (h0 ^ c) ^ 0xFFFFFFFF, ((h1 + c) % WORD) ^ 0xFFFFFFFF
        h0, h1 = rotl(h1, s0), rotl(h0, s1)
        t = ((h0 >> 16) ^ h1) & 0xFFFF
        s0, s1 = t % 32, t >> 11
    return h0 ^ h1


FUNCTIONS: dict[str, Callable[[bytes], int]] = {"sdbm": sdbm, "djb2": djb2, "wt6": wt6, "crc32": zlib.crc32}


def xxh32(data: bytes, seed: int) -> int:
    p1, p2, p3, p4, p5 = 2654435761, 2246822519, 3266489917, 668265263, 374761393
    at = 0
    if len(data) >= 16:
        lanes = [seed + p1 + p2, seed + p2, seed, seed - p1]
        while at + 16 <= len(data):
            words = [int.from_bytes(data[at + 4 * i : at + 4 * i + 4], "little") for i in range(4)]
            lanes = [rotl((lane + word * p2) % WORD, 13) * p1 % WORD for lane, word in zip(lanes, words, strict=True)]
            at += 16
        h = sum(rotl(lane % WORD, by) for lane, by in zip(lanes, (1, 7, 12, 18), strict=True))
    else:
        h = seed + p5
    h = (h + len(data)) % WORD
    while at + 4 <= len(data):
        h = rotl((h + int.from_bytes(data[at : at + 4], "little") * p3) % WORD, 17) * p4 % WORD
        at += 4
    for c in data[at:]:
        h = rotl((h + c * p5) % WORD, 11) * p1 % WORD
    h = (h ^ (h >> 15)) * p2 % WORD
    h = (h ^ (h >> 13)) * p3 % WORD
    return h ^ (h >> 16)


def text(address: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)


def check(servers: Sequence[Server], variant: Variant) -> None:
    """Raises what the model raises."""
    for server in servers:
        _bounds(server.weight, 0, 256)
        if variant.consistent:
            _bounds(server.id, 0, 2**31 - 1)
            _bounds(server.port, 0, 65535)
            if len(server.address) not in (0, 4, 16) or server.hash_key not in ("id", "addr", "addr-port", "id32", "guid"):
                raise ValueError(server)


def _bounds(value: object, lowest: int, highest: int) -> None:
    if not isinstance(value, int):
        raise TypeError(value)
    if not lowest <= value <= highest:
        raise ValueError(value)


def number(address: bytes, port: int, variant: Variant) -> int:
    """The client as a number."""
    if variant.key == "source-port":
        return hashed(f"{text(address)}-{port}".encode(), variant)
    h = 0
    for at in range(0, len(address), 4):
        h ^= int.from_bytes(address[at : at + 4])
    return mixed(h, variant)


def hashed(key: bytes, variant: Variant) -> int:
    return mixed(FUNCTIONS[variant.function or "sdbm"](key), variant)


def mixed(h: int, variant: Variant) -> int:
    return full_hash(h) if variant.avalanche or (variant.consistent and variant.function is None) else h


def pool(servers: Sequence[Server]) -> list[int]:
    """Those that take part, all usable backups if it is their turn."""
    usable = [i for i, server in enumerate(servers) if server.usable and server.weight]
    return [i for i in usable if not servers[i].backup] or usable


def entries(servers: Sequence[Server], variant: Variant) -> list[int]:
    """The map, entry by entry; a backup's is cut to what HAProxy uses of it."""
    members = pool(servers)
    if not members:
        return []
    divisor = math.gcd(*(server.weight for server in servers))
    weight = {i: servers[i].weight // divisor for i in members}
    first_only = servers[members[0]].backup and not variant.allbackups
    total = weight[members[0]] if first_only else sum(weight.values())
    if total == 1:
        return [members[0]]
    score = dict.fromkeys(members, 0)
    filled = []
    for _ in range(total):
        best, highest = -1, -1
        for i in members:
            score[i] += weight[i]
            if (score[i] + total) // total > highest:
                best, highest = i, (score[i] + total) // total
        score[best] -= total
        filled.append(best)
    return filled[:1] if first_only else filled


def base(server: Server, variant: Variant) -> int:
    seed = full_hash(server.port) if server.hash_key == "addr-port" else 0
    if server.hash_key in ("addr", "addr-port") and len(server.address) == 4:
        return full_hash((seed + int.from_bytes(server.address, "little")) % WORD)
    if server.hash_key in ("addr", "addr-port") and len(server.address) == 16:
        return xxh32(server.address, seed)
    if server.hash_key == "guid" and server.guid:
        return xxh32(server.guid, 0)
    if server.hash_key == "id32":
        return full_hash(int.from_bytes(server.id.to_bytes(4, "big"), "little"))
    return full_hash(server.id) if variant.id_base == "rehash" else server.id * 4096 % WORD


def points(servers: Sequence[Server], variant: Variant) -> list[tuple[int, int]]:
    """The ring: (point, server), equal points in the order of insertion."""
    members = pool(servers)
    if members and servers[members[0]].backup and not variant.allbackups:
        members = members[:1]
    found = [(full_hash((base(servers[i], variant) + n) % WORD), i) for i in members for n in range(16 * servers[i].weight)]
    return sorted(found, key=lambda point: point[0])


def closest(ring: list[tuple[int, int]], h: int) -> int:
    """The server of the point closest to `h`, the one below if both are as close."""
    at = bisect_left(ring, (h, -1)) % len(ring)
    below, above = ring[at - 1], ring[at]
    return below[1] if (h - below[0]) % WORD <= (above[0] - h) % WORD else above[1]


class Oracle:
    """A backend that can be asked; raises what the model raises."""

    def __init__(self, servers: Sequence[Server], variant: Variant) -> None:
        check(servers, variant)
        self.variant = variant
        self.ring = points(servers, variant) if variant.consistent else []
        self.entries = [] if variant.consistent else entries(servers, variant)

    def of_number(self, h: int) -> int:
        if self.variant.consistent:
            return closest(self.ring, h) if self.ring else -1
        return self.entries[h % len(self.entries)] if self.entries else -1

    def pick(self, address: bytes, port: int) -> int:
        return self.of_number(number(address, port, self.variant))

    def pick_key(self, key: bytes) -> int:
        return self.of_number(hashed(key, self.variant))
