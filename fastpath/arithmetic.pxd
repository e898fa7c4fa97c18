# cython: boundscheck=False, wraparound=False, cdivision=True
"""Hash functions of HAProxy and xxHash, on unsigned 32-bit integers."""

from libc.stdint cimport UINT32_MAX, uint8_t, uint32_t


cdef inline uint32_t full_hash(uint32_t a) noexcept nogil:
    """HAProxy's avalanche: a bijection of 32-bit numbers."""
    a = a * 4097U + 0x7ED55D16U
    a = a ^ 0xC761C23CU ^ (a >> 19)
    a = a * 33U + 0x165667B1U
    a = (a + 0xD3A2646CU) ^ (a << 9)
    a = a * 9U + 0xFD7046C5U
    a = a ^ 0xB55A4F09U ^ (a >> 16)
    return a * 3221225473U


cdef inline uint32_t full_unhash(uint32_t a) noexcept nogil:
    """The number of which `a` is the `full_hash`. Multipliers are the inverses of those there."""
    cdef uint32_t hashed
    a = a * 0x40000001U
    a = a ^ 0xB55A4F09U
    a = a ^ (a >> 16)
    a = (a - 0xFD7046C5U) * 0x38E38E39U
    # A sum under XOR with its own number shifted: nine bits are known, and each round tells nine more.
    hashed = a
    a = hashed - 0xD3A2646CU
    a = (hashed ^ (a << 9)) - 0xD3A2646CU
    a = (hashed ^ (a << 9)) - 0xD3A2646CU
    a = (hashed ^ (a << 9)) - 0xD3A2646CU
    a = (a - 0x165667B1U) * 0x3E0F83E1U
    a = a ^ 0xC761C23CU
    a = a ^ (a >> 19)
    return (a - 0x7ED55D16U) * 0x00FFF001U


cdef inline uint32_t big_endian(const uint8_t *at) noexcept nogil:
    return (<uint32_t> at[0] << 24) | (<uint32_t> at[1] << 16) | (<uint32_t> at[2] << 8) | <uint32_t> at[3]


cdef inline uint32_t little_endian(const uint8_t *at) noexcept nogil:
    return (<uint32_t> at[3] << 24) | (<uint32_t> at[2] << 16) | (<uint32_t> at[1] << 8) | <uint32_t> at[0]


cdef inline uint32_t rotated(uint32_t value, uint32_t by) noexcept nogil:
    return (value << (by & 31)) | (value >> ((32 - by) & 31))


cdef inline uint32_t fold(const uint8_t *address, size_t width) noexcept nogil:
    """An address as one number: the XOR of its 32-bit words in network order."""
    cdef uint32_t folded = big_endian(address)
    if width == 16:
        folded ^= big_endian(address + 4) ^ big_endian(address + 8) ^ big_endian(address + 12)
    return folded


cdef inline uint32_t sdbm(const uint8_t *key, size_t length) noexcept nogil:
    cdef uint32_t h = 0
    cdef size_t i
    for i in range(length):
        h = h * 65599U + key[i]
    return h


cdef inline uint32_t djb2(const uint8_t *key, size_t length) noexcept nogil:
    cdef uint32_t h = 5381
    cdef size_t i
    for i in range(length):
        h = h * 33U + key[i]
    return h


cdef inline uint32_t wt6(const uint8_t *key, size_t length) noexcept nogil:
    cdef uint32_t h0 = 0xA53C965AU, h1 = 0x5CA6953AU, step0 = 6, step1 = 18, swap
    cdef size_t i
    for i in range(length):
        h0 = ~(h0 ^ key[i])
        h1 = ~(h1 + key[i])
        swap = rotated(h0, step1)
        h0 = rotated(h1, step0)
        h1 = swap
        swap = ((h0 >> 16) ^ h1) & 0xFFFFU
        step0 = swap & 31
        step1 = swap >> 11
    return h0 ^ h1


cdef inline uint32_t crc32(const uint8_t *key, size_t length) noexcept nogil:
    """The CRC of zlib, four bits at a time."""
    cdef uint32_t[16] steps = [
        0x00000000U, 0x1DB71064U, 0x3B6E20C8U, 0x26D930ACU, 0x76DC4190U, 0x6B6B51F4U, 0x4DB26158U, 0x5005713CU,
        0xEDB88320U, 0xF00F9344U, 0xD6D6A3E8U, 0xCB61B38CU, 0x9B64C2B0U, 0x86D3D2D4U, 0xA00AE278U, 0xBDBDF21CU,
    ]
    cdef uint32_t c = UINT32_MAX
    cdef size_t i
    for i in range(length):
        c ^= key[i]
        c = (c >> 4) ^ steps[c & 15]
        c = (c >> 4) ^ steps[c & 15]
    return ~c


cdef inline uint32_t xxh32(const uint8_t *key, size_t length, uint32_t seed) noexcept nogil:
    """The public 32-bit xxHash."""
    cdef uint32_t p1 = 2654435761U, p2 = 2246822519U, p3 = 3266489917U, p4 = 668265263U, p5 = 374761393U, h
    cdef uint32_t[4] lane
    cdef const uint8_t *end = key + length
    cdef size_t i
    if length >= 16:
        lane[0], lane[1], lane[2], lane[3] = seed + p1 + p2, seed + p2, seed, seed - p1
        while end - key >= 16:
            for i in range(4):
                lane[i] = rotated(lane[i] + little_endian(key + 4 * i) * p2, 13) * p1
            key += 16
        h = rotated(lane[0], 1) + rotated(lane[1], 7) + rotated(lane[2], 12) + rotated(lane[3], 18)
    else:
        h = seed + p5
    h += <uint32_t> length
    while end - key >= 4:
        h = rotated(h + little_endian(key) * p3, 17) * p4
        key += 4
    while key < end:
        h = rotated(h + key[0] * p5, 11) * p1
        key += 1
    h = (h ^ (h >> 15)) * p2
    h = (h ^ (h >> 13)) * p3
    return h ^ (h >> 16)
