"""The message and its envelope; differences of counters; datagrams of any size before a receiver that believes what is left out."""

from __future__ import annotations

import hashlib
import hmac
import json
import zlib
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.heartbeat import counters
from agent.heartbeat.counters import Counts, Ledger
from agent.heartbeat.message import ListenerState, Pools, PoolState, document, seal
from agent.heartbeat.telling import Part, Teller

# --- the message ---


def test_the_message_has_octavia_s_words() -> None:
    listeners = {"l": ListenerState("FULL", 7, Counts(rx=1, tx=2, connections=3, errors=4))}
    pools = {"p:l": PoolState("UP", {"m": "UP 1/3"})}
    assert document("a", 5, listeners, pools) == {
        "id": "a",
        "seq": 5,
        "ver": 3,
        "listeners": {"l": {"status": "FULL", "stats": {"rx": 1, "tx": 2, "conns": 7, "totconns": 3, "ereq": 4}}},
        "pools": {"p:l": {"status": "UP", "members": {"m": "UP 1/3"}}},
    }


def test_the_envelope_is_compressed_and_signed() -> None:
    datagram = seal({"id": "a", "ü": "é"}, "schlüssel")
    compressed, signature = datagram[:-64], datagram[-64:]
    assert json.loads(zlib.decompress(compressed)) == {"id": "a", "ü": "é"}
    assert signature == hmac.new("schlüssel".encode(), compressed, hashlib.sha256).hexdigest().encode()
    assert compressed[:2] == zlib.compress(b"", 9)[:2]


# --- counters ---

COUNTS = st.builds(Counts, *[st.integers(0, 2**63)] * 4)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["add", "clear", "restart", "reload ledger", "take", "fail"]), COUNTS)))
def test_what_is_told_is_what_was_counted(steps: list[tuple[str, str, Counts]]) -> None:
    """Whatever happens to workers and to us: the sum of what was told is the sum of all that was seen."""
    ledger = Ledger("boot")
    now: dict[str, Counts] = {}
    runs: Counter[str] = Counter()
    real = told = Counts()
    for worker, what, counts in steps:
        key = f"{worker}{runs[worker]}"
        if what == "add":
            now[worker] = now.get(worker, Counts()) + counts
            real += counts
        elif what == "clear":
            # A look before and after: HAProxy does not tell what was cleared between two looks.
            now[worker] = Counts()
        elif what == "restart":
            ledger.finish(key)
            runs[worker] += 1
            now[worker] = Counts()
        elif what == "reload ledger":
            ledger = msgspec.json.decode(msgspec.json.encode(ledger), type=Ledger)
        else:
            taken = ledger.take({"l": None})
            if what == "take":
                told += taken.get("l", Counts())
            else:
                ledger.give_back(taken)
        if worker in now:
            ledger.see(f"{worker}{runs[worker]}", {"l": now[worker]})
    assert told + ledger.owed.get("l", Counts()) == real


def test_a_row_whose_counters_began_anew_is_news_as_a_whole() -> None:
    assert Counts(10, 500, 3, 0).since(Counts(900, 400, 2, 0)) == Counts(10, 500, 3, 0)


def test_what_a_listener_that_is_not_told_is_owed_stays() -> None:
    ledger = Ledger("boot")
    ledger.see("w", {"on": Counts(1), "off": Counts(2)})
    assert ledger.take({"on": None}) == {"on": Counts(1)}
    assert ledger.owed == {"off": Counts(2)}


