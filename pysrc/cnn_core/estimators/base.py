"""What the two estimators have in common: from what a user passes to a trained model, and back."""

from __future__ import annotations

import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from cnn_core.backends.interface import Predictor
from cnn_core.class_targets import Targets
from cnn_core.containers import column_names
from cnn_core.estimators import presets, saving, sklearn_callbacks, summary
from cnn_core.estimators.compat import (
    BaseEstimator,
    CallbackSupportMixin,
    ConvergenceWarning,
    NotFittedError,
)
from cnn_core.estimators.evaluation import ADAPTIVE_DIVISOR, BestWeights, EvaluationSet, Monitor
from cnn_core.estimators.models import best_going_on, first_model, model_going_on
from cnn_core.estimators.parameters import (
    batch_size_of,
    check_training,
    name_of,
    network_of,
    random_state,
    rate_of,
    schedule_of,
)
from cnn_core.estimators.samples import (
    Table,
    as_samples,
    as_table,
    dtype_for,
    names_of,
    require_features,
)
from cnn_core.estimators.scoring import OWN, require_scoring
from cnn_core.estimators.splitting import set_aside, too_small
from cnn_core.estimators.task import BEFORE, Task
from cnn_core.estimators.views import LayerList, biases_of, set_biases, set_weights, weights_of
from cnn_core.estimators.weights import as_weights, require_weight
from cnn_core.exclusive import Exclusive
from cnn_core.io.container import ModelFileError
from cnn_core.model import Model
from cnn_core.network import FloatArray
from cnn_core.optimizers import Optimizer
from cnn_core.outputs import Keep
from cnn_core.sparse import Samples
from cnn_core.training import INTERRUPTED, DivergenceError, Recipe, TrainingState
from cnn_core.training.callbacks import Callback, TimeBudget
from cnn_core.training.patience import PatienceCounter
from cnn_core.training.schedules import Schedule
from cnn_core.training.snapshot import Snapshot
from cnn_core.validation import number, require_in_dtype, whole

if TYPE_CHECKING:
    from cnn_core.io.checkpoint import Checkpoint

Estimator = TypeVar("Estimator", bound="BaseMLP")
# Not an attribute, which a copy made in the middle of a fit would have as well.
_FITS: WeakKeyDictionary[BaseMLP, Exclusive] = WeakKeyDictionary()
EvalSet = tuple[Any, ...] | Sequence[tuple[Any, ...]] | None


def keep(estimator: BaseMLP, arguments: dict[str, Any]) -> None:
    """Store the arguments of ``__init__``, its ``locals()``, under their own names."""
    for name, value in arguments.items():
        if name not in ("self", "__class__"):
            setattr(estimator, name, value)


@dataclass(frozen=True, eq=False)
class _Read:
    """What was passed to a fit, once all of it has been checked.

    Attributes
    ----------
    task : Task
    model : Model
        New, or the one that goes on.
    data : EvaluationSet
        All of the samples; their weights are the user's.
    sets : list of EvaluationSet
        The sets to evaluate on.
    names : (n_features,) array of str or None
    first : bool
        Whether nothing has been learned so far.
    """

    task: Task
    model: Model
    data: EvaluationSet
    sets: list[EvaluationSet]
    names: npt.NDArray[np.object_] | None
    first: bool


