"""Weights of classes: the parameter `class_weight` of classifiers."""

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
    """Return the kind of labels, text or numbers; kinds cannot be compared with each other."""
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
        ``"balanced"``: the weight of a class is ``n / (n_classes * samples of the class)``, so that
        all classes have the same total weight (King and Zeng, "Logistic regression in rare events
        data", 2001). A dict gives the weight of each class; the others have the weight 1.
    classes : (n_classes,) array
    counts : (n_classes,) array of int or None
        Samples of each class; None for multilabel targets, which are refused.

    Raises
    ------
    ValueError
        For an invalid `wish`, a class of another kind (text instead of numbers), a weight below 0,
        or multilabel targets.
    TypeError
        For a weight that is not a number.

    Warns
    -----
    UserWarning
        For a class without samples, unless all classes with samples are named.
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
    """Return the weight of each class in a dict, 1 for the others."""
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
            # Not an error: a fold of a cross-validation may lack a class.
            unknown.append(label)
    if unknown and len(named) < len(known):
        warnings.warn(
            f"class_weight: found {unknown}, which the samples of this fit do not have; "
            "classes that it leaves out weigh 1",
            UserWarning,
            stacklevel=10,
        )
    return weights
