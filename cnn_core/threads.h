/* What Cython cannot express about threads: sequentially consistent operations on shared integers,
 * the pause instruction for spin waits, a clock, and the affinity of a thread. */
#ifndef CNN_CORE_THREADS_H
#define CNN_CORE_THREADS_H

#ifdef __linux__
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sched.h>
#include <unistd.h>
#endif
#include <stdint.h>
#include <time.h>

#ifdef __linux__
static inline int current_core(void) { return sched_getcpu(); }
/* Restrict this thread to the other cores of the process, if there are any. */
static inline void leave_core(int core) {
    cpu_set_t others;
    if (sched_getaffinity(getpid(), sizeof others, &others) != 0)
        return;
    CPU_CLR(core, &others);
    if (CPU_COUNT(&others) > 0)
        sched_setaffinity(0, sizeof others, &others);
}
#else
/* -1: unknown. */
static inline int current_core(void) { return -1; }
static inline void leave_core(int core) { (void)core; }
#endif

static inline int64_t nanoseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}
static inline int64_t shared_load(int64_t *at) { return __atomic_load_n(at, __ATOMIC_SEQ_CST); }
static inline void shared_store(int64_t *at, int64_t value) {
    __atomic_store_n(at, value, __ATOMIC_SEQ_CST);
}
static inline int64_t shared_exchange(int64_t *at, int64_t value) {
    return __atomic_exchange_n(at, value, __ATOMIC_SEQ_CST);
}
static inline int64_t shared_subtract(int64_t *at, int64_t value) {
    return __atomic_sub_fetch(at, value, __ATOMIC_SEQ_CST);
}
static inline int shared_replace(int64_t *at, int64_t expected, int64_t value) {
    return __atomic_compare_exchange_n(at, &expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}
static inline void pause_briefly(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb");
#endif
}

#endif
