"""Pieces of the text of a C header: literals, and the functions that give the answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_FLOAT = np.dtype(np.float32)

OUTPUTS = """\
/* Write the outputs for one sample, MACRO_OUTPUTS floats. */
static inline void NAME_predict(const float *x, float *out, float *work)
{
    const float *y = NAME_scores(x, work);
    int i;
    for (i = 0; i < MACRO_OUTPUTS; i++)
        out[i] = y[i];
}
"""
PROBABILITIES_OF = """\
/* Write the probability of each class, MACRO_OUTPUTS floats. */
static inline void NAME_probabilities(const float *x, float *out, float *work)
{
    float *y = NAME_scores(x, work);
    int i = 0;
    (void)i;
    LAST
    PROBABILITIES
}
"""
_LIKELIEST = """\
/* Return the number of the likeliest class, as in NAME_classes. */
static inline int NAME_predict(const float *x, float *work)
{
    const float *y = NAME_scores(x, work);
    int i, best = 0;
    for (i = 1; i < COUNT; i++)
        best = y[i] > y[best] ? i : best;
    return best;
}
"""
_SECOND = """\
/* Return 1 for the second class of NAME_classes, else 0. */
static inline int NAME_predict(const float *x, float *work)
{
    return NAME_scores(x, work)[0] > 0.0f;
}
"""
_ONE = """\
/* Return 0: there is one class. */
static inline int NAME_predict(const float *x, float *work)
{
    (void)x;
    (void)work;
    return 0;
}
"""
_LABELS = """\
/* Write 1 for each label that is likely, else 0: MACRO_OUTPUTS numbers. */
static inline void NAME_predict(const float *x, int *labels, float *work)
{
    const float *y = NAME_scores(x, work);
    int i;
    for (i = 0; i < COUNT; i++)
        labels[i] = y[i] > 0.0f;
}
"""
PREDICT = {"multiclass": _LIKELIEST, "binary": _SECOND, "one": _ONE, "multilabel": _LABELS}


def numbers(values: Array) -> str:
    """Return the items of an array, eight a line."""
    if values.dtype == _FLOAT:
        texts = [_c_float(value) for value in values.tolist()]
    else:
        texts = [str(value) for value in values.tolist()]
    lines = [", ".join(texts[start : start + 8]) for start in range(0, len(texts), 8)]
    return ",\n".join(f"    {line}" for line in lines)


def _c_float(value: float) -> str:
    """Return a float32 in digits that give it back."""
    text = f"{value:.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def c_text(text: str) -> str:
    """Return a string literal, in UTF-8; digits behind an escape would belong to it."""
    return '"' + "".join(_c_byte(byte) for byte in text.encode()) + '"'


def _c_byte(byte: int) -> str:
    character = chr(byte)
    if character in '"\\?' or not 32 <= byte < 127:
        return f"\\{byte:03o}"
    return character
