"""The C functions of exported headers, and their dependencies.

They are C99 with only ``stdint.h`` and without a mathematical library: exponentials, roots and
logarithms are computed here, nearly to float precision.
"""

from __future__ import annotations

from collections.abc import Iterable

# The functions that a function calls.
_CALLS = {
    "sigmoid": ("exp",),
    "tanh": ("exp",),
    "elu": ("exp",),
    "selu": ("exp",),
    "gelu": ("sigmoid_of", "exp"),
    "silu": ("sigmoid_of", "exp"),
    "sigmoid_of": ("exp",),
    "softplus": ("exp",),
    "activate_exp": ("exp",),
    "softmax": ("exp",),
    "normalize": ("inverse_root",),
    "convolve": ("images",),
    "convolve_int8": ("images",),
    "pool": ("images",),
}
# Longest words first where one is the beginning of another.
FUNCTIONS = {
    "exp": """\
/* exp(x) = 2^n * exp(r) with |r| <= log(2) / 2; 0 below the smallest normal float. */
static inline float NAME_exp(float x)
{
    union { float value; uint32_t bits; } power;
    float r, series;
    int n;
    if (x != x)
        return x;
    if (x < -87.0f)
        return 0.0f;
    if (x > 88.72f) {
        power.bits = 0x7f800000u;
        return power.value;
    }
    n = (int)(x * 1.44269504f + (x < 0.0f ? -0.5f : 0.5f));
    r = x - (float)n * 0.693359375f;
    r += (float)n * 2.12194440e-4f;
    series = 1.0f + r / 6.0f * (1.0f + r / 7.0f);
    series = 1.0f + r / 4.0f * (1.0f + r / 5.0f * series);
    series = 1.0f + r * (1.0f + r / 2.0f * (1.0f + r / 3.0f * series));
    power.bits = (uint32_t)(n + 126) << 23;
    return series * power.value * 2.0f;
}
""",
    "inverse_root": """\
/* 1 / sqrt(v), v above 0, by Newton's method. */
static inline float NAME_inverse_root(float v)
{
    union { float value; uint32_t bits; } root;
    float y;
    int i;
    root.value = v;
    root.bits = 0x5f3759dfu - (root.bits >> 1);
    y = root.value;
    for (i = 0; i < 4; i++)
        y *= 1.5f - 0.5f * v * y * y;
    return y;
}
""",
    "sigmoid_of": """\
static inline float NAME_sigmoid_of(float z)
{
    const float e = NAME_exp(z < 0.0f ? z : -z);
    return (z < 0.0f ? e : 1.0f) / (1.0f + e);
}
""",
    "images": """\
/* Sizes of a convolution or a pool. */
struct NAME_images {
    int height, width, channels, out_height, out_width, out_channels;
    int rows, columns, step, margin, groups;
};
""",
    "dense": """\
static inline void NAME_dense(const float *x, int inputs, const float *weights, const float *bias,
                              float *y, int units)
{
    int i, j;
    for (j = 0; j < units; j++)
        y[j] = bias ? bias[j] : 0.0f;
    for (i = 0; i < inputs; i++)
        for (j = 0; j < units; j++)
            y[j] += x[i] * weights[(long)i * units + j];
}
""",
    "dense_int8": """\
static inline void NAME_dense_int8(const float *x, int inputs, const int8_t *weights,
                                   const float *scale, const float *bias, float *y, int units)
{
    int i, j;
    for (j = 0; j < units; j++)
        y[j] = 0.0f;
    for (i = 0; i < inputs; i++)
        for (j = 0; j < units; j++)
            y[j] += x[i] * (float)weights[(long)i * units + j];
    for (j = 0; j < units; j++)
        y[j] = y[j] * scale[j] + (bias ? bias[j] : 0.0f);
}
""",
    "pool": """\
static inline void NAME_pool(const struct NAME_images *size, int largest, const float *x, float *y)
{
    const int channels = size->channels, count = size->rows * size->columns;
    int row, column, c, i, j;
    for (row = 0; row < size->out_height; row++)
        for (column = 0; column < size->out_width; column++)
            for (c = 0; c < channels; c++) {
                const float *at = x + ((long)row * size->step * size->width
                                       + (long)column * size->step) * channels + c;
                float found = *at, sum = 0.0f;
                for (i = 0; i < size->rows; i++)
                    for (j = 0; j < size->columns; j++) {
                        const float value = at[((long)i * size->width + j) * channels];
                        found = value > found ? value : found;
                        sum += value;
                    }
                *y++ = largest ? found : sum / (float)count;
            }
}
""",
    "scale_shift": """\
static inline void NAME_scale_shift(float *x, long pixels, const float *scale, const float *shift,
                                    int channels)
{
    long pixel;
    int c;
    for (pixel = 0; pixel < pixels; pixel++, x += channels)
        for (c = 0; c < channels; c++)
            x[c] = x[c] * scale[c] + shift[c];
}
""",
    "normalize": """\
static inline void NAME_normalize(float *x, long pixels, const float *gain, const float *bias,
                                  int channels)
{
    long pixel;
    int c;
    for (pixel = 0; pixel < pixels; pixel++, x += channels) {
        float mean = 0.0f, variance = 0.0f, by;
        for (c = 0; c < channels; c++)
            mean += x[c];
        mean /= (float)channels;
        for (c = 0; c < channels; c++)
            variance += (x[c] - mean) * (x[c] - mean);
        by = NAME_inverse_root(variance / (float)channels + 1e-5f);
        for (c = 0; c < channels; c++)
            x[c] = (x[c] - mean) * by * gain[c] + bias[c];
    }
}
""",
    "standardize": """\
static inline void NAME_standardize(const float *x, const float *offset, const float *scale,
                                    float *y, long n)
{
    long i;
    for (i = 0; i < n; i++)
        y[i] = (x[i] - offset[i]) / scale[i];
}
""",
    "copy": """\
static inline void NAME_copy(const float *x, float *y, long n)
{
    long i;
    for (i = 0; i < n; i++)
        y[i] = x[i];
}
""",
    "encode": """\
/* 'n': a number; 'p': its pieces; 'c': a code. */
static inline void NAME_encode(const float *x, int columns, const char *kinds, const int *sizes,
                               float *y)
{
    int column, t;
    for (column = 0; column < columns; column++)
        for (t = 0; t < sizes[column]; t++) {
            float value = x[column];
            if (kinds[column] == 'p') {
                value -= (float)t;
                value = (value < 0.0f ? 0.0f : value > 1.0f ? 1.0f : value) - 0.5f;
            } else if (kinds[column] == 'c') {
                value = value == (float)t ? 1.0f : 0.0f;
            }
            *y++ = value;
        }
}
""",
    "softmax": """\
static inline void NAME_softmax(float *x, long n)
{
    float largest = x[0], sum = 0.0f;
    long i;
    for (i = 1; i < n; i++)
        largest = x[i] > largest ? x[i] : largest;
    for (i = 0; i < n; i++) {
        x[i] = NAME_exp(x[i] - largest);
        sum += x[i];
    }
    for (i = 0; i < n; i++)
        x[i] /= sum;
}
""",
}


