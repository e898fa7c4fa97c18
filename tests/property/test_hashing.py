"""`fastpath.hashing` against an oracle in plain Python: the same servers, or the same kind of error, for anything."""

from __future__ import annotations

import random
from array import array
from typing import Any

import pytest
from hashing_oracle import WORD, Oracle, Variant, closest, entries, number, points, text
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from fastpath.hashing import Map, Ring, Server, endpoint_key
from fastpath.moves import least_share, loads, moved

addresses4 = st.binary(min_size=4, max_size=4)
# Runs of zeros are what the text of an IPv6 address turns on.
words = st.one_of(st.just(b"\0\0"), st.sampled_from([b"\0\1", b"\xff\xff", b"\0\x10", b"\x20\x01"]), st.binary(min_size=2, max_size=2))
addresses16 = st.lists(words, min_size=8, max_size=8).map(b"".join)
weights = st.one_of(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4), st.sampled_from([16, 100, 256]))
servers = st.builds(
    Server,
    # Few ids, and some that are equal to others modulo 2^20, make equal points.
    id=st.one_of(st.integers(0, 9), st.integers(0, 9).map(lambda n: n + 2**20), st.integers(0, 2**31 - 1)),
    weight=weights,
    backup=st.sampled_from([False, False, True]),
    usable=st.sampled_from([True, True, True, False]),
    hash_key=st.sampled_from(["id", "id", "addr", "addr-port", "id32", "guid"]),
    address=st.one_of(st.just(b""), addresses4, addresses16),
    port=st.integers(0, 65535),
    guid=st.one_of(st.just(b""), st.binary(max_size=40)),
)
variants = st.builds(
    Variant,
    consistent=st.booleans(),
    key=st.sampled_from(["source", "source-port"]),
    function=st.sampled_from([None, "sdbm", "djb2", "wt6", "crc32"]),
    avalanche=st.booleans(),
    allbackups=st.booleans(),
    id_base=st.sampled_from(["x4096", "rehash"]),
)
ports = st.integers(0, 65535)


def model(members: list[Server], variant: Variant) -> Map | Ring:
    options: dict[str, Any] = variant._asdict()
    if options.pop("consistent"):
        return Ring(members, **options)
    del options["id_base"]
    return Map(members, **options)


@settings(deadline=None)  # the oracle takes its time over rings of thousands of points
@given(st.lists(servers, max_size=7), variants, st.lists(st.tuples(addresses4, ports)), st.lists(st.tuples(addresses16, ports)))
def test_every_client_gets_the_server_that_the_oracle_says(
    members: list[Server], variant: Variant, clients4: list[tuple[bytes, int]], clients16: list[tuple[bytes, int]]
) -> None:
    oracle, picker = Oracle(members, variant), model(members, variant)
    for clients, width in ((clients4, 4), (clients16, 16)):
        expected = [oracle.pick(*client) for client in clients]
        assert [picker.pick(*client) for client in clients] == expected
        packed = b"".join(address for address, _ in clients)
        picks = picker.pick_many(packed, array("H", [port for _, port in clients]), width=4 if width == 4 else 16)
        assert picks == array("i", expected)


@settings(deadline=None)  # the oracle takes its time over rings of thousands of points
@given(st.lists(servers, max_size=5), variants, st.lists(st.binary(max_size=60)))
def test_every_key_gets_the_server_that_the_oracle_says(members: list[Server], variant: Variant, keys: list[bytes]) -> None:
    oracle, picker = Oracle(members, variant), model(members, variant)
    expected = [oracle.pick_key(key) for key in keys]
    assert [picker.pick_key(key) for key in keys] == expected
    assert picker.pick_keys(keys) == array("i", expected)


@settings(deadline=None)  # the oracle takes its time over rings of thousands of points
@given(st.lists(servers, min_size=1, max_size=4), st.sampled_from(["x4096", "rehash"]))
@example([Server(id=1), Server(id=1 + 2**20), Server(id=1, weight=2)], "x4096")
@example([Server(id=1)], "x4096")
def test_borders_between_points_lie_where_they_should(members: list[Server], id_base: str) -> None:
    variant = Variant(consistent=True, function="sdbm", id_base=id_base)  # without avalanche the address is the number
    ring = points(members, variant)
    assume(ring)
    picker = model(members, variant)
    chosen = sorted({0, WORD - 1} | {point for point, _ in ring[:60]} | {point for point, _ in ring[-60:]})
    numbers = []
    for low, high in zip(chosen, [*chosen[1:], chosen[0] + WORD], strict=True):
        middle = (low + high) // 2
        numbers += [n % WORD for n in (low - 1, low, low + 1, middle - 1, middle, middle + 1, middle + 2)]
    expected = [closest(ring, n) for n in numbers]
    assert picker.pick_many(b"".join(n.to_bytes(4) for n in numbers)) == array("i", expected)


