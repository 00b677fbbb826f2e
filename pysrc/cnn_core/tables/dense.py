"""The inputs of a dense layer that reads the matrix of an encoder."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def expanded(
    matrix: npt.NDArray[np.float32], encodings: tuple[str, ...], sizes: tuple[int, ...]
) -> npt.NDArray[np.float32]:
    """Return the inputs (n, sum of sizes): numbers, pieces of a line, and one-hot levels."""
    inputs = np.zeros((len(matrix), sum(sizes)), np.float32)
    start = 0
    for column, (encoding, size) in enumerate(zip(encodings, sizes, strict=True)):
        values = matrix[:, column]
        room = inputs[:, start : start + size]
        if encoding == "number":
            room[:, 0] = values
        elif encoding == "pieces":
            room[...] = np.clip(values[:, None] - np.arange(size, dtype=np.float32), 0, 1) - 0.5
        else:
            rows = np.flatnonzero(values >= 0)
            room[rows, values[rows].astype(np.intp)] = 1
        start += size
    return inputs
