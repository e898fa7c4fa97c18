"""Bytes found and counted: sixteen at a time where there is SSE2, as on every x86-64; one at a time, with the same results, elsewhere."""

from libc.stdint cimport uint8_t, uint64_t

cdef extern from *:
    """
    #include <stddef.h>
    #include <stdint.h>

    #if defined(__SSE2__)
    #include <emmintrin.h>

    static inline __m128i hydria_hits(const uint8_t *at, uint8_t byte) {
        return _mm_cmpeq_epi8(_mm_loadu_si128((const __m128i *)(const void *)at), _mm_set1_epi8((char)byte));
    }

    static inline size_t hydria_sum(__m128i lanes) {
        lanes = _mm_sad_epu8(lanes, _mm_setzero_si128());
        return (size_t)_mm_cvtsi128_si64(lanes) + (size_t)_mm_cvtsi128_si64(_mm_unpackhi_epi64(lanes, lanes));
    }

    static inline uint64_t hydria_mask16(const uint8_t *at, uint8_t byte) {
        return (uint64_t)(uint32_t)_mm_movemask_epi8(hydria_hits(at, byte));
    }

    static inline uint64_t hydria_mask64(const uint8_t *at, uint8_t byte) {
        return hydria_mask16(at, byte) | hydria_mask16(at + 16, byte) << 16 | hydria_mask16(at + 32, byte) << 32 | hydria_mask16(at + 48, byte) << 48;
    }

    static inline size_t hydria_count(const uint8_t *at, size_t length, uint8_t byte) {
        /* Sixteen bytes from place n on: a mask of the last n of sixteen. */
        static const uint8_t masks[32] = {[16] = 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
        size_t total = 0;
        if (length < 16) {
            for (; length > 0; length--)
                total += *at++ == byte;
            return total;
        }
        for (;;) {
            /* A lane counts to 255 before it must be added up; the last one leaves room for the rest. */
            size_t blocks = length / 16 < 254 ? length / 16 : 254;
            __m128i lanes = _mm_setzero_si128();
            length -= 16 * blocks;
            for (; blocks > 0; blocks--, at += 16)
                lanes = _mm_sub_epi8(lanes, hydria_hits(at, byte));
            if (length < 16) {
                /* The rest with bytes before it, which were counted already. */
                const __m128i rest = _mm_loadu_si128((const __m128i *)(const void *)(masks + length));
                lanes = _mm_sub_epi8(lanes, _mm_and_si128(rest, hydria_hits(at + length - 16, byte)));
                return total + hydria_sum(lanes);
            }
            total += hydria_sum(lanes);
        }
    }
    #else
    static inline uint64_t hydria_mask64(const uint8_t *at, uint8_t byte) {
        uint64_t mask = 0;
        for (unsigned place = 0; place < 64; place++)
            mask |= (uint64_t)(at[place] == byte) << place;
        return mask;
    }

    static inline size_t hydria_count(const uint8_t *at, size_t length, uint8_t byte) {
        size_t total = 0;
        for (; length > 0; length--)
            total += *at++ == byte;
        return total;
    }
    #endif

    static inline size_t hydria_lowest(uint64_t mask) {
        return (size_t)__builtin_ctzll(mask);
    }
    """
    # Bit n is set where at[n] is the byte; reads exactly 64 bytes.
    uint64_t mask64 "hydria_mask64"(const uint8_t *at, uint8_t byte) noexcept nogil
    # How often the byte occurs.
    size_t count "hydria_count"(const uint8_t *at, size_t length, uint8_t byte) noexcept nogil
    # The place of the lowest bit that is set; not for 0.
    size_t lowest "hydria_lowest"(uint64_t mask) noexcept nogil
