"""Parquet files are read by rows, in little memory however long their groups of rows are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cnn_core.data.row_files import ParquetFile
from fresh_process import answer

ROWS = 50_000


@pytest.fixture(scope="module")
def frame() -> Any:
    random = np.random.default_rng(0)
    return pd.DataFrame(random.normal(size=(ROWS, 8)), columns=[f"c{n}" for n in range(8)])


@pytest.mark.parametrize("kind", ["float32", "float64", "mixed"])
def test_any_rows_are_those_of_the_file(kind: str, frame: Any, tmp_path: Path) -> None:
    whole = frame.assign(text="a", c0=range(ROWS)) if kind == "mixed" else frame.astype(kind)
    whole.to_parquet(tmp_path / "rows.parquet", row_group_size=20_000)
    file = ParquetFile(tmp_path / "rows.parquet")
    for start, stop in ((0, 1), (0, ROWS), (19_999, 20_001), (16_380, 40_001), (ROWS - 1, ROWS)):
        expected = whole.iloc[start:stop].reset_index(drop=True)
        pd.testing.assert_frame_equal(file.read(start, stop), expected)
    columns = file.of(("c3", "c1")).read(7, 9)
    pd.testing.assert_frame_equal(columns, whole[["c3", "c1"]].iloc[7:9].reset_index(drop=True))


def test_missing_numbers_are_nan(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1.0, None], "b": [None, 2.0]}).to_parquet(tmp_path / "rows.parquet")
    values = ParquetFile(tmp_path / "rows.parquet").read(0, 2).to_numpy()
    np.testing.assert_array_equal(values, [[1, np.nan], [np.nan, 2]])


READ = """
import pyarrow
from cnn_core.data.row_files import ParquetFile
assert len(ParquetFile({path!r}).read(25_000, 25_500)) == 500
print(pyarrow.default_memory_pool().max_memory())
"""


@pytest.mark.slow
def test_a_long_group_of_rows_is_not_in_memory(frame: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "rows.parquet")
    frame.to_parquet(path, row_group_size=ROWS)
    # The group has 3.2 MB of values; a column of it 0.4 MB, and pages that are being unpacked.
    assert 0 < int(answer(READ.format(path=path))) < 2**21
