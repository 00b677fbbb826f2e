"""The state of a model as plain values: what steps change, and what files store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from cnn_core.network import Network
from cnn_core.types import FloatArray
from cnn_core.validation import whole


class Snapshot(NamedTuple):
    """The part of a model's state that steps change.

    Attributes
    ----------
    arrays : dict of str to array
        Named as in `Trainable.arrays`.
    steps : int
    """

    arrays: dict[str, FloatArray]
    steps: int


@dataclass(eq=False)
class ModelState:
    """The complete state of a model, except for backend and threads.

    Attributes
    ----------
    network : Network
    dtype : numpy.dtype
        float32 or float64.
    seed : int
        From 0 to below ``2**64``.
    snapshot : Snapshot
        The arrays themselves, not copies.
    epochs_done, samples_done : int
    history : dict of str to list of float
    """

    network: Network
    dtype: np.dtype[Any]
    seed: int
    snapshot: Snapshot
    epochs_done: int = 0
    samples_done: int = 0
    history: dict[str, list[float]] = field(default_factory=dict)

    def is_finite(self) -> bool:
        """Tell whether all weights are finite."""
        return all(np.isfinite(array).all() for array in weights_of(self.snapshot.arrays).values())


def first_snapshot(network: Network, dtype: npt.DTypeLike, bias_rows: int = 1) -> Snapshot:
    """Return the state of a network before its first step, all parameters 0."""
    n_parameters = network.n_parameters(bias_rows)
    arrays: dict[str, FloatArray] = {
        "parameters": np.zeros(n_parameters, dtype),
        "statistics": network.first_statistics(dtype),
        "moments": np.zeros((network.optimizer.n_moments, n_parameters), dtype),
    }
    if network.averaging:
        arrays["average"] = np.zeros(n_parameters, dtype)
    return Snapshot(arrays, 0)


def weights_of(arrays: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Return the arrays that outputs depend on: without ``moments`` and empty ones."""
    return {name: a for name, a in arrays.items() if name != "moments" and a.size}


def snapshot_from(value: Any, layout: Mapping[str, tuple[Any, ...]]) -> Snapshot | None:
    """Return a snapshot of a model whose arrays have this layout; None for None.

    Parameters
    ----------
    value : dict or None
        The result of ``snapshot._asdict()``.
    layout : dict of str to tuple
        See `layout_of`.

    Raises
    ------
    KeyError, TypeError, ValueError
        For anything else.
    """
    if value is None:
        return None
    snapshot = Snapshot(**value)
    check_arrays("best", snapshot.arrays, layout)
    whole("best steps", snapshot.steps, 0)
    return snapshot


def layout_of(arrays: Mapping[str, FloatArray]) -> dict[str, tuple[Any, ...]]:
    """Return shapes and dtypes of arrays."""
    return {name: (array.shape, array.dtype) for name, array in arrays.items()}


def check_arrays(what: str, arrays: Any, layout: Mapping[str, tuple[Any, ...]]) -> None:
    """Check names, shapes and dtypes of arrays.

    Raises
    ------
    TypeError, ValueError
        If they do not match.
    """
    if not isinstance(arrays, dict) or not all(isinstance(a, np.ndarray) for a in arrays.values()):
        raise TypeError(f"{what}: expected arrays")
    if layout_of(arrays) != dict(layout):
        found = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        expected = ", ".join(f"{name} {shape}" for name, (shape, _) in layout.items())
        raise ValueError(f"{what}: expected {expected}, found {found:.200}")
