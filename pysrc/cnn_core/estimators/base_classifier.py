"""The common part of all classifiers: from classes to targets, from outputs to probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from cnn_core.containers import as_array
from cnn_core.estimators.base import BaseMLP
from cnn_core.estimators.compat import ClassifierMixin
from cnn_core.estimators.labels import Classification, Labels, as_labels
from cnn_core.estimators.task import BEFORE, Task
from cnn_core.network import FloatArray
from cnn_core.validation import share, shown


class BaseClassifier(ClassifierMixin, BaseMLP):
    """The base of `MLPClassifier` and `cnn_core.ImageClassifier`."""

    _kind = "classifier"
    # scikit-learn requires its mixin as the first base, but its `score` is not wanted.
    score = BaseMLP.score

    class_weight: Mapping[Any, float] | Literal["balanced"] | None
    label_smoothing: float
    classes_: Labels
    _task: Classification

    def predict_proba(self, X: Any) -> FloatArray:
        """Return the probability of each class for samples.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix, (n, n_features)

        Returns
        -------
        (n, n_classes) array
            In the order of `classes_`, rows sum to 1. For multilabel targets the probability of
            each label.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As `predict` does.
        """
        outputs = self._outputs(X)
        return self._task.probabilities(outputs)

    def predict_log_proba(self, X: Any) -> FloatArray:
        """Return the logarithm of the probability of each class; minus infinity for 0.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix, (n, n_features)

        Returns
        -------
        (n, n_classes) array

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As `predict` does.
        """
        probabilities = self.predict_proba(X)
        with np.errstate(divide="ignore"):
            return np.log(probabilities, out=probabilities)

    def _task_of(
        self, y: Any, n_samples: int, *, first: bool, incremental: bool, classes: Any
    ) -> tuple[Task, Labels]:
        estimator = type(self).__name__
        if incremental and isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight: expected a dict or None in partial_fit, which does not know how "
                f"many samples of each class will come, found {shown(self.class_weight)}"
            )
        labels = as_labels(y, n_samples, estimator)
        task = Classification.of(labels) if first else self._task
        known_from = BEFORE
        if first and incremental:
            known_from = "classes"
            if labels.ndim == 1:
                task = Classification.of_classes(_as_classes(classes, estimator))
        if not incremental and not first:
            _require_same_classes(self.classes_, Classification.of(labels).classes)
        task = self._with_settings(task)
        return task, task.read(labels, n_samples, estimator, "y", known_from=known_from)

    def _require_classes(self, classes: Any) -> None:
        """Refuse a first call of partial_fit without classes, and later calls with other classes.

        Raises
        ------
        ValueError
            In these cases.
        """
        if not self.__sklearn_is_fitted__():
            if classes is None:
                raise ValueError(
                    "classes must be passed on the first call to partial_fit: all that will ever "
                    "come, in any order"
                )
            return
        if classes is None:
            return
        found = Classification.of_classes(_as_classes(classes, type(self).__name__)).classes
        if not np.array_equal(found, self.classes_):
            raise ValueError(
                f"classes: expected those of the first call to partial_fit or fit, {self.classes_},"
                f" found {found}; leave them out in later calls"
            )

    def _become(self, model: Any, task: Any) -> None:
        super()._become(model, task)
        self.classes_ = task.classes

    def _with_settings(self, task: Classification) -> Classification:
        smoothing = share("label_smoothing", self.label_smoothing)
        return replace(task, smoothing=smoothing, class_weight=self.class_weight)

    def _task_from_json(self, values: Any) -> Task:
        return self._with_settings(Classification.from_json(values))

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what the estimator can take."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _as_classes(classes: Any, estimator: str) -> Labels:
    """Return the user's classes as an array of one dimension."""
    array = as_array(classes, "classes").ravel()
    return as_labels(array, len(array), estimator, "classes")


def _require_same_classes(known: Labels, found: Labels) -> None:
    if not np.array_equal(known, found):
        raise ValueError(
            "warm_start can only be used where `y` has the same classes as in the previous call "
            f"to fit. Previously got {known}, `y` has {found}"
        )
