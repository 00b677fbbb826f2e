"""Results of a classifier on the test part, for a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.cli.pages.contents import Shown
from cnn_core.cli.pages.samples import SampleViewer

__all__ = ["Calibration", "Cell", "ClassResults", "ClassRow", "Mistake", "class_results"]

Array = npt.NDArray[Any]

# For more classes the largest confusions are listed instead of a matrix.
MOST_CLASSES = 30
_MOST_CONFUSIONS = 60
_SAMPLES_OF_A_CELL = 24
_MISTAKES = 24
_BINS = 10


@dataclass(frozen=True)
class Cell:
    """A cell of the confusion matrix; `share` is that of its true class."""

    truth: int
    predicted: int
    count: int
    share: float
    samples: Shown | None

    @property
    def tint(self) -> float:
        """Strength of its colour; rare confusions are stronger than their share."""
        return self.share if self.truth == self.predicted else min(1.0, 1.4 * self.share**0.5)


@dataclass(frozen=True)
class ClassRow:
    """Results of one class; `taken_for` is its most frequent wrong prediction."""

    name: str
    count: int
    precision: float | None
    recall: float | None
    f1: float | None
    taken_for: str | None
    taken_count: int


@dataclass(frozen=True)
class Mistake:
    """A sample with a confident wrong prediction."""

    sample: Shown
    number: int
    truth: str
    predicted: str
    probability: float
    of_truth: float


@dataclass(frozen=True)
class Calibration:
    """Accuracy of predictions with similar probability.

    Attributes
    ----------
    confidence, accuracy : tuple of float
        Mean probability of the predicted class, and the share of right answers, of each bin that
        holds samples.
    counts : tuple of int
    error : float
        Expected calibration error: the mean of their differences, by the samples.
    """

    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    counts: tuple[int, ...]
    error: float


@dataclass(frozen=True, eq=False)
class ClassResults:
    """Results of a classifier for a page.

    Attributes
    ----------
    names : tuple of str
    matrix : list of list of Cell
        A row for each true class; empty for too many classes.
    confusions : list of Cell
        The largest confusions, if there is no matrix.
    rows : list of ClassRow
    mistakes : list of Mistake
    wrong : int
        The number of mistakes.
    calibration : Calibration
    """

    names: tuple[str, ...]
    matrix: list[list[Cell]]
    confusions: list[Cell]
    rows: list[ClassRow]
    mistakes: list[Mistake]
    wrong: int
    calibration: Calibration


def class_results(
    probabilities: Array, y: Array, names: tuple[str, ...], samples: SampleViewer
) -> ClassResults:
    """Compute the results of a classifier for a page.

    Parameters
    ----------
    probabilities : numpy.ndarray, (n, classes)
    y : numpy.ndarray, (n,)
        True classes, as positions in `names`.
    names : tuple of str
    samples : SampleViewer
        Shows the samples, by their positions in `y`.
    """
    predicted = probabilities.argmax(axis=1)
    confidence = probabilities[np.arange(len(y)), predicted]
    confusion = np.zeros((len(names), len(names)), int)
    np.add.at(confusion, (y, predicted), 1)
    cells = _cells(confusion, y, predicted, confidence, samples)
    has_matrix = len(names) <= MOST_CLASSES
    wrong = np.flatnonzero(predicted != y)
    surest = wrong[np.argsort(-confidence[wrong], kind="stable")][:_MISTAKES]
    return ClassResults(
        names=names,
        matrix=_matrix(confusion, cells) if has_matrix else [],
        confusions=[] if has_matrix else list(cells.values()),
        rows=_rows(confusion, names),
        mistakes=[
            Mistake(
                samples.show(np.array([number]), 1),
                number,
                names[y[number]],
                names[predicted[number]],
                float(confidence[number]),
                float(probabilities[number, y[number]]),
            )
            for number in surest.tolist()
        ],
        wrong=len(wrong),
        calibration=_calibration(confidence, predicted == y),
    )


def _cells(
    confusion: Array, y: Array, predicted: Array, confidence: Array, samples: SampleViewer
) -> dict[tuple[int, int], Cell]:
    """Return the cells with samples; for many classes only the largest confusions."""
    places = [(int(row), int(column)) for row, column in np.argwhere(confusion)]
    if len(confusion) > MOST_CLASSES:
        places = [place for place in places if place[0] != place[1]]
        places = sorted(places, key=lambda place: -confusion[place])[:_MOST_CONFUSIONS]
    totals = confusion.sum(axis=1)
    cells = {}
    for row, column in places:
        numbers = np.flatnonzero((y == row) & (predicted == column))
        # The least confident right and the most confident wrong predictions are most useful.
        order = np.argsort(confidence[numbers] * (1 if row == column else -1), kind="stable")
        count = len(numbers)
        shown = samples.show(numbers[order], _SAMPLES_OF_A_CELL)
        cells[row, column] = Cell(row, column, count, count / totals[row], shown)
    return cells


def _matrix(confusion: Array, cells: dict[tuple[int, int], Cell]) -> list[list[Cell]]:
    numbers = range(len(confusion))
    return [
        [cells.get((row, column), Cell(row, column, 0, 0.0, None)) for column in numbers]
        for row in numbers
    ]


def _rows(confusion: Array, names: tuple[str, ...]) -> list[ClassRow]:
    rows = []
    right, of_truth, of_answer = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    for number, name in enumerate(names):
        others = confusion[number].copy()
        others[number] = 0
        taken_for = int(others.argmax()) if others.any() else None
        both = int(of_truth[number] + of_answer[number])
        rows.append(
            ClassRow(
                name,
                int(of_truth[number]),
                _share(right[number], of_answer[number]),
                _share(right[number], of_truth[number]),
                _share(2 * right[number], both),
                None if taken_for is None else names[taken_for],
                0 if taken_for is None else int(others[taken_for]),
            )
        )
    return rows


def _share(part: Any, whole: Any) -> float | None:
    return float(part / whole) if whole else None


def _calibration(confidence: Array, is_right: Array) -> Calibration:
    """Return the calibration in bins of equal width (Guo et al., 2017, "On calibration")."""
    bins = np.minimum((np.clip(confidence, 0, 1) * _BINS).astype(int), _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS)
    filled = np.flatnonzero(counts)
    means = np.bincount(bins, confidence, _BINS)[filled] / counts[filled]
    shares = np.bincount(bins, is_right, _BINS)[filled] / counts[filled]
    error = float(np.average(np.abs(means - shares), weights=counts[filled]))
    return Calibration(
        tuple(means.tolist()), tuple(shares.tolist()), tuple(counts[filled].tolist()), error
    )
