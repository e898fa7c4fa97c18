# cython: boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Which server HAProxy gives a client to, under `balance source` and `balance hash`: map-based and consistent, bit for bit.

Configuration manual 4.2 `balance`, `hash-type`, `hash-balance-factor`, `option allbackups`; 5.2 `id`, `weight`, `backup`, `hash-key`. The arithmetic is
HAProxy's own (hash.c, lb_map.c, lb_chash.c), told here in the words of this module. All of it is modulo 2^32.

A client becomes a number (`Picker.hash`), the number a server (`Picker.choose`); a scheduler overrides one or both. Not modelled, because it
cannot be known from a configuration: bounded load under way (`hash-balance-factor`), slow start, redispatch after a refused connection,
and stick tables and cookies, which come first.
"""

from array import array
from operator import index
from typing import Literal, NamedTuple, get_args

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_AsStringAndSize, PyBytes_FromStringAndSize
from cython cimport final
from libc.stdint cimport UINT32_MAX, int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

cdef enum:
    BLOCK = 1024  # clients that are hashed, then given a server: what fits the first-level cache
    POINTS_PER_WEIGHT = 16
    LONGEST_ENDPOINT = 64


Key = Literal["source", "source-port"]
Function = Literal["sdbm", "djb2", "wt6", "crc32"]
HashKey = Literal["id", "addr", "addr-port", "id32", "guid"]
IdBase = Literal["x4096", "rehash"]


class Server(NamedTuple):
    """A server of a backend, as HAProxy sees it (configuration manual 5.2); it is known by its place in the list.

    `id`: as configured, or as `show servers state` tells it; for Ring only. 0 stands for a server that 2.6 was given at run time without an id.
    `weight`: 0 to 256, for Ring the current one, for Map the configured one; 0 counts as absent.
    `usable`: False in maintenance, drained, down, unresolved, or with its weight set to 0 at run time.
    `hash_key`: what its points on the ring are made of: `id`; since 3.0 `addr` or `addr-port`; since 3.4 `id32` or `guid`. Without an
    address (4 or 16 bytes) or a guid it is the id, as in HAProxy.
    """

    id: int = 0
    weight: int = 1
    backup: bool = False
    usable: bool = True
    hash_key: str = "id"
    address: bytes = b""
    port: int = 0
    guid: bytes = b""


# --- arguments ------------------------------------------------------------------------------------------------------------------------

cdef long long number(object value, str what, long long lowest, long long highest) except? -1:
    """`value` as an integer within bounds."""
    try:
        value = index(value)
    except TypeError:
        raise TypeError(f"{what} must be an integer, not {value!r}") from None
    if not lowest <= value <= highest:
        raise ValueError(f"{what} must be {lowest} to {highest}, not {value}")
    return value


cdef bytes packed_address(object address, str what, bint optional):
    """`address` if it is the 4 or 16 bytes of one."""
    if not isinstance(address, bytes):
        raise TypeError(f"{what} must be the 4 or 16 bytes of an IPv4 or IPv6 address, not {address!r}")
    if len(address) not in (4, 16) and not (optional and not address):
        raise ValueError(f"{what} must be the 4 or 16 bytes of an IPv4 or IPv6 address, not {len(address)} bytes")
    return address


cdef object one_of(object value, str what, object literal):
    """`value` if it is one of a Literal's."""
    allowed = get_args(literal)
    if value not in allowed:
        raise ValueError(f"{what} must be one of {', '.join(map(str, allowed))}, not {value!r}")
    return value


cdef struct View:
    Py_buffer buffer
    bint held


cdef int look(View *view, object source, str what, bytes formats, bint writable=False) except -1:
    """Holds the memory of `source`, whose items have one of the `formats` of the module struct."""
    cdef int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT
    PyObject_GetBuffer(source, &view.buffer, flags | PyBUF_WRITABLE if writable else flags)
    view.held = True
    found = (<bytes> view.buffer.format).lstrip(b"@=") if view.buffer.format != NULL else b"B"
    if len(found) != 1 or found not in formats:
        raise TypeError(f"{what} must be a buffer of items {formats.decode()!r} as in the module struct, not {found.decode()!r}")
    return 0


cdef void let_go(View *view):
    if view.held:
        PyBuffer_Release(&view.buffer)
        view.held = False


# --- numbers --------------------------------------------------------------------------------------------------------------------------

cdef inline uint32_t full_hash(uint32_t a) noexcept nogil:
    """HAProxy's avalanche: a bijection of 32-bit numbers."""
    a = a * 4097U + 0x7ED55D16U
    a = a ^ 0xC761C23CU ^ (a >> 19)
    a = a * 33U + 0x165667B1U
    a = (a + 0xD3A2646CU) ^ (a << 9)
    a = a * 9U + 0xFD7046C5U
    a = a ^ 0xB55A4F09U ^ (a >> 16)
    return a * 3221225473U


