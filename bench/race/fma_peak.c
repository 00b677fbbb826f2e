/* The most multiply-adds that one core can do: independent chains of them, in registers alone. */
#include <stdio.h>
#include <time.h>

#if defined(__AVX512F__)
enum { BYTES = 64 };
#elif defined(__AVX__)
enum { BYTES = 32 };
#else
enum { BYTES = 16 };
#endif
typedef float vector __attribute__((vector_size(BYTES)));

enum { CHAINS = 12, ROUNDS = 1 << 20, REPEATS = 60 };

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

int main(int argc, char **argv)
{
    vector sum[CHAINS], factor, term;
    double best = 1e9;
    /* Not known to the compiler, and a fixed point near 1, so that nothing overflows. */
    for (unsigned lane = 0; lane < BYTES / sizeof(float); ++lane) {
        factor[lane] = 0.5f * argc;
        term[lane] = 0.5f * argc;
    }
    for (int chain = 0; chain < CHAINS; ++chain)
        sum[chain] = term * (float)chain;
    for (int repeat = 0; repeat < REPEATS; ++repeat) {
        double start = seconds();
        for (int round = 0; round < ROUNDS; ++round)
#pragma GCC unroll 16
            for (int chain = 0; chain < CHAINS; ++chain)
                sum[chain] = sum[chain] * factor + term;
        double taken = seconds() - start;
        best = taken < best ? taken : best;
    }
    float total = 0;
    for (int chain = 0; chain < CHAINS; ++chain)
        total += sum[chain][0];
    double operations = 2.0 * ROUNDS * CHAINS * (BYTES / sizeof(float));
    /* The total is printed so that the loop is not removed. */
    printf("%.6g %.3g\n", operations / best, total);
    return 0;
}
