"""Columns of Parquet files as a network takes them: standardized by what all files hold."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.cli.scaling import Scaling
from cnn_core.cli.tables import NUMBERS_ALONE
from cnn_core.data import DataError
from cnn_core.data.row_files import ParquetFile
from cnn_core.estimators.rows import FilePartition, file_partitions
from cnn_core.sharding.blocks import block_rows_for
from cnn_core.standardization import Moments

__all__ = ["Standardized", "standardized"]


class Standardized:
    """Rows of a Parquet file, standardized when they are read.

    Parameters
    ----------
    file : ParquetFile
        Of the features alone.
    scaling : Scaling
    """

    def __init__(self, file: Any, scaling: Scaling) -> None:
        self._file, self._scaling = file, scaling
        self.n_rows = file.n_rows

    def read(self, start: int, stop: int) -> Any:
        """Return some rows as a data frame of float32."""
        return self.of(self._file.read(start, stop), start)

    def of(self, frame: Any, start: int) -> Any:
        """Return rows of the file that are read already, from this one on, likewise."""
        import pandas as pd

        values = self._scaling.apply(_numbers(self._file, frame, start), np.float32)
        return pd.DataFrame(values, columns=frame.columns)


def standardized(client: Any, paths: list[str], target: str) -> tuple[list[FilePartition], Scaling]:
    """Return the partitions of files with standardized features, and how these are scaled.

    The workers go once through all files before.

    Raises
    ------
    DataError
        For files without rows.
    PartitionError
        For a file with cells that are no finite numbers.
    """
    from cnn_core.dask.recovery import cluster_errors, named_results_of

    plain = file_partitions(paths, target, None)
    names = [one.name for one in plain]
    with cluster_errors(client, str):
        futures = [client.submit(_moments, one.x, pure=False) for one in plain]
        found = named_results_of(client, futures, names)
    parts = [one for one in found if one is not None]
    if not parts:
        raise DataError(", ".join(names), "at least one row", "none")
    moments = reduce(Moments.joined, parts)
    offset, scale = moments.offset_and_scale()
    scaling = Scaling("standardised feature by feature", offset, scale, "float64")
    return [one._replace(x=Standardized(one.x, scaling)) for one in plain], scaling


def _moments(file: ParquetFile) -> Moments | None:
    """Return the moments of the features of a file, block by block; None without rows."""
    found: Moments | None = None
    step = block_rows_for(len(file.columns), 8)
    for start in range(0, file.n_rows, step):
        frame = file.read(start, min(start + step, file.n_rows))
        own = Moments.of(_numbers(file, frame, start))
        found = own if found is None else found.joined(own)
    return found


def _numbers(file: ParquetFile, frame: Any, start: int) -> npt.NDArray[Any]:
    """Return a data frame as numbers, (n, n_features).

    Raises
    ------
    DataError
        For a cell that is no finite number; it names column and row.
    """
    for name in frame.columns:
        kind = getattr(frame[name].dtype, "kind", "O")
        if kind not in "biuf":
            expected = f"numbers in the column {name!r}"
            raise DataError(file.path, expected, str(frame[name].dtype), NUMBERS_ALONE)
    values: npt.NDArray[Any] = frame.to_numpy(np.result_type(np.float32, *frame.dtypes))
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0].tolist()
        raise DataError(
            file.path,
            f"a finite number in the column {frame.columns[column]!r}",
            f"{values[row, column]} in row {start + row}, counted from 0",
            NUMBERS_ALONE,
        )
    return values
