"""The C side of `fastpath.hashing`, for the modules of this package that add other schedulers."""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t


cdef class Picker:
    cdef readonly tuple weights
    cdef bint ports_matter

    cdef int prepare(self, Py_ssize_t servers, str key) except -1
    cdef void hash(self, const uint8_t *addresses, size_t width, const uint16_t *ports, size_t count, uint32_t *numbers) noexcept nogil
    cdef void choose(self, const uint32_t *numbers, size_t count, int32_t *picks) noexcept nogil
