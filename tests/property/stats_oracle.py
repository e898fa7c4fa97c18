"""The answers of HAProxy's stats socket in plain Python, one byte after the other: what `fastpath.stats` is held against, errors included."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from fastpath import stats
from fastpath.stats import Columns, Frontend, Info

SHOWN = 80


class Value(NamedTuple):
    at: int
    raw: bytes
    text: str
    doubled: bool = False


class Row(NamedTuple):
    values: list[Value]
    next: int


def decoded(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")


def damaged(at: int, message: str) -> ValueError:
    return ValueError(f"byte {at}: {message}")


def unfinished(dump: bytes) -> ValueError:
    return damaged(len(dump), "the dump ends here, unfinished")


class Table:
    """A heading and rows; with quoting if `separator` is a comma, which then follows the last value of a row, too."""

    def __init__(self, dump: bytes, separator: bytes) -> None:
        self.dump = dump
        self.separator = separator
        self.quoting = separator == b","
        begin = b"# " if self.quoting else b"1\n# "
        if not dump.startswith(begin):
            raise damaged(0, f"the dump must begin with {begin!r}, not with {dump[:SHOWN]!r}")
        self.start = len(begin)
        line = dump.find(b"\n", self.start)
        if line < 0:
            raise unfinished(dump)
        heading = decoded(dump[self.start : line]).split(separator.decode())
        if self.quoting and heading.pop():
            raise damaged(line, "the heading must end with a comma")
        if not heading or "" in heading:
            raise damaged(self.start, "the heading has a column without a name")
        self.heading = heading
        self.body = line + 1

    def place(self, name: str) -> int:
        if self.heading.count(name) > 1:
            raise damaged(self.start, f"the heading has several columns {name!r}")
        return self.heading.index(name)

    def rows(self) -> Iterator[list[Value]]:
        """Every row up to the empty line; a damaged one is an error when it is reached."""
        at = self.body
        while (byte := self.byte(at)) != b"\n":
            if not byte:
                raise unfinished(self.dump)
            values, at = self.row(at)
            yield values
        if at + 1 < len(self.dump):
            raise damaged(at + 1, "the empty line before this ends the dump, but it goes on")

    def byte(self, at: int) -> bytes:
        return self.dump[at : at + 1]

    def row(self, at: int) -> Row:
        values: list[Value] = []
        width = len(self.heading)
        for number in range(1, width + 1):
            quoted = self.quoting and self.byte(at) == b'"'
            value, at = self.quoted(at + 1) if quoted else self.plain(at)
            values.append(value)
            byte = self.byte(at)
            if not byte:
                raise unfinished(self.dump)
            if number == width and not self.quoting:
                break
            if byte != self.separator:
                if quoted:
                    raise damaged(at, "a comma must follow the closing quote")
                if byte == b'"':
                    raise damaged(at, "a quote inside a value that is not quoted")
                raise damaged(at, f"the row ends in value {number} of {width}")
            at += 1
        if not self.byte(at):
            raise unfinished(self.dump)
        if self.byte(at) != b"\n":
            raise damaged(at, f"the row has more values than the heading has columns, {width}")
        return Row(values, at + 1)

    def plain(self, at: int) -> tuple[Value, int]:
        begin = at
        stops = {b"", b"\n", self.separator} | ({b'"'} if self.quoting else set())
        while self.byte(at) not in stops:
            at += 1
        raw = self.dump[begin:at]
        return Value(begin, raw, decoded(raw)), at

    def quoted(self, at: int) -> tuple[Value, int]:
        begin = at
        while True:
            byte = self.byte(at)
            if not byte:
                raise unfinished(self.dump)
            if byte == b'"':
                if self.byte(at + 1) != b'"':
                    break
                at += 1
            at += 1
        raw = self.dump[begin:at]
        return Value(begin, raw, decoded(raw).replace('""', '"'), b'"' in raw), at + 1


def number(value: Value, name: str) -> int:
    if re.fullmatch(rb"-?[0-9]+", value.raw) and -(2**63) <= int(value.raw) < 2**64:
        return int(value.raw)
    raise damaged(value.at, f"{name} must be an integer of 64 bits, not {value.raw[:SHOWN]!r}")


def counter(value: Value, name: str) -> int:
    if re.fullmatch(rb"[0-9]+", value.raw) and int(value.raw) < 2**64:
        return int(value.raw)
    raise damaged(value.at, f"{name} must be a counter of 64 bits, not {value.raw[:SHOWN]!r}")


def columns(dump: bytes, texts: tuple[str, ...] = (), numbers: tuple[str, ...] = (), separator: bytes = b",") -> Columns:
    """What `fastpath.stats.columns` gives; errors come in the order of the rows, within one in the order of the columns that were asked for."""
    table = Table(dump, separator)
    found = Columns({name: [] for name in texts if name in table.heading}, {name: [] for name in numbers if name in table.heading})
    places = {name: table.place(name) for name in (*found.texts, *found.numbers)}
    for values in table.rows():
        for name, text_column in found.texts.items():
            text_column.append(values[places[name]].text)
        for name, number_column in found.numbers.items():
            value = values[places[name]]
            number_column.append(number(value, name) if value.raw else None)
    return found


BEAT = ("pxname", "svname", "status", "type", "weight", "scur", "stot", "bin", "bout", "ereq")

Beat = tuple[list[Frontend], list[tuple[str, str, list[tuple[str, str, int]]]]]


def heartbeat(dump: bytes) -> Beat:
    """What `fastpath.stats.heartbeat` gives, in lists and tuples."""
    table = Table(dump, b",")
    for name in BEAT:
        if name not in table.heading:
            raise damaged(table.start, f"the heading has no column {name!r}")
    places = {name: table.place(name) for name in BEAT}
    frontends: list[Frontend] = []
    backends: list[tuple[str, str, list[tuple[str, str, int]]]] = []
    proxy: bytes | None = None
    for values in table.rows():
        row = {name: values[place] for name, place in places.items()}
        kind = counter(row["type"], "type")
        name, status = row["pxname"].text, row["status"].text
        if kind == 0:
            counters = (counter(row[column], column) for column in ("scur", "stot", "bin", "bout", "ereq"))
            frontends.append(Frontend(name, status, *counters))
        elif kind in (1, 2):
            if not backends or row["pxname"].raw != proxy:
                proxy = row["pxname"].raw
                backends.append((name, "", []))
            if kind == 1:
                backends[-1] = (name, status, backends[-1][2])
            elif row["svname"].doubled:
                raise damaged(row["svname"].at, "a server's name has no quotes in it")
            else:
                backends[-1][2].append((row["svname"].text, status, counter(row["weight"], "weight")))
    return frontends, backends


def info(dump: bytes, numbers: tuple[str, ...] = ()) -> Info:
    found, at = Info({}, {}), 0
    while at < len(dump) and dump[at : at + 1] != b"\n":
        line = dump.find(b"\n", at)
        if line < 0:
            raise unfinished(dump)
        name, colon, value = dump[at:line].partition(b": ")
        if not colon:
            raise damaged(at, f"a line of `show info` has a name and a value, not {dump[at:line][:SHOWN]!r}")
        if decoded(name) in numbers:
            found.numbers[decoded(name)] = number(Value(line - len(value), value, ""), decoded(name))
        else:
            found.texts[decoded(name)] = decoded(value)
        at = line + 1
    if at >= len(dump):
        raise unfinished(dump)
    if at + 1 < len(dump):
        raise damaged(at + 1, "the empty line before this ends the dump, but it goes on")
    return found


# --- one against the other ----------------------------------------------------------------------------------------------------------------

TEXTS = ("pxname", "svname", "status", "last_chk", "nonsense")
NUMBERS = ("type", "weight", "stot", "lastsess", "h1_total_bytes_in")
STATE_TEXTS = ("srv_name", "srv_addr", "srv_agent_port")
STATE_NUMBERS = ("srv_id", "srv_uweight")


def _ours(dump: bytes) -> Beat:
    found = stats.heartbeat(dump)
    return found.frontends, [
        (backend.name, backend.status, [(server.name, server.status, server.weight) for server in backend.servers])
        for backend in found.backends
    ]


#: What is tested, and what it is held against.
PAIRS: dict[str, tuple[Callable[[bytes], Any], Callable[[bytes], Any]]] = {
    "heartbeat": (_ours, heartbeat),
    "columns": (lambda dump: stats.columns(dump, TEXTS, NUMBERS), lambda dump: columns(dump, TEXTS, NUMBERS)),
    "servers_state": (
        lambda dump: stats.servers_state(dump, STATE_TEXTS, STATE_NUMBERS),
        lambda dump: columns(dump, STATE_TEXTS, STATE_NUMBERS, b" "),
    ),
    "info": (lambda dump: stats.info(dump, ["Pid", "Uptime_sec"]), lambda dump: info(dump, ("Pid", "Uptime_sec"))),
}


def outcome(call: Callable[[bytes], Any], dump: bytes) -> Any:
    try:
        return call(dump)
    except ValueError as error:
        return str(error)
