"""Hostile arrays: every public entry gives the documented result or a documented error.

One table of arrays, one table of entries. What is taken gives what a clean copy gives, bit for bit;
what is refused is a TypeError or a ValueError, of the same kind on every backend, and leaves the
network as it was. Nothing that was passed is changed.
"""

from __future__ import annotations

import functools
import re
import warnings
from typing import Any

import numpy as np
import pytest

from cnn_core import backends
from cnn_core.estimators.compat import ConvergenceWarning, DataConversionWarning
from hostile_entries import ENTRIES, Entry, numbers_of
from hostile_forms import FLOATS, FORMS, LAYOUTS, NO_NUMBERS, WHOLE, HasArray, mapped

NUMPY_ON_MATRICES = "the matrix subclass"
SEVERAL_BACKENDS = backends.available()
# Below the validation of arguments masks, values and alignment are not checked.
UNSEEN_BELOW_THE_EDGE = {
    "masked",
    "masked nowhere",
    "nan of the same dtype",
    "unaligned",
    "no rows",
}


def fingerprint(value: Any) -> object:
    """Return all that can be seen of an argument."""
    if hasattr(value, "tocsr"):
        return value.data.tobytes(), value.indices.tobytes(), value.shape
    if isinstance(value, HasArray):
        return fingerprint(value.values)
    if isinstance(value, np.ndarray):
        mask = np.ma.getmaskarray(value).tobytes() if isinstance(value, np.ma.MaskedArray) else b""
        return value.tobytes(), mask, str(value.flags), value.dtype, value.shape, value.strides
    return repr(value)


def outcome(entry: Entry, backend: str, value: Any) -> Any:
    """Return the bytes of a result, or the error."""
    made = entry.make(backend)
    before = [array.tobytes() for array in numbers_of(made)]
    seen = fingerprint(value)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # Those that are documented, and NumPy's own about its matrices.
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("ignore", DataConversionWarning)
            warnings.filterwarnings("ignore", NUMPY_ON_MATRICES, PendingDeprecationWarning)
            result = entry.call(made, value)
    except (TypeError, ValueError) as error:
        assert [array.tobytes() for array in numbers_of(made)] == before
        assert fingerprint(value) == seen
        return error
    if entry.argument != "out":
        assert fingerprint(value) == seen
    arrays = numbers_of(made) if result is None else result
    return [np.asarray(a).tobytes() for a in (arrays if isinstance(arrays, list) else [arrays])]


@functools.cache
def clean_outcome(entry: str, backend: str) -> Any:
    found = outcome(ENTRIES[entry], backend, ENTRIES[entry].clean.copy())
    assert isinstance(found, list), found
    return found


def _is_meant(entry: Entry, form: str) -> bool:
    """Tell whether the form says something about the entry."""
    if form == "matrix" and entry.clean.ndim == 1:
        return False
    return not (entry.argument is None and form in UNSEEN_BELOW_THE_EDGE)


FAMILIES = {
    "whole numbers": WHOLE,
    "floats": FLOATS,
    "no numbers": {*NO_NUMBERS, "dates", "spans of time", "records", "words"},
    "another layout": LAYOUTS,
    "another shape": {
        "no dimension",
        "a dimension more",
        "three dimensions",
        "twice as wide",
        "zero-width",
        "no rows",
    },
    "not finite": {"nan", "infinity", "minus infinity", "nan of the same dtype"},
    "masked": {"masked", "masked nowhere"},
    "no array": {"ragged lists", "objects of all kinds", "None", "a dict", "text alone"},
}


def entries_and_forms(what: str, form: str) -> list[tuple[str, str]]:
    """What the default run reaches: each entry with each family, each class with each form."""
    family = next((name for name, forms in FAMILIES.items() if form in forms), "the same values")
    return [(what, family), (what.split()[0], form)]


@pytest.mark.covering(goals=entries_and_forms)
@pytest.mark.filterwarnings(f"ignore:{NUMPY_ON_MATRICES}:PendingDeprecationWarning")
@pytest.mark.parametrize(
    ("what", "form"),
    [(what, form) for what, entry in ENTRIES.items() for form in FORMS if _is_meant(entry, form)],
)
def test_a_hostile_array_gives_the_result_of_a_clean_one_or_is_refused_by_name(
    what: str, form: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    entry = ENTRIES[what]
    below_the_edge = entry.argument is None
    kinds = set()
    for backend in SEVERAL_BACKENDS:
        if form == "mapped from a file":
            value = mapped(entry.clean, tmp_path_factory.mktemp("mapped"))
        else:
            value = FORMS[form](entry.clean.copy())
        found = outcome(entry, backend, value)
        if isinstance(found, list):
            kinds.add(None)
            assert form in entry.takes | entry.either | _the_clean_one(entry), "taken in silence"
            if form in entry.takes:
                assert found == clean_outcome(what, backend)
        else:
            kinds.add(type(found))
            assert form not in entry.takes, found
            assert below_the_edge or _names(entry.argument, form, found), found
    assert len(kinds) == 1, kinds


def _names(argument: str | None, form: str, error: Exception) -> bool:
    """Tell whether an error names the argument, or what suffers from it."""
    if form == "nan of the same dtype" and "loss" in str(error):
        return True
    if form == "no rows" and str(error).startswith("t: expected the shape (0, 3)"):
        return True
    name = rf"(?<!\w){re.escape(str(argument))}(?!\w)"
    return re.search(name, str(error), re.IGNORECASE) is not None


def _the_clean_one(entry: Entry) -> set[str]:
    """Return forms that are no others for this entry's clean array."""
    same = {form for form, dtype in {**WHOLE, **FLOATS}.items() if entry.clean.dtype == dtype}
    return same | ({"Fortran order", "three dimensions"} if entry.clean.ndim == 1 else set())
