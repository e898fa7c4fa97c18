# cython: boundscheck=False, wraparound=False, cdivision=True
"""Clients as text, `10.0.0.1-12345`: what HAProxy makes of `src,concat(-,…)` with a port."""

from libc.stdint cimport uint8_t, uint32_t


cdef enum:
    LONGEST_ENDPOINT = 64


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


cdef inline uint8_t *colon(uint8_t *at) noexcept nogil:
    at[0] = 58
    return at + 1


cdef inline uint8_t *dotted(uint8_t *at, const uint8_t *address) noexcept nogil:
    cdef int i
    for i in range(4):
        if i:
            at[0] = 46
            at += 1
        at = decimal(at, address[i])
    return at


cdef inline uint8_t *coloned(uint8_t *at, const uint8_t *address) noexcept nogil:
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


cdef inline size_t endpoint(uint8_t *text, const uint8_t *address, size_t width, uint32_t port) noexcept nogil:
    """Writes `address-port`; returns the length, below LONGEST_ENDPOINT."""
    cdef uint8_t *at = dotted(text, address) if width == 4 else coloned(text, address)
    at[0] = 45
    return <size_t> (decimal(at + 1, port) - text)
