"""`MLPClassifier`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from cnn_core.estimators.base_classifier import BaseClassifier
from cnn_core.estimators.compat import available_if, with_callbacks
from cnn_core.estimators.described import keep
from cnn_core.estimators.documentation import documented
from cnn_core.estimators.evaluation import EvalSet, with_validation
from cnn_core.estimators.parameters import partial_fit_is_there
from cnn_core.io.checkpoint import Checkpoint
from cnn_core.optimizers import Optimizer
from cnn_core.training.callbacks import Callback
from cnn_core.training.schedules import Schedule


@documented
class MLPClassifier(BaseClassifier):
    """A classifier: a dense network that learns classes from samples.

    It has the parameters, attributes and methods of ``sklearn.neural_network.MLPClassifier``, with
    the same meaning, and more. It minimizes the cross-entropy of a softmax over all classes. For
    two classes, and for multilabel targets, the outputs are sigmoids.

    Parameters
    ----------
    {parameters}
    class_weight : dict, "balanced" or None, default=None
        Weight of the samples of each class, in addition to `sample_weight`. ``"balanced"``: all
        classes have the same total weight. Classes missing in a dict have the weight 1; it may name
        classes that do not occur in a fold. Not for multilabel targets; "balanced" not for
        `partial_fit`.
    label_smoothing : float, default=0.0
        Share of each target that is spread evenly over all classes, from 0 to below 1 (Szegedy et
        al., 2016). `loss_` is computed with the smoothed targets.
    {more_parameters}

    Attributes
    ----------
    classes_ : (n_classes,) array
        The classes, sorted; for multilabel targets the column numbers.
    {attributes}

    See Also
    --------
    MLPRegressor : Predicts numbers.
    cnn_core.NN : A network of one hidden layer, with a minimal interface.

    {notes}

    Examples
    --------
    >>> import numpy as np
    >>> from cnn_core import MLPClassifier
    >>> X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)
    >>> y = ["same", "different", "different", "same"]
    >>> classifier = MLPClassifier((8,), learning_rate_init=0.05, random_state=0, tol=0)
    >>> classifier.set_params(max_iter=100, schedule="cosine").fit(X, y).predict(X).tolist()
    ['same', 'different', 'different', 'same']
    >>> print(classifier.summary())
    layer  inputs  units  activation  normalization  dropout  parameters
        1       2      8        relu              -        -          24
        2       8      1     sigmoid              -        -           9
                                                       total          33
    """

    _saved_as = "MLPClassifier"

    def __init__(
        self,
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
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        label_smoothing: float = 0.0,
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
    ) -> MLPClassifier:
        """Learn the classes of samples; with `warm_start` continue from the last fit.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix, (n, n_features)
            Real numbers. C-contiguous float32, float64 and bytes (uint8) are not copied. Sparse
            matrices (SciPy's) stay sparse.
        y : array-like, (n,) or (n, n_labels)
            Classes, as numbers or text; for multilabel targets 0 and 1.
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
        MLPClassifier
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
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        classes: Any = None,
        *,
        eval_set: EvalSet = None,
    ) -> MLPClassifier:
        """Train for one epoch on samples, from the current state of the estimator.

        The state of the optimizer, the running averages and the shuffling continue: n calls with
        the same samples give the same result as one `fit` of n epochs. With `early_stopping` the
        score is measured on `eval_set`, or on the same part of the samples in each call; once it
        has not improved for too long, `stopped_because_` says so and the best weights are restored.

        Parameters
        ----------
        X, y, sample_weight, eval_set
            As for `fit`.
        classes : array-like, (n_classes,), optional
            All classes, also those of later calls. Needed only in the first call.

        Returns
        -------
        MLPClassifier
            The estimator itself.

        Raises
        ------
        TypeError, ValueError, DivergenceError, RuntimeError
            As for `fit`; also for a first call without `classes`, and for unknown classes.
        """
        self._require_classes(classes)
        return self._fit(X, y, sample_weight, eval_set, incremental=True, classes=classes)
