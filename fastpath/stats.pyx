# cython: auto_pickle=False, boundscheck=False, cdivision=True, freethreading_compatible=True, wraparound=False
"""What HAProxy's stats socket prints, read: `show stat`, `show info` and `show servers state` (management guide 9.1, 9.3).

A dump is read once, from its first byte to its last. Columns are found by the heading's names, so they may come, go and move; a row without
quotes is split only as far as the last wanted column, and of the rest its values are counted. What is not a whole answer, or not one at all, is a
ValueError that names the byte where it stops being one. The grammar, as HAProxy writes it:

* `show stat`: a heading `# name,name,` and rows `value,value,`: a comma after each value, the last one too; then an empty line. A value with a
  comma, quote, CR or LF is in quotes, its own quotes doubled. HAProxy 2.6 prints the line ends of what a check got; later versions spaces.
* `show servers state`: a line `1` (the version of the format), a heading `# name name`, rows `value value`; then an empty line.
* `show info`: lines `name: value`; then an empty line.

Text is UTF-8; other bytes, which a server may have put into a check's reason, are shown as `\\xff`.
"""

from typing import NamedTuple

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from cython cimport final, no_gc
from libc.stdint cimport INT64_MAX, UINT64_MAX, int64_t, uint8_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memchr, memcmp, memcpy

from fastpath.arguments cimport View, allocate, let_go, look
from fastpath.scanning cimport count, lowest, mask64

cdef extern from "Python.h":
    str PyUnicode_DecodeUTF8(const char *text, Py_ssize_t length, const char *errors)
    void PyUnicode_InternInPlace(PyObject **text)

cdef enum:
    AHEAD = 4096  # bytes that are looked through at once, so few that they stay in the processor's nearest cache
    COMMA = 0x2C
    LINE = 0x0A
    MINUS = 0x2D
    ODD = 0x5EED  # a counter of this value may be an error
    QUOTE = 0x22
    SHOWN = 80  # bytes of a wrong value that an error shows
    SPACE = 0x20
    WORDS = 256  # different texts that are remembered; a power of two

# `type` in `show stat`. The name of a row does not tell what it is: a server may be called FRONTEND.
cdef enum:
    FRONTEND = 0
    BACKEND = 1
    SERVER = 2

_HEARTBEAT = ("pxname", "svname", "status", "type", "weight", "scur", "stot", "bin", "bout", "ereq")

cdef enum:
    PXNAME
    SVNAME
    STATUS
    TYPE
    WEIGHT
    SCUR
    STOT
    BIN
    BOUT
    EREQ


class Columns(NamedTuple):
    """Columns of a table by name, each with a value for each row; a column that HAProxy does not print is not among them.

    In `numbers`, None stands for an empty value: HAProxy prints nothing where a counter has no meaning, as for a frontend's weight.
    """

    texts: dict[str, list[str]]
    numbers: dict[str, list[int | None]]


class Info(NamedTuple):
    """What a worker says of itself, by name: as numbers those that were asked for as such, as texts all others."""

    texts: dict[str, str]
    numbers: dict[str, int]


class Heartbeat(NamedTuple):
    """What a heartbeat tells, in the order of the configuration."""

    frontends: list[Frontend]
    backends: list[Backend]


class Backend(NamedTuple):
    """A backend with its servers; `status` is "" where only servers were asked for."""

    name: str
    status: str
    servers: Servers


class Frontend(NamedTuple):
    """A frontend. `status` is HAProxy's text ("OPEN", "STOP" …); sessions now and ever; bytes from and to clients; bad requests."""

    name: str
    status: str
    scur: int
    stot: int
    bin: int
    bout: int
    ereq: int


