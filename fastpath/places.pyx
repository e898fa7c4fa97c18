# cython: boundscheck=False, wraparound=False
"""Places of servers on the ring of HAProxy's consistent hash: see `compiler.ring_ids`, which says what they are and why."""

from libc.stdint cimport uint32_t

from fastpath.arguments cimport number
from fastpath.arithmetic cimport full_unhash

cdef enum:
    _PLACES = 0x100000
    # A linear congruential sequence with the full period: the factor is 1 modulo 4, the step is odd (Hull and Dobell, 1962).
    _FACTOR = 0x9E375
    _STEP = 0x3C6EF


cdef inline bint _usable(uint32_t place) noexcept nogil:
    """Whether the `rehashed_twin` of `fastpath.hashing` is one."""
    cdef uint32_t twin = full_unhash(place * 4096U)
    return place != 0 and 0x100000U <= twin <= 0x7FFFFFFFU


def is_place(object candidate):
    """Whether every release can have a server there: half the numbers below 2^20 are such."""
    return 0 < candidate < _PLACES and _usable(<uint32_t> candidate)


def places_for(object numbers):
    """The place of each of these numbers below 2^20: that one, else the first of a sequence that visits all and jumps about, so that
    numbers in a row, as in ids that somebody has made up, do not come to the same place. Raises ValueError, TypeError.
    """
    cdef uint32_t place
    cdef list found = []
    for each in numbers:
        place = <uint32_t> number(each, "number", 0, _PLACES - 1)
        while not _usable(place):
            place = (place * <uint32_t> _FACTOR + <uint32_t> _STEP) % <uint32_t> _PLACES
        found.append(place)
    return found
