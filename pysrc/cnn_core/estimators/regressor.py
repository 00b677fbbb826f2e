"""`MLPRegressor`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.displays import PredictionDisplay
from cnn_core.estimators.base import BaseMLP
from cnn_core.estimators.compat import RegressorMixin, available_if, with_callbacks
from cnn_core.estimators.described import keep
from cnn_core.estimators.documentation import documented
from cnn_core.estimators.evaluation import EvalSet, with_validation
from cnn_core.estimators.parameters import out_activation, partial_fit_is_there
from cnn_core.estimators.targets import Regression, as_numbers, warn_of_unreachable
from cnn_core.estimators.task import Task
from cnn_core.io.checkpoint import Checkpoint
from cnn_core.io.fields import Fields
from cnn_core.network import FloatArray, Huber, Loss, Pinball
from cnn_core.optimizers import Optimizer
from cnn_core.training.callbacks import Callback
from cnn_core.training.schedules import Schedule
from cnn_core.validation import number, shown

LOSSES = ("squared_error", "absolute_error", "huber", "pinball", "poisson")


@documented
class MLPRegressor(RegressorMixin, BaseMLP):
    """A regressor: a dense network that learns numbers from samples.

    It has the parameters, attributes and methods of ``sklearn.neural_network.MLPRegressor``, with
    the same meaning, and more.

    Parameters
    ----------
    loss : str, default="squared_error"
        The loss to minimize, for a target y and its prediction p. Several targets per sample are
        averaged, for Poisson summed:

        - ``"squared_error"``: half of ``(y - p)**2``; p becomes the mean;
        - ``"absolute_error"``: ``abs(y - p)``; the median;
        - ``"huber"``: quadratic up to an error of `huber_delta`, then linear
          (Huber, 1964);
        - ``"pinball"``: the loss of a `quantile` (Koenker and Bassett, 1978);
        - ``"poisson"``: half the deviance of Poisson's distribution; y is at least 0, and the
          output is the exponential of the last layer.
    {parameters}
    quantile : float or list of float, default=0.5
        For the loss "pinball", above 0 and below 1. A list predicts several quantiles of one
        target, a column for each: ``[0.05, 0.5, 0.95]`` is a median with an interval of 90%.
        `score` then uses the quantile nearest to 0.5.
    huber_delta : float, default=1.0
        For the loss "huber", in the units of y.
    out_activation : str, optional
        Activation of the last layer; by default the identity, for "poisson" the exponential.
        "logistic" keeps predictions between 0 and 1, "softplus" and "exp" above 0.
    {more_parameters}

    Attributes
    ----------
    {attributes}

    See Also
    --------
    MLPClassifier : Predicts classes.

    {notes}

    Examples
    --------
    >>> import numpy as np
    >>> from cnn_core import MLPRegressor
    >>> X = np.linspace(-1, 1, 50).reshape(-1, 1)
    >>> y = np.sin(3 * X[:, 0])
    >>> regressor = MLPRegressor(activation="tanh", solver="lbfgs", random_state=0, tol=1e-5)
    >>> round(regressor.fit(X, y).score(X, y), 2)
    1.0
    """

    _kind = "regressor"
    _of_predictions = PredictionDisplay
    _saved_as = "MLPRegressor"
    # scikit-learn requires its mixin as the first base, but its `score` is not wanted.
    score = BaseMLP.score

    loss: str
    quantile: float | Sequence[float]
    huber_delta: float
    out_activation: str | None
    _task: Regression

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str | Sequence[str] = "relu",
        *,
        solver: str | Optimizer = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | np.random.Generator | None = None,
        tol: float = 1e-4,
        verbose: bool | int = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        quantile: float | Sequence[float] = 0.5,
        huber_delta: float = 1.0,
        out_activation: str | None = None,
        dropout: float | Sequence[float] = 0.0,
        normalization: str | Sequence[str | None] | None = None,
        initializer: str | Sequence[str] = "auto",
        weight_decay: float | None = None,
        clip_value: float | None = None,
        clip_norm: float | None = None,
        averaging: float = 0.0,
        schedule: str | Schedule | None = None,
        scoring: str | Callable[..., float] | None = None,
        callbacks: Sequence[Callback] | None = None,
        time_budget: float | None = None,
        input_scale: float = 1.0,
        dtype: npt.DTypeLike | None = None,
        backend: str = "auto",
        n_threads: int | None = None,
    ) -> None:
        keep(self, locals())

    @with_callbacks
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
        eval_set: EvalSet = None,
        checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    ) -> MLPRegressor:
        """Learn numbers from samples; with `warm_start` continue from the last fit.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix, (n, n_features)
            Real numbers. C-contiguous float32, float64 and bytes (uint8) are not copied. Sparse
            matrices (SciPy's) stay sparse.
        y : array-like, (n,) or (n, n_targets)
            Numbers.
        sample_weight : array-like, (n,), optional
            Weight of each sample, at least 0.
        X_val, y_val, sample_weight_val : array-likes, optional
            One more validation set, as in scikit-learn's gradient boosting: a pipeline transforms
            it with ``transform_input=["X_val"]``. It comes after those of `eval_set`.
        eval_set : tuple (X, y) or (X, y, sample_weight), or list of such, optional
            Samples to measure loss and score on after every epoch: `validation_loss_curve_`,
            `validation_scores_` and, for each set, `evals_result_`. The last one is used for
            `early_stopping`, and no samples are set aside.
        checkpoint : Checkpoint or path-like, optional
            A file from which the same call resumes after being killed. The result has the same bits
            as without the interruption, times excepted. With ``random_state=None`` the file's seed
            is used. See `cnn_core.Checkpoint`. Not available for ``solver="lbfgs"``.

        Returns
        -------
        MLPRegressor
            The estimator itself.

        Raises
        ------
        TypeError, ValueError
            For parameters and data of the wrong type, shape or range. The estimator is then
            unchanged.
        DivergenceError
            If the loss explodes or is not finite; the last good weights are kept. It is a
            ``ValueError``. With `early_stopping` it is a warning instead.
        RuntimeError
            If it is being fitted already, by another thread or one of its callbacks.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` epochs were not enough.
        """
        sets = with_validation(eval_set, X_val, y_val, sample_weight_val)
        return self._fit(X, y, sample_weight, sets, incremental=False, checkpoint=checkpoint)

    @available_if(partial_fit_is_there)
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, eval_set: EvalSet = None
    ) -> MLPRegressor:
        """Train for one epoch on samples, from the current state of the estimator.

        The state of the optimizer, the running averages and the shuffling continue: n calls with
        the same samples give the same result as one `fit` of n epochs. With `early_stopping` the
        score is measured on `eval_set`, or on the same part of the samples in each call; once it
        has not improved for too long, `stopped_because_` says so and the best weights are restored.

        Parameters
        ----------
        X, y, sample_weight, eval_set
            As for `fit`.

        Returns
        -------
        MLPRegressor
            The estimator itself.

        Raises
        ------
        TypeError, ValueError, DivergenceError, RuntimeError
            As for `fit`.
        """
        return self._fit(X, y, sample_weight, eval_set, incremental=True)

    def _task_of(
        self, y: Any, n_samples: int, *, first: bool, incremental: bool, classes: Any
    ) -> tuple[Task, FloatArray]:
        estimator = type(self).__name__
        numbers = as_numbers(y, n_samples, estimator)
        n_targets = numbers.shape[1] if numbers.ndim == 2 else None
        if not first:
            n_targets = self._task.n_targets
        task = self._regression(n_targets)
        y = task.read(numbers, n_samples, estimator, "y")
        warn_of_unreachable(y, task.activation)
        return task, y

    def _regression(self, n_targets: int | None) -> Regression:
        """Return the task that the parameters describe.

        Raises
        ------
        TypeError, ValueError
            For an unknown loss or activation, and for incompatible settings.
        """
        loss = self._network_loss()
        name = self.out_activation
        if name is None:
            name = "exp" if loss == "poisson" else "identity"
        if isinstance(loss, Pinball) and isinstance(loss.quantile, tuple) and n_targets:
            raise ValueError(
                f"quantile: expected one for {n_targets} targets per sample, found "
                f"{self.quantile!r}: several quantiles are for one target"
            )
        return Regression(n_targets, loss, out_activation(name))

    def _network_loss(self) -> Loss:
        name = self.loss
        if not isinstance(name, str) or name not in LOSSES:
            known = ", ".join(map(repr, LOSSES))
            # The first parameter, as in scikit-learn, is easily mistaken for the layers.
            is_size = isinstance(name, int | tuple | list)
            hint = f"; did you mean hidden_layer_sizes={shown(name)}?" if is_size else ""
            raise ValueError(f"loss: expected one of {known}, found {shown(name)}{hint}")
        if name == "huber":
            return Huber(number("huber_delta", self.huber_delta))
        if name == "pinball":
            if isinstance(self.quantile, Iterable):
                return Pinball(tuple(number("quantile", value) for value in self.quantile))
            return Pinball(number("quantile", self.quantile))
        return name  # type: ignore[return-value]

    def _task_from_json(self, values: Any) -> Task:
        fields = Fields(values, "task")
        n_targets = fields.optional(partial(fields.whole, least=1), "n_targets")
        return self._regression(n_targets)

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what the estimator can take."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
