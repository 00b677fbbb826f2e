"""Results of an estimator's fits: counts, curves, patience and the best weights."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cnn_core.io.checkpoint_checks import curve_in
from cnn_core.training.patience import PatienceCounter
from cnn_core.training.snapshot import Snapshot, layout_of, snapshot_from
from cnn_core.types import FloatArray
from cnn_core.validation import measured, whole

# Their names on an estimator, in files and in checkpoints.
COUNTS = ("n_iter_", "t_", "_cuts")
VALUES = ("loss_", "best_loss_", "best_validation_score_")
CURVES = ("loss_curve_", "validation_loss_curve_", "validation_scores_")


@dataclass(eq=False)
class FitProgress:
    """The results of an estimator's fits so far.

    Attributes
    ----------
    n_iter, t, cuts : int
        Epochs, samples trained on, and divisions of the learning rate "adaptive".
    loss : float or None
        Loss of the last epoch; None before the first one.
    best_loss, best_validation_score : float or None
        None if the other one is used for stopping.
    loss_curve : list of float
    validation_loss_curve, validation_scores : list of float or None
        None without samples to validate on.
    evals_result : dict of str to dict of str to list of float
    stopped_because : str or None
    patience : PatienceCounter
        State of the stopping rule.
    best : Snapshot or None
        The best weights, with early stopping.
    """

    n_iter: int = 0
    t: int = 0
    cuts: int = 0
    loss: float | None = None
    best_loss: float | None = math.inf
    best_validation_score: float | None = None
    loss_curve: list[float] = field(default_factory=list)
    validation_loss_curve: list[float] | None = None
    validation_scores: list[float] | None = None
    evals_result: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    stopped_because: str | None = None
    patience: PatienceCounter = field(default_factory=PatienceCounter)
    best: Snapshot | None = None

    def going_on(self, *, anew: bool, stops_early: bool, sets: int, reported: bool) -> FitProgress:
        """Return the initial progress of the next fit; the curves continue.

        Parameters
        ----------
        anew : bool
            Whether epochs and patience are counted from 0, as in every `fit`.
        stops_early : bool
        sets : int
            Number of validation sets.
        reported : bool
            Whether they are the user's sets, whose results are all kept.
        """
        new = copy.copy(self)
        new.evals_result = dict(self.evals_result)
        new.stopped_because = None
        if anew:
            new.n_iter = new.cuts = 0
            new.patience = PatienceCounter()
        if sets and new.validation_scores is None:
            new.validation_scores = []
            new.validation_loss_curve = []
        if sets and stops_early and new.best_validation_score is None:
            new.best_validation_score = -math.inf
        for place in range(sets if reported else 0):
            new.evals_result.setdefault(f"eval_{place}", {"loss": [], "score": []})
        return new

    def add_epoch(self, loss: float, samples_done: int) -> None:
        """Add the training loss of an epoch."""
        self.n_iter += 1
        self.t = samples_done
        self.loss = loss
        self.loss_curve.append(loss)
        if self.best_loss is not None:
            self.best_loss = min(self.best_loss, loss)

    def add_validation(self, results: list[tuple[float, float]], *, reported: bool) -> None:
        """Add loss and score on each set; the last one is used for early stopping.

        Parameters
        ----------
        results : list of (loss, score)
        reported : bool
            Whether they are the user's sets.
        """
        assert self.validation_loss_curve is not None
        assert self.validation_scores is not None
        loss, score = results[-1]
        self.validation_loss_curve.append(loss)
        self.validation_scores.append(score)
        if reported:
            for place, (loss_there, score_there) in enumerate(results):
                result = self.evals_result[f"eval_{place}"]
                result["loss"].append(loss_there)
                result["score"].append(score_there)

    def add_diverged_epoch(self) -> None:
        """Add an epoch that diverged."""
        self.n_iter += 1
        for values in (self.loss_curve, self.validation_loss_curve, self.validation_scores):
            if values is not None:
                values.append(math.nan)

    @property
    def has_no_score(self) -> bool:
        """Whether all scores for early stopping were NaN so far."""
        return self.best_validation_score == -math.inf

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint."""
        results = {
            place: {name: _as_array(values) for name, values in result.items()}
            for place, result in self.evals_result.items()
        }
        attributes = {name: self.named(name) for name in (*COUNTS, *VALUES)}
        if self.loss is None:
            del attributes["loss_"]
        return {
            "attributes": attributes,
            "curves": {name: _as_array(self.named(name)) for name in CURVES},
            "evals_result_": results,
            "watch": list(self.patience),
            "best": None if self.best is None else self.best._asdict(),
        }

    def set_state(self, state: dict[str, Any], arrays: dict[str, FloatArray]) -> None:
        """Restore what `state` returned; on an error nothing is changed.

        Parameters
        ----------
        state : dict
        arrays : dict of str to array
            Arrays of the model, whose shapes the best weights must have.

        Raises
        ------
        KeyError, TypeError, ValueError
            For anything else.
        """
        attributes = state["attributes"]
        found: dict[str, Any] = {name: whole(name, attributes[name], 0) for name in COUNTS}
        # Before the first epoch there is no loss.
        if "loss_" in attributes:
            found["loss_"] = measured("loss_", attributes["loss_"])
        expected = {name: measured(name, attributes[name], optional=True) for name in VALUES[1:]}
        for name in CURVES:
            curve = state["curves"][name]
            expected[name] = None if curve is None else curve_in(name, curve)
        for name, value in expected.items():
            # Exactly the values that this fit measures must be present.
            if (value is None) != (self.named(name) is None):
                raise ValueError(f"{name}: expected what this fit measures, found {value!r:.80}")
        results = {
            place: {name: curve_in(name, state["evals_result_"][place][name]) for name in result}
            for place, result in self.evals_result.items()
        }
        patience = PatienceCounter.from_state(state["watch"])
        best = snapshot_from(state["best"], layout_of(arrays))
        for name, value in (found | expected).items():
            setattr(self, name.strip("_"), value)
        self.evals_result, self.patience, self.best = results, patience, best

    def named(self, name: str) -> Any:
        """Return the value with this attribute name of an estimator."""
        return getattr(self, name.strip("_"))


class FittedValue:
    """An attribute of an estimator that reads a value of its progress.

    Parameters
    ----------
    may_be_none : bool
        Whether None is a valid value; else the attribute does not exist.
    """

    def __init__(self, *, may_be_none: bool = False) -> None:
        self._may_be_none = may_be_none

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self._name = name

    def __get__(self, estimator: Any, owner: type[Any] | None = None) -> Any:
        """Return the value.

        Raises
        ------
        AttributeError
            Before the first fit.
        """
        if estimator is None:
            return self
        progress: FitProgress | None = vars(estimator).get("_progress")
        value = None if progress is None else progress.named(self._name)
        if progress is None or (value is None and not self._may_be_none):
            raise AttributeError(
                f"{type(estimator).__name__!r} object has no attribute {self._name!r}: it has one "
                "once it is fitted"
            )
        return value

    def __set__(self, estimator: Any, value: Any) -> None:
        """Set the value."""
        progress = vars(estimator).setdefault("_progress", FitProgress())
        setattr(progress, self._name.strip("_"), value)


def _as_array(values: list[float] | None) -> FloatArray | None:
    return None if values is None else np.array(values, np.float64)