cdef inline uint32_t big_endian(const uint8_t *at) noexcept nogil:
    return (<uint32_t> at[0] << 24) | (<uint32_t> at[1] << 16) | (<uint32_t> at[2] << 8) | <uint32_t> at[3]


cdef inline uint32_t little_endian(const uint8_t *at) noexcept nogil:
    return (<uint32_t> at[3] << 24) | (<uint32_t> at[2] << 16) | (<uint32_t> at[1] << 8) | <uint32_t> at[0]


cdef inline uint32_t rotated(uint32_t value, uint32_t by) noexcept nogil:
    return (value << (by & 31)) | (value >> ((32 - by) & 31))


cdef uint32_t fold(const uint8_t *address, size_t width) noexcept nogil:
    """An address as one number: the XOR of its 32-bit words in network order."""
    cdef uint32_t folded = big_endian(address)
    if width == 16:
        folded ^= big_endian(address + 4) ^ big_endian(address + 8) ^ big_endian(address + 12)
    return folded


cdef uint32_t sdbm(const uint8_t *key, size_t length) noexcept nogil:
    cdef uint32_t h = 0
    cdef size_t i
    for i in range(length):
        h = h * 65599U + key[i]
    return h


cdef uint32_t djb2(const uint8_t *key, size_t length) noexcept nogil:
    cdef uint32_t h = 5381
    cdef size_t i
    for i in range(length):
        h = h * 33U + key[i]
    return h


cdef uint32_t wt6(const uint8_t *key, size_t length) noexcept nogil:
    cdef uint32_t h0 = 0xA53C965AU, h1 = 0x5CA6953AU, step0 = 6, step1 = 18, swap
    cdef size_t i
    for i in range(length):
        h0 = ~(h0 ^ key[i])
        h1 = ~(h1 + key[i])
        swap = rotated(h0, step1)
        h0 = rotated(h1, step0)
        h1 = swap
        swap = ((h0 >> 16) ^ h1) & 0xFFFFU
        step0 = swap & 31
        step1 = swap >> 11
    return h0 ^ h1


cdef uint32_t[256] crc_table


cdef void fill_crc_table() noexcept nogil:
    cdef uint32_t i, c
    for i in range(256):
        c = i
        for _ in range(8):
            c = (c >> 1) ^ (0xEDB88320U * (c & 1))
        crc_table[i] = c


fill_crc_table()


cdef uint32_t crc32(const uint8_t *key, size_t length) noexcept nogil:
    cdef uint32_t c = UINT32_MAX
    cdef size_t i
    for i in range(length):
        c = crc_table[(c ^ key[i]) & 0xFF] ^ (c >> 8)
    return ~c


cdef uint32_t xxh32(const uint8_t *key, size_t length, uint32_t seed) noexcept nogil:
    """The public 32-bit xxHash."""
    cdef uint32_t p1 = 2654435761U, p2 = 2246822519U, p3 = 3266489917U, p4 = 668265263U, p5 = 374761393U, h
    cdef uint32_t[4] lane
    cdef const uint8_t *end = key + length
    cdef size_t i
    if length >= 16:
        lane[0], lane[1], lane[2], lane[3] = seed + p1 + p2, seed + p2, seed, seed - p1
        while end - key >= 16:
            for i in range(4):
                lane[i] = rotated(lane[i] + little_endian(key + 4 * i) * p2, 13) * p1
            key += 16
        h = rotated(lane[0], 1) + rotated(lane[1], 7) + rotated(lane[2], 12) + rotated(lane[3], 18)
    else:
        h = seed + p5
    h += <uint32_t> length
    while end - key >= 4:
        h = rotated(h + little_endian(key) * p3, 17) * p4
        key += 4
    while key < end:
        h = rotated(h + key[0] * p5, 11) * p1
        key += 1
    h = (h ^ (h >> 15)) * p2
    h = (h ^ (h >> 13)) * p3
    return h ^ (h >> 16)


ctypedef uint32_t (*HashFunction)(const uint8_t *, size_t) noexcept nogil


cdef HashFunction function_named(str name) except NULL:
    one_of(name, "function", Function)
    return sdbm if name == "sdbm" else djb2 if name == "djb2" else wt6 if name == "wt6" else crc32


# --- "10.0.0.1-12345" -----------------------------------------------------------------------------------------------------------------

