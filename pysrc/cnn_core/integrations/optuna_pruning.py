"""`OptunaPruning`: stop unpromising trials of Optuna early."""

from __future__ import annotations

from typing import Any

from cnn_core.integrations.tool import ToolCallback, tool
from cnn_core.training.state import TrainingState, require_monitored


class OptunaPruning(ToolCallback):
    """Reports each epoch to an Optuna trial, and stops the training if the trial should be pruned.

    Parameters
    ----------
    trial : optuna.trial.Trial
        A copy of the callback, as in a grid search, uses the same trial.
    monitor : str, optional
        The reported value: ``"validation_score"``, ``"validation_loss"``, ``"loss"`` or another
        column of the history. By default the validation score, or else the validation accuracy, for
        a study that maximizes; a loss for one that minimizes.

    Raises
    ------
    ValueError
        For an unknown `monitor`.
    optuna.TrialPruned
        From `fit`, if the trial is pruned: Optuna handles it and continues with the next trial.

    Examples
    --------
    >>> import numpy as np
    >>> import optuna
    >>> from cnn_core import MLPClassifier
    >>> from cnn_core.integrations import OptunaPruning
    >>> optuna.logging.set_verbosity(optuna.logging.ERROR)
    >>> X = np.random.default_rng(0).normal(size=(60, 3))
    >>> y = X[:, 0] > 0
    >>> def objective(trial):
    ...     rate = trial.suggest_float("rate", 1e-3, 1e-1, log=True)
    ...     model = MLPClassifier((8,), learning_rate_init=rate, max_iter=5, schedule="constant",
    ...                           random_state=0, callbacks=[OptunaPruning(trial)])
    ...     return model.fit(X[:40], y[:40], eval_set=(X[40:], y[40:])).score(X[40:], y[40:])
    >>> study = optuna.create_study(direction="maximize")
    >>> study.optimize(objective, n_trials=2)
    >>> len(study.trials)
    2
    """

    _settings = ("trial", "monitor")

    def __init__(self, trial: Any, monitor: str | None = None) -> None:
        self.trial = trial
        self.monitor = None if monitor is None else require_monitored(monitor)

    def __deepcopy__(self, memo: dict[int, Any]) -> OptunaPruning:
        # A deep copy of a trial would copy its study.
        return OptunaPruning(self.trial, self.monitor)

    def on_epoch_end(self, state: TrainingState) -> None:
        """Report the epoch; stop the training if the trial should be pruned."""
        record = state.record
        assert record is not None
        maximizes = self.trial.study.direction.name == "MAXIMIZE"
        names = ("validation_score", "validation_accuracy", "accuracy")
        if not maximizes:
            names = ("validation_loss", "loss", "loss")
        known = names if self.monitor is None else (self.monitor,)
        value = next((v for name in known if (v := getattr(record, name)) is not None), None)
        if value is None:
            raise ValueError(
                f"monitor: expected a value for {' or '.join(known)} after each epoch, found none; "
                "pass eval_set, or another monitor"
            )
        self.trial.report(float(value), record.epoch)
        if self.trial.should_prune():
            raise tool("optuna", "optuna").TrialPruned(
                f"pruned after epoch {record.epoch}, with {value:g}"
            )
