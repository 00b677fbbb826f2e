"""Support for scikit-learn's callbacks (``sklearn.callback``, since version 1.9).

They are set with ``set_callbacks`` of an estimator. A fit is a task, with a subtask for each epoch
or iteration of L-BFGS.
"""

from __future__ import annotations

import copy
from typing import Any

from cnn_core.estimators.compat import HAS_CALLBACKS
from cnn_core.estimators.fitted import FittedMLP
from cnn_core.training import TrainingState
from cnn_core.training.callbacks import Callback
from cnn_core.validation import shown


class SklearnCallbacks(Callback):
    """Calls scikit-learn's callbacks for each epoch.

    Parameters
    ----------
    estimator : FittedMLP
    X, y, sample_weight
        The arguments of ``fit``.
    """

    def __init__(self, estimator: FittedMLP, X: Any, y: Any, sample_weight: Any) -> None:
        self._estimator = estimator
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._data = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self._fit = estimator._init_callback_context(max_subtasks=estimator.max_iter)
        self._fit.call_on_fit_task_begin(**self._data)

    def on_epoch_begin(self, state: TrainingState) -> None:
        """Begin a subtask."""
        self._epoch = self._fit.subcontext(task_name="epoch")
        self._epoch.call_on_fit_task_begin(**self._data)

    def on_epoch_end(self, state: TrainingState) -> None:
        """End the subtask, and the training if a callback asks for it."""
        if self._epoch.call_on_fit_task_end(
            **self._data, reconstruction_attributes=self._as_fitted
        ):
            state.stop("a callback of scikit-learn's asked for it")

    def ends(self) -> None:
        """End the task."""
        self._fit.call_on_fit_task_end(**self._data, reconstruction_attributes=self._as_fitted)

    def _as_fitted(self) -> dict[str, Any]:
        """Return the attributes that a copy needs for the same predictions as now."""
        return {"model_": copy.deepcopy(self._estimator.model_)}


def for_fit(estimator: FittedMLP, X: Any, y: Any, sample_weight: Any) -> SklearnCallbacks | None:
    """Return the callback for a fit; None if scikit-learn has no callbacks."""
    return SklearnCallbacks(estimator, X, y, sample_weight) if HAS_CALLBACKS else None


def require_own(callbacks: Any) -> list[Callback]:
    """Return the callbacks of the parameter `callbacks` as a list.

    Raises
    ------
    TypeError
        For an object that is not a `cnn_core.callbacks.Callback`.
    """
    if callbacks is not None and not isinstance(callbacks, list | tuple):
        raise TypeError(
            f"callbacks: expected a list of callbacks, or None, found {shown(callbacks)}"
        )
    found = [] if callbacks is None else list(callbacks)
    for callback in found:
        if not isinstance(callback, Callback):
            advice = (
                "; one of scikit-learn's own is for set_callbacks"
                if hasattr(callback, "on_fit_task_end")
                else ""
            )
            raise TypeError(
                "callbacks: expected objects that derive from cnn_core.callbacks.Callback, "
                f"found {shown(callback)}{advice}"
            )
    return found
