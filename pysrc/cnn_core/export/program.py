"""A fitted model for export: its inputs, its networks, and the meaning of their outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from cnn_core.export.operations import Operation
from cnn_core.layers.images import ImageShape

Array = npt.NDArray[Any]
# Kinds of predictions.
AnswerKind: TypeAlias = Literal["outputs", "number", "one", "binary", "multiclass", "multilabel"]
# Columns of a table for a program: numbers with NaN, text with "" if missing, dates in microseconds
# with NaT.
Columns: TypeAlias = list[Array]
# Rows of numbers, or columns of a table.
Rows: TypeAlias = Array | Columns


@dataclass(frozen=True)
class Column:
    """A used column of a table.

    Attributes
    ----------
    name : str
    kind : {"number", "category", "date"}
    levels : tuple of str
        Levels of a category, by their codes.
    missing_code : int
        The code of a missing category; -1 if it has none, as for unknown levels.
    parts : tuple of str
        Parts of a date; see `cnn_core.tables.dates`.
    """

    name: str
    kind: Literal["number", "category", "date"]
    levels: tuple[str, ...] = ()
    missing_code: int = -1
    parts: tuple[str, ...] = ()

    @property
    def n_features(self) -> int:
        """Number of features from it."""
        return len(self.parts) or 1


@dataclass(frozen=True, eq=False)
class NumberInput:
    """Scale of a numeric feature; see `cnn_core.tables.scaling.NumberScale`.

    Attributes
    ----------
    centre, spread : float
    edges : array of float64
        Edges of the bins; empty for none.
    marked : bool
    limit, smallest : float
        Scaled numbers lie between ``-limit`` and ``limit``; numbers nearer to 0 than `smallest`
        count as 0.
    """

    centre: float
    spread: float
    edges: Array
    marked: bool
    limit: float
    smallest: float


@dataclass(frozen=True, eq=False)
class Part:
    """Networks with the same encoding of their inputs.

    Attributes
    ----------
    networks : tuple of tuple of Operation
    share : float
        Weight of the mean over these networks in the blend.
    scales : tuple of NumberInput or int
        For each feature of a table its scale, or its number of levels.
    """

    networks: tuple[tuple[Operation, ...], ...]
    share: float = 1.0
    scales: tuple[NumberInput | int, ...] = ()


@dataclass(frozen=True, eq=False)
class Answer:
    """The meaning of the networks' outputs.

    Attributes
    ----------
    kind : str
        ``"outputs"`` and ``"number"``: the outputs are the prediction; ``"one"``: there is one
        class; ``"binary"``: the output is the probability of the second class; ``"multiclass"``: of
        each class; ``"multilabel"``: of each label.
    classes : (n_classes,) array, or None
    """

    kind: AnswerKind
    classes: Array | None = None

    @property
    def is_for_classes(self) -> bool:
        """Whether there are labels and probabilities."""
        return self.classes is not None


@dataclass(frozen=True)
class Blend:
    """How the outputs of several networks are combined into one prediction.

    For classes the logarithms of the probabilities, each at least `least_probability`, are
    averaged, divided by `temperature`, and converted back to probabilities. Numbers are averaged;
    the prediction is ``clip((mean * spread + centre) * unit, least, most)``.
    """

    temperature: float = 1.0
    least_probability: float = 1e-7
    unit: float = 1.0
    centre: float = 0.0
    spread: float = 1.0
    least: float = -np.inf
    most: float = np.inf


@dataclass(frozen=True, eq=False)
class Program:
    """A fitted model, ready for export.

    Attributes
    ----------
    title : str
        A short description.
    dtype : numpy.dtype
        Dtype of the arithmetic: float32 or float64.
    n_inputs : int
        Numbers of a sample, or columns of a table.
    n_outputs : int
        Outputs of each network.
    parts : tuple of Part
    answer : Answer
    columns : tuple of Column
        Columns of a table; empty for rows of numbers.
    blend : Blend or None
        None for one network.
    mirrored : (height, width, channels) or None
        The shape of images whose outputs are averaged with those of their mirror images.
    input_scale : float
        Factor of the samples, already included in the weights.
    """

    title: str
    dtype: np.dtype[Any]
    n_inputs: int
    n_outputs: int
    parts: tuple[Part, ...]
    answer: Answer
    columns: tuple[Column, ...] = ()
    blend: Blend | None = None
    input_scale: float = 1.0
    mirrored: ImageShape | None = None

    @property
    def mirror_order(self) -> Array:
        """The order of values that mirrors an image."""
        assert self.mirrored is not None
        places = np.arange(self.n_inputs).reshape(self.mirrored)
        return places[:, ::-1].ravel()

    @property
    def network(self) -> tuple[Operation, ...]:
        """The operations of a program with one network."""
        return self.parts[0].networks[0]

    def require_one_network(self, where: str) -> None:
        """Refuse a program with several networks, or for the columns of a table.

        Raises
        ------
        TypeError
            For such a program.
        """
        if self.columns:
            raise TypeError(
                f"{where}: expected one network on rows of numbers, found {self.title}; export it "
                "to ONNX, to C or to a Python file"
            )
        if self.mirrored is not None:
            raise TypeError(
                f"{where}: expected one prediction of each image, found averages with its mirror "
                "image; call set_params(mirror_average=False), or export to ONNX or Python"
            )


def n_samples(rows: Rows) -> int:
    """Return the number of samples of rows or columns."""
    return len(rows[0]) if isinstance(rows, list) else len(rows)


def taken(rows: Rows, chosen: Any) -> Rows:
    """Return some samples."""
    if isinstance(rows, list):
        return [column[chosen] for column in rows]
    some: Array = rows[chosen]
    return some


def chosen_labels(answer: Answer, values: Array) -> Array:
    """Return the labels for probabilities, (n, n_classes).

    The rule is that of the estimators: the first largest; of two classes the second if its
    probability is above 0.5; each of several labels above 0.5.
    """
    assert answer.classes is not None
    if answer.kind == "multilabel":
        return (values > 0.5).astype(np.int64)
    if answer.kind == "binary":
        of_two: Array = answer.classes[(values[:, 1] > 0.5).astype(np.intp)]
        return of_two
    likeliest: Array = answer.classes[values.argmax(axis=1)]
    return likeliest


def as_answer(answer: Answer, outputs: Array) -> Array:
    """Return probabilities of classes, or outputs, for the outputs of a network."""
    if answer.kind == "one":
        return np.ones_like(outputs)
    return np.hstack([1 - outputs, outputs]) if answer.kind == "binary" else outputs


def features_of_columns(columns: Sequence[Column]) -> list[tuple[int, str | None]]:
    """Return, for each feature, the number of its column, and its part of a date."""
    found: list[tuple[int, str | None]] = []
    for number, column in enumerate(columns):
        found += [(number, part) for part in column.parts or (None,)]
    return found
