"""`fastpath.stats`: what it gives, in words that a person can check, and what it says of what it cannot read."""

from __future__ import annotations

from array import array
from collections.abc import Callable

import pytest

from fastpath import stats
from fastpath.stats import Backend, Frontend, Server

HEADING = b"# pxname,svname,scur,stot,bin,bout,ereq,status,weight,last_chk,type,\n"
ROWS = (
    b"web,FRONTEND,3,18446744073709551615,1,2,4,OPEN,,,0,\n"
    b"web,socket,,,,,,OPEN,,,3,\n"
    b'app,one,0,0,0,0,,UP 1/3,1,"said ""no"", twice",2,\n'
    b'app,two,0,0,0,0,,DOWN,256,"line\r\nof\n\nits own",2,\n'
    b"app,BACKEND,0,0,0,0,,UP,257,,1,\n"
    b"empty,BACKEND,0,0,0,0,,DOWN,0,,1,\n"
)
DUMP = HEADING + ROWS + b"\n"
STATE = b"1\n# srv_name srv_addr srv_uweight\none 127.0.0.1 1\ntwo - 256\n\n"
INFO = b"Name: HAProxy\nPid: 12\nnode: a: b\nempty: \n\n"


def test_heartbeat() -> None:
    frontends, backends = stats.heartbeat(DUMP)
    assert frontends == [Frontend("web", "OPEN", scur=3, stot=2**64 - 1, bin=1, bout=2, ereq=4)]
    assert [(backend.name, backend.status) for backend in backends] == [("app", "UP"), ("empty", "DOWN")]
    assert [(server.name, server.status, server.weight) for server in backends[0].servers] == [("one", "UP 1/3", 1), ("two", "DOWN", 256)]
    assert list(backends[1].servers) == []


def test_servers_are_a_sequence_of_values() -> None:
    servers, again = (stats.heartbeat(DUMP).backends[0].servers for _ in range(2))
    assert len(servers) == 2
    assert servers[-1] == servers[1] == again[1] != servers[0]
    assert servers == again
    assert servers != stats.heartbeat(DUMP).backends[1].servers
    assert {servers[0], again[0]} == {servers[0]}
    assert repr(servers[0]) == "Server(name='one', status='UP 1/3', weight=1)"
    assert repr(servers).startswith("Servers([Server(")
    for outside in (2, -3):
        with pytest.raises(IndexError, match="there are 2 servers"):
            servers[outside]


def test_a_server_cannot_be_changed() -> None:
    server = stats.heartbeat(DUMP).backends[0].servers[0]
    with pytest.raises(AttributeError):
        server.weight = 2  # type: ignore[misc]


def test_the_same_status_is_the_same_object() -> None:
    one, other = (stats.heartbeat(DUMP).backends[0].servers[0].status for _ in range(2))
    assert one is other


def test_servers_alone_have_backends_without_a_status() -> None:
    only = HEADING + b"a,s,0,0,0,0,,UP,1,,2,\nb,s,0,0,0,0,,UP,1,,2,\n\n"
    assert [(backend.name, backend.status, len(backend.servers)) for backend in stats.heartbeat(only).backends] == [
        ("a", "", 1),
        ("b", "", 1),
    ]


def test_a_server_without_a_name() -> None:
    assert [server.name for server in stats.heartbeat(HEADING + b"a,,0,0,0,0,,UP,1,,2,\n\n").backends[0].servers] == [""]


def test_kinds_of_rows_that_are_not_known_are_left_out() -> None:
    assert stats.heartbeat(HEADING + b"a,s,0,0,0,0,,UP,1,,9,\n\n") == ([], [])


def test_columns() -> None:
    texts, numbers = stats.columns(DUMP, ("last_chk", "svname", "none"), ("weight", "stot", "nothing"))
    assert texts == {
        "last_chk": ["", "", 'said "no", twice', "line\r\nof\n\nits own", "", ""],
        "svname": ["FRONTEND", "socket", "one", "two", "BACKEND", "BACKEND"],
    }
    assert numbers == {"weight": [None, None, 1, 256, 257, 0], "stot": [2**64 - 1, None, 0, 0, 0, 0]}


def test_columns_may_be_negative() -> None:
    dump = b"# a,b,\n-1,-9223372036854775808,\n\n"
    assert stats.columns(dump, (), ("a", "b")).numbers == {"a": [-1], "b": [-(2**63)]}


