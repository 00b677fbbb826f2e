/* What the processor has, and what this package was built with. */
#ifndef CNN_CORE_CPU_H
#define CNN_CORE_CPU_H

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#endif

/* CNN_CORE_BUILT_LEVELS, CNN_CORE_BUILT_MODULES and CNN_CORE_CYTHON are given by setup.py. */

#if defined(__clang__)
#define CNN_CORE_COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define CNN_CORE_COMPILER "gcc " __VERSION__
#elif defined(_MSC_VER)
#define CNN_CORE_COMPILER "MSVC"
#else
#define CNN_CORE_COMPILER "unknown"
#endif

#if defined(__x86_64__) && defined(__GNUC__)
/* Part of x86-64-v3, but not known to __builtin_cpu_supports of every compiler. */
static int has_movbe_f16c_and_lzcnt(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_MOVBE) || !(c & bit_F16C))
        return 0;
    return __get_cpuid(0x80000001, &a, &b, &c, &d) && (c & bit_LZCNT);
}
#endif

/* The highest x86-64 microarchitecture level, 0 for none; the features are those that the compiler
 * may use there and that the levels do not share (System V psABI, x86-64 supplement, 3.1.1). */
static int x86_64_level(void) {
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_cpu_init();
    if (!(__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt")
          && __builtin_cpu_supports("ssse3")))
        return 0;
    if (!(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
          && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2")
          && has_movbe_f16c_and_lzcnt()))
        return 2;
    if (!(__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
          && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq")
          && __builtin_cpu_supports("avx512vl")))
        return 3;
    return 4;
#else
    return 0;
#endif
}

/* What the compiler did, not what it was asked for: gcc has a macro for it, clang a feature. */
#ifndef __has_feature
#define __has_feature(name) 0
#endif
static int has_sanitizers(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) \
    || __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    return 1;
#else
    return 0;
#endif
}

static int is_aarch64(void) {
#if defined(__aarch64__)
    return 1;
#else
    return 0;
#endif
}

#endif
