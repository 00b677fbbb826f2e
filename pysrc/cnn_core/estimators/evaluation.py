"""Samples to train on or to measure, in the user's terms and in the network's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from cnn_core.class_targets import Targets
from cnn_core.network import FloatArray, IndexArray
from cnn_core.sparse import Samples

EvalSet: TypeAlias = tuple[Any, ...] | Sequence[tuple[Any, ...]] | None


@dataclass(frozen=True, eq=False)
class EvaluationSet:
    """Samples and their targets, as the user passed them and as the network takes them.

    Attributes
    ----------
    x : (n, n_features) array
    y : array
        Labels or numbers, as the estimator has read them.
    t : ClassTargets or (n, n_outputs) array
    weights : (n,) array, optional
    """

    x: Samples
    y: npt.NDArray[Any]
    t: Targets
    weights: FloatArray | None

    def part(self, chosen: IndexArray) -> EvaluationSet:
        """Return a part of the samples."""
        weights = None if self.weights is None else self.weights[chosen]
        return EvaluationSet(self.x[chosen], self.y[chosen], self.t[chosen], weights)

    @property
    def weight(self) -> float:
        """Return the total weight of the samples."""
        return len(self.y) if self.weights is None else float(self.weights.sum(dtype=np.float64))

    @property
    def n_counted(self) -> int:
        """Return how many samples have a weight above 0."""
        return len(self.y) if self.weights is None else int(np.count_nonzero(self.weights))


def each_set(eval_set: EvalSet) -> list[tuple[tuple[Any, ...], str]]:
    """Return each pair (X, y), or triple with weights, of `eval_set`, and what it is called.

    Raises
    ------
    TypeError
        For anything else than such a tuple, or a list of them.
    """
    if eval_set is None:
        return []
    if not isinstance(eval_set, tuple | list):
        raise TypeError(
            "eval_set: expected a tuple (X, y) or (X, y, sample_weight), or a list of such, "
            f"found {type(eval_set).__name__}"
        )
    single = isinstance(eval_set, tuple) and not (eval_set and isinstance(eval_set[0], tuple))
    sets: list[Any] = [eval_set] if single else list(eval_set)
    named = [
        (values, "eval_set" if single else f"eval_set[{place}]")
        for place, values in enumerate(sets)
    ]
    for values, name in named:
        if not isinstance(values, tuple) or len(values) not in (2, 3):
            found = f"a tuple of {len(values)}" if isinstance(values, tuple) else repr(type(values))
            raise TypeError(
                f"{name}: expected a tuple (X, y) or (X, y, sample_weight), or a list of such, "
                f"found {found}"
            )
    return named
