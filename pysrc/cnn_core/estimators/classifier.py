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

    Its parameters, attributes and methods are those of ``sklearn.neural_network.MLPClassifier``,
    with the same meaning, and some more. It minimizes the cross-entropy: of a softmax over all
    classes; of a sigmoid if there are two, and for each label if there are several per sample.

    Parameters
    ----------
    {parameters}
    class_weight : dict, "balanced" or None, default=None
        What the samples of each class count, in addition to `sample_weight`. ``"balanced"``: all
        classes count alike. Classes that a dict leaves out count 1; it may name classes that the
        samples of a fold do not have. Not for several labels per sample, "balanced" not for
        `partial_fit`.
    label_smoothing : float, default=0.0
        Share of each target that is spread evenly over all classes, from 0 to below 1 (Szegedy et
        al., 2016). `loss_` is that for the smoothed targets.
    {more_parameters}

    Attributes
    ----------
    classes_ : (n_classes,) array
        The classes, in rising order; for several labels per sample the numbers of the columns.
    {attributes}

    See Also
    --------
    MLPRegressor : Predicts numbers.
    cnn_core.NN : A network of one hidden layer, small enough to remember.

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
        """Learn the classes of samples; with `warm_start` go on from the fit before.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix, (n, n_features)
            Real numbers. C-contiguous float32, float64 and bytes (uint8) are taken as they are,
            without a copy; of sparse matrices (SciPy's) the zeros take no memory.
        y : array-like, (n,) or (n, n_labels)
            Classes, numbers or text; for several labels per sample 0 and 1.
        sample_weight : array-like, (n,), optional
            What each sample counts, at least 0.
        X_val, y_val, sample_weight_val : array-likes, optional
            One more set to measure, as scikit-learn's gradient boosting takes it: a pipeline
            transforms it with ``transform_input=["X_val"]``. It stands behind those of `eval_set`.
        eval_set : tuple (X, y) or (X, y, sample_weight), or list of such, optional
            Samples to measure loss and score on after every epoch: `validation_loss_curve_`,
            `validation_scores_` and, of each set, `evals_result_`. The last one decides
            about `early_stopping`, for which no samples are set aside then.
        checkpoint : Checkpoint or path-like, optional
            A file from which the same call goes on after being killed: the estimator is in the end
            what it would have become without a pause, bit for bit, times excepted. With
            ``random_state=None`` the file's seed is taken. See `cnn_core.Checkpoint`. There is none
            for ``solver="lbfgs"``.

        Returns
        -------
        MLPClassifier
            The estimator itself.

        Raises
        ------
        TypeError, ValueError
            For parameters and data of another kind, shape or range. The estimator is then as it was
            before.
        DivergenceError
            If the loss explodes or is not finite; the last good weights are kept. It is a
            ``ValueError``. With `early_stopping` a warning takes its place.
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
        """Train for one epoch on samples, going on from where the estimator stands.

        The optimizer, the running averages and the order of the samples go on as well: n calls with
        the same samples learn what one `fit` of n epochs does. With `early_stopping` the score is
        measured on `eval_set`, or on the same part of the samples in each call; once it has not
        improved for too long, `stopped_because_` says so and the best weights are restored.

        Parameters
        ----------
        X, y, sample_weight, eval_set
            As for `fit`.
        classes : array-like, (n_classes,), optional
            All classes that will ever come. Needed in the first call alone.

        Returns
        -------
        MLPClassifier
            The estimator itself.

        Raises
        ------
        TypeError, ValueError, DivergenceError, RuntimeError
            As for `fit`; for a first call without `classes`, and classes that were not named.
        """
        self._require_classes(classes)
        return self._fit(X, y, sample_weight, eval_set, incremental=True, classes=classes)
