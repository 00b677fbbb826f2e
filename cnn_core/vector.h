/* What Cython cannot say: the floating type of this build, vector types, bit patterns, the CPU.
 *
 * The sources are compiled once per ISA level and dtype; the compiler's own target macros and
 * CNN_CORE_FLOAT64 select the sizes here. */
#ifndef CNN_CORE_VECTOR_H
#define CNN_CORE_VECTOR_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

#ifdef CNN_CORE_FLOAT64
typedef double real;
#else
typedef float real;
#endif

/* The register tile: TILE_ROWS x TILE_VECTORS accumulators, TILE_VECTORS vectors of the right-hand
 * side and one broadcast value have to fit into the registers: 32 with AVX-512 and NEON, else 16. */
#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#define TILE_VECTORS 4
#elif defined(__AVX__)
#define VECTOR_BYTES 32
#define TILE_VECTORS 2
#elif defined(__aarch64__)
#define VECTOR_BYTES 16
#define TILE_VECTORS 4
#elif defined(__GNUC__)
#define VECTOR_BYTES 16
#define TILE_VECTORS 2
#else
#define VECTOR_BYTES ((int)sizeof(real))
#define TILE_VECTORS 2
#endif
#define TILE_ROWS 6
/* A single row has no others to share a vector of the right-hand side with: as many sums as hide the
 * latency of a multiply-add. */
#define ROW_VECTORS 8
#define VECTOR_LENGTH (VECTOR_BYTES / (int)sizeof(real))

#if defined(__GNUC__)
typedef real vector __attribute__((vector_size(VECTOR_BYTES)));
/* The same in memory: at any address, and allowed to alias the reals that it is made of. */
typedef real unaligned_vector
    __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));
#define INLINED static inline __attribute__((always_inline))
#else
typedef real vector;
typedef real unaligned_vector;
#define INLINED static __inline
#endif

INLINED vector load_vector(const real *address) { return *(const unaligned_vector *)address; }
INLINED void store_vector(real *address, vector v) { *(unaligned_vector *)address = v; }
/* The first `count` values of a vector, from 0 to all of them; nothing behind them is touched, and
 * what is loaded for them is 0. The address sanitizer knows nothing of masks. */
#if defined(__AVX512F__) && defined(CNN_CORE_FLOAT64) && !defined(__SANITIZE_ADDRESS__)
INLINED vector load_some(const real *address, int count) {
    return (vector)_mm512_maskz_loadu_pd((__mmask8)((1u << count) - 1), address);
}
INLINED void store_some(real *address, vector v, int count) {
    _mm512_mask_storeu_pd(address, (__mmask8)((1u << count) - 1), (__m512d)v);
}
#elif defined(__AVX512F__) && !defined(__SANITIZE_ADDRESS__)
INLINED vector load_some(const real *address, int count) {
    return (vector)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), address);
}
INLINED void store_some(real *address, vector v, int count) {
    _mm512_mask_storeu_ps(address, (__mmask16)((1u << count) - 1), (__m512)v);
}
#elif defined(__AVX2__) && defined(CNN_CORE_FLOAT64) && !defined(__SANITIZE_ADDRESS__)
INLINED __m256i first_lanes(int count) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3));
}
INLINED vector load_some(const real *address, int count) {
    return (vector)_mm256_maskload_pd(address, first_lanes(count));
}
INLINED void store_some(real *address, vector v, int count) {
    _mm256_maskstore_pd(address, first_lanes(count), (__m256d)v);
}
#elif defined(__AVX2__) && !defined(__SANITIZE_ADDRESS__)
INLINED __m256i first_lanes(int count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
INLINED vector load_some(const real *address, int count) {
    return (vector)_mm256_maskload_ps(address, first_lanes(count));
}
INLINED void store_some(real *address, vector v, int count) {
    _mm256_maskstore_ps(address, first_lanes(count), (__m256)v);
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

/* Whether a number is infinite or NaN, told by its bits: a whole number, which a loop can collect in
 * vectors. */
INLINED int is_strange(real x) {
#ifdef CNN_CORE_FLOAT64
    uint64_t bits, exponent = 0x7FF0000000000000u;
#else
    uint32_t bits, exponent = 0x7F800000u;
#endif
    memcpy(&bits, &x, sizeof bits);
    return (bits & exponent) == exponent;
}

/* a * b + c with one rounding wherever the level has such an instruction. In a sum the compiler would
 * round the products of whole vectors and fuse those of the rest, so that the bits would depend on the
 * length of a vector. */
INLINED double multiply_add(double a, double b, double c) {
#if defined(__FMA__) || defined(__aarch64__)
    return __builtin_fma(a, b, c);
#else
    return a * b + c;
#endif
}
INLINED real real_multiply_add(real a, real b, real c) {
#if defined(CNN_CORE_FLOAT64)
    return multiply_add(a, b, c);
#elif defined(__FMA__) || defined(__aarch64__)
    return __builtin_fmaf(a, b, c);
#else
    return a * b + c;
#endif
}

INLINED real square_root(real x) {
#ifdef CNN_CORE_FLOAT64
    return sqrt(x);
#else
    return sqrtf(x);
#endif
}

/* Ask for a cache line that will be read before long. Not the compiler's own function: a loop of
 * nothing but that is taken for a loop without effect. */
INLINED void prefetch_line(const void *address) {
#if defined(__GNUC__) && defined(__x86_64__)
    __asm__ __volatile__("prefetcht1 %0" : : "m"(*(const char *)address));
#elif defined(__GNUC__) && defined(__aarch64__)
    __asm__ __volatile__("prfm pldl2keep, %0" : : "Q"(*(const char *)address));
#endif
}

/* 2**n for n as small as the least subnormal, times x: in two steps, each a normal number. */
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
