"""What each class counts: `class_weight` of the classifiers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from cnn_core.network import FloatArray, IndexArray
from cnn_core.validation import number, shown

ClassWeight: TypeAlias = Mapping[Any, float] | Literal["balanced"] | None

_KINDS = {"U": "text", "O": "text", "S": "bytes", "M": "dates", "m": "spans of time"}


def kind_of(labels: npt.NDArray[Any]) -> str:
    """Return of what kind labels are: only those of one kind can be compared."""
    return _KINDS.get(labels.dtype.kind, "numbers")


def weight_of_each(
    wish: Mapping[Any, float] | Literal["balanced"],
    classes: npt.NDArray[Any],
    counts: IndexArray | None,
) -> FloatArray:
    """Return the weight of each class, (n_classes,).

    Parameters
    ----------
    wish : dict or "balanced"
        ``"balanced"`` weighs each class by ``n / (n_classes * samples of the class)``, so that all
        count alike (King and Zeng, "Logistic regression in rare events data", 2001). A dict says
        the weight of each class; those that it leaves out have 1.
    classes : (n_classes,) array
    counts : (n_classes,) array of int or None
        Samples of each class; None for several labels per sample, which are refused.

    Raises
    ------
    ValueError
        For another wish, a class of another kind (text for numbers, say), a weight below 0,
        several labels per sample.
    TypeError
        For a weight that is no number.

    Warns
    -----
    UserWarning
        For a class that the samples do not have, unless all classes that they have are named.
    """
    if counts is None:
        raise ValueError(
            "class_weight: expected None for several labels per sample, "
            f"found {shown(wish)}; weigh the samples instead: pass sample_weight"
        )
    if isinstance(wish, str) and wish == "balanced":
        present = np.maximum(counts, 1)
        weights: FloatArray = counts.sum() / (np.count_nonzero(counts) * present)
        return weights
    if not isinstance(wish, Mapping):
        raise ValueError(
            "class_weight: expected None, 'balanced' or a dict of class to weight, found "
            f"{shown(wish)}"
        )
    return _weights_by_class(wish, classes)


def _weights_by_class(wish: Mapping[Any, float], classes: npt.NDArray[Any]) -> FloatArray:
    """Return the weight of each class that a dict says, 1 for those that it leaves out."""
    known = classes.tolist()
    weights = np.ones(len(known))
    unknown = []
    named = set()
    for label, weight in wish.items():
        value = number("class_weight", weight)
        if value < 0:
            raise ValueError(
                f"class_weight: expected numbers of at least 0, found {shown(weight)} for {label!r}"
            )
        if label in known:
            named.add(known.index(label))
            weights[known.index(label)] = value
        elif kind_of(np.array([label])) != kind_of(classes):
            raise ValueError(
                f"class_weight: expected classes among {known}, which are {kind_of(classes)}, "
                f"found {shown(label)}"
            )
        else:
            # Nothing wrong in itself: a fold of a cross-validation may lack a class.
            unknown.append(label)
    if unknown and len(named) < len(known):
        warnings.warn(
            f"class_weight: found {unknown}, which the samples of this fit do not have; "
            "classes that it leaves out weigh 1",
            UserWarning,
            stacklevel=10,
        )
    return weights