class BaseMLP(CallbackSupportMixin, BaseEstimator, ABC):
    """The base of `MLPClassifier` and `MLPRegressor`."""

    hidden_layer_sizes: int | Sequence[int]
    activation: str | Sequence[str]
    solver: str | Optimizer
    alpha: float
    batch_size: int | str
    learning_rate: str
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: int | np.random.RandomState | None
    tol: float
    verbose: bool | int
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int
    dropout: float | Sequence[float]
    normalization: str | Sequence[str | None] | None
    initializer: Any
    weight_decay: float | None
    clip_value: float | None
    clip_norm: float | None
    averaging: float
    schedule: str | Schedule | None
    scoring: str | Callable[..., float] | None
    callbacks: Sequence[Callback] | None
    time_budget: float | None
    input_scale: float
    dtype: npt.DTypeLike | None
    backend: str
    n_threads: int | None

    # "classifier" or "regressor".
    _kind: ClassVar[str]

    model_: Model
    n_features_in_: int
    feature_names_in_: npt.NDArray[np.object_]
    n_outputs_: int
    n_layers_: int
    out_activation_: str
    loss_: float
    best_loss_: float | None
    loss_curve_: list[float]
    validation_loss_curve_: list[float] | None
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    evals_result_: dict[str, dict[str, list[float]]]
    n_iter_: int
    t_: int
    stopped_because_: str | None
    _task: Task
    # Where the stopping rule stands, and what `partial_fit` goes on with.
    _watch: PatienceCounter
    _best: Snapshot | None
    # How often the learning rate "adaptive" was divided.
    _cuts: int

    @classmethod
    def preset(cls: type[Estimator], name: str, **overrides: Any) -> Estimator:
        """Return an estimator with settings proven on images like those of Fashion-MNIST.

        They are for bytes from 0 to 255, 784 of them for an image, and about 60,000 images. They
        were chosen for classes; for numbers they are a place to start from. What they are,
        `get_params` shows. A `fit` of the estimator warns if its samples are too few for the
        epochs of the preset.

        Parameters
        ----------
        name : {"fast", "balanced", "best"}
            ``"fast"`` trains for a second or two, ``"best"`` some ten times as long.
        **overrides
            Parameters that are to be other than in the preset.

        Raises
        ------
        ValueError
            For another name.

        Examples
        --------
        >>> from cnn_core import MLPClassifier
        >>> MLPClassifier.preset("fast", random_state=0).hidden_layer_sizes
        (128,)
        """
        settings = presets.settings_of(name, cls._kind)
        estimator = cls(**{**settings, **overrides})
        if "max_iter" not in overrides:
            vars(estimator)["_preset"] = name
        return estimator

    @abstractmethod
    def _task_of(
        self, y: Any, n_samples: int, *, first: bool, incremental: bool, classes: Any
    ) -> tuple[Task, npt.NDArray[Any]]:
        """Return what is to be learned, and `y` as the task reads it.

        Parameters
        ----------
        y : array-like
        n_samples : int
        first : bool
            Whether nothing has been learned so far.
        incremental : bool
            Whether this is a `partial_fit`.
        classes : array-like or None
            The classes that were named with it.
        """

    @abstractmethod
    def _task_from_json(self, values: Any) -> Task:
        """Return the task whose `to_json` gave `values`."""

    # Fitting

    def _fit(
        self: Estimator,
        X: Any,
        y: Any,
        sample_weight: Any,
        eval_set: EvalSet,
        *,
        incremental: bool,
        classes: Any = None,
        checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    ) -> Estimator:
        """Fit, for one epoch if `incremental`; nothing is changed before everything is checked."""
        with _FITS.setdefault(self, Exclusive()).held(
            "this estimator is being fitted already, by another thread or one of its callbacks; "
            "wait for it, or fit a clone"
        ):
            self._fit_alone(X, y, sample_weight, eval_set, incremental, classes, checkpoint)
        return self

    def _fit_alone(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        eval_set: EvalSet,
        incremental: bool,
        classes: Any,
        checkpoint: Checkpoint | str | os.PathLike[str] | None,
    ) -> None:
        self._require_idle()
        check_training(self)
        if checkpoint is not None and self.solver == "lbfgs":
            raise ValueError(
                "checkpoint: expected None for the solver 'lbfgs', whose memory of its steps is "
                f"SciPy's own, found {checkpoint!r}; use another solver, or fit without one"
            )
        require_scoring(self.scoring, self._kind)
        callbacks = sklearn_callbacks.require_own(self.callbacks)
        if incremental:
            self._require_for_partial_fit()
        read = self._read(X, y, sample_weight, eval_set, incremental, classes)
        if checkpoint is not None and self.random_state is None and read.first:
            _take_seed(read.model, checkpoint)
        train, sets = read.data, read.sets
        if self._stops_early and not sets:
            train, aside = self._split(read)
            sets = [aside]
        train = self._weighed(train, read.task, read.model.dtype)
        if train.weights is not None:
            from_classes = sample_weight is None
            require_weight(train.weights, "class_weight" if from_classes else "sample_weight")
        if self.scoring is not None and not sets:
            warnings.warn(
                "scoring: found no samples to score, so that it has no effect; pass eval_set, or "
                "set early_stopping=True",
                UserWarning,
                stacklevel=5,
            )
        if sets and self._stops_early and sets[-1].n_counted < 2 and self._scores_by_r2:
            raise ValueError(
                "eval_set: expected at least 2 samples that count to stop early by R2, found "
                f"{sets[-1].n_counted}; pass more, or set scoring='loss'"
            )
        self._hint_at_few_steps(len(train.y))
        before = dict(vars(self))
        self._take_over(read, validated=bool(sets), incremental=incremental)
        bridge = None if incremental else sklearn_callbacks.for_fit(self, X, y, sample_weight)
        monitor = Monitor(self, train, sets, reported=bool(read.sets))
        own = [*callbacks, *([bridge] if bridge else [])]
        try:
            self._train(monitor, own, incremental, checkpoint)
        except ModelFileError:
            # The checkpoint is none of this fit: nothing has been learned.
            vars(self).clear()
            vars(self).update(before)
            raise
        if bridge:
            bridge.ends()

    def _require_idle(self) -> None:
        """Refuse a fit while somebody trains the model itself.

        Raises
        ------
        RuntimeError
            If it is being trained.
        """
        if self.__sklearn_is_fitted__():
            with self.model_.exclusively():
                pass

    @property
    def _stops_early(self) -> bool:
        return bool(self.early_stopping) and self.solver != "lbfgs"

    @property
    def _scores_by_r2(self) -> bool:
        return self._kind == "regressor" and self.scoring in (None, OWN["regressor"])

    def _hint_at_few_steps(self, n_samples: int) -> None:
        """Warn if a preset, made for many samples, is going to learn too little from these."""
        preset = vars(self).get("_preset")
        if preset is None:
            return
        batches = -(-n_samples // batch_size_of(self, n_samples))
        if self.max_iter * batches < presets.FEW_STEPS:
            enough = -(-presets.FEW_STEPS // batches)
            warnings.warn(
                f"preset {preset!r}: {self.max_iter} epochs of {n_samples} samples are only "
                f"{self.max_iter * batches} steps: pass max_iter={enough} or more",
                UserWarning,
                stacklevel=5,
            )

    def _require_for_partial_fit(self) -> None:
        for name in ("schedule", "time_budget"):
            if getattr(self, name) is not None:
                raise ValueError(
                    f"{name}: expected None in partial_fit, which does not know how long it will "
                    f"go on, found {getattr(self, name)!r}; set learning_rate_init between calls"
                )

    def _read(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        eval_set: EvalSet,
        incremental: bool,
        classes: Any,
    ) -> _Read:
        name = type(self).__name__
        names = names_of(X)
        table = as_table(X, name)
        first = not (self.__sklearn_is_fitted__() and (incremental or self.warm_start))
        if first:
            dtype = dtype_for(table, self.dtype)
        else:
            dtype = self.model_.dtype
            self._require_features(table, names)
        task, labels = self._task_of(
            y, len(table), first=first, incremental=incremental, classes=classes
        )
        weights = as_weights(sample_weight, len(table), dtype)
        network = network_of(self, table.shape[1], task)
        require_in_dtype("alpha", network.l2, dtype)
        require_in_dtype("learning_rate_init", rate_of(self), dtype)
        x = as_samples(table, dtype, name, columns=column_names(X))
        if first:
            model = first_model(self, network, dtype, random_state(self.random_state))
        else:
            model = model_going_on(self, network, self.model_, incremental)
        data = EvaluationSet(x, labels, task.targets(labels, dtype), weights)
        known_from = ("classes" if incremental else "y") if first else BEFORE
        sets = [
            self._evaluation_set(values, task, known_from, names, table.shape[1], dtype, place)
            for values, place in _each_set(eval_set)
        ]
        return _Read(task, model, data, sets, names, first)

    def _evaluation_set(
        self,
        values: tuple[Any, ...],
        task: Task,
        known_from: str,
        names: npt.NDArray[np.object_] | None,
        n_features: int,
        dtype: np.dtype[Any],
        place: str,
    ) -> EvaluationSet:
        estimator = type(self).__name__
        X, y, *rest = values
        table = as_table(X, estimator, f"{place}[0]")
        require_features(table, names_of(X), n_features, names, estimator, f"{place}[0]")
        labels = task.read(y, len(table), estimator, f"{place}[1]", known_from=known_from)
        weights = as_weights(rest[0] if rest else None, len(table), dtype, f"{place}[2]")
        x = as_samples(table, dtype, estimator, f"{place}[0]", column_names(X))
        return EvaluationSet(x, labels, task.targets(labels, dtype), weights)

    def _split(self, read: _Read) -> tuple[EvaluationSet, EvaluationSet]:
        """Return what to train on and what to validate on, the same split in every fit."""
        # Samples without weight are as if they were not there: none of them is set aside.
        counted = np.arange(len(read.data.y))
        if read.data.weights is not None:
            counted = np.flatnonzero(read.data.weights)
        positions = read.task.positions(read.data.y[counted])
        if positions is not None:
            alone = [str(read.task.name_of(position)) for position in too_small(positions)]
            if alone:
                raise ValueError(
                    "The least populated classes in y have only 1 member, which cannot be both "
                    "trained on and validated on with early_stopping. Classes with too few members "
                    f"are: {alone}; pass eval_set, or more samples of them"
                )
        random = np.random.RandomState(read.model.seed % 2**32)
        fraction = number("validation_fraction", self.validation_fraction)
        _, chosen = set_aside(len(counted), fraction, random, positions)
        aside = counted[chosen]
        kept = np.ones(len(read.data.y), bool)
        kept[aside] = False
        return read.data.part(np.flatnonzero(kept)), read.data.part(aside)

    def _weighed(self, data: EvaluationSet, task: Task, dtype: np.dtype[Any]) -> EvaluationSet:
        """Return samples to train on with the weights that their classes give them as well."""
        extra = task.weights(data.y)
        if extra is None:
            return data
        weights = extra if data.weights is None else extra * data.weights
        return replace(data, weights=weights.astype(dtype))

    def _take_over(self, read: _Read, *, validated: bool, incremental: bool) -> None:
        """Become an estimator that knows its task and has a model, and whose curves can begin."""
        if not read.first and self._best is not None and read.model is not self.model_:
            self._best = best_going_on(read.model, self._best)
        self._become(read.model, read.task)
        if read.first:
            vars(self).pop("feature_names_in_", None)
            if read.names is not None:
                self.feature_names_in_ = read.names
        self._begin_curves(read, validated)
        self.stopped_because_ = None
        if not incremental or read.first:
            self.n_iter_ = 0
            self._watch = PatienceCounter()
            self._cuts = 0
        if self._stops_early and not incremental and self.best_validation_score_ is not None:
            # What a fit before this one has found is to be surpassed.
            known = np.isfinite(self.best_validation_score_)
            self._best = read.model.snapshot() if known else None

    def _become(self, model: Model, task: Task) -> None:
        """Have a model, and what is known with it."""
        network = model.network
        if (task.n_outputs, task.activation, task.loss) != (
            network.n_outputs,
            network.layers[-1].activation,
            network.loss,
        ):
            raise ValueError("a task and a network that do not go together")
        self.model_ = model
        self._task = task
        self.n_features_in_ = network.n_inputs
        self.n_outputs_ = network.n_outputs
        self.n_layers_ = len(network.layers) + 1
        self.out_activation_ = name_of(network.layers[-1].activation)

    def _begin_curves(self, read: _Read, validated: bool) -> None:
        if read.first:
            self.loss_curve_ = []
            self.t_ = 0
            self._best = None
            self.best_loss_ = None if self._stops_early else float("inf")
            self.best_validation_score_ = None
            self.validation_scores_ = self.validation_loss_curve_ = None
            self.evals_result_ = {}
        if not validated:
            return
        if self.validation_scores_ is None:
            self.validation_scores_ = []
            self.validation_loss_curve_ = []
        if self._stops_early and self.best_validation_score_ is None:
            self.best_validation_score_ = -float("inf")
        for place, _ in enumerate(read.sets):
            self.evals_result_.setdefault(f"eval_{place}", {"loss": [], "score": []})

    def _train(
        self,
        monitor: Monitor,
        callbacks: list[Callback],
        incremental: bool,
        checkpoint: Checkpoint | str | os.PathLike[str] | None,
    ) -> None:
        train = monitor.train
        validation = monitor.sets[-1].validation(self) if monitor.sets else None
        monitored = "loss"
        if validation is not None and self._stops_early:
            monitored = "validation_score" if validation.score else "validation_loss"
        recipe = Recipe(
            epochs=1 if incremental else self.max_iter,
            batch_size=self._batch_size(len(train.y)),
            learning_rate=rate_of(self) / ADAPTIVE_DIVISOR**self._cuts,
            schedule=schedule_of(self),
            shuffle=bool(self.shuffle),
            tol=self.tol,
            monitor=monitored,
            time_budget=self.time_budget,
        )
        wanted: dict[str, Any] = {
            "weights": train.weights,
            "validation": validation,
            "callbacks": [monitor, *callbacks, BestWeights(self, incremental=incremental)],
            "owner": self,
        }
        try:
            if self.solver == "lbfgs":
                wanted["max_evaluations"] = self.max_fun
                if self.time_budget is not None:
                    wanted["callbacks"].append(TimeBudget(self.time_budget))
                state = self.model_.minimize(train.x, train.t, recipe, **wanted)
            else:
                wanted["are_classes"] = self._task.has_class_outputs
                wanted["checkpoint"] = checkpoint
                wanted["seeded"] = self.random_state is not None
                state = self.model_.train(train.x, train.t, recipe, **wanted)
        except DivergenceError as error:
            self._diverged(error, monitor)
        except KeyboardInterrupt:
            self.stopped_because_ = INTERRUPTED
            warnings.warn("Training interrupted by user.", stacklevel=6)
        else:
            self._ended(state, monitor, incremental)

    def _batch_size(self, n_samples: int) -> int:
        size = batch_size_of(self, n_samples)
        if not isinstance(self.batch_size, str) and self.batch_size > n_samples:
            warnings.warn(
                f"batch_size: found {self.batch_size}, more than the {n_samples} samples to train "
                "on; a batch will have them all",
                stacklevel=7,
            )
        return size

    def _ended(self, state: TrainingState, monitor: Monitor, incremental: bool) -> None:
        """Put down how a training has ended; warn if it might have gone on."""
        self.stopped_because_ = state.stopped_because
        if self._stops_early and self.best_validation_score_ == -np.inf and self.loss_curve_:
            warnings.warn(
                "scoring: found nan after every epoch, so that early stopping had nothing to go "
                "by; check the validation samples and the scoring",
                UserWarning,
                stacklevel=7,
            )
        if state.record is None:
            monitor.measure(state)
        if incremental:
            return
        reason = state.stopped_because
        if self.solver == "lbfgs":
            if reason is None or (reason.startswith("L-BFGS") and not state.converged):
                warnings.warn(
                    f"lbfgs has not converged ({reason or f'max_iter={self.max_iter}'}): raise "
                    "max_iter or max_fun, or scale the data",
                    ConvergenceWarning,
                    stacklevel=7,
                )
        elif reason is None and self.schedule is None and self.time_budget is None:
            warnings.warn(
                f"the maximum of {self.max_iter} iterations was reached before convergence: raise "
                "max_iter, or set a schedule",
                ConvergenceWarning,
                stacklevel=7,
            )

    def _diverged(self, error: DivergenceError, monitor: Monitor) -> None:
        """Keep what was good before, with early stopping; else say what to change."""
        message = (
            "Solver produced non-finite parameter weights. The input data may contain large values "
            f"and need to be preprocessed. More precisely: {error}"
        )
        if not self._stops_early:
            raise DivergenceError(message) from None
        monitor.diverged()
        self.stopped_because_ = str(error)
        warnings.warn(
            f"{message}. Because of early_stopping the best weights before were kept",
            ConvergenceWarning,
            stacklevel=7,
        )

    # Predicting

    def __sklearn_is_fitted__(self) -> bool:
        """Tell whether there is anything to predict with."""
        return "model_" in vars(self)

    def _require_fitted(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(
                f"This {type(self).__name__} instance is not fitted yet: call fit with samples and "
                "what is to be learned from them first"
            )

    def _require_features(self, table: Table, names: npt.NDArray[np.object_] | None) -> None:
        require_features(
            table,
            names,
            self.n_features_in_,
            getattr(self, "feature_names_in_", None),
            type(self).__name__,
        )

    def _outputs(self, X: Any, keep: Keep | None = None) -> npt.NDArray[Any]:
        """Return the outputs of the network for samples of any kind, or what is kept of them."""
        self._require_fitted()
        name = type(self).__name__
        table = as_table(X, name)
        self._require_features(table, names_of(X))
        samples = as_samples(table, self.model_.dtype, name, columns=column_names(X))
        return self.model_.predict(samples, keep=keep)

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """Return the predictions for samples.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix, (n, n_features)

        Returns
        -------
        array
            Classes or numbers, one for each sample (n,), or several (n, n_outputs).

        Raises
        ------
        NotFittedError
            Before the first `fit`.
        TypeError, ValueError
            For other features than those of `fit`, and for values that are not finite numbers.
        """
        self._require_fitted()
        return self._outputs(X, self._task.decode)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return how good the predictions for samples are: accuracy, or R2 of a regressor.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix, (n, n_features)
        y : array-like, (n,) or (n, n_outputs)
            What should be predicted. For several labels per sample all of them have to be right.
        sample_weight : array-like, (n,), optional

        Returns
        -------
        float
            At most 1.

        Raises
        ------
        NotFittedError, TypeError, ValueError
            As `predict` does, and for `y` of another kind than in `fit`.
        """
        self._require_fitted()
        predicted = self._outputs(X, self._task.to_score)
        weights = as_weights(sample_weight, len(predicted), self.model_.dtype)
        wanted = self._task.read(y, len(predicted), type(self).__name__, "y", to_score=True)
        return self._task.score(wanted, predicted, weights)

    def predictor(self, rows: int = 1) -> Predictor:
        """Return a callable that predicts `rows` samples at a time, with everything laid out.

        It takes a C-contiguous array of the model's dtype or of bytes, (rows, n_features), or
        (n_features,) for one row, and returns the outputs of the network, (rows, n_outputs_), which
        its next call overwrites: for a classifier the probabilities of the classes, that of the
        second one alone if there are two. Nothing is converted, and that the values are finite is
        not checked. It is for one thread at a time, and for the model as it is now: after another
        `fit` ask for another one.

        Parameters
        ----------
        rows : int
            At least 1.

        Returns
        -------
        cnn_core.contracts.Predictor

        Raises
        ------
        NotFittedError
            Before the first `fit`.
        TypeError, ValueError
            If `rows` is no whole number of at least 1.
        """
        self._require_fitted()
        return self.model_.predictor(whole("rows", rows, 1))

    def as_model_data(self, X: Any, y: Any) -> tuple[Model, Samples, Targets]:
        """Return the model that a `fit` would begin with, and samples and targets as it takes them.

        Parameters
        ----------
        X, y
            As for `fit`.

        Raises
        ------
        TypeError, ValueError
            As `fit` does.

        See Also
        --------
        cnn_core.find_learning_rate : which asks for it.
        """
        read = self._read(X, y, None, None, incremental=False, classes=None)
        return read.model, read.data.x, read.data.t

    def summary(self) -> str:
        """Return a small table of the layers, their activations and numbers of parameters.

        Raises
        ------
        NotFittedError
            Before the first `fit`, since the numbers of inputs and outputs are not known.
        """
        self._require_fitted()
        return summary.of_network(self.model_.network)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a file that `cnn_core.load` reads.

        It holds numbers and text, nothing that could run. Its parameters come back but for those
        that are objects: a `scoring` function, `callbacks`, and a `random_state` that is a
        generator are None again.

        Parameters
        ----------
        path : path-like

        Raises
        ------
        NotFittedError
            Before the first `fit`.
        OSError
            If the file cannot be written; one that was there before stays then.
        """
        self._require_fitted()
        saving.write(path, self)

    # Weights

    @property
    def coefs_(self) -> list[FloatArray]:
        """Weights of each layer, (fan_in, fan_out): views, so that writing changes the network.

        With `input_scale` or batch normalization they are copies into which these are folded.
        """
        return self._layer_arrays("coefs_", weights_of)

    @coefs_.setter
    def coefs_(self, values: Any) -> None:
        self._set_layer_arrays("coefs_", values, set_weights)

    @property
    def intercepts_(self) -> list[FloatArray]:
        """Biases of each layer, (fan_out,): views or copies likewise."""
        return self._layer_arrays("intercepts_", biases_of)

    @intercepts_.setter
    def intercepts_(self, values: Any) -> None:
        self._set_layer_arrays("intercepts_", values, set_biases)

    def _layer_arrays(self, name: str, arrays_of: Callable[[Model], LayerList]) -> list[FloatArray]:
        if self.__sklearn_is_fitted__():
            return arrays_of(self.model_)
        given = vars(self).get(f"_given_{name}")
        if given is None:
            raise AttributeError(f"{type(self).__name__} has {name} once it is fitted")
        found: list[FloatArray] = given
        return found

    def _set_layer_arrays(
        self, name: str, values: Any, set_arrays: Callable[[Model, Any, str], None]
    ) -> None:
        """Write into the model; before there is one, keep the values for its beginning."""
        if self.__sklearn_is_fitted__():
            set_arrays(self.model_, values, name)
        else:
            vars(self)[f"_given_{name}"] = list(values)

    # scikit-learn's own ways

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what the estimator can take."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _take_seed(model: Model, checkpoint: Checkpoint | str | os.PathLike[str]) -> None:
    """Give a model whose seed nobody chose that of its checkpoint, if there is one already."""
    from cnn_core.io.checkpoint import seed_in

    seed = seed_in(checkpoint)
    if seed is not None:
        model.take_seed(seed)


def partial_fit_is_there(estimator: BaseMLP) -> None:
    """Refuse `partial_fit` where the solver cannot go on from one batch to the next.

    Raises
    ------
    AttributeError
        For L-BFGS.
    """
    if estimator.solver == "lbfgs":
        raise AttributeError(
            "partial_fit is there for solvers that take steps on batches, and 'lbfgs' is none"
        )


def _each_set(eval_set: EvalSet) -> list[tuple[tuple[Any, ...], str]]:
    """Return each pair (X, y), or triple with weights, of `eval_set`, and what it is called.

    Raises
    ------
    TypeError
        For anything else than such a tuple, or a list of them.
    """
    if eval_set is None:
        return []
    if not isinstance(eval_set, tuple | list):
        raise TypeError(
            "eval_set: expected a tuple (X, y) or (X, y, sample_weight), or a list of such, "
            f"found {type(eval_set).__name__}"
        )
    single = isinstance(eval_set, tuple) and not (eval_set and isinstance(eval_set[0], tuple))
    sets: list[Any] = [eval_set] if single else list(eval_set)
    named = [
        (values, "eval_set" if single else f"eval_set[{place}]")
        for place, values in enumerate(sets)
    ]
    for values, name in named:
        if not isinstance(values, tuple) or len(values) not in (2, 3):
            found = f"a tuple of {len(values)}" if isinstance(values, tuple) else repr(type(values))
            raise TypeError(
                f"{name}: expected a tuple (X, y) or (X, y, sample_weight), or a list of such, "
                f"found {found}"
            )
    return named
