"""Shards: fixed sets of rows, each shuffled separately in every epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from cnn_core.arrays import aligned_within
from cnn_core.class_targets import Targets
from cnn_core.sparse import Samples
from cnn_core.training.batches import shuffled_order
from cnn_core.types import FloatArray, IndexArray


class Piece(NamedTuple):
    """Samples in training order: whole batches, except for the last of an epoch.

    Attributes
    ----------
    x : (n, n_inputs) array
    t : (n, n_outputs) array or ClassTargets
    weights : (n,) array or None
    order : (m,) array of numpy.intp or None
        The rows to train on, in order; None: all rows.
    """

    x: Samples
    t: Targets
    weights: FloatArray | None
    order: IndexArray | None

    @property
    def n_samples(self) -> int:
        """Number of samples to train on."""
        return len(self.x) if self.order is None else len(self.order)

    @property
    def weight(self) -> float:
        """Sum of their weights."""
        if self.weights is None:
            return float(self.n_samples)
        chosen = self.weights if self.order is None else self.weights[self.order]
        return float(chosen.sum(dtype=np.float64))


class Shard(Protocol):
    """Some rows of the data."""

    @property
    def n_samples(self) -> int:
        """Number of rows."""

    def in_order(self) -> Iterator[Piece]:
        """Yield the rows in their original order, in parts that are in memory."""

    def pieces(self, key: int | None, epoch: int, rows: slice, batch_size: int) -> Iterator[Piece]:
        """Yield the samples at some positions of an epoch's order.

        Parameters
        ----------
        key : int or None
            Seed of the order; None: the original order.
        epoch : int
        rows : slice
            Positions in the order, from a multiple of `batch_size` on.
        batch_size : int
        """


class ArrayShard:
    """A shard in memory.

    Parameters
    ----------
    x : (n, n_inputs) array
        In the form of an engine, like the others.
    t : (n, n_outputs) array or ClassTargets
    weights : (n,) array, optional
    y : array, optional
        The user's targets, from which `t` was made.
    """

    def __init__(
        self,
        x: Samples,
        t: Targets,
        weights: FloatArray | None = None,
        y: npt.NDArray[Any] | None = None,
    ) -> None:
        self.x, self.t, self.weights, self.y = x, t, weights, y
        # The order of the last epoch, which all of its rounds need.
        self._order: tuple[int, int, IndexArray] | None = None

    @property
    def n_samples(self) -> int:
        """Number of rows."""
        return len(self.x)

    def pieces(self, key: int | None, epoch: int, rows: slice, batch_size: int) -> Iterator[Piece]:
        """Yield the samples at some positions of an epoch's order, all at once."""
        if key is None:
            weights = None if self.weights is None else self.weights[rows]
            yield Piece(self.x[rows], self.t[rows], weights, None)
            return
        known = self._order
        if known is None or known[:2] != (key, epoch):
            known = self._order = (key, epoch, shuffled_order(key, epoch, self.n_samples))
        yield Piece(self.x, self.t, self.weights, known[2][rows])

    def in_order(self) -> Iterator[Piece]:
        """Yield all rows."""
        yield Piece(self.x, self.t, self.weights, None)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_order": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update({name: aligned_within(value) for name, value in state.items()})
