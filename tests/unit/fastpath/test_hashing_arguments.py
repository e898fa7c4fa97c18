"""`fastpath.hashing` and `fastpath.ipvs`: known values, and arguments that are refused."""

from __future__ import annotations

import pickle
from array import array
from typing import Any

import pytest

from fastpath.hashing import Balance, Map, Picker, Ring, Server, endpoint_key
from fastpath.ipvs import Maglev, RealServer, SourceHashing, Table
from fastpath.moves import least_share, loads, moved

CLIENT = b"\x0a\x00\x00\x01"

#: Maps of these sizes tell the hash of a key by the Chinese remainder theorem.
PRIMES = (65521, 65519)


def hash_of(key: bytes, **options: Any) -> int:
    """The number that HAProxy makes of a key, looked up in maps so large that each server has one entry."""
    remainders = [Map([Server()] * prime, **options).pick_key(key) for prime in PRIMES]
    return next(n for n in range(remainders[0], 2**32, PRIMES[0]) if n % PRIMES[1] == remainders[1])


@pytest.mark.parametrize(("function", "expected"), [("sdbm", 0xD1442777), ("djb2", 0x7C628B50), ("wt6", 0x721F5422), ("crc32", 0x39FE0FEE)])
def test_functions_have_their_known_values(function: str, expected: int) -> None:
    assert hash_of(CLIENT, function=function) == expected


def test_without_a_usable_server_nobody_is_picked() -> None:
    for servers in ([], [Server(usable=False)], [Server(weight=0)]):
        for picker in (Map(servers), Ring(servers)):
            assert picker.pick(CLIENT) == -1
            assert picker.pick_many(CLIENT * 3) == array("i", [-1, -1, -1])
            assert picker.weights == (0,) * len(servers)
    for kind in (SourceHashing, Maglev):
        assert kind([]).pick(CLIENT) == -1
        assert kind([RealServer(CLIENT, weight=0)], fallback=True).pick(CLIENT) == -1


def test_weights_tell_who_takes_part() -> None:
    servers = [Server(1, 4), Server(2, 6, usable=False), Server(3, 2), Server(4, 8, backup=True)]
    assert Ring(servers).weights == (4, 0, 2, 0)
    assert Map(servers).weights == (2, 0, 1, 0)
    down = [server._replace(usable=server.backup) for server in servers]
    assert Ring(down).weights == (0, 0, 0, 8)
    assert sum(Maglev([RealServer(CLIENT), RealServer(b"\x0a\0\0\2")]).weights) == 4093
    assert SourceHashing([RealServer(CLIENT), RealServer(CLIENT, weight=0)]).weights == (128, 0)


def test_one_backup_serves_or_all_of_them() -> None:
    backups = [Server(1, 2, backup=True), Server(2, 7, backup=True), Server(3, 40, backup=True)]
    assert Ring(backups).weights == (2, 0, 0)
    assert Ring(backups, allbackups=True).weights == (2, 7, 40)
    assert Map(backups).weights == (0, 0, 1)  # not the first: HAProxy's map-based oddity
    assert Map(backups, allbackups=True).weights == (2, 7, 40)


