/* What Cython cannot express: the floating type of this build, vector types, bit patterns, the CPU.
 *
 * The sources are compiled once per ISA level and dtype. The target macros of the compiler and
 * CNN_CORE_FLOAT64 select the sizes. */
#ifndef CNN_CORE_VECTOR_H
#define CNN_CORE_VECTOR_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

/* Add the suffix of the dtype: PACKED to x86 intrinsics, FOR_REALS to C library functions. */
#ifdef CNN_CORE_FLOAT64
typedef double real;
typedef int64_t real_bits;
#define PACKED(function) function##_pd
#define PACKED_MASK(function) function##_pd_mask
#define FOR_REALS(function) function
#else
typedef float real;
typedef int32_t real_bits;
#define PACKED(function) function##_ps
#define PACKED_MASK(function) function##_ps_mask
#define FOR_REALS(function) function##f
#endif

/* The register tile. TILE_ROWS x TILE_VECTORS accumulators, TILE_VECTORS vectors of the right-hand
 * side and one broadcast value must fit into the registers: 32 with AVX-512 and NEON, else 16. */
#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define TILE_VECTORS 4
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#define TILE_VECTORS 2
#elif defined(__aarch64__)
#define VECTOR_BYTES 16
#define TILE_VECTORS 4
#else
#define VECTOR_BYTES 16
#define TILE_VECTORS 2
#endif
#define TILE_ROWS 6
/* Vectors of a tile of one row: enough sums to hide the latency of a multiply-add. */
#define ROW_VECTORS 8
#define VECTOR_LENGTH (VECTOR_BYTES / (int)sizeof(real))
/* Values in a cache line. */
#define LINE (64 / (int)sizeof(real))

typedef real vector __attribute__((vector_size(VECTOR_BYTES)));
typedef real_bits lane_bits __attribute__((vector_size(VECTOR_BYTES)));
/* A vector in memory: at any address, and it may alias reals. */
typedef real unaligned_vector
    __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));
#define INLINED static inline __attribute__((always_inline))

INLINED vector load_vector(const real *address) { return *(const unaligned_vector *)address; }
INLINED void store_vector(real *address, vector v) { *(unaligned_vector *)address = v; }
/* Load or store the first `count` values of a vector, from 0 to all. Memory behind them is not
 * touched; the other lanes are loaded as 0. The address sanitizer does not understand masks. */
#if defined(__AVX512F__) && !defined(__SANITIZE_ADDRESS__)
INLINED vector load_some(const real *address, int count) {
    return PACKED(_mm512_maskz_loadu)((1u << count) - 1, address);
}
INLINED void store_some(real *address, vector v, int count) {
    PACKED(_mm512_mask_storeu)(address, (1u << count) - 1, v);
}
#elif defined(__AVX2__) && !defined(__SANITIZE_ADDRESS__)
INLINED __m256i first_lanes(int count) {
#ifdef CNN_CORE_FLOAT64
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3));
#else
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
#endif
}
INLINED vector load_some(const real *address, int count) {
    return PACKED(_mm256_maskload)(address, first_lanes(count));
}
INLINED void store_some(real *address, vector v, int count) {
    PACKED(_mm256_maskstore)(address, first_lanes(count), v);
}
#else
INLINED vector load_some(const real *address, int count) {
    real room[VECTOR_LENGTH] = {0};
    int j;
    for (j = 0; j < count; j++)
        room[j] = address[j];
    return load_vector(room);
}
INLINED void store_some(real *address, vector v, int count) {
    real room[VECTOR_LENGTH];
    int j;
    store_vector(room, v);
    for (j = 0; j < count; j++)
        address[j] = room[j];
}
#endif
INLINED vector zero_vector(void) {
    vector v = {0};
    return v;
}

/* Transpose 4 x 4 values; `row` and `out_row` are the row strides in values. */
#define FOUR_BYTES (4 * sizeof(real))
typedef real four __attribute__((vector_size(FOUR_BYTES)));
typedef real unaligned_four
    __attribute__((vector_size(FOUR_BYTES), aligned(sizeof(real)), may_alias));
