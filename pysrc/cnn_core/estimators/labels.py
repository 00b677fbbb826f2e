"""Labels of a classifier: from classes of any kind to targets, from outputs to classes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from cnn_core.class_targets import ClassTargets, Targets
from cnn_core.estimators.class_weights import ClassWeight, kind_of, weight_of_each
from cnn_core.estimators.scoring import accuracy
from cnn_core.estimators.task import BEFORE, Task, as_target_array
from cnn_core.export.program import Answer
from cnn_core.io.fields import Fields
from cnn_core.network import Activation, FloatArray, IndexArray, Loss

Kind: TypeAlias = Literal["one", "binary", "multiclass", "multilabel"]
Labels: TypeAlias = npt.NDArray[Any]

# Largest number of characters of an array of class names, four bytes each.
_MOST_CHARACTERS = 2**24


@dataclass(frozen=True, eq=False)
class Classification(Task):
    """Convert classes to targets of a network, and its outputs to classes.

    Attributes
    ----------
    classes : (n_classes,) array
        Sorted. For multilabel targets the column numbers.
    kind : {"one", "binary", "multiclass", "multilabel"}
        ``"one"``: a single class. One and two classes have one output, the probability of the
        second class; others have an output for each class.
    smoothing : float
        From 0 to below 1: the share of each target that is spread evenly over all classes, for one
        output over its two values (Szegedy et al., "Rethinking the Inception architecture for
        computer vision", 2016, section 7).
    class_weight : dict, "balanced" or None
        See `weight_of_each`.
    """

    classes: Labels
    kind: Kind
    smoothing: float = 0.0
    class_weight: ClassWeight = None

    @classmethod
    def of(cls, labels: Labels) -> Classification:
        """Return the task for labels from `as_labels`."""
        if labels.ndim == 2:
            return cls(np.arange(labels.shape[1]), "multilabel")
        return cls.of_classes(labels)

    @classmethod
    def of_classes(cls, classes: Labels) -> Classification:
        """Return the task for one label per sample, with these classes in any order."""
        try:
            classes = np.unique(classes)
        except TypeError as error:
            raise ValueError(
                f"y: expected labels of one kind, all text or all numbers ({error})"
            ) from None
        kinds: dict[int, Kind] = {1: "one", 2: "binary"}
        return cls(classes, kinds.get(len(classes), "multiclass"))

    @property
    def n_outputs(self) -> int:
        """Outputs of the network."""
        return 1 if self.kind in ("one", "binary") else len(self.classes)

    @property
    def activation(self) -> Activation:
        """Activation of the last layer."""
        return "softmax" if self.kind == "multiclass" else "sigmoid"

    @property
    def loss(self) -> Loss:
        """The loss of the network."""
        return "cross_entropy" if self.kind == "multiclass" else "binary_cross_entropy"

    @property
    def answer(self) -> Answer:
        """How exports interpret the outputs of the network."""
        return Answer(self.kind, self.classes)

    @property
    def has_class_outputs(self) -> bool:
        """Whether each class has an output, and the largest one is the prediction."""
        return self.kind == "multiclass"

    def read(
        self,
        values: Any,
        n_samples: int,
        estimator: str,
        name: str,
        *,
        known_from: str = BEFORE,
        to_score: bool = False,
    ) -> Labels:
        """Check labels for this task, (n_samples,) or (n_samples, n_labels); see `as_labels`.

        Raises
        ------
        ValueError
            As for `as_labels`; for another number of labels per sample, labels of another kind
            (text instead of numbers), and unknown classes.
        """
        labels = as_labels(values, n_samples, estimator, name)
        columns = len(self.classes) if self.kind == "multilabel" else None
        if (labels.shape[1] if labels.ndim == 2 else None) != columns:
            expected = "one label" if columns is None else f"{columns} labels"
            raise ValueError(
                f"{name}: expected {expected} per sample, as in {known_from}, "
                f"found the shape {labels.shape}"
            )
        if columns is not None:
            return labels
        kind, found = kind_of(self.classes), kind_of(labels)
        if kind != found:
            raise ValueError(
                f"{name}: expected classes among {self.classes}, those of {known_from}, which are "
                f"{kind}, found {found} such as {labels[0]}; {_as_kind(kind, name)}"
            )
        unknown = self.classes[:0] if to_score else np.setdiff1d(labels, self.classes)
        if len(unknown):
            raise ValueError(
                f"{name}: expected classes among {self.classes}, those of {known_from}, "
                f"found {unknown}"
            )
        return labels

    def positions(self, labels: Labels) -> IndexArray | None:
        """Return the class index of each label, (n,); None for multilabel targets."""
        if self.kind == "multilabel":
            return None
        return np.searchsorted(self.classes, labels).astype(np.intp, copy=False)

    def name_of(self, position: int) -> Any:
        """Return the class at an index."""
        return self.classes[position]

    def targets(self, labels: Labels, dtype: np.dtype[Any]) -> Targets:
        """Return the targets: labels if each class has an output, else rows (n, n_outputs)."""
        positions = self.positions(labels)
        if self.kind == "multiclass":
            assert positions is not None
            return ClassTargets(positions, self.n_outputs, self.smoothing)
        values = labels if positions is None else positions.reshape(-1, 1)
        rows: FloatArray = values.astype(dtype, order="C")
        if self.smoothing:
            rows *= dtype.type(1 - self.smoothing)
            rows += dtype.type(self.smoothing / 2)
        return rows

    def weights(self, labels: Labels) -> FloatArray | None:
        """Return the class weight of each sample; None if all are 1."""
        if self.class_weight is None:
            return None
        positions = self.positions(labels)
        counts = None if positions is None else np.bincount(positions, minlength=len(self.classes))
        of_each = weight_of_each(self.class_weight, self.classes, counts)
        return of_each[positions]

    def decode(self, outputs: FloatArray) -> Labels:
        """Return the most probable label of each sample, (n,), or (n, n_labels) of 0 and 1.

        The second of two classes, and each of several labels, is chosen above a probability of 0.5.
        """
        chosen = self._chosen(outputs)
        return chosen if self.kind == "multilabel" else self.classes[chosen]

    def _chosen(self, outputs: FloatArray) -> IndexArray:
        """Return the index of the most probable classes, or 0 and 1 for multilabel targets."""
        if self.kind == "multiclass":
            largest: IndexArray = outputs.argmax(axis=1)
            return largest
        if self.kind == "one":
            return np.zeros(len(outputs), np.intp)
        above: IndexArray = (outputs > 0.5).astype(np.intp)
        return above if self.kind == "multilabel" else above.ravel()

    def probabilities(self, outputs: FloatArray) -> FloatArray:
        """Return the probability of each class, (n, n_classes)."""
        if self.kind == "one":
            return np.ones_like(outputs)
        if self.kind == "binary":
            return np.hstack([1 - outputs, outputs])
        return outputs

    def to_score(self, outputs: FloatArray) -> IndexArray:
        """Return the indices of the most probable classes; -1 for outputs that are not finite."""
        chosen = self._chosen(outputs)
        chosen[~np.isfinite(outputs).all(axis=1)] = -1
        return chosen

    def score(self, labels: Labels, predicted: IndexArray, weights: FloatArray | None) -> float:
        """Return the accuracy; NaN if an output was not finite."""
        if (predicted < 0).any():
            return float("nan")
        chosen = predicted if self.kind == "multilabel" else self.classes[predicted]
        return accuracy(labels, chosen, weights)

    def to_json(self) -> dict[str, Any]:
        """Return the classes.

        Raises
        ------
        TypeError
            For classes that are neither numbers nor text.
        """
        if self.classes.dtype.kind not in "biufUO":
            raise TypeError(
                "classes_: a file can hold numbers and text, found "
                f"{self.classes.dtype}; fit with y.astype(str)"
            )
        values = self.classes.tolist()
        _require_room(values)
        classes = {"values": values, "dtype": self.classes.dtype.str}
        return {"kind": self.kind, "classes": classes}

    @classmethod
    def from_json(cls, values: Any) -> Classification:
        """Return the task from the result of `to_json`.

        Raises
        ------
        KeyError, TypeError, ValueError
            For anything else.
        """
        fields = Fields(values, "task")
        known = _classes_in(fields.fields("classes"))
        task = cls.of_classes(known)
        if not np.array_equal(task.classes, known):
            raise ValueError(f"classes: expected them in rising order, found {known!r:.80}")
        kind = fields.text("kind")
        if kind == "multilabel" and np.array_equal(known, np.arange(len(known))):
            return replace(task, kind="multilabel")
        if kind != task.kind:
            raise ValueError(f"{known!r:.80} as the classes of a task {kind!r:.80}")
        return task


def _classes_in(fields: Fields) -> Labels:
    """Return the classes in a file.

    An array of text is as wide as its longest item, whatever width the file declares.
    """
    dtype = np.dtype(fields.text("dtype"))
    if dtype.kind in "UO":
        names = list(fields.texts("values"))
        _require_room(names)
        return np.array(names, object if dtype.kind == "O" else np.str_)
    values = fields.value("values")
    if dtype.kind not in "biuf" or not isinstance(values, list):
        raise ValueError(f"classes: expected numbers or text, found {values!r:.80} of {dtype}")
    try:
        known = np.array(values, dtype)
    except OverflowError as error:
        raise ValueError(f"classes: expected {dtype}, found {values!r:.80}") from error
    if known.ndim != 1 or not all(
        type(one) is type(value) and one == value
        for one, value in zip(known.tolist(), values, strict=True)
    ):
        raise ValueError(f"classes: expected {dtype}, found {values!r:.80}")
    return known


def _require_room(classes: list[Any]) -> None:
    """Refuse texts whose array, as wide as the longest, would take too much memory.

    Raises
    ------
    ValueError
        If it would be more than 64 MiB.
    """
    longest = max((len(name) for name in classes if isinstance(name, str)), default=0)
    if len(classes) * longest > _MOST_CHARACTERS:
        raise ValueError(
            f"classes: expected at most {_MOST_CHARACTERS} characters in an array as wide as the "
            f"longest name throughout, found {len(classes)} names of up to {longest}; use shorter "
            "names"
        )


def as_labels(values: Any, n_samples: int, estimator: str, name: str = "y") -> Labels:
    """Return labels as an array (n_samples,), or (n_samples, n_labels) of True and False.

    Parameters
    ----------
    values : array-like
        One label per sample, numbers or text, (n_samples,) or a column. For multilabel targets 0
        and 1, (n_samples, n_labels), dense or sparse.
    n_samples : int
    estimator : str
        Name of the class, for errors.
    name : str
        Name of the argument, for errors.

    Raises
    ------
    ValueError
        For anything else.

    Warns
    -----
    DataConversionWarning
        For a column.
    """
    array = as_target_array(values, n_samples, estimator, name)
    if array.ndim == 2:
        if not np.isin(array, (0, 1)).all():
            raise ValueError(
                f"{name}: Unknown label type: multiclass-multioutput, found {array.shape[1]} "
                "columns with other values than 0 and 1: fit one estimator for each column"
            )
        return np.ascontiguousarray(array, bool)
    if array.dtype.kind == "f" and (array != np.trunc(array)).any():
        first = int(np.flatnonzero(array != np.trunc(array))[0])
        other = "a TabularRegressor" if estimator.startswith("Tabular") else "an MLPRegressor"
        raise ValueError(
            f"{name}: Unknown label type: continuous, found {array[first]} at index {first}: "
            f"expected classes; fit {other} to numbers"
        )
    if array.dtype.kind == "O":
        return _of_one_kind(array, name)
    return array


def _of_one_kind(array: Labels, name: str) -> Labels:
    """Check that an array of objects is all text, and return it."""
    if all(isinstance(label, str) for label in array):
        return array
    kinds = sorted({type(label).__name__ for label in array})
    raise ValueError(
        f"{name}: Unknown label type: expected text alone or whole numbers alone, "
        f"found objects of the types {', '.join(kinds)}; pass all of them as text or as numbers"
    )


def _as_kind(kind: str, name: str) -> str:
    ways = {"text": f"{name}.astype(str)", "numbers": f"{name}.astype(int)"}
    return f"pass {ways[kind]} if that is what they stand for" if kind in ways else "convert them"