def _convolution(name: str, kind: str, first: str, last: str, scale: str) -> str:
    return f"""\
static inline void NAME_{name}(const struct NAME_images *size, const {kind} *weights,{scale}
                               const float *bias, const float *x, float *y)
{{
    const int inputs = size->channels / size->groups, outputs = size->out_channels / size->groups;
    int row, column, i, j, group, c, o;
    for (row = 0; row < size->out_height; row++)
        for (column = 0; column < size->out_width; column++, y += size->out_channels) {{
            for (o = 0; o < size->out_channels; o++)
                y[o] = {first};
            for (i = 0; i < size->rows; i++)
                for (j = 0; j < size->columns; j++) {{
                    const int down = row * size->step + i - size->margin;
                    const int right = column * size->step + j - size->margin;
                    const {kind} *own = weights + (long)(i * size->columns + j) * inputs
                                                   * size->out_channels;
                    if (down < 0 || down >= size->height || right < 0 || right >= size->width)
                        continue;
                    for (group = 0; group < size->groups; group++)
                        for (c = 0; c < inputs; c++) {{
                            const float value = x[((long)down * size->width + right)
                                                  * size->channels + group * inputs + c];
                            for (o = group * outputs; o < (group + 1) * outputs; o++)
                                y[o] += value * (float)own[(long)c * size->out_channels + o];
                        }}
                }}
{last}        }}
}}
"""