def heartbeat(dump):
    """What a heartbeat needs of `show stat`: frontends with their counters; backends and servers with their status."""
    cdef _Table table = _Table(dump, COMMA)
    cdef list frontends = [], backends = []
    cdef const Span *values
    cdef Servers servers = None  # of the backend that is being listed
    cdef Span proxy = Span(NULL, 0, False)  # its name
    cdef uint64_t kind
    cdef str status

    for column in _HEARTBEAT:
        if column not in table.places:
            raise ValueError(f"{table.at_byte(table.start)}the heading has no column {column!r}")
    table.want(_HEARTBEAT)
    values = table.values
    while table.next_row():
        kind = table.counter(TYPE)
        if kind > SERVER:
            continue
        status = table.word(&values[STATUS])
        if kind == FRONTEND:
            frontends.append(
                Frontend(
                    table.text(&values[PXNAME]),
                    status,
                    table.counter(SCUR),
                    table.counter(STOT),
                    table.counter(BIN),
                    table.counter(BOUT),
                    table.counter(EREQ),
                )
            )
            continue
        if servers is None or not same(&values[PXNAME], &proxy):
            proxy = values[PXNAME]
            servers = Servers.__new__(Servers)
            backends.append(Backend(table.text(&proxy), "", servers))
        if kind == BACKEND:
            backends.append(backends.pop()._replace(status=status))
        else:
            if values[SVNAME].doubled:
                raise ValueError(f"{table.at_byte(values[SVNAME].first)}a server's name has no quotes in it")
            servers.append(&values[SVNAME], status, table.counter(WEIGHT))
    return Heartbeat(frontends, backends)


def columns(dump, texts=(), numbers=()):
    """The wanted columns of `show stat`, a value for each row: frontends, listening sockets, servers and backends (column `type`: 0, 3, 2, 1)."""
    return _Table(dump, COMMA).columns(texts, numbers)


def servers_state(dump, texts=(), numbers=()):
    """The wanted columns of `show servers state`, a value for each server. Where there is nothing HAProxy prints "-"."""
    return _Table(dump, SPACE).columns(texts, numbers)


def names(dump):
    """The columns that `show stat` has, in their order."""
    return list(_Table(dump, COMMA).places)


def info(dump, numbers=()):
    """`show info`; what is asked for among `numbers` and is not one, or does not fit 64 bits, is a ValueError."""
    cdef _Dump source = _Dump(dump)
    cdef frozenset wanted = frozenset(numbers)
    cdef dict found = {}, counted = {}
    cdef const uint8_t *at = source.first
    cdef const uint8_t *line
    cdef const uint8_t *colon
    while at < source.end and at[0] != LINE:
        line = <const uint8_t *> memchr(at, LINE, <size_t> (source.end - at))
        if line == NULL:
            raise source.unfinished()
        colon = at
        while colon < line and not (colon[0] == 0x3A and colon[1] == SPACE):
            colon += 1
        if colon == line:
            raise ValueError(f"{source.at_byte(at)}a line of `show info` has a name and a value, not {source.shown(at, line)!r}")
        name = decode(at, <size_t> (colon - at))
        if name in wanted:
            counted[name] = source.number(colon + 2, line, name)
        else:
            found[name] = decode(colon + 2, <size_t> (line - colon) - 2)
        at = line + 1
    source.closed(at)
    return Info(found, counted)


# --- servers --------------------------------------------------------------------------------------------------------------------------

cdef struct Record:
    size_t name_end  # in `names`, where the next one begins
    PyObject *status
    uint64_t weight


@final
@no_gc
cdef class Server:
    """A server of a backend. `status` is HAProxy's text ("UP", "UP 1/3", "DOWN", "MAINT", "no check", "DRAIN" …), `weight` the present one."""

    cdef readonly str name
    cdef readonly str status
    cdef readonly uint64_t weight

    def __eq__(self, other):
        return fields(self) == fields(other) if isinstance(other, Server) else NotImplemented

    def __hash__(self):
        return hash(fields(self))

    def __repr__(self):
        return f"Server(name={self.name!r}, status={self.status!r}, weight={self.weight})"


cdef tuple fields(Server server):
    return server.name, server.status, server.weight


