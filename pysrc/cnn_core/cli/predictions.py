"""Write predictions beside their samples, as text or to a file."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from cnn_core.files import atomic_write, table_text

if TYPE_CHECKING:
    import polars as pl

    from cnn_core.data.table_file import RawTable

__all__ = ["Predictions", "text_of", "values_of", "write_parquet"]


@dataclass(frozen=True, eq=False)
class Predictions:
    """The prediction for each sample.

    Attributes
    ----------
    predicted : sequence of str or float
        Classes, or numbers.
    outputs : dict of str to numpy.ndarray, (n,)
        The probability of each class by its name.
    bounds : dict of str to numpy.ndarray, (n,)
        The ends of intervals, by the names of their columns.
    names : sequence of str, optional
        Of the samples, where each is a file of its own.
    """

    predicted: Sequence[Any]
    outputs: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    bounds: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    names: Sequence[str] | None = None


def text_of(raw: RawTable | None, found: Predictions) -> str:
    """Return predictions as CSV text, after the columns of a table if there is one."""
    if raw is None:
        return table_text(_numbered(found))
    names = list(raw.frame.columns)
    return table_text(_beside(raw.frame, names, found))


def values_of(raw: RawTable | None, found: Predictions) -> list[dict[str, Any]]:
    """Return predictions as JSON values, each with its row of the table if there is one."""
    rows: Iterator[dict[str, Any]] | None = None if raw is None else raw.frame.iter_rows(named=True)
    values = []
    for number, predicted in enumerate(found.predicted):
        one: dict[str, Any] = {"sample": number, "predicted": predicted}
        if found.names is not None:
            one["image"] = found.names[number]
        if found.outputs:
            one["outputs"] = {name: outputs[number] for name, outputs in found.outputs.items()}
        one |= {name: bounds[number] for name, bounds in found.bounds.items()}
        values.append(one if rows is None else {**one, "row": next(rows)})
    return values


def _numbered(found: Predictions) -> Iterator[list[object]]:
    yield ["sample" if found.names is None else "image", "class", *found.outputs]
    for number, best in enumerate(found.predicted):
        name = number if found.names is None else found.names[number]
        yield [name, best, *(f"{values[number]:.6g}" for values in found.outputs.values())]


def _beside(frame: pl.DataFrame, names: list[str], found: Predictions) -> Iterator[list[object]]:
    columns = _columns(names, found)
    yield [*names, *columns]
    for number, cells in enumerate(frame.iter_rows()):
        own = ("" if cell is None else str(cell) for cell in cells)
        yield [*own, *(_shown(values[number]) for values in columns.values())]


def _columns(names: list[str], found: Predictions) -> dict[str, Sequence[Any]]:
    """Return the columns of the predictions, by names that the table does not have."""
    wanted: dict[str, Sequence[Any]] = {} if found.names is None else {"image": found.names}
    wanted["predicted"] = found.predicted
    wanted |= {f"probability of {name}": values for name, values in found.outputs.items()}  # type: ignore[misc]
    wanted |= found.bounds  # type: ignore[arg-type]
    taken = set(names)
    columns: dict[str, Sequence[Any]] = {}
    for name, values in wanted.items():
        own, count = name, 2
        while own in taken:
            own, count = f"{name} ({count})", count + 1
        taken.add(own)
        columns[own] = values
    return columns


def _shown(value: Any) -> object:
    return value if isinstance(value, str) else f"{value:.9g}"


def write_parquet(path: Path, raw: RawTable | None, found: Predictions) -> None:
    """Write the columns of a table and predictions to a Parquet file.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    import polars as pl

    names = [] if raw is None else list(raw.frame.columns)
    columns = [pl.Series(name, list(values)) for name, values in _columns(names, found).items()]
    frame = pl.DataFrame(columns) if raw is None else raw.frame.with_columns(columns)
    contents = io.BytesIO()
    frame.write_parquet(contents)
    atomic_write(path, lambda stream: stream.write(contents.getvalue()))