def test_bytes_that_are_no_text_are_shown() -> None:
    assert stats.columns(b"# a,\n\xc3\xa9\xff,\n\n", ["a"]).texts["a"] == ["é\\xff"]


def test_nothing_is_wanted_of_many_rows() -> None:
    assert stats.columns(DUMP) == ({}, {})


def test_a_dump_without_rows() -> None:
    assert stats.columns(HEADING + b"\n", ["type"]).texts == {"type": []}
    assert stats.heartbeat(HEADING + b"\n") == ([], [])


def test_names() -> None:
    assert stats.names(b"# a,b,-,c,\n\n") == ["a", "b", "-", "c"]


def test_servers_state() -> None:
    texts, numbers = stats.servers_state(STATE, ["srv_addr"], ["srv_uweight"])
    assert texts == {"srv_addr": ["127.0.0.1", "-"]}
    assert numbers == {"srv_uweight": [1, 256]}


def test_info() -> None:
    assert stats.info(INFO, ["Pid"]) == ({"Name": "HAProxy", "node": "a: b", "empty": ""}, {"Pid": 12})


@pytest.mark.parametrize("kind", [bytearray, memoryview, lambda dump: array("B", dump)], ids=["bytearray", "memoryview", "array"])
def test_a_dump_is_any_bytes(kind: Callable[[bytes], bytes]) -> None:
    assert stats.heartbeat(kind(DUMP)) == stats.heartbeat(DUMP)


def test_a_dump_is_not_text() -> None:
    with pytest.raises(TypeError):
        stats.heartbeat(DUMP.decode())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="dump must be a buffer"):
        stats.heartbeat(array("H", [1, 2]))


def test_a_column_is_wanted_as_one_thing() -> None:
    with pytest.raises(ValueError, match=r"as texts or as numbers, not as both: \['type'\]"):
        stats.columns(DUMP, ["type"], ["type"])


#: What is read, with a ^ before the first byte that is wrong, and what is said of it.
DAMAGED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"^", "the dump must begin with b'# ', not with b''"),
    "a refusal": (b"^Permission denied\n", "the dump must begin with b'# ', not with b'Permission denied\\n'"),
    "no end of the heading": (b"# pxname,^", "the dump ends here, unfinished"),
    "a heading without a last comma": (b"# a,b^\n\n", "the heading must end with a comma"),
    "a heading of nothing": (b"# ^\n\n", "the heading has a column without a name"),
    "a column without a name": (b"# ^a,,\n\n", "the heading has a column without a name"),
    "a column is missing": (b"# ^" + HEADING[2:].replace(b"ereq", b"req") + b"\n", "the heading has no column 'ereq'"),
    "a column is there twice": (b"# ^" + HEADING[2:].replace(b"last_chk", b"ereq") + b"\n", "the heading has several columns 'ereq'"),
    "line ends of another system": (HEADING.replace(b"\n", b"\r^\n") + b"\r\n", "the heading must end with a comma"),
    "a row too short": (HEADING + b"web,FRONTEND,^\n\n", "the row ends in value 3 of 11"),
    "a row too long": (HEADING + b"," * 11 + b"^,\n\n", "the row has more values than the heading has columns, 11"),
    "two rows in one": (DUMP.replace(b",0,\nweb", b",0,^web"), "the row has more values than the heading has columns, 11"),
    "no comma at the end": (DUMP.replace(b",3,\n", b",3^\n"), "the row ends in value 11 of 11"),
    "a quote in a value": (DUMP.replace(b"socket", b'so^"cket'), "a quote inside a value that is not quoted"),
    "more behind a quote": (DUMP.replace(b'twice"', b'twice"^x'), "a comma must follow the closing quote"),
    "a quote without its end": (DUMP.replace(b'its own"', b"its own") + b"^", "the dump ends here, unfinished"),
    "no empty line": (DUMP[:-1] + b"^", "the dump ends here, unfinished"),
    "more behind the empty line": (DUMP + b"^> ", "the empty line before this ends the dump, but it goes on"),
    "a counter too large": (
        DUMP.replace(b"18446744073709551615", b"^18446744073709551616"),
        "stot must be a counter of 64 bits, not b'18446744073709551616'",
    ),
    "a counter below nothing": (DUMP.replace(b"FRONTEND,3", b"FRONTEND,^-3"), "scur must be a counter of 64 bits, not b'-3'"),
    "a counter of nothing": (DUMP.replace(b"FRONTEND,3", b"FRONTEND,^"), "scur must be a counter of 64 bits, not b''"),
    "a fraction": (DUMP.replace(b",256,", b",^25.6,"), "weight must be a counter of 64 bits, not b'25.6'"),
    "no type": (DUMP.replace(b",3,\n", b",^,\n"), "type must be a counter of 64 bits, not b''"),
    "a server's name with quotes": (DUMP.replace(b"app,one", b'app,"^o""e"'), "a server's name has no quotes in it"),
}

