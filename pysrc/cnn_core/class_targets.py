"""Targets of a network: a row of numbers for each sample, or its class label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from cnn_core.types import FloatArray, IndexArray


@dataclass(frozen=True, eq=False)
class ClassTargets:
    """Targets that are classes: one label for each sample.

    They represent rows (n, n_classes) that an engine creates for one batch at a time: ``1 -
    smoothing`` in the column of the label and 0 elsewhere, plus ``smoothing / n_classes``
    everywhere (Szegedy et al., "Rethinking the Inception architecture for computer vision", 2016,
    section 7).

    Attributes
    ----------
    labels : (n,) array of numpy.intp, C-contiguous
        From 0 to ``n_classes - 1``.
    n_classes : int
        Number of outputs of the network.
    smoothing : float
        From 0 to below 1.
    """

    labels: IndexArray
    n_classes: int
    smoothing: float = 0.0

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice | IndexArray) -> ClassTargets:
        return ClassTargets(self.labels[rows], self.n_classes, self.smoothing)

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the rows that the labels represent."""
        return len(self.labels), self.n_classes

    def values(self, dtype: npt.DTypeLike) -> tuple[float, float]:
        """Return the value of the label's column, and that of the others."""
        real: Callable[[float], float] = np.dtype(dtype).type
        other = real(self.smoothing / max(self.n_classes, 1))
        return real(1 - self.smoothing) + other, other

    def rows(self, dtype: npt.DTypeLike) -> FloatArray:
        """Return the rows (n, n_classes); for a batch, not for all samples."""
        own, other = self.values(dtype)
        rows: FloatArray = np.full(self.shape, other, dtype)
        rows[np.arange(len(self.labels)), self.labels] = own
        return rows


# Targets of an engine: rows of its dtype, or labels. A `Model` takes labels of any integer dtype.
Targets: TypeAlias = npt.NDArray[Any] | ClassTargets


def rows_of(targets: Targets, dtype: npt.DTypeLike) -> FloatArray:
    """Return the rows of a batch of targets, (n, n_outputs)."""
    return targets.rows(dtype) if isinstance(targets, ClassTargets) else targets


def labels_of(targets: Targets) -> IndexArray:
    """Return the class of each sample: its label, or the argmax of its row."""
    if isinstance(targets, ClassTargets):
        return targets.labels
    largest: IndexArray = targets.argmax(axis=1)
    return largest


def as_class_targets(
    targets: ClassTargets, n_samples: int, n_classes: int, name: str
) -> ClassTargets:
    """Check targets that are classes; the labels may be of any integer dtype.

    Parameters
    ----------
    targets : ClassTargets
    n_samples, n_classes : int
    name : str
        Their name, for errors.

    Raises
    ------
    ValueError
        For another number of samples or classes, or a label or smoothing outside its range.
    """
    labels = targets.labels
    if labels.shape != (n_samples,):
        raise ValueError(f"{name}: expected {n_samples} labels, found the shape {labels.shape}")
    if targets.n_classes != n_classes:
        raise ValueError(
            f"{name}: expected targets for the {n_classes} outputs of the network, found "
            f"{targets.n_classes} classes"
        )
    if not 0 <= targets.smoothing < 1:
        raise ValueError(
            f"{name}: expected a smoothing from 0 to below 1, found {targets.smoothing!r}"
        )
    outside = np.flatnonzero((labels < 0) | (labels >= n_classes))
    if outside.size:
        first = int(outside[0])
        raise ValueError(
            f"{name}: expected labels from 0 to {n_classes - 1}, found {labels[first]} at index "
            f"{first}"
        )
    own = np.ascontiguousarray(labels, np.intp).view(np.ndarray)
    return ClassTargets(own, n_classes, targets.smoothing)