def test_a_batch_is_as_good_whatever_buffer_it_comes_in() -> None:
    ring = Ring([Server(id=n) for n in range(1, 9)])
    packed = bytes(range(40))
    expected = ring.pick_many(packed)
    for buffer in (bytearray(packed), memoryview(packed), array("B", packed), memoryview(packed).cast("B", (10, 4))):
        assert ring.pick_many(buffer) == expected
    assert ring.pick_many(b"") == array("i")


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: Ring([Server(), Server(weight=257)]), ValueError, r"server 1: weight must be 0 to 256, not 257"),
        (lambda: Map([Server(weight="3")]), TypeError, r"server 0: weight must be an integer, not '3'"),  # type: ignore[arg-type]
        (lambda: Ring([Server(id=-1)]), ValueError, r"server 0: id must be 0 to 2147483647, not -1"),
        (lambda: Ring([Server(id=2**70)]), ValueError, r"server 0: id must be"),
        (lambda: Ring([Server(hash_key="name")]), ValueError, r"server 0: hash_key must be one of id, addr, .*, not 'name'"),  # type: ignore[arg-type]
        (lambda: Ring([Server(address=b"12345")]), ValueError, r"server 0: address must be the 4 or 16 bytes .*, not 5 bytes"),
        (lambda: Ring([Server(address="10.0.0.1")]), TypeError, r"server 0: address must be the 4 or 16 bytes"),  # type: ignore[arg-type]
        (lambda: Ring([Server(guid="x")]), TypeError, r"bytes"),  # type: ignore[arg-type]
        (lambda: Ring([], function="md5"), ValueError, r"function must be one of sdbm, djb2, wt6, crc32, not 'md5'"),  # type: ignore[arg-type]
        (lambda: Ring([], key="port"), ValueError, r"key must be one of source, source-port, not 'port'"),  # type: ignore[arg-type]
        (lambda: Ring([], id_base="x"), ValueError, r"id_base must be one of x4096, rehash, not 'x'"),  # type: ignore[arg-type]
        (lambda: Ring([object()]), AttributeError, r"weight"),  # type: ignore[list-item]
        (lambda: Ring(7), TypeError, r"iterable"),  # type: ignore[arg-type]
        (lambda: Ring([]).pick("10.0.0.1"), TypeError, r"address must be the 4 or 16 bytes .*, not '10.0.0.1'"),  # type: ignore[arg-type]
        (lambda: Ring([]).pick(b"123"), ValueError, r"not 3 bytes"),
        (lambda: Ring([]).pick(CLIENT, 65536), ValueError, r"port must be 0 to 65535, not 65536"),
        (lambda: Ring([], key="source-port").pick(CLIENT), ValueError, r"port decides here, too"),
        (lambda: Ring([], key="source-port").pick_many(CLIENT), ValueError, r"ports decide here, too"),
        (lambda: Ring([]).pick_many(b"12345"), ValueError, r"addresses must be a multiple of 4 bytes, not 5"),
        (lambda: Ring([]).pick_many(bytes(20), width=16), ValueError, r"addresses must be a multiple of 16 bytes, not 20"),
        (lambda: Ring([]).pick_many(bytes(20), width=8), ValueError, r"width must be one of 4, 16, not 8"),  # type: ignore[arg-type]
        (lambda: Ring([]).pick_many(array("I", [1])), TypeError, r"addresses must be a buffer of items 'Bc' .*, not 'I'"),
        (lambda: Ring([]).pick_many(memoryview(bytes(8))[::2]), BufferError, r"contiguous"),
        (lambda: Ring([]).pick_many(CLIENT, b"12"), TypeError, r"ports must be a buffer of items 'H'"),
        (lambda: Ring([]).pick_many(CLIENT, array("H", [1, 2])), ValueError, r"a port for each of the 1 addresses, not 2"),
        (lambda: Ring([]).pick_key("key"), TypeError, r"bytes"),  # type: ignore[arg-type]
        (lambda: Ring([]).pick_keys([b"a", "b"]), TypeError, r"bytes"),  # type: ignore[list-item]
        (lambda: endpoint_key(b"", 1), ValueError, r"not 0 bytes"),
        (lambda: endpoint_key(CLIENT, -1), ValueError, r"port must be"),
        (lambda: loads(array("i", [0, 5]), 3), ValueError, r"server 5 was picked, but there are 3"),
        (lambda: loads([0], 3), TypeError, r"bytes-like"),  # type: ignore[arg-type]
        (lambda: loads(array("d", [0]), 3), TypeError, r"picks must be a buffer of items 'i'"),
        (lambda: moved(array("i", [0]), array("i"), [0]), ValueError, r"the same clients, not of 1 and 0"),
        (lambda: moved(array("i", [1]), array("i", [1]), [0]), ValueError, r"server 1 was picked before, but .* 1 only"),
        (lambda: moved(array("i", [0]), array("i", [0]), [-2]), ValueError, r"what server 0 became must be -1 to"),
        (lambda: least_share([1], [1], []), ValueError, r"what became of 1 servers must be told, not of 0"),
        (lambda: least_share([1], [1], [1]), ValueError, r"what server 0 became must be -1 to 0, not 1"),
        (lambda: SourceHashing([RealServer(b"1")]), ValueError, r"server 0: address must be"),
        (lambda: SourceHashing([RealServer(CLIENT, weight=65536)]), ValueError, r"server 0: weight must be 0 to 65535, not 65536"),
        (lambda: SourceHashing([], bits=13), ValueError, r"bits must be 4 to 12, not 13"),
        (lambda: Maglev([], table_index=7), ValueError, r"table_index must be 8 to 17, not 7"),
        (Picker, TypeError, r"make one of them"),
        (Balance, TypeError, r"make one of them"),
        (Table, TypeError, r"make one of them"),
    ],
)
def test_a_wrong_argument_is_an_error_that_says_what_is_allowed(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_pickers_are_not_copied_through_a_pickle() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Ring([Server()]))


def test_what_is_made_of_a_list_does_not_follow_the_list() -> None:
    servers = [Server(id=1), Server(id=2)]
    ring = Ring(servers)
    servers.clear()
    assert ring.weights == (1, 1)
    assert set(ring.pick_many(bytes(range(200)))) == {0, 1}
