# cython: boundscheck=False, wraparound=False, cdivision=True
"""Places of servers on the ring of HAProxy's consistent hash: see `compiler.ring_ids`, which says what they are and why."""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport uint8_t, uint32_t

from fastpath.arithmetic cimport full_unhash

cdef enum:
    _PLACES = 0x100000
    _DIGITS = 5
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


cdef inline int _digit(uint8_t character) noexcept nogil:
    """What a hexadecimal digit stands for; below 0 where it is none."""
    if c"0" <= character <= c"9":
        return <int> (character - c"0")
    character |= 0x20
    return <int> (character - c"a" + 10) if c"a" <= character <= c"f" else -1


def places_for(bytes ids, Py_ssize_t width):
    """The place for each of `ids`, texts of `width` characters that stand one behind the other: that of the number which their last five
    hexadecimal digits are, else the first of a sequence that visits all and jumps about, so that numbers in a row, as in ids that somebody has
    made up, do not come to the same place. Raises ValueError, TypeError.
    """
    cdef const uint8_t *text = <const uint8_t *> PyBytes_AS_STRING(ids)
    cdef Py_ssize_t length = len(ids), end, at
    cdef uint32_t place
    cdef int digit
    cdef list found = []
    if width < _DIGITS or length % width:
        raise ValueError(f"ids of {width} characters must be 5 or longer and be given whole, not {length} characters of them")
    for end in range(width, length + 1, width):
        place = 0
        for at in range(end - _DIGITS, end):
            digit = _digit(text[at])
            if digit < 0:
                raise ValueError(f"ids must end in five hexadecimal digits, not {ids[end - _DIGITS : end]!r}")
            place = place << 4 | <uint32_t> digit
        while not _usable(place):
            place = (place * <uint32_t> _FACTOR + <uint32_t> _STEP) % <uint32_t> _PLACES
        found.append(place)
    return found
