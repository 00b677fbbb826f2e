"""Compare an exported model with the original, before a file is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.export.operations import Embed, Encode, Standardize
from cnn_core.export.program import (
    Answer,
    Program,
    Rows,
    chosen_labels,
    n_samples,
    taken,
)
from cnn_core.validation import number, shown, whole

Array = npt.NDArray[Any]

# Largest difference of an output, relative to the larger of 1 and its largest value.
TOLERANCE = 1e-5
# Largest number of the user's rows to compare: plain Python is slow.
MOST_ROWS = 1000
N_GENERATED = 100


class ExportError(ValueError):
    """An exported model differs from the original; no file was written."""


@dataclass(frozen=True)
class Agreement:
    """How well an exported model agrees with the original.

    Attributes
    ----------
    n_rows : int
        Number of compared rows.
    rows : str
        Their origin, in words.
    difference : float
        Largest difference of an output, relative to the larger of 1 and its largest value over all
        rows. Small values are not judged relative to themselves, since they may be sums of large
        terms.
    same_labels : float or None
        Share of the rows with the same label; None if there are no classes.
    computed_by : str
        The program that computed the exported model.
    sizes : dict of str to int
        Sizes in bytes, by name.
    notes : str
        Notes for users of the file.
    """

    n_rows: int
    rows: str
    difference: float
    same_labels: float | None
    computed_by: str
    sizes: Mapping[str, int] = field(default_factory=dict)
    notes: str = ""

    def __str__(self) -> str:
        labels = (
            ""
            if self.same_labels is None
            else f", the same label in {self.same_labels:.2%} of them"
        )
        lines = [
            f"agrees on {self.n_rows:,} rows ({self.rows}), computed by {self.computed_by}: "
            f"greatest difference {self.difference:.2g}{labels}",
            *(f"{name}: {size:,} bytes" for name, size in self.sizes.items()),
        ]
        return "\n".join([*lines, self.notes] if self.notes else lines)

    def to_json(self) -> dict[str, Any]:
        """Return it in terms of JSON."""
        return {**vars(self), "sizes": dict(self.sizes)}


@dataclass(frozen=True, eq=False)
class Reference:
    """Rows, and the model's predictions for them.

    Attributes
    ----------
    rows : Rows
    values : (n, k) array
        Probabilities of the classes, or outputs.
    labels : array, or None
    origin : str
        Origin of the rows, in words.
    """

    rows: Rows
    values: Array
    labels: Array | None
    origin: str


def reference_of(
    program: Program, rows: Rows | None, values_of: Callable[[Rows], Array]
) -> Reference:
    """Return the rows to compare, with predictions: the user's first rows, or generated ones.

    Parameters
    ----------
    program : Program
    rows : Rows or None
        The user's rows.
    values_of : callable
        Returns the model's own probabilities or outputs for rows.

    Raises
    ------
    ValueError
        If there are no rows.
    """
    if rows is None:
        rows, origin = generated_rows(program), "generated"
    else:
        found = n_samples(rows)
        if not found:
            raise ValueError("X: expected at least one row to compare, found none")
        rows = taken(rows, slice(MOST_ROWS))
        origin = "yours" if found <= MOST_ROWS else f"the first of your {found:,}"
    values = values_of(rows)
    labels = chosen_labels(program.answer, values) if program.answer.is_for_classes else None
    return Reference(rows, values, labels, origin)


def agreement(
    program: Program,
    reference: Reference,
    values: Array,
    labels: Array | None,
    *,
    computed_by: str,
    tolerance: float | None = TOLERANCE,
    sizes: Mapping[str, int] | None = None,
    notes: str = "",
) -> Agreement:
    """Return how well the values and labels of an exported model agree.

    Parameters
    ----------
    program : Program
    reference : Reference
    values : (n, k) array
        Values of the exported model.
    labels : array, or None
        Labels of the exported model, if it has any.
    computed_by : str
    tolerance : float or None
        None for no limit.
    sizes, notes
        See `Agreement`.

    Raises
    ------
    ExportError
        If a value differs by more than the tolerance, or a label although its value is clear.
    """
    expected = reference.values.astype(np.float64)
    found = np.asarray(values, np.float64).reshape(expected.shape)
    differences = np.abs(found - expected) / np.abs(expected).max(axis=0, initial=1.0)
    # NaN counts as a difference.
    differences = np.where(np.isfinite(found), differences, np.inf)
    greatest = float(differences.max(initial=0.0))
    row = int(np.argmax(differences.max(axis=1))) if differences.size else 0
    if tolerance is not None and greatest > tolerance:
        raise ExportError(
            f"expected what the model itself predicts, up to {tolerance:g}, found a difference of "
            f"{greatest:.3g} in row {row} ({reference.origin}); no file was written. Scale what "
            "the model learns from, or pass a larger tolerance"
        )
    same = None
    if reference.labels is not None:
        if labels is None:
            labels = chosen_labels(program.answer, found)
        equal = np.asarray(labels).reshape(reference.labels.shape) == reference.labels
        same = float(equal.mean()) if equal.size else 1.0
        if tolerance is not None:
            _require_same_labels(program.answer, reference, equal, tolerance)
    return Agreement(
        len(expected), reference.origin, greatest, same, computed_by, sizes or {}, notes
    )


def _require_same_labels(
    answer: Answer, reference: Reference, equal: Array, tolerance: float
) -> None:
    """Refuse another label if the probabilities differ by more than the tolerance."""
    values = reference.values
    if answer.kind == "multilabel":
        margin = np.abs(values - 0.5)
    elif values.shape[1] == 1:
        margin = np.ones(len(values))
    else:
        top = np.sort(values, axis=1)[:, -2:]
        margin = top[:, 1] - top[:, 0]
    wrong = ~equal & (margin > 2 * tolerance)
    if wrong.any():
        row = int(np.argwhere(wrong)[0][0])
        raise ExportError(f"expected the model's own label, found another one in row {row}")


def tolerance_of(value: Any) -> float:
    """Return a tolerance, above 0.

    Raises
    ------
    TypeError, ValueError
        For anything else.
    """
    found = number("tolerance", value)
    if not found > 0:
        raise ValueError(f"tolerance: expected a number above 0, found {shown(value)}")
    return found


# Rows, if the user passes none


def generated_rows(program: Program, n: int = N_GENERATED, seed: int = 0) -> Rows:
    """Generate rows that are valid inputs of the program.

    If `input_scale` is that of bytes, they are whole numbers from 0 to 255. Columns of codes have
    codes.
    """
    whole("n", n, 1)
    random = np.random.default_rng(seed)
    if program.columns:
        return _generated_columns(program, random, n)
    first = program.network[0]
    if isinstance(first, Standardize):
        around: Array = random.normal(size=(n, program.n_inputs))
        return around * first.scale + first.offset
    if isinstance(first, Encode | Embed):
        return _generated_codes(first, program, random, n)
    scale = abs(program.input_scale)
    if scale == 1:
        return random.normal(size=(n, program.n_inputs)).astype(program.dtype)
    # The scale suggests numbers up to its inverse.
    most = max(1.0, round(1 / scale))
    numbers: Array = random.integers(0, int(most), (n, program.n_inputs), endpoint=True)
    return numbers.astype(program.dtype)


def _generated_codes(
    first: Encode | Embed, program: Program, random: np.random.Generator, n: int
) -> Array:
    rows: Array = random.normal(size=(n, program.n_inputs)).astype(program.dtype)
    if isinstance(first, Embed):
        for column, table in zip(first.columns, first.tables, strict=True):
            rows[:, column] = random.integers(0, len(table), n)
        return rows
    for column, (kind, size) in enumerate(zip(first.encodings, first.sizes, strict=True)):
        if kind == "codes":
            rows[:, column] = random.integers(-1, size, n)
        elif kind == "pieces":
            rows[:, column] = random.uniform(-0.5, size + 0.5, n)
    return rows


def _generated_columns(program: Program, random: np.random.Generator, n: int) -> list[Array]:
    columns: list[Array] = []
    scales = list(program.parts[0].scales)
    for column in program.columns:
        own = [scales.pop(0) for _ in range(column.n_features)]
        if column.kind == "category":
            known = np.array([*column.levels, "", "a level that is not known"], object)
            columns.append(known[random.integers(0, len(known), n)])
        elif column.kind == "date":
            seconds = random.integers(-(10**9), 2 * 10**9, n)
            dates = seconds.astype("datetime64[s]").astype("datetime64[us]")
            columns.append(np.where(random.random(n) < 0.1, np.datetime64("NaT", "us"), dates))
        else:
            scale = own[0]
            assert not isinstance(scale, int)
            spread = min(scale.spread, 1e300)
            numbers = scale.centre + spread * random.normal(size=n) * 1.5
            columns.append(np.where(random.random(n) < 0.1, np.nan, numbers))
    return columns
