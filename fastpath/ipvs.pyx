# cython: boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""Which real server the kernel's IPVS gives a client to, under the schedulers sh and mh, bit for bit as in 64-bit Linux since 4.18.

ipvsadm(8) `--scheduler`, `--sched-flags`; the kernel's net/netfilter/ipvs/ip_vs_sh.c and ip_vs_mh.c, told here in the words of this module. Nothing in them
is random. A service keeps its real servers newest first, so the order in which they were added matters.

Not modelled: connections that exist already, persistence (`-p`) and firewall marks, which come first; real servers of another address
family than the service's.
"""

from math import gcd
from typing import NamedTuple

from cython cimport final
from libc.stdint cimport UINT32_MAX, int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset

from fastpath.arguments cimport allocate, number, packed_address
from fastpath.arithmetic cimport fold
from fastpath.hashing cimport Picker

TABLE_SIZES = {8: 251, 9: 509, 10: 1021, 11: 2039, 12: 4093, 13: 8191, 14: 16381, 15: 32749, 16: 65521, 17: 131071}


class RealServer(NamedTuple):
    """A real server of a virtual service; it is known by its place in the list, which is in the order of adding.

    One that was taken out and came back is last. (keepalived takes out what its checks find down, unless told `inhibit_on_failure`: then it
    stays, with the weight 0.)

    `address`, `port`: where it is, 4 or 16 bytes and 0 to 65535; they matter to mh only.
    `weight`: the current one, 0 to 65535. 0 takes no clients, but keeps its place.
    `last_weight`: where the weight is 0, the one before that (0 if there was none); it matters to mh only.
    `overloaded`: has reached its upper threshold of connections.
    """

    address: bytes
    port: int = 0
    weight: int = 1
    last_weight: int = 0
    overloaded: bool = False


cdef class Table(Picker):
    """What sh and mh have in common: a table of real servers, and what happens if the one that is found takes no clients.

    `key`: `source-port` for the flags sh-port and mh-port (TCP, UDP and SCTP).
    `fallback`: the flags sh-fallback and mh-fallback. Without them, a client whose server takes none gets none.
    """

    cdef bint fallback
    cdef uint32_t size
    cdef int32_t *slots
    cdef uint8_t *closed  # by server: whether it takes no clients

    def __cinit__(self, *arguments, **options):
        if type(self) is Table:
            raise TypeError("a Table is what SourceHashing and Maglev have in common: make one of them")

    def __dealloc__(self):
        free(self.slots)
        free(self.closed)

    cdef list real_servers(self, object servers, str key, bint fallback, uint32_t size):
        """Checks the arguments. Returns (place, server), in the kernel's order: newest first."""
        cdef list listed = list(servers)
        cdef Py_ssize_t i
        self.prepare(len(listed), key)
        self.fallback = fallback
        self.size = size
        self.slots = <int32_t *> allocate(size, sizeof(int32_t))
        self.closed = <uint8_t *> allocate(<size_t> len(listed), 1)
        memset(self.slots, 0xFF, size * sizeof(int32_t))
        for i in range(len(listed)):
            server = listed[i]
            packed_address(server.address, f"server {i}: address", False)
            number(server.port, f"server {i}: port", 0, 65535)
            number(server.weight, f"server {i}: weight", 0, 65535)
            number(server.last_weight, f"server {i}: last_weight", 0, 65535)
            self.closed[i] = 1 if server.overloaded or not server.weight else 0
        return list(enumerate(listed))[::-1]

    cdef int weigh(self) except -1:
        """Tells the servers' weights in the choice: the slots that they have, those that take no clients none."""
        cdef uint32_t i
        cdef list found = [0] * len(self.weights)
        for i in range(self.size):
            if self.slots[i] >= 0 and not self.closed[self.slots[i]]:
                found[self.slots[i]] += 1
        self.weights = tuple(found)
        return 0

    cdef uint32_t slot(self, uint32_t number, uint32_t offset) noexcept nogil:
        """Where in the table a number leads."""
        return 0

    cdef void hash(self, const uint8_t *addresses, size_t width, const uint16_t *ports, size_t count, uint32_t *numbers) noexcept nogil:
        cdef size_t i
        for i in range(count):
            numbers[i] = fold(addresses + i * width, width)
        if self.ports_matter:
            for i in range(count):
                numbers[i] += ports[i]

    cdef void choose(self, const uint32_t *numbers, size_t count, int32_t *picks) noexcept nogil:
        cdef size_t i
        cdef uint32_t home, offset
        cdef int32_t found
        for i in range(count):
            home = self.slot(numbers[i], 0)
            found = self.slots[home]
            if found >= 0 and self.closed[found]:
                found = -1
                if self.fallback:
                    for offset in range(self.size):
                        found = self.slots[self.slot(numbers[i], (home + offset) % self.size)]
                        if not self.closed[found]:
                            break
                        found = -1
            picks[i] = found


