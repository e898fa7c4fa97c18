# cython: boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Which server HAProxy gives a client to, under `balance source` and `balance hash`: map-based and consistent, bit for bit.

Configuration manual 4.2 `balance`, `hash-type`, `hash-balance-factor`, `option allbackups`; 5.2 `id`, `weight`, `backup`, `hash-key`. The arithmetic is
HAProxy's own (hash.c, lb_map.c, lb_chash.c), told here in the words of this module. All of it is modulo 2^32.

A client becomes a number (`Picker.hash`), the number a server (`Picker.choose`); a scheduler overrides one or both. Not modelled, because it
cannot be known from a configuration: bounded load under way (`hash-balance-factor`), slow start, redispatch after a refused connection,
and stick tables and cookies, which come first.
"""

from array import array
from typing import Literal, NamedTuple, get_args

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_AsStringAndSize, PyBytes_FromStringAndSize
from cython cimport final
from libc.stdint cimport UINT32_MAX, int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset

from fastpath.arguments cimport View, allocate, let_go, look, number, one_of, packed_address
from fastpath.arithmetic cimport crc32, djb2, fold, full_hash, full_unhash, little_endian, sdbm, wt6, xxh32
from fastpath.endpoints cimport LONGEST_ENDPOINT, endpoint
from fastpath.spans cimport Span, index_spans, lay_out, radix_pass
from fastpath.tournament cimport Fill, change, remind

cdef enum:
    BLOCK = 1024  # clients that are hashed, then given a server: what fits the first-level cache
    POINTS_PER_WEIGHT = 16


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


def endpoint_key(object address, object port):
    """The key that `source-port` stands for: b"10.0.0.1-12345", b"2001:db8::1-443"; the address is 4 or 16 bytes."""
    cdef bytes packed = packed_address(address, "address", False)
    cdef uint32_t checked = <uint32_t> number(port, "port", 0, 65535)
    cdef uint8_t[LONGEST_ENDPOINT] text
    cdef size_t length = endpoint(text, <const uint8_t *> PyBytes_AS_STRING(packed), <size_t> len(packed), checked)
    return PyBytes_FromStringAndSize(<char *> text, <Py_ssize_t> length)


# --- picking --------------------------------------------------------------------------------------------------------------------------

ctypedef uint32_t (*HashFunction)(const uint8_t *, size_t) noexcept nogil


cdef HashFunction function_named(str name) except NULL:
    one_of(name, "function", get_args(Function))
    return sdbm if name == "sdbm" else djb2 if name == "djb2" else wt6 if name == "wt6" else crc32


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
        self.ports_matter = one_of(key, "key", get_args(Key)) == "source-port"
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
        cdef size_t size = <size_t> one_of(width, "width", (4, 16)), count, done = 0, step
        cdef const uint16_t *ports_at = NULL
        cdef uint32_t[BLOCK] hashed
        clients.held = numbers.held = result.held = False
        try:
            look(&clients, addresses, "addresses", b"Bc", False)
            count = <size_t> clients.buffer.len // size
            if count * size != <size_t> clients.buffer.len:
                raise ValueError(f"addresses must be a multiple of {size} bytes, not {clients.buffer.len}")
            if ports is not None:
                look(&numbers, ports, "ports", b"H", False)
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

    def __cinit__(self, *arguments, **options):
        if type(self) is Balance:
            raise TypeError("a Balance is what Map and Ring have in common: make one of them")

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


cdef long long gcd_of(list servers):
    cdef long long a, b, found = 0
    for server in servers:
        a, b = server.weight, found
        while b:
            a, b = b, a % b
        found = a
    return found or 1


# --- consistent -----------------------------------------------------------------------------------------------------------------------

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
        cdef bint rehash = one_of(id_base, "id_base", get_args(IdBase)) == "rehash"
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
    hash_key = one_of(server.hash_key, f"server {i}: hash_key", get_args(HashKey))
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


def rehashed_twin(object server_id):
    """The id for which `rehash` puts a server's points where `x4096` has those of `server_id` (its low 20 bits); 0 where that is no id of HAProxy's,
    which are below 2^31, or is below 2^20: so a twin is never taken for an id that is written as it is.
    """
    cdef uint32_t twin = full_unhash(<uint32_t> number(server_id, "id", 0, 0x7FFFFFFF) * 4096U)
    return twin if 0x100000U <= twin <= 0x7FFFFFFFU else 0


def twin_of_rehashed(object server_id):
    """The id below 2^20 of which `server_id` is the `rehashed_twin`; 0 where it is nobody's."""
    cdef uint32_t checked = <uint32_t> number(server_id, "id", 0, 0x7FFFFFFF)
    cdef uint32_t base = full_hash(checked)
    return base >> 12 if checked >= 0x100000U and not base & 0xFFFU else 0
