"""The pieces of the text of a C header for a learner of tables, for `string.Template`."""

from __future__ import annotations

HEAD = """\
/* $title; written by cnn_core $version.
 *
 * A row is a struct of the table's columns. A number that is missing is
 * MACRO_MISSING, a date MACRO_NO_DATE; a category is the code of its text,
 * which a function gives: for the empty text that of a missing one, and -1 for
 * a text that is not known. work has MACRO_WORK floats of the caller's, which
 * hold no result between two calls. C99, nothing to link with.
 */
#ifndef MACRO_H
#define MACRO_H

#include <stdint.h>

#define MACRO_OUTPUTS $n_outputs
#define MACRO_WORK $n_work
#define MACRO_MISSING (0.0 / 0.0)
#define MACRO_NO_DATE INT64_MIN

typedef struct {
$fields
} NAME_row;
"""
_NUMBER = """\
/* What a network sees of a number: scaled, whether it is missing, its bin. */
static inline float *NAME_number(double value, double centre, double spread, double limit,
                                 double smallest, int marked, const double *edges, int n_edges,
                                 float *y)
{
    const int missing = value != value;
    double z, size, root;
    int k;
    if (missing)
        value = centre;
    else if (value < smallest && value > -smallest)
        value = 0.0;
    z = (value / 2 - centre / 2) / spread;
    size = (z < 0.0 ? -z : z) / limit;
    if (size > 1e8) {
        z = z < 0.0 ? -limit : limit;
    } else {
        /* z / sqrt(1 + size^2); the root by Newton's method, from above. */
        const double v = 1.0 + size * size;
        root = 1.0 + size;
        for (k = 0; k < 6; k++)
            root = 0.5 * (root + v / root);
        z /= root;
    }
    *y++ = (float)z;
    if (marked)
        *y++ = missing ? 1.0f : 0.0f;
    if (n_edges) {
        double share;
        value = value < edges[0] ? edges[0] : value;
        value = value > edges[n_edges - 1] ? edges[n_edges - 1] : value;
        for (k = 0; k < n_edges - 2 && edges[k + 1] <= value; k++)
            ;
        share = (value / 2 - edges[k] / 2) / (edges[k + 1] / 2 - edges[k] / 2);
        share = share < 0.0 ? 0.0 : share > 1.0 ? 1.0 : share;
        *y++ = (float)((double)k + share);
    }
    return y;
}
"""
_LOGARITHM = """\
/* log(v), v above 0 and normal: m * 2^n, and the series of (m - 1) / (m + 1). */
static inline double NAME_log(double v)
{
    union { double value; uint64_t bits; } number;
    double s, q, series = 0.0;
    int n, k;
    number.value = v;
    n = (int)(number.bits >> 52) - 1023;
    number.bits = (number.bits & 0xfffffffffffffu) | ((uint64_t)1023 << 52);
    if (number.value > 1.4142135623730951) {
        number.value /= 2;
        n++;
    }
    s = (number.value - 1.0) / (number.value + 1.0);
    q = s * s;
    for (k = 21; k > 0; k -= 2)
        series = series * q + 1.0 / k;
    return 2.0 * s * series + n * 0.6931471805599453;
}
"""
_DATES = """\
/* A part of a date: 't'ime in days, 'y'ear, 'm'onth, 'd'ay, 'w'eekday from Monday, 'h'our. */
static inline double NAME_part(long long when, char part)
{
    const long long length = 86400000000LL;
    long long day = when / length, rest = when % length, era, d, y, month;
    if (when == MACRO_NO_DATE)
        return MACRO_MISSING;
    if (rest < 0) {
        rest += length;
        day--;
    }
    if (part == 't')
        return (double)day + (double)rest / (double)length;
    if (part == 'h')
        return (double)rest / 3600e6;
    if (part == 'w')
        return (double)(((day + 3) % 7 + 7) % 7);
    /* Years from March on, in eras of 400; a leap day is the last of its year. */
    d = day + 719468;
    era = (d >= 0 ? d : d - 146096) / 146097;
    d -= era * 146097;
    y = (d - d / 1460 + d / 36524 - d / 146096) / 365;
    d -= 365 * y + y / 4 - y / 100;
    month = (5 * d + 2) / 153;
    if (part == 'd')
        return (double)(d - (153 * month + 2) / 5 + 1);
    month += month < 10 ? 3 : -9;
    return part == 'm' ? (double)month : (double)(y + era * 400 + (month <= 2));
}
"""
_EQUAL = """\
static inline int NAME_equal(const char *one, const char *other)
{
    while (*one && *one == *other) {
        one++;
        other++;
    }
    return *one == *other;
}
"""
CODE = """\
static const char *const NAME_levels_$field[] = {
    $levels
};
/* Return the code of a text. */
static inline int NAME_code_$field(const char *text)
{
    int code;
    if (!*text)
        return $missing;
    for (code = 0; code < $count; code++)
        if (NAME_equal(NAME_levels_$field[code], text))
            return code;
    return -1;
}
"""
ADDENDS = {
    "number": """\
static inline void NAME_add(const float *y, double share, double *total)
{
    total[0] += share * (double)y[0];
}
""",
    "classes1": """\
static inline void NAME_add(const float *y, double share, double *total)
{
    (void)y;
    (void)share;
    (void)total;
}
""",
    "classes2": """\
static inline void NAME_add(const float *y, double share, double *total)
{
    const double second = y[0], first = 1.0 - second;
    total[0] += share * NAME_log(first < $least ? $least : first);
    total[1] += share * NAME_log(second < $least ? $least : second);
}
""",
    "classes3": """\
static inline void NAME_add(const float *y, double share, double *total)
{
    int i;
    for (i = 0; i < MACRO_OUTPUTS; i++)
        total[i] += share * NAME_log(y[i] < $least ? $least : (double)y[i]);
}
""",
}
BLEND = """\
/* Write what all networks say together. */
static inline void NAME_blend(const NAME_row *row, float *out, float *work)
{
    double f[$count], total[MACRO_OUTPUTS] = {0.0};
    float *const x = work, *const rest = work + $rest, *y;
    $features
    $parts
    (void)y;
    $last
}
"""
LAST = {
    "number": """\
{
        double value = (total[0] * $spread + $centre) * $unit;
        $clip
        out[0] = (float)value;
    }""",
    "classes": """\
{
        double largest = total[0];
        float sum = 0.0f;
        int i;
        for (i = 1; i < MACRO_OUTPUTS; i++)
            largest = total[i] > largest ? total[i] : largest;
        for (i = 0; i < MACRO_OUTPUTS; i++) {
            out[i] = NAME_exp((float)((total[i] - largest) / $temperature));
            sum += out[i];
        }
        for (i = 0; i < MACRO_OUTPUTS; i++)
            out[i] /= sum;
    }""",
}
ANSWERS = {
    "number": (
        """\
/* Write the number that is predicted for a row. */
static inline void NAME_predict(const NAME_row *row, float *out, float *work)
{
    NAME_blend(row, out, work);
}
""",
    ),
    "classes": (
        """\
/* Write the probability of each class, MACRO_OUTPUTS floats. */
static inline void NAME_probabilities(const NAME_row *row, float *out, float *work)
{
    NAME_blend(row, out, work);
}
""",
        """\
/* Return the number of the likeliest class, as in NAME_classes. */
static inline int NAME_predict(const NAME_row *row, float *work)
{
    float out[MACRO_OUTPUTS];
    int i, best = 0;
    NAME_blend(row, out, work);
    for (i = 1; i < MACRO_OUTPUTS; i++)
        best = out[i] > out[best] ? i : best;
    return best;
}
""",
    ),
}


def functions_of_tables(*, has_dates: bool, has_classes: bool) -> list[str]:
    """Return the text of the functions that a learner of tables needs."""
    found = [_EQUAL, _NUMBER]
    found += [_LOGARITHM] if has_classes else []
    return [*found, *([_DATES] if has_dates else [])]
