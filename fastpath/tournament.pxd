# cython: boundscheck=False, wraparound=False, cdivision=True
"""Who is furthest behind, and when somebody falls behind next: what filling a map of HAProxy's takes."""

from libc.stdint cimport int32_t, uint32_t, uint64_t


cdef struct Fill:
    size_t leaves
    int32_t *behind     # of a member
    uint32_t *best      # of a node of the tree: which member
    uint64_t *weight
    uint64_t *turns     # how often a member has fallen behind so far
    int32_t *server
    uint32_t *after     # who falls behind at the same time, + 1
    uint32_t *calendar  # who falls behind at a time, + 1


cdef inline void remind(Fill *f, size_t member, uint64_t total) noexcept nogil:
    """Enters in the calendar when `member` falls behind next."""
    cdef uint64_t when
    f.turns[member] += 1
    if f.turns[member] <= f.weight[member]:
        when = (f.turns[member] * total + f.weight[member] - 1) // f.weight[member]
        f.after[member] = f.calendar[when]
        f.calendar[when] = <uint32_t> member + 1


cdef inline void change(Fill *f, size_t member, int32_t by) noexcept nogil:
    cdef size_t node = (f.leaves + member) // 2
    cdef uint32_t left, right
    f.behind[member] += by
    while node:
        left, right = f.best[2 * node], f.best[2 * node + 1]
        f.best[node] = left if f.behind[left] >= f.behind[right] else right
        node //= 2