def test_the_ledger_is_kept_and_a_reboot_ends_its_workers(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "counters.json"
    assert counters.load(file, "boot 1") == Ledger("boot 1")
    ledger = Ledger("boot 1")
    ledger.see("w", {"l": Counts(1, 2, 3, 4)})
    counters.save(msgspec.json.encode(ledger), file)
    assert counters.load(file, "boot 1") == ledger
    assert counters.load(file, "boot 2") == Ledger("boot 2", {}, {"l": Counts(1, 2, 3, 4)})
    file.write_text("{")
    with pytest.raises(ValueError, match="truncated"):
        counters.load(file, "boot 1")


# --- many members ---

TRUTH = {"UP": "ONLINE", "DOWN": "ERROR", "MAINT": "OFFLINE", "DRAIN": "DRAINING", "no check": "NO_MONITOR"}


class Receiver:
    """What Octavia's receiver makes of members; `tests/interop` asks the real one."""

    def __init__(self) -> None:
        self.database: dict[str, dict[str, str]] = {}

    def knows(self, pools: dict[str, PoolState]) -> None:
        for name, pool in pools.items():
            known = self.database.setdefault(name, {})
            for member, status in pool.members.items():
                known.setdefault(member, "NO_MONITOR" if status == "no check" else "OFFLINE")

    def take(self, part: Part) -> None:
        pools = json.loads(zlib.decompress(part.datagram[:-64]))["pools"]
        assert pools.keys() == self.database.keys()
        for name, members in self.database.items():
            told = pools[name]["members"]
            for member, status in members.items():
                if member in told:
                    members[member] = TRUTH[told[member]]
                elif status != "NO_MONITOR":
                    members[member] = "OFFLINE"


@given(
    st.integers(3000, 6000),
    st.lists(st.integers(0, 150), min_size=1, max_size=5),
    st.lists(
        st.tuples(
            st.sampled_from(["UP", "DOWN", "MAINT", "DRAIN", "no check"]),
            st.integers(0, 40),
            st.integers(1, 7),
            st.booleans(),
        ),
        max_size=6,
    ),
    st.sampled_from(["UP", "no check"]),
)
def test_a_beat_tells_all_that_can_be_told(limit: int, sizes: list[int], changes: list[tuple[str, int, int, bool]], first: str) -> None:
    """After each beat of which nothing was lost, the receiver knows each member's state; of healthy ones in large pools that they are not down."""
    statuses = {
        f"p{pool}:l": {hashlib.md5(f"{pool}/{n}".encode()).hexdigest(): first for n in range(size)} for pool, size in enumerate(sizes)
    }
    teller, receiver = Teller(limit, limit // 4), Receiver()
    for status, begin, step, lost in [(first, 0, 1, False), *changes, (first, 0, 9, False)]:
        for members in statuses.values():
            for member in list(members)[begin::step] if status != "DOWN" else list(members)[begin : begin + 2]:
                members[member] = status
        pools = {name: PoolState("UP", dict(members)) for name, members in statuses.items()}
        receiver.knows(pools)
        complete = True
        for part in teller.parts(1, pools, lambda some, number: seal(document("a", number, {}, some), "k")):
            teller.sent(part)
            if lost:
                complete = False
            else:
                receiver.take(part)
            assert part.rested.keys() <= {member for members in statuses.values() for member in members}
        must = sum(each in ("DOWN", "DRAIN") for members in statuses.values() for each in members.values())
        if not complete or must * 45 > limit / 2 or lost:
            return
        for name, members in statuses.items():
            for member, status_now in members.items():
                expected = (
                    {TRUTH[status_now], "NO_MONITOR"}
                    if status_now == "UP" and name.partition(":")[0] in teller.coarse
                    else {TRUTH[status_now]}
                )
                assert receiver.database[name][member] in expected


def test_a_small_message_is_octavia_s_own() -> None:
    pools = {"p:l1": PoolState("UP", {"m": "no check"}), "p:l2": PoolState("UP", {"m": "MAINT"})}
    seen = []

    def sealed(some: Pools, _: int) -> bytes:
        seen.append(some)
        return b"x"

    [part] = Teller().parts(2, pools, sealed)
    assert seen == [pools]
    assert part.rested == {}


def test_what_came_back_is_told_again() -> None:
    pools = {"p:l": PoolState("UP", {f"{n:032x}": "no check" for n in range(500)})}
    teller = Teller(comfort=500)
    [part] = teller.parts(1, pools, lambda some, number: seal(document("a", number, {}, some), "k"))
    teller.sent(part)
    teller.lost(part)
    [again] = teller.parts(1, pools, lambda some, number: seal(document("a", number, {}, some), "k"))
    assert len(again.rested) == 500