@final
@no_gc
cdef class Servers:
    """`Server` after `Server`, each made when it is asked for: 20 000 servers that nobody looks at are not 40 000 objects."""

    cdef Record *records
    cdef size_t size
    cdef size_t room
    cdef uint8_t *names
    cdef size_t names_size
    cdef size_t names_room

    def __dealloc__(self):
        cdef size_t place
        for place in range(self.size):
            Py_DECREF(<object> self.records[place].status)
        free(self.records)
        free(self.names)

    cdef int append(self, const Span *name, str status, uint64_t weight) except -1:
        if self.size == self.room:
            self.records = <Record *> larger(self.records, &self.room, self.size + 1, sizeof(Record))
        if self.names == NULL or self.names_room - self.names_size < name.length:
            self.names = <uint8_t *> larger(self.names, &self.names_room, self.names_size + name.length, 1)
        memcpy(self.names + self.names_size, name.first, name.length)
        self.names_size += name.length
        Py_INCREF(status)
        self.records[self.size] = Record(self.names_size, <PyObject *> status, weight)
        self.size += 1
        return 0

    def __len__(self):
        return <Py_ssize_t> self.size

    def __iter__(self):
        cdef size_t place
        for place in range(self.size):
            yield self.server(place)

    def __getitem__(self, Py_ssize_t place):
        if place < 0:
            place += <Py_ssize_t> self.size
        if not 0 <= place < <Py_ssize_t> self.size:
            raise IndexError(f"there are {self.size} servers")
        return self.server(<size_t> place)

    cdef Server server(self, size_t place):
        cdef const Record *record = &self.records[place]
        cdef size_t begin = self.records[place - 1].name_end if place else 0
        cdef Server server = Server.__new__(Server)
        server.name = decode(self.names + begin, record.name_end - begin)
        server.status = <str> record.status
        server.weight = record.weight
        return server

    def __eq__(self, other):
        return list(self) == list(other) if isinstance(other, Servers) else NotImplemented

    __hash__ = None

    def __repr__(self):
        return f"Servers({list(self)!r})"


cdef void *larger(void *memory, size_t *room, size_t needed, size_t size) except NULL:
    """The same, with room for `needed` items, and as many again."""
    cdef void *moved = realloc(memory, 2 * needed * size + 1024)
    if moved == NULL:
        raise MemoryError
    room[0] = (2 * needed * size + 1024) // size
    return moved


# --- a dump ---------------------------------------------------------------------------------------------------------------------------

cdef struct Span:
    const uint8_t *first
    size_t length
    bint doubled  # the quotes in it are


cdef inline bint same(const Span *one, const Span *other) noexcept nogil:
    return one.length == other.length and memcmp(one.first, other.first, one.length) == 0


cdef inline str decode(const uint8_t *first, size_t length):
    return PyUnicode_DecodeUTF8(<const char *> first, <Py_ssize_t> length, "backslashreplace")


cdef inline str unquoted(const uint8_t *first, size_t length, bint doubled):
    cdef str text = decode(first, length)
    return text.replace('""', '"') if doubled else text


cdef class _Dump:
    """The bytes of an answer, held for as long as they are read."""

    cdef View view
    cdef const uint8_t *first
    cdef const uint8_t *end

    def __init__(self, object dump):
        let_go(&self.view)
        look(&self.view, dump, "dump", b"Bbc", False)
        self.first = <const uint8_t *> self.view.buffer.buf
        self.end = self.first + self.view.buffer.len

    def __dealloc__(self):
        let_go(&self.view)

    cdef str at_byte(self, const uint8_t *at):
        return f"byte {at - self.first}: "

    cdef bytes shown(self, const uint8_t *first, const uint8_t *end):
        return PyBytes_FromStringAndSize(<const char *> first, min(end - first, SHOWN))

    cdef object unfinished(self):
        return ValueError(f"{self.at_byte(self.end)}the dump ends here, unfinished")

    cdef int closed(self, const uint8_t *at) except -1:
        """The empty line that ends every answer is at `at`, and nothing is behind it."""
        if at >= self.end:
            raise self.unfinished()
        if at + 1 < self.end:
            raise ValueError(f"{self.at_byte(at + 1)}the empty line before this ends the dump, but it goes on")
        return 0

    cdef object number(self, const uint8_t *first, const uint8_t *end, object name):
        """The integer that is written there: -2^63 to 2^64-1."""
        cdef bint negative = first < end and first[0] == MINUS
        cdef uint64_t value = 0
        if not digits(first + negative, end, &value) or (negative and value > <uint64_t> INT64_MAX + 1):
            raise self.no_number(first, end, name)
        if negative:
            return -(<object> value)
        return value

    cdef object no_number(self, const uint8_t *first, const uint8_t *end, object name):
        return ValueError(f"{self.at_byte(first)}{name} must be an integer of 64 bits, not {self.shown(first, end)!r}")


