# cython: boundscheck=False, wraparound=False, cdivision=True
"""Arguments from Python: checked, with words for what is wrong; and memory."""

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.number cimport PyIndex_Check, PyNumber_Index
from libc.stdlib cimport calloc


cdef inline long long number(object value, str what, long long lowest, long long highest) except? -1:
    """`value` as an integer within bounds."""
    if not PyIndex_Check(value):
        raise TypeError(f"{what} must be an integer, not {value!r}")
    value = PyNumber_Index(value)
    if not lowest <= value <= highest:
        raise ValueError(f"{what} must be {lowest} to {highest}, not {value}")
    return value


cdef inline bytes packed_address(object address, str what, bint optional):
    """`address` if it is the 4 or 16 bytes of one."""
    if not isinstance(address, bytes):
        raise TypeError(f"{what} must be the 4 or 16 bytes of an IPv4 or IPv6 address, not {address!r}")
    if len(address) not in (4, 16) and not (optional and not address):
        raise ValueError(f"{what} must be the 4 or 16 bytes of an IPv4 or IPv6 address, not {len(address)} bytes")
    return address


cdef inline object one_of(object value, str what, tuple allowed):
    """`value` if it is among those allowed."""
    if value not in allowed:
        raise ValueError(f"{what} must be one of {', '.join(map(str, allowed))}, not {value!r}")
    return value


cdef struct View:
    Py_buffer buffer
    bint held


cdef inline int look(View *view, object source, str what, bytes formats, bint writable) except -1:
    """Holds the memory of `source`, whose items have one of the `formats` of the module struct."""
    cdef int flags = PyBUF_C_CONTIGUOUS | PyBUF_FORMAT
    PyObject_GetBuffer(source, &view.buffer, flags | PyBUF_WRITABLE if writable else flags)
    view.held = True
    found = (<bytes> view.buffer.format).lstrip(b"@=") if view.buffer.format != NULL else b"B"
    if len(found) != 1 or found not in formats:
        raise TypeError(f"{what} must be a buffer of items {formats.decode()!r} as in the module struct, not {found.decode()!r}")
    return 0


cdef inline void let_go(View *view):
    if view.held:
        PyBuffer_Release(&view.buffer)
        view.held = False


cdef inline void *allocate(size_t count, size_t size) except NULL:
    """Zeroed memory for `count` items, also for none."""
    cdef void *memory = calloc(count or 1, size)
    if memory == NULL:
        raise MemoryError
    return memory