@final
cdef class SourceHashing(Table):
    """`-s sh`: a table of 2^`bits` buckets (the kernel's IP_VS_SH_TAB_BITS, 4 to 12), given out in turn, a server as many in a row as it weighs.

    Weight 0 has a bucket all the same; where the weights add up to more than there are buckets, the oldest servers have none.
    """

    cdef uint32_t bits

    def __cinit__(self, object servers, *, str key="source", bint fallback=False, object bits=8):
        self.bits = <uint32_t> number(bits, "bits", 4, 12)
        cdef list newest_first = self.real_servers(servers, key, fallback, <uint32_t> 1 << self.bits)
        cdef uint32_t filled = 0
        if not newest_first:
            return
        while filled < self.size:
            for place, server in newest_first:
                for _ in range(min(max(1, server.weight), self.size - filled)):
                    self.slots[filled] = place
                    filled += 1
        self.weigh()

    cdef uint32_t slot(self, uint32_t number, uint32_t offset) noexcept nogil:
        return (offset + (number * 0x61C88647U >> (32 - self.bits))) & (self.size - 1)


@final
cdef class Maglev(Table):
    """`-s mh`: Maglev hashing over a table whose size is a prime, by the kernel's IP_VS_MH_TAB_INDEX (8 to 17)."""

    def __cinit__(self, object servers, *, str key="source", bint fallback=False, object table_index=12):
        cdef long long checked = number(table_index, "table_index", 8, 17)
        cdef list newest_first = self.real_servers(servers, key, fallback, <uint32_t> TABLE_SIZES[checked])
        cdef list weights = [server.weight or server.last_weight for _, server in newest_first]
        divisor = gcd(*weights)
        if not divisor:
            return
        # Large weights are scaled down, so that a turn does not fill much of the table.
        shift = max(0, (max(weights) // divisor).bit_length() - checked // 2)
        turns = [((weight // divisor) >> shift) or 1 if weight else 0 for weight in weights]
        self.populate(newest_first, turns)
        self.weigh()

    cdef int populate(self, list newest_first, list turns) except -1:
        """Servers take turns; in a turn, each takes its next free slots, in its own order of the table."""
        cdef size_t count = <size_t> len(newest_first), i
        cdef uint32_t filled = 0, value
        cdef uint32_t *at = <uint32_t *> allocate(3 * count, sizeof(uint32_t))
        cdef uint32_t *skip = at + count
        cdef uint32_t *share = skip + count
        cdef bytes address
        try:
            for i in range(count):
                address = newest_first[<Py_ssize_t> i][1].address
                value = fold(<const uint8_t *> <char *> address, <size_t> len(address)) + <uint32_t> newest_first[<Py_ssize_t> i][1].port
                at[i] = siphash(value, FIRST_KEY) % self.size
                skip[i] = siphash(value, SECOND_KEY) % (self.size - 1) + 1
                share[i] = turns[<Py_ssize_t> i]
            while filled < self.size:
                for i in range(count):
                    for _ in range(min(share[i], self.size - filled)):
                        while self.slots[at[i]] >= 0:
                            at[i] = (at[i] + skip[i]) % self.size
                        self.slots[at[i]] = <int32_t> (count - 1 - i)
                        filled += 1
        finally:
            free(at)
        return 0

    cdef uint32_t slot(self, uint32_t number, uint32_t offset) noexcept nogil:
        return siphash(number + offset, FIRST_KEY) % self.size


cdef enum:
    FIRST_KEY = 2654435761U
    SECOND_KEY = 2654446892U


cdef inline uint64_t rotated(uint64_t value, int by) noexcept nogil:
    return (value << by) | (value >> (64 - by))


cdef inline void sip_round(uint64_t *v) noexcept nogil:
    v[0] += v[1]
    v[1] = rotated(v[1], 13) ^ v[0]
    v[0] = rotated(v[0], 32)
    v[2] += v[3]
    v[3] = rotated(v[3], 16) ^ v[2]
    v[0] += v[3]
    v[3] = rotated(v[3], 21) ^ v[0]
    v[2] += v[1]
    v[1] = rotated(v[1], 17) ^ v[2]
    v[2] = rotated(v[2], 32)


cdef uint32_t siphash(uint32_t value, uint64_t key) noexcept nogil:
    """The low half of SipHash-1-3 over four bytes, with a key whose halves are the same."""
    cdef uint64_t last = <uint64_t> 4 << 56 | value
    cdef uint64_t[4] v
    v[0] = key ^ 0x736F6D6570736575U
    v[1] = key ^ 0x646F72616E646F6DU
    v[2] = key ^ 0x6C7967656E657261U
    v[3] = key ^ 0x7465646279746573U
    v[3] ^= last
    sip_round(v)
    v[0] ^= last
    v[2] ^= 0xFF
    sip_round(v)
    sip_round(v)
    sip_round(v)
    return <uint32_t> ((v[0] ^ v[1] ^ v[2] ^ v[3]) & UINT32_MAX)