@settings(deadline=None)  # the oracle takes its time over rings of thousands of points
@given(st.lists(servers, max_size=12), st.booleans())
def test_a_map_is_filled_entry_by_entry_as_the_oracle_fills_it(members: list[Server], allbackups: bool) -> None:
    variant = Variant(consistent=False, allbackups=allbackups)
    filled = entries(members, variant)
    picks = model(members, variant).pick_many(b"".join(n.to_bytes(4) for n in range(len(filled))))
    assert list(picks) == filled


def test_the_map_of_a_large_pool_is_filled_as_the_oracle_fills_it() -> None:
    dice = random.Random(4)
    members = [Server(weight=dice.randint(1, 256)) for _ in range(60)]
    variant = Variant(consistent=False)
    filled = entries(members, variant)
    assert len(filled) > 5000
    assert list(model(members, variant).pick_many(b"".join(n.to_bytes(4) for n in range(len(filled))))) == filled


anything = st.one_of(st.integers(-3, 2**33), st.none(), st.text(max_size=3), st.floats(), st.just("addr"))


@settings(max_examples=300, deadline=None)
@given(st.lists(servers, min_size=1, max_size=3), variants, st.sampled_from(["id", "weight", "port"]), anything, st.integers(0, 2))
def test_a_wrong_number_is_the_same_error_as_the_oracles(members: list[Server], variant: Variant, field: str, value: Any, at: int) -> None:
    assume(at < len(members))
    members[at] = members[at]._replace(**{field: value})
    try:
        expected = Oracle(members, variant)
    except (TypeError, ValueError) as error:
        with pytest.raises(type(error), match=f"server {at}: {field} must be"):
            model(members, variant)
    else:
        address = b"\x0a\0\0\1"
        assert model(members, variant).pick(address, 1) == expected.pick(address, 1)


@given(st.one_of(addresses4, addresses16), ports)
@example(bytes(16), 0)
@example(bytes(15) + b"\1", 1)
@example(bytes(12) + b"\1\2\3\4", 65535)
@example(bytes(10) + b"\xff\xff\1\2\3\4", 80)
@example(b"\0\1" + bytes(4) + b"\0\1" + bytes(4) + b"\0\1\0\1", 80)
def test_a_client_with_its_port_is_written_as_inet_ntop_does(address: bytes, port: int) -> None:
    assert endpoint_key(address, port) == f"{text(address)}-{port}".encode()


@given(st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 5))), st.lists(st.integers(-1, 5), min_size=5, max_size=5))
def test_moves_and_loads_are_counted(picks: list[tuple[int, int]], became: list[int]) -> None:
    before, after = array("i", [old for old, _ in picks]), array("i", [new for _, new in picks])
    stays = sum(1 for old, new in picks if (old < 0 and new < 0) or (old >= 0 and became[old] >= 0 and became[old] == new))
    assert moved(before, after, became) == len(picks) - stays
    assert loads(before, 5) == [list(before).count(server) for server in range(5)]


@given(
    st.lists(st.integers(0, 256), min_size=4, max_size=4),
    st.lists(st.integers(0, 256), min_size=5, max_size=5),
    st.permutations(range(-1, 5)).map(lambda places: places[:4]),
)
def test_the_least_share_is_what_servers_lose(before: list[int], after: list[int], became: list[int]) -> None:
    def shares(weights: list[int]) -> list[float]:
        return [weight / sum(weights) for weight in weights]

    share = least_share(before, after, became)
    if not sum(before) or not sum(after):
        assert share == float(sum(before) != sum(after))
    else:
        old, new = shares(before), shares(after)
        lost = sum(max(0.0, old[i] - (new[now] if now >= 0 else 0.0)) for i, now in enumerate(became))
        assert share == pytest.approx(lost, abs=1e-9)
        assert 0.0 <= share <= 1.0


def test_numbers_are_those_of_the_functions() -> None:
    assert number(b"\0\0\0\1", 0, Variant(consistent=True)) == 0x348681B6
