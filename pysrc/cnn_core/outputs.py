"""Compute outputs of many samples in blocks, and keep only what the caller needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from cnn_core.types import FloatArray

# Reduces the outputs (m, n_outputs) of m samples to an array of m values or rows.
Keep: TypeAlias = Callable[[FloatArray], npt.NDArray[Any]]

# Values of a block, so that memory does not grow with samples times outputs; and its least number
# of rows, enough for every thread.
_OUTPUTS_AT_ONCE = 2**18
_LEAST_ROWS = 256


def block_rows(n_outputs: int) -> int:
    """Return the number of samples of a block."""
    return max(_LEAST_ROWS, _OUTPUTS_AT_ONCE // n_outputs)


def blocks(n_samples: int, rows: int) -> Iterator[slice]:
    """Yield the rows of each block in order; without samples one empty block."""
    for start in range(0, max(n_samples, 1), max(rows, 1)):
        yield slice(start, min(start + rows, n_samples))


def nothing(outputs: FloatArray) -> FloatArray:
    """Keep nothing of the outputs."""
    return outputs[:, :0]


class KeptOutputs:
    """The reduced outputs of all samples.

    Parameters
    ----------
    n_samples : int
    keep : callable
        See `Keep`. Its argument is overwritten by the next block.
    """

    def __init__(self, n_samples: int, keep: Keep) -> None:
        self._n_samples = n_samples
        self._keep = keep
        self._values: npt.NDArray[Any] | None = None

    def add(self, rows: slice, outputs: FloatArray) -> None:
        """Add the outputs of a block."""
        kept = self._keep(outputs)
        if self._values is None:
            self._values = np.empty((self._n_samples, *kept.shape[1:]), kept.dtype)
        self._values[rows] = kept

    @property
    def values(self) -> npt.NDArray[Any]:
        """The reduced outputs, in the order of the samples."""
        assert self._values is not None
        return self._values