#if defined(__clang__)
#define PICK(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
typedef real_bits four_numbers __attribute__((vector_size(FOUR_BYTES)));
#define PICK(a, b, i, j, k, l) __builtin_shuffle(a, b, (four_numbers){i, j, k, l})
#endif
INLINED void transpose_four(const real *rows, ptrdiff_t row, real *out, ptrdiff_t out_row) {
    four a = *(const unaligned_four *)rows, b = *(const unaligned_four *)(rows + row);
    four c = *(const unaligned_four *)(rows + 2 * row), d = *(const unaligned_four *)(rows + 3 * row);
    four ab = PICK(a, b, 0, 4, 1, 5), ab_end = PICK(a, b, 2, 6, 3, 7);
    four cd = PICK(c, d, 0, 4, 1, 5), cd_end = PICK(c, d, 2, 6, 3, 7);
    *(unaligned_four *)out = PICK(ab, cd, 0, 1, 4, 5);
    *(unaligned_four *)(out + out_row) = PICK(ab, cd, 2, 3, 6, 7);
    *(unaligned_four *)(out + 2 * out_row) = PICK(ab_end, cd_end, 0, 1, 4, 5);
    *(unaligned_four *)(out + 3 * out_row) = PICK(ab_end, cd_end, 2, 3, 6, 7);
}

/* Transpose `count` values, at most a cache line, of four rows; strides as above. */
INLINED void transpose_line(
    const real *rows, ptrdiff_t row, int count, real *out, ptrdiff_t out_row) {
    int i, k = 0;
    for (; k < count && count >= 4; k += 4) {
        /* The last four may overlap the four before. */
        if (k > count - 4)
            k = count - 4;
        transpose_four(rows + k, row, out + k * out_row, out_row);
    }
    for (; k < count; k++)
        for (i = 0; i < 4; i++)
            out[k * out_row + i] = rows[i * row + k];
}