cdef inline uint8_t *decimal(uint8_t *at, uint32_t value) noexcept nogil:
    """Writes a number below 100 000; returns where it ends."""
    cdef uint32_t scale = 1
    while scale * 10 <= value:
        scale *= 10
    while scale:
        at[0] = <uint8_t> (48 + value // scale % 10)
        at += 1
        scale //= 10
    return at


cdef inline uint8_t *hexadecimal(uint8_t *at, uint32_t value) noexcept nogil:
    """Writes a number below 65 536; returns where it ends."""
    cdef int shift = 12
    while shift and not value >> shift:
        shift -= 4
    while shift >= 0:
        at[0] = <uint8_t> b"0123456789abcdef"[(value >> shift) & 15]
        at += 1
        shift -= 4
    return at


cdef uint8_t *dotted(uint8_t *at, const uint8_t *address) noexcept nogil:
    cdef int i
    for i in range(4):
        if i:
            at[0] = 46
            at += 1
        at = decimal(at, address[i])
    return at


cdef uint8_t *coloned(uint8_t *at, const uint8_t *address) noexcept nogil:
    """IPv6 as inet_ntop writes it: the first longest run of two or more zero words as `::`, a v4 tail after `::` and `::ffff:`."""
    cdef uint32_t[8] words
    cdef int i, run = 0, best = 0, begin = -1
    for i in range(8):
        words[i] = (<uint32_t> address[2 * i] << 8) | <uint32_t> address[2 * i + 1]
        run += 1
        if words[i]:
            run = 0
        if run > 1 and run > best:
            best = run
            begin = i - run + 1
    i = 0
    while i < 8:
        if i == begin:
            at[0] = at[1] = 58
            at += 2
            i += best
        elif i == 6 and begin == 0 and (best == 6 or (best == 5 and words[5] == 0xFFFF)):
            return dotted(at if best == 6 else colon(at), address + 12)
        else:
            if i and i != begin + best:
                at = colon(at)
            at = hexadecimal(at, words[i])
            i += 1
    return at


cdef inline uint8_t *colon(uint8_t *at) noexcept nogil:
    at[0] = 58
    return at + 1


cdef size_t endpoint(uint8_t *text, const uint8_t *address, size_t width, uint32_t port) noexcept nogil:
    """Writes `address-port`; returns the length, below LONGEST_ENDPOINT."""
    cdef uint8_t *at = dotted(text, address) if width == 4 else coloned(text, address)
    at[0] = 45
    return <size_t> (decimal(at + 1, port) - text)


def endpoint_key(object address, object port):
    """The key that `source-port` stands for: b"10.0.0.1-12345", b"2001:db8::1-443"; the address is 4 or 16 bytes."""
    cdef bytes packed = packed_address(address, "address", False)
    cdef uint32_t checked = <uint32_t> number(port, "port", 0, 65535)
    cdef uint8_t[LONGEST_ENDPOINT] text
    cdef size_t length = endpoint(text, <const uint8_t *> PyBytes_AS_STRING(packed), <size_t> len(packed), checked)
    return PyBytes_FromStringAndSize(<char *> text, <Py_ssize_t> length)


# --- picking --------------------------------------------------------------------------------------------------------------------------

cdef class Picker:
    """What all schedulers have in common: clients in, places in the list of servers out, -1 where no server is usable.

    `weights` has what each server weighs in the choice, 0 for one that takes no part: shares are to be expected in proportion to it.
    """

    def __cinit__(self, *arguments, **options):
        if type(self) is Picker:
            raise TypeError("a Picker is what the schedulers have in common: make one of them")

    cdef int prepare(self, Py_ssize_t servers, str key) except -1:
        if servers > 0x7FFFFFFF:
            raise ValueError(f"at most 2^31 - 1 servers, not {servers}")
        self.ports_matter = one_of(key, "key", Key) == "source-port"
        self.weights = (0,) * servers
        return 0

    cdef void hash(self, const uint8_t *addresses, size_t width, const uint16_t *ports, size_t count, uint32_t *numbers) noexcept nogil:
        """A number for each client. Without `ports_matter`, `ports` may be NULL."""
        cdef size_t i
        for i in range(count):
            numbers[i] = fold(addresses + i * width, width)

    cdef void choose(self, const uint32_t *numbers, size_t count, int32_t *picks) noexcept nogil:
        """A server for each number, -1 for none."""
        memset(picks, 0xFF, count * sizeof(int32_t))

    def pick(self, object address, object port=None):
        """The server for one client.

        `address`: 4 or 16 bytes in network order. An IPv4 client that came in through an IPv6 socket is to be given as `::ffff:a.b.c.d`: HAProxy
        sees it so. `port`: the client's; needed where the key is `source-port`, else without influence. Raises ValueError, TypeError.
        """
        cdef bytes packed = packed_address(address, "address", False)
        cdef uint16_t checked = 0
        cdef uint32_t hashed = 0
        cdef int32_t picked = -1
        if port is not None:
            checked = <uint16_t> number(port, "port", 0, 65535)
        elif self.ports_matter:
            raise ValueError("the client's port decides here, too: give it")
        self.hash(<const uint8_t *> PyBytes_AS_STRING(packed), <size_t> len(packed), &checked, 1, &hashed)
        self.choose(&hashed, 1, &picked)
        return picked

    def pick_many(self, object addresses, object ports=None, *, object width=4):
        """The servers for many clients, as an `array("i")`. Runs without the interpreter's lock.

        `addresses`: a buffer of bytes, `width` (4 or 16) for each client. `ports`: a buffer of unsigned 16-bit integers (`array("H")`), as
        many. Raises ValueError, TypeError, BufferError.
        """
        cdef View clients, numbers, result
        cdef size_t size = <size_t> one_of(width, "width", Literal[4, 16]), count, done = 0, step
        cdef const uint16_t *ports_at = NULL
        cdef uint32_t[BLOCK] hashed
        clients.held = numbers.held = result.held = False
        try:
            look(&clients, addresses, "addresses", b"Bc")
            count = <size_t> clients.buffer.len // size
            if count * size != <size_t> clients.buffer.len:
                raise ValueError(f"addresses must be a multiple of {size} bytes, not {clients.buffer.len}")
            if ports is not None:
                look(&numbers, ports, "ports", b"H")
                if <size_t> numbers.buffer.len != 2 * count:
                    raise ValueError(f"there must be a port for each of the {count} addresses, not {numbers.buffer.len // 2}")
                ports_at = <const uint16_t *> numbers.buffer.buf
            elif self.ports_matter:
                raise ValueError("the clients' ports decide here, too: give them")
            picks = array("i", (0,)) * count
            look(&result, picks, "picks", b"i", True)
            with nogil:
                while done < count:
                    step = min(count - done, <size_t> BLOCK)
                    self.hash(
                        <const uint8_t *> clients.buffer.buf + done * size, size, ports_at + done if ports_at != NULL else NULL, step, hashed
                    )
                    self.choose(hashed, step, <int32_t *> result.buffer.buf + done)
                    done += step
        finally:
            let_go(&clients)
            let_go(&numbers)
            let_go(&result)
        return picks


cdef class Balance(Picker):
    """What HAProxy's two methods, Map and Ring, have in common (configuration manual 4.2 `balance`, `hash-type`).

    `key`: `source` for `balance source`; `source-port` for `balance hash src,concat(-,…)` with the client's port: the text "10.0.0.1-12345".
    `function`: as the `hash-type` line names it (sdbm, djb2, wt6, crc32), None where it names none; `balance source` does not use it.
    `avalanche`: whether the line has that word.
    `allbackups`: `option allbackups`.
    """

    cdef HashFunction function
    cdef bint avalanche

    cdef list pool(self, object servers, str key, object function, bint avalanche, bint allbackups):
        """Checks the arguments. Returns the numbers of the servers that take part (all the usable backups, if it is their turn)."""
        cdef Py_ssize_t i
        cdef list listed = list(servers), active = [], backups = []
        self.prepare(len(listed), key)
        self.function = function_named("sdbm" if function is None else function)
        self.avalanche = avalanche
        for i in range(len(listed)):
            server = listed[i]
            if number(server.weight, f"server {i}: weight", 0, 256) and server.usable:
                (backups if server.backup else active).append(i)
        return active or backups

    cdef void hash(self, const uint8_t *addresses, size_t width, const uint16_t *ports, size_t count, uint32_t *numbers) noexcept nogil:
        cdef uint8_t[LONGEST_ENDPOINT] text
        cdef size_t i
        if self.ports_matter:
            for i in range(count):
                numbers[i] = self.function(text, endpoint(text, addresses + i * width, width, ports[i]))
        else:
            for i in range(count):
                numbers[i] = fold(addresses + i * width, width)
        self.mix(numbers, count)

    cdef void mix(self, uint32_t *numbers, size_t count) noexcept nogil:
        cdef size_t i
        if self.avalanche:
            for i in range(count):
                numbers[i] = full_hash(numbers[i])

    def pick_key(self, bytes key not None):
        """The server for `balance hash` over anything: `key` is what the expression gives, as HAProxy holds it.

        `src`: 4 or 16 bytes; any integer (`src_port`): 8 bytes, big-endian; text: its bytes.
        """
        cdef uint32_t hashed = self.function(<const uint8_t *> PyBytes_AS_STRING(key), <size_t> len(key))
        cdef int32_t picked = -1
        self.mix(&hashed, 1)
        self.choose(&hashed, 1, &picked)
        return picked

    def pick_keys(self, object keys):
        """The servers for many keys (see `pick_key`), as an `array("i")`. Runs without the interpreter's lock."""
        cdef tuple held = tuple(keys)
        cdef size_t count = <size_t> len(held), i
        cdef View result
        cdef char *text = NULL
        cdef Py_ssize_t length = 0
        cdef Text *parts = <Text *> allocate(count, sizeof(Text))
        cdef uint32_t hashed
        result.held = False
        try:
            for i in range(count):
                PyBytes_AsStringAndSize(held[i], &text, &length)
                parts[i].at = <const uint8_t *> text
                parts[i].length = <size_t> length
            picks = array("i", (0,)) * count
            look(&result, picks, "picks", b"i", True)
            with nogil:
                for i in range(count):
                    hashed = self.function(parts[i].at, parts[i].length)
                    self.mix(&hashed, 1)
                    self.choose(&hashed, 1, <int32_t *> result.buffer.buf + i)
        finally:
            free(parts)
            let_go(&result)
        return picks


cdef struct Text:
    const uint8_t *at
    size_t length


cdef void *allocate(size_t count, size_t size) except NULL:
    """Zeroed memory for `count` items, also for none."""
    cdef void *memory = calloc(count or 1, size)
    if memory == NULL:
        raise MemoryError
    return memory


# --- map-based ------------------------------------------------------------------------------------------------------------------------

@final
cdef class Map(Balance):
    """`hash-type map-based`: the key's hash modulo the sum of the weights, which are first divided by their common divisor.

    That divisor is of all servers' configured weights, so servers that are down belong in the list as they are configured. A map cannot be
    reweighted at run time but to 0 and back (`usable`).
    """

    cdef int32_t *entries
    cdef uint32_t size

    def __cinit__(self, object servers, *, str key="source", str function=None, bint avalanche=False, bint allbackups=False):
        cdef list listed = list(servers), chosen = self.pool(listed, key, function, avalanche, allbackups)
        cdef long long divisor = gcd_of(listed)
        cdef list weights = [server.weight // divisor for server in listed]
        cdef Py_ssize_t winner
        if not chosen:
            return
        if listed[chosen[0]].backup and not allbackups:
            # The map is as long as the first backup's weight, all backups compete for it, and then only its first entry is used:
            # so it is not always the first backup.
            total = weights[chosen[0]]
            winner = max(chosen, key=lambda i: (weights[i] + total) // total) if total > 1 else chosen[0]
            chosen, weights[winner] = [winner], 1
        taking_part = set(chosen)
        self.weights = tuple([weight if i in taking_part else 0 for i, weight in enumerate(weights)])
        self.fill(chosen, weights)

    def __dealloc__(self):
        free(self.entries)

    cdef int fill(self, list chosen, list weights) except -1:
        """Gives out the entries, one at a time, each to the first member that is furthest behind.

        With `t` entries begun, `c` of them a member's own, it is behind by floor(t * weight / total) - c. HAProxy looks at all members for each
        entry; here a tournament tree knows the first of those furthest behind, and a calendar tells who falls behind next.
        """
        cdef size_t members = <size_t> len(chosen), leaves = 1, i
        cdef uint64_t total = sum([weights[one] for one in chosen])
        cdef uint64_t t, due
        cdef Fill f
        memset(&f, 0, sizeof(f))
        while leaves < members:
            leaves *= 2
        f.leaves = leaves
        try:
            f.behind = <int32_t *> allocate(leaves, sizeof(int32_t))
            f.best = <uint32_t *> allocate(2 * leaves, sizeof(uint32_t))
            f.weight = <uint64_t *> allocate(members, sizeof(uint64_t))
            f.turns = <uint64_t *> allocate(members, sizeof(uint64_t))
            f.server = <int32_t *> allocate(members, sizeof(int32_t))
            f.after = <uint32_t *> allocate(members, sizeof(uint32_t))
            f.calendar = <uint32_t *> allocate(<size_t> total + 1, sizeof(uint32_t))
            self.entries = <int32_t *> allocate(<size_t> total, sizeof(int32_t))
            for i in range(members):
                f.server[i] = <int32_t> chosen[<Py_ssize_t> i]
                f.weight[i] = <uint64_t> weights[f.server[i]]
            with nogil:
                for i in range(leaves):
                    f.best[leaves + i] = <uint32_t> i
                    f.behind[i] = 0 if i < members else -2147483647 - 1
                for i in range(leaves - 1, 0, -1):
                    f.best[i] = f.best[2 * i]
                for i in range(members):
                    remind(&f, i, total)
                for t in range(1, total + 1):
                    due = f.calendar[t]
                    while due:
                        i = <size_t> due - 1
                        due = f.after[i]
                        change(&f, i, 1)
                        remind(&f, i, total)
                    i = f.best[1]
                    self.entries[t - 1] = f.server[i]
                    change(&f, i, -1)
            self.size = <uint32_t> total
        finally:
            free(f.behind)
            free(f.best)
            free(f.weight)
            free(f.turns)
            free(f.server)
            free(f.after)
            free(f.calendar)
        return 0

    cdef void choose(self, const uint32_t *numbers, size_t count, int32_t *picks) noexcept nogil:
        cdef size_t i
        cdef uint32_t size = self.size
        cdef const int32_t *entries = self.entries
        if not size:
            memset(picks, 0xFF, count * sizeof(int32_t))
        else:
            for i in range(count):
                picks[i] = entries[numbers[i] % size]


cdef struct Fill:
    size_t leaves
    int32_t *behind     # of a member
    uint32_t *best      # of a node of the tree: which member
    uint64_t *weight
    uint64_t *turns     # how often a member has fallen behind so far
    int32_t *server
    uint32_t *after     # who falls behind at the same time, + 1
    uint32_t *calendar  # who falls behind at a time, + 1


cdef void remind(Fill *f, size_t member, uint64_t total) noexcept nogil:
    """Enters in the calendar when `member` falls behind next."""
    cdef uint64_t when
    f.turns[member] += 1
    if f.turns[member] <= f.weight[member]:
        when = (f.turns[member] * total + f.weight[member] - 1) // f.weight[member]
        f.after[member] = f.calendar[when]
        f.calendar[when] = <uint32_t> member + 1


cdef void change(Fill *f, size_t member, int32_t by) noexcept nogil:
    cdef size_t node = (f.leaves + member) // 2
    cdef uint32_t left, right
    f.behind[member] += by
    while node:
        left, right = f.best[2 * node], f.best[2 * node + 1]
        f.best[node] = left if f.behind[left] >= f.behind[right] else right
        node //= 2


cdef long long gcd_of(list servers):
    cdef long long a, b, found = 0
    for server in servers:
        a, b = server.weight, found
        while b:
            a, b = b, a % b
        found = a
    return found or 1


# --- consistent -----------------------------------------------------------------------------------------------------------------------

cdef struct Span:
    uint32_t last    # the greatest number that belongs to it; the span before says where it begins
    int32_t server


@final
cdef class Ring(Balance):
    """`hash-type consistent`: 16 points for each unit of weight, and a client goes to the closest.

    `id_base`: `x4096`, but `rehash` for HAProxy 3.0.0 to 3.2.6 (and Debian's 3.0.11), whose points of `hash-key id` lie elsewhere. Only the low 20 bits
    of an id count with `x4096`. Among equal points the order of `servers` decides; in a HAProxy where such a server left and came back, it is last.

    HAProxy takes the point closest to a number; the one below, if both are as close. So the space falls into spans that end
    halfway between points, and those are what is stored. Of equal points, the earliest inserted has what is below, the latest what is above.
    """

    cdef Span *spans
    cdef uint32_t *buckets  # by a number's top bits: the first span that ends there or later
    cdef uint32_t shift

    def __cinit__(
        self,
        object servers,
        *,
        str key="source",
        str function=None,
        bint avalanche=False,
        bint allbackups=False,
        str id_base="x4096",
    ):
        cdef list listed = list(servers), chosen
        cdef bint rehash = one_of(id_base, "id_base", IdBase) == "rehash"
        # HAProxy implies the avalanche only where the line names no function.
        chosen = self.pool(listed, key, function, avalanche or function is None, allbackups)
        bases = [ring_base(server, i, rehash) for i, server in enumerate(listed)]
        if not chosen:
            return
        if listed[chosen[0]].backup and not allbackups:
            chosen = chosen[:1]
        taking_part = set(chosen)
        self.weights = tuple([server.weight if i in taking_part else 0 for i, server in enumerate(listed)])
        self.build(chosen, bases)

    def __dealloc__(self):
        free(self.spans)
        free(self.buckets)

    cdef int build(self, list chosen, list bases) except -1:
        cdef size_t count = 0, filled = 0, spans
        cdef uint32_t base, n, points
        cdef uint64_t *sorted_points = NULL
        cdef uint64_t *spare = NULL
        cdef uint64_t server
        for one in chosen:
            count += <size_t> (POINTS_PER_WEIGHT * self.weights[one])
        if count > UINT32_MAX - 2:
            raise ValueError(f"a ring has less than 2^32 points, not {count}")
        try:
            sorted_points = <uint64_t *> allocate(count, sizeof(uint64_t))
            spare = <uint64_t *> allocate(count, sizeof(uint64_t))
            self.spans = <Span *> allocate(count + 1, sizeof(Span))
            for one in chosen:
                server, base, points = <uint64_t> one, <uint32_t> bases[one], <uint32_t> (POINTS_PER_WEIGHT * self.weights[one])
                for n in range(points):
                    sorted_points[filled] = <uint64_t> full_hash(base + n) << 32 | server
                    filled += 1
            with nogil:
                # Each pass keeps the order of equals, so that equal points stay in the order of insertion.
                radix_pass(sorted_points, spare, count, 32, 11)
                radix_pass(spare, sorted_points, count, 43, 11)
                radix_pass(sorted_points, spare, count, 54, 10)
                spans = lay_out(spare, count, self.spans)
            self.shift = 31
            while self.shift > 10 and (<size_t> 1 << (32 - self.shift)) < 2 * spans:
                self.shift -= 1
            self.buckets = <uint32_t *> allocate(<size_t> 1 << (32 - self.shift), sizeof(uint32_t))
            with nogil:
                index_spans(self.spans, self.buckets, self.shift)
        finally:
            free(sorted_points)
            free(spare)
        return 0

    cdef void choose(self, const uint32_t *numbers, size_t count, int32_t *picks) noexcept nogil:
        cdef size_t i
        cdef uint32_t at, shift = self.shift
        cdef const Span *spans = self.spans
        cdef const uint32_t *buckets = self.buckets
        if buckets == NULL:
            memset(picks, 0xFF, count * sizeof(int32_t))
        else:
            for i in range(count):
                at = buckets[numbers[i] >> shift]
                while spans[at].last < numbers[i]:
                    at += 1
                picks[i] = spans[at].server


cdef uint32_t ring_base(object server, Py_ssize_t i, bint rehash) except? 0:
    """What a server's points are counted from."""
    cdef uint32_t number_of = <uint32_t> number(server.id, f"server {i}: id", 0, 0x7FFFFFFF)
    cdef bytes address = packed_address(server.address, f"server {i}: address", True)
    cdef const uint8_t *packed = <const uint8_t *> PyBytes_AS_STRING(address)
    cdef uint32_t seed = <uint32_t> number(server.port, f"server {i}: port", 0, 65535)
    cdef bytes guid = server.guid
    hash_key = one_of(server.hash_key, f"server {i}: hash_key", HashKey)
    if hash_key in ("addr", "addr-port") and address:
        seed = full_hash(seed) if hash_key == "addr-port" else <uint32_t> 0
        if len(address) == 16:
            return xxh32(packed, 16, seed)
        return full_hash(seed + little_endian(packed))
    if hash_key == "guid" and guid:
        return xxh32(<const uint8_t *> PyBytes_AS_STRING(guid), <size_t> len(guid), 0)
    if hash_key == "id32":
        return full_hash((number_of << 24) | ((number_of & 0xFF00U) << 8) | ((number_of >> 8) & 0xFF00U) | (number_of >> 24))
    if rehash:
        return full_hash(number_of)
    return number_of * 4096U


cdef void radix_pass(const uint64_t *source, uint64_t *target, size_t count, int shift, int bits) noexcept nogil:
    """Sorts by `bits` bits from `shift` on, keeping the order of equals."""
    cdef size_t[2048] starts
    cdef size_t i, size, begin = 0
    cdef uint64_t mask = (<uint64_t> 1 << bits) - 1
    memset(starts, 0, sizeof(starts))
    for i in range(count):
        starts[(source[i] >> shift) & mask] += 1
    for i in range(2048):
        size = starts[i]
        starts[i] = begin
        begin += size
    for i in range(count):
        size = (source[i] >> shift) & mask
        target[starts[size]] = source[i]
        starts[size] += 1


cdef size_t lay_out(const uint64_t *points, size_t count, Span *spans) noexcept nogil:
    """From sorted points (the point above, the server below) to spans; returns their number, at most `count` + 1."""
    cdef size_t i, used = 0
    cdef uint64_t here, there = 0, middle
    cdef uint64_t first = points[0] >> 32
    # What lies above 2^32 is the beginning of the space again, and belongs to the last point.
    cdef uint64_t round_trip = ((points[count - 1] >> 32) + first + (<uint64_t> 1 << 32)) // 2
    if round_trip > UINT32_MAX:
        used = add_span(spans, used, <uint32_t> round_trip, points[count - 1])
    for i in range(count):
        here = points[i] >> 32
        if i + 1 < count:
            there = points[i + 1] >> 32
            # The number of an equal point belongs to the first of them, what is above it to the last, nothing to those between.
            middle = here if there == here else (here + there) // 2
        else:
            middle = min(round_trip, <uint64_t> UINT32_MAX)
        used = add_span(spans, used, <uint32_t> middle, points[i])
    if round_trip < UINT32_MAX:
        used = add_span(spans, used, UINT32_MAX, points[0])
    return used


cdef inline size_t add_span(Span *spans, size_t used, uint32_t last, uint64_t point) noexcept nogil:
    cdef int32_t server = <int32_t> (point & UINT32_MAX)
    if used and spans[used - 1].server == server:
        spans[used - 1].last = last
        return used
    if used and spans[used - 1].last == last:
        return used
    spans[used].last = last
    spans[used].server = server
    return used + 1


cdef void index_spans(const Span *spans, uint32_t *buckets, uint32_t shift) noexcept nogil:
    cdef uint32_t at = 0
    cdef uint64_t bucket
    for bucket in range(<uint64_t> 1 << (32 - shift)):
        while spans[at].last < (bucket << shift):
            at += 1
        buckets[bucket] = at


# --- comparing ------------------------------------------------------------------------------------------------------------------------

def loads(object picks, object servers):
    """How many of `picks` each of `servers` servers got; -1 is counted for nobody. Raises ValueError, TypeError."""
    cdef size_t size = <size_t> number(servers, "servers", 0, 0x7FFFFFFF), i
    cdef View view
    cdef uint64_t *counts = <uint64_t *> allocate(size, sizeof(uint64_t))
    cdef const int32_t *at
    cdef int32_t wrong = -1
    view.held = False
    try:
        look(&view, picks, "picks", b"i")
        at = <const int32_t *> view.buffer.buf
        with nogil:
            for i in range(<size_t> view.buffer.len // sizeof(int32_t)):
                if at[i] >= 0:
                    if <size_t> at[i] >= size:
                        wrong = at[i]
                        break
                    counts[at[i]] += 1
        if wrong >= 0:
            raise ValueError(f"server {wrong} was picked, but there are {size}")
        return [counts[i] for i in range(size)]
    finally:
        let_go(&view)
        free(counts)


def moved(object before, object after, object became):
    """How many clients go to another server: `before` and `after` are the picks for the same clients.

    `became` has, for each server of before, its place in the list of after, -1 if it is gone. Raises ValueError, TypeError.
    """
    cdef View old, new
    cdef list names = list(became)
    cdef size_t size = <size_t> len(names), i, count, found = 0
    cdef int32_t *now = <int32_t *> allocate(size, sizeof(int32_t))
    cdef const int32_t *old_at
    cdef const int32_t *new_at
    cdef int32_t wrong = -1, server
    old.held = new.held = False
    try:
        for i in range(size):
            now[i] = <int32_t> number(names[<Py_ssize_t> i], f"what server {i} became", -1, 0x7FFFFFFF)
            if now[i] < 0:
                now[i] = -2  # gone; -1 is the pick of a client that has no server
        look(&old, before, "before", b"i")
        look(&new, after, "after", b"i")
        if old.buffer.len != new.buffer.len:
            raise ValueError(f"before and after must tell of the same clients, not of {old.buffer.len // 4} and {new.buffer.len // 4}")
        old_at = <const int32_t *> old.buffer.buf
        new_at = <const int32_t *> new.buffer.buf
        count = <size_t> old.buffer.len // sizeof(int32_t)
        with nogil:
            for i in range(count):
                server = old_at[i]
                if server >= 0:
                    if <size_t> server >= size:
                        wrong = server
                        break
                    server = now[server]
                found += server != new_at[i]
        if wrong >= 0:
            raise ValueError(f"server {wrong} was picked before, but what became of it is told for {size} only")
        return found
    finally:
        let_go(&old)
        let_go(&new)
        free(now)


def least_share(object before, object after, object became):
    """The least share of clients that any algorithm could move, if it loads servers in proportion to their weights: 0.0 to 1.0.

    `before` and `after` are the weights, `became` is as for `moved`. From or to no server at all, everybody moves. Raises ValueError.
    """
    cdef list old = list(before), new = list(after), names = list(became)
    if len(old) != len(names):
        raise ValueError(f"what became of {len(old)} servers must be told, not of {len(names)}")
    all_old, all_new = sum(old), sum(new)
    if not all_old or not all_new:
        return 0.0 if all_old == all_new else 1.0
    return 1.0 - sum([min(old[i] * all_new, new[now] * all_old) for i, now in enumerate(names) if now >= 0]) / (all_old * all_new)
