/* Features of the processor, and facts of the build. */
#ifndef CNN_CORE_CPU_H
#define CNN_CORE_CPU_H

/* setup.py defines CNN_CORE_BUILT_LEVELS, CNN_CORE_BUILT_MODULES and CNN_CORE_CYTHON. */

#if defined(__clang__)
#define CNN_CORE_COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define CNN_CORE_COMPILER "gcc " __VERSION__
#else
#define CNN_CORE_COMPILER "unknown"
#endif

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>

/* Use CPUID itself: __builtin_cpu_supports does not work with the libraries of some compilers. */
typedef struct {
    unsigned eax, ebx, ecx, edx;
} registers;

/* The result of CPUID for a leaf; zeros if the processor has no such leaf. */
static registers cpuid(unsigned leaf) {
    registers r = {0, 0, 0, 0};
    if (leaf <= __get_cpuid_max(leaf & 0x80000000u, 0))
        __cpuid_count(leaf, 0, r.eax, r.ebx, r.ecx, r.edx);
    return r;
}

/* Registers that the operating system saves (XCR0). Only call it if XGETBV exists (OSXSAVE). */
static unsigned saved_state(void) {
    unsigned low, high;
    __asm__ __volatile__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static int has(unsigned bits, unsigned wanted) { return (bits & wanted) == wanted; }

/* The highest x86-64 microarchitecture level, 0 for none. The features of a level are those of the
 * System V psABI (x86-64 supplement, 3.1.1), the bits those of Intel's manual (volume 2, CPUID). */
static int x86_64_level(void) {
    const unsigned sse3 = 1u << 0, ssse3 = 1u << 9, fma = 1u << 12, cx16 = 1u << 13;
    const unsigned sse4_1 = 1u << 19, sse4_2 = 1u << 20, movbe = 1u << 22, popcnt = 1u << 23;
    const unsigned osxsave = 1u << 27, avx = 1u << 28, f16c = 1u << 29;
    const unsigned lahf = 1u << 0, lzcnt = 1u << 5;
    const unsigned bmi1 = 1u << 3, avx2 = 1u << 5, bmi2 = 1u << 8;
    const unsigned avx512f = 1u << 16, avx512dq = 1u << 17, avx512cd = 1u << 28;
    const unsigned avx512bw = 1u << 30, avx512vl = 1u << 31;
    const unsigned xmm_and_ymm = 0x06, zmm_and_masks = 0xE0;
    unsigned basic = cpuid(1).ecx, later = cpuid(7).ebx, extended = cpuid(0x80000001u).ecx;
    unsigned saved = has(basic, osxsave) ? saved_state() : 0;
    if (!has(basic, sse3 | ssse3 | cx16 | sse4_1 | sse4_2 | popcnt) || !has(extended, lahf))
        return 0;
    if (!has(basic, fma | movbe | avx | f16c) || !has(later, bmi1 | avx2 | bmi2)
        || !has(extended, lzcnt) || !has(saved, xmm_and_ymm))
        return 2;
    if (!has(later, avx512f | avx512dq | avx512cd | avx512bw | avx512vl)
        || !has(saved, zmm_and_masks))
        return 3;
    return 4;
}
#else
static int x86_64_level(void) { return 0; }
#endif

/* Ask the compiler, not the build options: gcc has a macro, clang a feature. */
#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) \
    || __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_SANITIZERS 1
#else
#define HAS_SANITIZERS 0
#endif

#if defined(__aarch64__)
#define IS_AARCH64 1
#else
#define IS_AARCH64 0
#endif

#endif