DAMAGED_STATE = {
    "another format": (b"^2\n" + STATE[2:], f"the dump must begin with b'1\\n# ', not with {b'2' + STATE[1:]!r}"),
    "a row too short": (STATE.replace(b" 256", b"^"), "the row ends in value 2 of 3"),
    "a row too long": (STATE.replace(b"- 256", b"- 256^ 7"), "the row has more values than the heading has columns, 3"),
    "a number too large": (
        STATE.replace(b"256", b"^" + b"9" * 20),
        "srv_uweight must be an integer of 64 bits, not b'99999999999999999999'",
    ),
    "a number too small": (
        STATE.replace(b"256", b"^-9223372036854775809"),
        "srv_uweight must be an integer of 64 bits, not b'-9223372036854775809'",
    ),
    "no empty line": (STATE[:-1] + b"^", "the dump ends here, unfinished"),
}

DAMAGED_INFO = {
    "nothing": (b"^", "the dump ends here, unfinished"),
    "a refusal": (b"^Unknown command\n\n", "a line of `show info` has a name and a value, not b'Unknown command'"),
    "no number": (INFO.replace(b"12", b"^twelve"), "Pid must be an integer of 64 bits, not b'twelve'"),
    "a line cut": (b"Name: HAP^", "the dump ends here, unfinished"),
    "more behind the empty line": (INFO + b"^\n", "the empty line before this ends the dump, but it goes on"),
}


def said_of(marked: bytes, read: Callable[[bytes], object]) -> str:
    """The error, with its offset told by the mark."""
    with pytest.raises(ValueError) as raised:  # noqa: PT011  (who calls compares the whole message)
        read(marked.replace(b"^", b""))
    offset, _, message = str(raised.value).partition(": ")
    assert offset == f"byte {marked.index(b'^')}"
    return message


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_an_error_that_says_where(name: str) -> None:
    marked, message = DAMAGED[name]
    assert said_of(marked, stats.heartbeat) == message


@pytest.mark.parametrize("name", DAMAGED_STATE)
def test_a_damaged_state_is_an_error_that_says_where(name: str) -> None:
    marked, message = DAMAGED_STATE[name]
    assert said_of(marked, lambda dump: stats.servers_state(dump, ["srv_name"], ["srv_uweight"])) == message


@pytest.mark.parametrize("name", DAMAGED_INFO)
def test_a_damaged_info_is_an_error_that_says_where(name: str) -> None:
    marked, message = DAMAGED_INFO[name]
    assert said_of(marked, lambda dump: stats.info(dump, ["Pid"])) == message


@pytest.mark.parametrize("width", [1, 15, 16, 17, 63, 64, 65, 4063, 4064, 4065, 9000])
def test_rows_of_any_width(width: int) -> None:
    heading = b"# first," + b"".join(b"c%d," % number for number in range(width)) + b"\n"
    row = b"1," + b"," * width + b"\n"
    assert stats.columns(heading + 3 * row + b"\n", ["first"]).texts == {"first": ["1"] * 3}
    assert stats.columns(heading + row + b"\n", [f"c{width - 1}"]).texts == {f"c{width - 1}": [""]}
    with pytest.raises(ValueError, match=f"more values than the heading has columns, {width + 1}"):
        stats.columns(heading + row[:-1] + b",\n\n", ["first"])
    with pytest.raises(ValueError, match=f"the row ends in value {width + 1} of {width + 1}"):
        stats.columns(heading + row[:-2] + b"\n\n", ["first"])


def test_many_servers_of_one_backend() -> None:
    rows = b"".join(b"app,server-%d,0,0,0,0,,UP,%d,,2,\n" % (number, number % 257) for number in range(5000))
    servers = stats.heartbeat(HEADING + rows + b"\n").backends[0].servers
    assert len(servers) == 5000
    assert servers[4999].name == "server-4999"
    assert [server.weight for server in servers] == [number % 257 for number in range(5000)]


def test_what_is_given_are_the_types_of_the_module() -> None:
    backend = stats.heartbeat(DUMP).backends[0]
    assert isinstance(backend, Backend)
    assert isinstance(backend.servers[0], Server)
