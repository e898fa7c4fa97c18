# cython: boundscheck=False, wraparound=False, cdivision=True, freethreading_compatible=True
"""What a change of servers does to clients: how many move, how few could, and how many each server has."""

from libc.stdint cimport int32_t, uint64_t
from libc.stdlib cimport free

from fastpath.arguments cimport View, allocate, let_go, look, number


def loads(object picks, object servers):
    """How many of `picks` each of `servers` servers got; -1 is counted for nobody. Raises ValueError, TypeError."""
    cdef size_t size = <size_t> number(servers, "servers", 0, 0x7FFFFFFF), i
    cdef View view
    cdef uint64_t *counts = <uint64_t *> allocate(size, sizeof(uint64_t))
    cdef const int32_t *at
    cdef int32_t wrong = -1
    view.held = False
    try:
        look(&view, picks, "picks", b"i", False)
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
        look(&old, before, "before", b"i", False)
        look(&new, after, "after", b"i", False)
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
    cdef Py_ssize_t i
    if len(old) != len(names):
        raise ValueError(f"what became of {len(old)} servers must be told, not of {len(names)}")
    for i in range(len(names)):
        number(names[i], f"what server {i} became", -1, len(new) - 1)
    all_old, all_new = sum(old), sum(new)
    if not all_old or not all_new:
        return 0.0 if all_old == all_new else 1.0
    return 1.0 - sum([min(share * all_new, new[now] * all_old) for share, now in zip(old, names) if now >= 0]) / (all_old * all_new)
