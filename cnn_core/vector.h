/* What Cython cannot say: the floating type of this build, vector types, bit patterns, the CPU.
 *
 * The sources are compiled once per ISA level and dtype; the compiler's own target macros and
 * CNN_CORE_FLOAT64 select the sizes here. */
#ifndef CNN_CORE_VECTOR_H
#define CNN_CORE_VECTOR_H

#include <stdint.h>
#include <string.h>

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
