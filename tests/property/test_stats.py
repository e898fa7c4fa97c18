"""`fastpath.stats` against plain Python: the same values and the same errors, for whole dumps and for damaged ones."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from stats_oracle import PAIRS, STATE_NUMBERS, STATE_TEXTS, outcome

VECTORS = Path(__file__).parents[1] / "vectors" / "stats"
DUMPS: dict[str, dict[str, bytes]] = {
    path.name.removesuffix(".json.xz"): {
        command: answer.encode("latin-1") for command, answer in json.loads(lzma.decompress(path.read_bytes())).items()
    }
    for path in sorted(VECTORS.glob("*.json.xz"))
}

COMMANDS = {"heartbeat": "show stat", "columns": "show stat", "servers_state": "show servers state", "info": "show info"}


def agree(name: str, dump: bytes) -> Any:
    ours, theirs = PAIRS[name]
    found = outcome(ours, dump)
    assert found == outcome(theirs, dump)
    return found


# --- dumps as HAProxy writes them -----------------------------------------------------------------------------------------------------

counters = st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1))
signed = st.one_of(st.integers(-(2**63), 2**64 - 1), st.integers(-2, 2))
free_text = st.one_of(
    st.binary(max_size=90).map(lambda raw: raw.replace(b"\0", b"")),
    st.lists(st.sampled_from([b'"', b",", b"\n", b"\r", b"a", b"\xc3\xa9", b" "]), max_size=12).map(b"".join),
)
names = st.text("abc-:._0", min_size=1, max_size=80).map(str.encode)
statuses = st.sampled_from([b"UP", b"UP 1/3", b"DOWN", b"DOWN (agent)", b"MAINT", b"no check", b"DRAIN", b"OPEN", b"", b"MAINT (via b/s)"])


def printed(value: bytes) -> bytes:
    """As HAProxy prints a text: in quotes if it must be."""
    return b'"' + value.replace(b'"', b'""') + b'"' if any(byte in value for byte in b',"\r\n') else value


def number_or_nothing(of: st.SearchStrategy[int]) -> st.SearchStrategy[bytes]:
    return st.one_of(of.map(lambda number: b"%d" % number), st.just(b""))


FIELDS: dict[str, st.SearchStrategy[bytes]] = {
    "pxname": st.one_of(st.sampled_from([b"one", b"two"]), names),
    "svname": st.one_of(st.sampled_from([b"FRONTEND", b"BACKEND"]), names),
    "status": statuses,
    "type": st.sampled_from([b"0", b"1", b"2", b"2", b"2", b"3"]),
    "weight": counters.map(lambda number: b"%d" % number),
    **dict.fromkeys(("scur", "stot", "bin", "bout", "ereq"), counters.map(lambda number: b"%d" % number)),
    "last_chk": free_text,
    "lastsess": number_or_nothing(signed),
    "agent": free_text,
    "more": number_or_nothing(counters),
}


@st.composite
def stat_dumps(draw: st.DrawFn) -> bytes:
    """`show stat` of some version: columns in any order, with others between them."""
    extra = draw(st.sampled_from([0, 0, 3, 70]))
    heading = draw(st.permutations([*FIELDS, *(f"x{number}" for number in range(extra))]))
    rows = [
        b"".join(printed(draw(FIELDS[name])) + b"," if name in FIELDS else b"," for name in heading) for _ in range(draw(st.integers(0, 4)))
    ]
    return b"\n".join([b"# " + b"".join(name.encode() + b"," for name in heading), *rows, b"", b""])


@st.composite
def state_dumps(draw: st.DrawFn) -> bytes:
    heading = draw(st.permutations([*STATE_TEXTS, *STATE_NUMBERS, "srv_fqdn", "srv_port"]))
    word = st.one_of(names, st.just(b"-"))
    number = signed.map(lambda number: b"%d" % number)
    rows = [b" ".join(draw(number if name in STATE_NUMBERS else word) for name in heading) for _ in range(draw(st.integers(0, 4)))]
    return b"\n".join([b"1", b"# " + " ".join(heading).encode(), *rows, b"", b""])


@st.composite
def info_dumps(draw: st.DrawFn) -> bytes:
    value = st.one_of(signed.map(lambda number: b"%d" % number), free_text.map(lambda raw: raw.replace(b"\n", b"")))
    lines = draw(st.lists(st.tuples(st.one_of(st.sampled_from([b"Pid", b"node"]), names), value), max_size=6))
    return b"".join(name + b": " + value + b"\n" for name, value in lines) + b"\n"


WHOLE = {"heartbeat": stat_dumps(), "columns": stat_dumps(), "servers_state": state_dumps(), "info": info_dumps()}


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """A dump with something lost, put in, changed, or said twice."""
    dump = draw(whole)
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, len(dump)))
        end = draw(st.integers(begin, min(len(dump), begin + draw(st.sampled_from([0, 1, 2, 40, 5000])))))
        put = draw(
            st.one_of(
                st.just(b""),
                st.sampled_from([b",", b'"', b'""', b"\n", b"\r\n", b" ", b"-", b"9" * 20, b"\0"]),
                st.just(dump[begin:end] * 2),
            )
        )
        dump = dump[:begin] + put + dump[end:]
    return dump


@pytest.mark.parametrize("name", PAIRS)
@given(data=st.data())
def test_whole_dumps_are_read_as_plain_python_reads_them(name: str, data: st.DataObject) -> None:
    dump = data.draw(WHOLE[name])
    assert not isinstance(agree(name, dump), str) or name == "info"  # where Pid may be anything


@pytest.mark.parametrize("name", PAIRS)
@settings(max_examples=300)
@given(data=st.data())
def test_damaged_dumps_are_the_same_values_or_the_same_errors(name: str, data: st.DataObject) -> None:
    agree(name, data.draw(damaged(WHOLE[name])))


@pytest.mark.parametrize("name", PAIRS)
@given(dump=st.binary(max_size=200))
@example(dump=b"# a,\n" + b"," * 100)
def test_any_bytes(name: str, dump: bytes) -> None:
    agree(name, dump)
    agree(name, b"# pxname,svname,\n" + dump)
    agree(name, b"1\n# srv_id srv_name\n" + dump)


# --- dumps that HAProxy has written ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("version", DUMPS)
def test_recorded_dumps(version: str, name: str) -> None:
    assert not isinstance(agree(name, DUMPS[version][COMMANDS[name]]), str)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("version", DUMPS)
def test_a_recorded_dump_cut_anywhere_is_an_error_that_says_where(version: str, name: str) -> None:
    dump = DUMPS[version][COMMANDS[name]]
    ours = PAIRS[name][0]
    for length in range(len(dump)):
        message = outcome(ours, dump[:length])
        assert message == f"byte {length}: the dump ends here, unfinished" or (length < 4 and str(message).startswith("byte 0: ")), length
    for length in range(0, len(dump), 97):
        agree(name, dump[:length])


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("version", DUMPS)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_a_recorded_dump_with_damage(version: str, name: str, data: st.DataObject) -> None:
    agree(name, data.draw(damaged(st.just(DUMPS[version][COMMANDS[name]]))))
