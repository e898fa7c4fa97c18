# cython: boundscheck=False, wraparound=False, cdivision=True
"""A ring of points as spans of the numbers that belong to each: sorted, laid out, and indexed by their top bits."""

from libc.stdint cimport UINT32_MAX, int32_t, uint32_t, uint64_t
from libc.string cimport memset


cdef struct Span:
    uint32_t last    # the greatest number that belongs to it; the span before says where it begins
    int32_t server


cdef inline void radix_pass(const uint64_t *source, uint64_t *target, size_t count, int shift, int bits) noexcept nogil:
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


cdef inline size_t add_span(Span *spans, size_t used, uint32_t last, uint64_t point) noexcept nogil:
    cdef int32_t server = <int32_t> (point & UINT32_MAX)
    if used and spans[used - 1].server == server:
        spans[used - 1].last = last
        return used
    spans[used].last = last
    spans[used].server = server
    return used + 1


cdef inline size_t lay_out(const uint64_t *points, size_t count, Span *spans) noexcept nogil:
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
            # The number of equal points belongs to the first of them, what is above it to the last, nothing to those between: a search
            # for the first span that ends there or later does not come to theirs.
            middle = here if there == here else (here + there) // 2
        else:
            middle = min(round_trip, <uint64_t> UINT32_MAX)
        used = add_span(spans, used, <uint32_t> middle, points[i])
    if round_trip < UINT32_MAX:
        used = add_span(spans, used, UINT32_MAX, points[0])
    return used


cdef inline void index_spans(const Span *spans, uint32_t *buckets, uint32_t shift) noexcept nogil:
    cdef uint32_t at = 0
    cdef uint64_t bucket
    for bucket in range(<uint64_t> 1 << (32 - shift)):
        while spans[at].last < (bucket << shift):
            at += 1
        buckets[bucket] = at