FUNCTIONS["convolve"] = _convolution("convolve", "float", "bias ? bias[o] : 0.0f", "", "")
FUNCTIONS["convolve_int8"] = _convolution(
    "convolve_int8",
    "int8_t",
    "0.0f",
    "            for (o = 0; o < size->out_channels; o++)\n"
    "                y[o] = y[o] * scale[o] + (bias ? bias[o] : 0.0f);\n",
    " const float *scale,",
)


def _elementwise(name: str, *lines: str) -> str:
    body = "\n".join(f"        {line}" for line in lines)
    return f"""\
static inline void NAME_{name}(float *x, long n)
{{
    long i;
    for (i = 0; i < n; i++) {{
        const float z = x[i];
{body}
    }}
}}
"""


FUNCTIONS |= {
    name: _elementwise(name, *lines)
    for name, lines in {
        "sigmoid": (
            "const float e = NAME_exp(z < 0.0f ? z : -z);",
            "x[i] = (z < 0.0f ? e : 1.0f) / (1.0f + e);",
        ),
        "tanh": (
            "const float e = NAME_exp(z < 0.0f ? 2.0f * z : -2.0f * z);",
            "const float a = (1.0f - e) / (1.0f + e);",
            "x[i] = z < 0.0f ? -a : a;",
        ),
        "relu": ("x[i] = z <= 0.0f ? 0.0f : z;",),
        "leaky_relu": ("x[i] = z > 0.0f ? z : 0.01f * z;",),
        "elu": ("x[i] = z > 0.0f ? z : NAME_exp(z) - 1.0f;",),
        "selu": ("x[i] = z > 0.0f ? 1.05070099f * z : 1.75809934f * (NAME_exp(z) - 1.0f);",),
        "gelu": (
            "const float end = z < -25.0f ? -25.0f : z;",
            "const float v = end > 25.0f ? 25.0f : end;",
            "x[i] = end * NAME_sigmoid_of(1.59576912f * (v + 0.044715f * v * v * v));",
        ),
        "silu": ("x[i] = (z < -1000.0f ? -1000.0f : z) * NAME_sigmoid_of(z);",),
        # log(1 + e) as an odd series of s = e / (2 + e), which is at most 1/3.
        "softplus": (
            "const float e = NAME_exp(z < 0.0f ? z : -z), s = e / (2.0f + e), q = s * s;",
            "float series = 1.0f / 13.0f + q / 15.0f;",
            "series = 1.0f / 9.0f + q * (1.0f / 11.0f + q * series);",
            "series = 1.0f / 5.0f + q * (1.0f / 7.0f + q * series);",
            "series = 1.0f + q * (1.0f / 3.0f + q * series);",
            "x[i] = (z > 0.0f ? z : 0.0f) + 2.0f * s * series;",
        ),
        "activate_exp": ("x[i] = NAME_exp(z);",),
    }.items()
}


def functions_for(used: Iterable[str]) -> list[str]:
    """Return the text of functions and their dependencies, each after those that it calls."""
    wanted = set(used)
    for name in list(wanted):
        wanted.update(_CALLS.get(name, ()))
    first = ("exp", "inverse_root", "images", "sigmoid_of")
    order = [name for name in first if name in wanted]
    order += [name for name in FUNCTIONS if name in wanted and name not in first]
    return [FUNCTIONS[name] for name in order]
