"""Samples whose class a small network can learn: which of three numbers is largest."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cnn_core import one_hot


def labelled(
    rng: np.random.Generator, samples: int = 60
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Return samples of shape (samples, 6) and their labels."""
    x = rng.normal(size=(samples, 6))
    return x, x[:, :3].argmax(axis=1)


def one_hot_rows(
    rng: np.random.Generator, samples: int = 60
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return samples of shape (samples, 6) and targets of shape (samples, 3), in float32."""
    x = rng.normal(size=(samples, 6)).astype(np.float32)
    return x, one_hot(x[:, :3].argmax(axis=1)).astype(np.float32)