INLINED vector either(vector a, vector b) { return (vector)((lane_bits)a | (lane_bits)b); }
/* Keep a value and its number where it is larger than `most`, or the first NaN. */
INLINED void keep_larger(vector value, vector number, vector *most, vector *winner) {
#if defined(__AVX512F__)
    unsigned is_larger = PACKED_MASK(_mm512_cmp)(value, *most, _CMP_NLE_UQ) &
                          PACKED_MASK(_mm512_cmp)(*most, *most, _CMP_ORD_Q);
    *most = PACKED(_mm512_mask_mov)(*most, is_larger, value);
    *winner = PACKED(_mm512_mask_mov)(*winner, is_larger, number);
#else
    lane_bits stays = (lane_bits)(value <= *most) | (lane_bits)(*most != *most);
    *most = (vector)(((lane_bits)*most & stays) | ((lane_bits)value & ~stays));
    *winner = (vector)(((lane_bits)*winner & stays) | ((lane_bits)number & ~stays));
#endif
}
/* Integers as the bits of lanes. A lane can hold four of them, 0 to 255, at places 0 to 3. */
INLINED vector number_vector(int number) { return (vector)((lane_bits)zero_vector() + number); }
INLINED vector with_number(vector numbers, vector number, int place) {
    return (vector)((lane_bits)numbers | (lane_bits)number << 8 * place);
}
INLINED vector number_at(vector numbers, int place) {
    return (vector)((lane_bits)numbers >> 8 * place & 255);
}
/* The value in lanes where a and b have the same bits, else 0. */
INLINED vector where_equal(vector a, vector b, vector value) {
    return (vector)((lane_bits)value & ((lane_bits)a == (lane_bits)b));
}
/* A bit mask of the lanes that are not 0; -0 may count as not 0. */
INLINED unsigned lanes_not_zero(vector v) {
#if defined(__AVX512F__) && defined(CNN_CORE_FLOAT64)
    return _mm512_test_epi64_mask((__m512i)v, (__m512i)v);
#elif defined(__AVX512F__)
    return _mm512_test_epi32_mask((__m512i)v, (__m512i)v);
#elif defined(__AVX2__)
    return (unsigned)PACKED(_mm256_movemask)(PACKED(_mm256_cmp)(v, zero_vector(), _CMP_NEQ_UQ));
#else
    real room[VECTOR_LENGTH];
    unsigned lanes = 0;
    int j;
    store_vector(room, v);
    for (j = 0; j < VECTOR_LENGTH; j++)
        lanes |= (unsigned)(room[j] != 0) << j;
    return lanes;
#endif
}
/* A bit mask of those of 16 words that share a bit with `bits`. */
INLINED unsigned words_sharing(const uint64_t *words, uint64_t bits) {
#if defined(__AVX512F__)
    __m512i wanted = _mm512_set1_epi64((long long)bits);
    unsigned low = _mm512_test_epi64_mask(_mm512_loadu_si512(words), wanted);
    unsigned high = _mm512_test_epi64_mask(_mm512_loadu_si512(words + 8), wanted);
    return low | high << 8;
#else
    unsigned found = 0;
    int i;
    for (i = 0; i < 16; i++)
        found |= (unsigned)((words[i] & bits) != 0) << i;
    return found;
#endif
}
/* Write first + i for each set bit i of 16; return the count. The list needs room for 16. */
INLINED int list_bits(uint16_t *list, int first, unsigned bits) {
#if defined(__AVX512F__)
    __m512i numbers = _mm512_add_epi32(
        _mm512_set1_epi32(first),
        _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    __m512i listed = _mm512_maskz_compress_epi32((__mmask16)bits, numbers);
    _mm256_storeu_si256((__m256i *)list, _mm512_cvtepi32_epi16(listed));
    return __builtin_popcount(bits);
#else
    int i, count = 0;
    for (i = 0; i < 16; i++) {
        list[count] = (uint16_t)(first + i);
        count += bits >> i & 1;
    }
    return count;
#endif
}

/* Whether a number is infinite or NaN. The test is on integers, so that loops over it vectorize. */
INLINED int is_nonfinite(real x) {
#ifdef CNN_CORE_FLOAT64
    uint64_t bits, exponent = 0x7FF0000000000000u;
#else
    uint32_t bits, exponent = 0x7F800000u;
#endif
    memcpy(&bits, &x, sizeof bits);
    return (bits & exponent) == exponent;
}

/* a * b + c with one rounding on levels with FMA. The compiler alone would round the products
 * of whole vectors and fuse those of the rest. The bits would then depend on the vector length. */
INLINED double multiply_add(double a, double b, double c) {
#if defined(__FMA__) || defined(__aarch64__)
    return __builtin_fma(a, b, c);
#else
    return a * b + c;
#endif
}
INLINED real real_multiply_add(real a, real b, real c) {
#if defined(__FMA__) || defined(__aarch64__)
    return FOR_REALS(__builtin_fma)(a, b, c);
#else
    return a * b + c;
#endif
}

INLINED real magnitude(real x) { return FOR_REALS(fabs)(x); }
INLINED real square_root(real x) { return FOR_REALS(sqrt)(x); }

/* Prefetch a cache line, into L2 or (near) into L1. Not by __builtin_prefetch: the compiler drops a
 * loop of nothing else, as one without effect. */
INLINED void prefetch_line(const void *address) {
#if defined(__x86_64__)
    __asm__ __volatile__("prefetcht1 %0" : : "m"(*(const char *)address));
#elif defined(__aarch64__)
    __asm__ __volatile__("prfm pldl2keep, %0" : : "Q"(*(const char *)address));
#endif
}
INLINED void prefetch_near(const void *address) {
#if defined(__x86_64__)
    __asm__ __volatile__("prefetcht0 %0" : : "m"(*(const char *)address));
#elif defined(__aarch64__)
    __asm__ __volatile__("prfm pldl1keep, %0" : : "Q"(*(const char *)address));
#endif
}

/* x * 2**n, for n down to that of the least subnormal: by two factors that are normal numbers. */
INLINED real scale_by_power_of_two(real x, int n) {
    int half = n >> 1;
#ifdef CNN_CORE_FLOAT64
    uint64_t low = (uint64_t)(half + 1023) << 52, high = (uint64_t)(n - half + 1023) << 52;
#else
    uint32_t low = (uint32_t)(half + 127) << 23, high = (uint32_t)(n - half + 127) << 23;
#endif
    real a, b;
    memcpy(&a, &low, sizeof a);
    memcpy(&b, &high, sizeof b);
    return x * a * b;
}

#endif