cdef inline bint digits(const uint8_t *at, const uint8_t *end, uint64_t *value) noexcept nogil:
    """Whether there is nothing but digits, at least one, and they fit."""
    cdef uint64_t digit
    value[0] = 0
    if at >= end:
        return False
    while at < end:
        digit = <uint64_t> at[0] - 0x30
        if digit > 9 or value[0] > UINT64_MAX // 10 or (value[0] == UINT64_MAX // 10 and digit > UINT64_MAX % 10):
            return False
        value[0] = 10 * value[0] + digit
        at += 1
    return True


# --- a table --------------------------------------------------------------------------------------------------------------------------

cdef struct Wanted:
    size_t column
    size_t place  # in `values`


cdef struct Word:
    const uint8_t *first
    size_t length
    PyObject *text


@final
cdef class _Table(_Dump):
    """A heading and rows. With commas: one after each value, and quoting; with spaces: one between two values, and no quoting."""

    cdef uint8_t separator
    cdef dict places  # name → its first column
    cdef set ambiguous  # names of several columns
    cdef const uint8_t *start  # of the heading
    cdef const uint8_t *at  # the next row
    cdef const uint8_t *plain_until  # from `at` up to here there is no quote
    cdef size_t width  # columns
    cdef size_t looked_at  # columns, up to the last wanted one
    cdef size_t *slots  # column → place in `values` + 1, or 0
    cdef Wanted *wants  # in the order of the columns
    cdef size_t wants_size
    cdef const uint8_t **ends  # see `_split`
    cdef Span *values
    cdef tuple wanted
    cdef Word *words

    def __init__(self, object dump, uint8_t separator):
        _Dump.__init__(self, dump)
        self.separator = separator
        self.words = <Word *> allocate(WORDS, sizeof(Word))
        self._heading()

    def __dealloc__(self):
        cdef size_t place, size = WORDS
        if self.words != NULL:
            for place in range(size):
                if self.words[place].text != NULL:
                    Py_DECREF(<object> self.words[place].text)
        free(self.words)
        free(self.slots)
        free(self.wants)
        free(self.ends)
        free(self.values)

    cdef int _heading(self) except -1:
        cdef bytes begin = b"# " if self.separator == COMMA else b"1\n# "
        cdef const uint8_t *line
        cdef size_t column
        if self.end - self.first < len(begin) or memcmp(self.first, <const char *> begin, <size_t> len(begin)) != 0:
            raise ValueError(f"byte 0: the dump must begin with {begin!r}, not with {self.shown(self.first, self.end)!r}")
        self.start = self.first + len(begin)
        line = <const uint8_t *> memchr(self.start, LINE, <size_t> (self.end - self.start))
        if line == NULL:
            raise self.unfinished()
        heading = decode(self.start, <size_t> (line - self.start)).split(chr(self.separator))
        if self.separator == COMMA and heading.pop():
            raise ValueError(f"{self.at_byte(line)}the heading must end with a comma")
        self.width = <size_t> len(heading)
        if self.width == 0 or not all(heading):
            raise ValueError(f"{self.at_byte(self.start)}the heading has a column without a name")
        self.places = {}
        self.ambiguous = set()
        for column, name in enumerate(heading):
            if name in self.places:
                self.ambiguous.add(name)
            else:
                self.places[name] = column
        self.at = line + 1
        self.plain_until = self.at
        return 0

    cdef int want(self, tuple wanted) except -1:
        """`values` will be those of these columns, in this order."""
        cdef size_t column, place
        self.wanted = wanted
        self.slots = <size_t *> allocate(self.width, sizeof(size_t))
        self.values = <Span *> allocate(<size_t> len(wanted), sizeof(Span))
        self.wants = <Wanted *> allocate(<size_t> len(wanted), sizeof(Wanted))
        self.ends = <const uint8_t **> allocate(self.width + 65, sizeof(uint8_t *))
        self.wants_size = 0
        self.looked_at = 0
        for place, name in enumerate(wanted):
            if name in self.ambiguous:
                raise ValueError(f"{self.at_byte(self.start)}the heading has several columns {name!r}")
            column = self.places[name]
            self.slots[column] = place + 1
        for column in range(self.width):
            if self.slots[column] != 0:
                self.wants[self.wants_size] = Wanted(column, self.slots[column] - 1)
                self.wants_size += 1
                self.looked_at = column + 1
        return 0

    cdef object columns(self, object texts, object numbers):
        cdef tuple text_names = tuple(name for name in dict.fromkeys(texts) if name in self.places)
        cdef tuple number_names = tuple(name for name in dict.fromkeys(numbers) if name in self.places)
        cdef list found = [[] for _ in (*text_names, *number_names)]
        cdef size_t place, texts_wanted = <size_t> len(text_names), all_wanted = <size_t> len(found)
        if not set(text_names).isdisjoint(number_names):
            raise ValueError(f"a column is wanted as texts or as numbers, not as both: {sorted(set(text_names) & set(number_names))}")
        self.want(text_names + number_names)
        while self.next_row():
            for place in range(texts_wanted):
                (<list> found[place]).append(self.word(&self.values[place]))
            for place in range(texts_wanted, all_wanted):
                (<list> found[place]).append(self.optional_number(place))
        return Columns(dict(zip(text_names, found)), dict(zip(number_names, found[len(text_names) :])))

    cdef bint next_row(self) except -1:
        """Sets `values`; False at the end of the dump."""
        cdef const uint8_t *line
        cdef size_t left = <size_t> (self.end - self.at)
        if left == 0:
            raise self.unfinished()
        if self.at[0] == LINE:
            self.closed(self.at)
            return False
        if self.separator == COMMA:
            line = <const uint8_t *> memchr(self.at, LINE, left)
            if line != NULL and line >= self.plain_until:
                self._look_for_quotes(line)
            if line != NULL and line < self.plain_until and self._split(line):
                self.at = line + 1
                return True
        self._split_with_care()
        return True

    cdef void _look_for_quotes(self, const uint8_t *line) noexcept nogil:
        cdef const uint8_t *start = max(self.at, self.plain_until)
        cdef size_t length = min(<size_t> (self.end - start), <size_t> (line - start) + AHEAD)
        cdef const uint8_t *quote = <const uint8_t *> memchr(start, QUOTE, length)
        self.plain_until = start + length if quote == NULL else quote

    cdef bint _split(self, const uint8_t *line) noexcept nogil:
        """A row without quotes that ends at `line`; False if it has not as many values as the heading has columns."""
        cdef const uint8_t *block = self.at
        cdef uint64_t commas
        cdef size_t found = 1, place, column
        cdef Span *value
        # ends[n + 1] is where value n ends; value 0 begins as if a comma were before it.
        self.ends[0] = self.at - 1
        while found <= self.looked_at:
            if block >= line:
                return False
            commas = self._commas(block)
            while commas != 0:
                self.ends[found] = block + lowest(commas)
                found += 1
                commas &= commas - 1
            block += 64
        for place in range(self.wants_size):
            column = self.wants[place].column
            value = &self.values[self.wants[place].place]
            value.first = self.ends[column] + 1
            value.length = <size_t> (self.ends[column + 1] - value.first)
            value.doubled = False
        # Commas of the next row may have been taken for this one's.
        block = self.ends[self.looked_at] + 1
        if block > line or (line - 1)[0] != COMMA:
            return False
        return count(block, <size_t> (line - block), COMMA) == self.width - self.looked_at

    cdef inline uint64_t _commas(self, const uint8_t *block) noexcept nogil:
        cdef uint8_t[64] last
        cdef size_t left = <size_t> (self.end - block)
        if left >= 64:
            return mask64(block, COMMA)
        memcpy(last, block, left)
        return mask64(last, COMMA) & ((<uint64_t> 1 << left) - 1)

    cdef int _split_with_care(self) except -1:
        """Any row, value by value; a damaged one is an error at its first wrong byte."""
        cdef const uint8_t *at = self.at
        cdef Span value
        cdef size_t column
        cdef bint quoted
        for column in range(self.width):
            quoted = self.separator == COMMA and at < self.end and at[0] == QUOTE
            if quoted:
                value = Span(at + 1, 0, False)
                at = self._closing_quote(&value)
                value.length = <size_t> (at - value.first)
                at += 1
            else:
                value.first = at
                while at < self.end and at[0] != self.separator and at[0] != LINE and not (at[0] == QUOTE and self.separator == COMMA):
                    at += 1
                value = Span(value.first, <size_t> (at - value.first), False)
            if self.slots[column] != 0:
                self.values[self.slots[column] - 1] = value
            if at == self.end:
                raise self.unfinished()
            if self.separator != COMMA and column + 1 == self.width:
                break
            if at[0] != self.separator:
                raise self._wrong(at, column, quoted)
            at += 1
        if at == self.end:
            raise self.unfinished()
        if at[0] != LINE:
            raise ValueError(f"{self.at_byte(at)}the row has more values than the heading has columns, {self.width}")
        self.at = at + 1
        return 0

    cdef const uint8_t *_closing_quote(self, Span *value) except NULL:
        cdef const uint8_t *at = value.first
        while True:
            at = <const uint8_t *> memchr(at, QUOTE, <size_t> (self.end - at))
            if at == NULL:
                raise self.unfinished()
            if at + 1 == self.end or at[1] != QUOTE:
                return at
            value.doubled = True
            at += 2

    cdef object _wrong(self, const uint8_t *at, size_t column, bint quoted):
        if quoted:
            return ValueError(f"{self.at_byte(at)}a comma must follow the closing quote")
        if at[0] == QUOTE:
            return ValueError(f"{self.at_byte(at)}a quote inside a value that is not quoted")
        return ValueError(f"{self.at_byte(at)}the row ends in value {column + 1} of {self.width}")

    cdef inline str text(self, const Span *value):
        return unquoted(value.first, value.length, value.doubled)

    cdef inline str word(self, const Span *value):
        """A text that is likely to come again: the same object each time."""
        cdef size_t length = value.length
        cdef Word *known
        cdef PyObject *text
        if length == 0:
            return ""
        if value.doubled:
            return self.text(value)
        # The ends of a value and its length: cheap, and apart for what HAProxy prints.
        known = &self.words[(length + 7 * value.first[0] + 31 * value.first[length - 1] + 131 * value.first[length // 2]) % WORDS]
        if known.text == NULL or known.length != length or memcmp(known.first, value.first, length) != 0:
            fresh = self.text(value)
            Py_INCREF(fresh)
            text = <PyObject *> fresh
            PyUnicode_InternInPlace(&text)
            if known.text != NULL:
                Py_DECREF(<object> known.text)
            known[0] = Word(value.first, length, text)
        return <str> known.text

    cdef inline uint64_t counter(self, size_t place) except? ODD:
        """A number that must be there and cannot be negative."""
        cdef const Span *value = &self.values[place]
        cdef uint64_t number
        if not digits(value.first, value.first + value.length, &number):
            raise ValueError(
                f"{self.at_byte(value.first)}{self.wanted[place]} must be a counter of 64 bits,"
                f" not {self.shown(value.first, value.first + value.length)!r}"
            )
        return number

    cdef inline object optional_number(self, size_t place):
        cdef const Span *value = &self.values[place]
        if value.length == 0:
            return None
        return self.number(value.first, value.first + value.length, self.wanted[place])
