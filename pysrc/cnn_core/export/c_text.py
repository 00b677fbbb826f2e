"""Text of a C header: literals, and the functions that return predictions."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.export.program import Program
from cnn_core.validation import shown

Array = npt.NDArray[Any]

_FLOAT = np.dtype(np.float32)
KEYWORDS = frozenset(
    """
    auto break case char const continue default do double else enum extern float for goto if inline
    int long register restrict return short signed sizeof static struct switch typedef union
    unsigned void volatile while class bool
    """.split()  # noqa: SIM905
)

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
SCORES = """\
static inline float *NAME_{name}(const float *x, float *work)
{{
    {halves}
    {unused}
    {steps}
    return {scores};
}}
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
        # A float64 with the digits to restore it; there are no infinities in a header.
        texts = [repr(value) for value in values.tolist()]
    lines = [", ".join(texts[start : start + 8]) for start in range(0, len(texts), 8)]
    return ",\n".join(f"    {line}" for line in lines)


def _c_float(value: float) -> str:
    """Return a float32 with the digits to restore it."""
    text = f"{value:.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def c_text(text: str) -> str:
    """Return a string literal in UTF-8; digits after an escape would be part of it."""
    return kept('"' + "".join(_c_byte(byte) for byte in text.encode()) + '"')


def _c_byte(byte: int) -> str:
    character = chr(byte)
    if character in '"\\?' or not 32 <= byte < 127:
        return f"\\{byte:03o}"
    return character


def identifier(text: str, *, exact: bool) -> str:
    """Return a C identifier: the given one, or one derived from a file name.

    Raises
    ------
    ValueError
        If the given one is not an identifier.
    """
    if exact:
        if not isinstance(text, str) or not re.fullmatch(r"[A-Za-z]\w*", text, re.ASCII):
            raise ValueError(f"name: expected a name as C has them, found {shown(text)}")
        if text in KEYWORDS:
            raise ValueError(f"name: expected a name that is no keyword of C, found {text!r}")
        return text
    found = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_").lower()
    if not found or not found[0].isalpha() or found in KEYWORDS:
        found = f"model_{found}".rstrip("_")
    return found


def names_of_classes(program: Program) -> str | None:
    """Return the array of the classes; None if there is none."""
    classes = program.answer.classes
    if classes is None or program.answer.kind == "multilabel":
        return None
    if classes.dtype.kind in "biuf":
        numbers = ", ".join(f"{int(one)}LL" for one in classes)
        return f"static const long long NAME_classes[{len(classes)}] = {{{numbers}}};\n"
    texts = ",\n    ".join(c_text(str(one)) for one in classes)
    return f"static const char *const NAME_classes[{len(classes)}] = {{\n    {texts}\n}};\n"


def comment(text: str) -> str:
    """Return a text that is safe inside a comment."""
    plain = "".join(one if one.isprintable() else " " for one in text)
    return (
        kept(plain)
        .replace("\\", "/")
        .replace("*/", "* /")
        .replace("/*", "/ *")
        .replace("??", "? ?")
    )


def kept(text: str) -> str:
    """Return a text of the user in which `named` replaces nothing."""
    return text.replace("NAME", "N\0AME").replace("MACRO", "M\0ACRO")


def named(text: str, name: str) -> str:
    """Replace ``NAME`` in a header by its name, and ``MACRO`` by its name in capitals."""
    return text.replace("NAME", name).replace("MACRO", name.upper()).replace("\0", "")
