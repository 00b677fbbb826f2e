"""The parameters that the two estimators have in common."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from cnn_core.estimators import presets
from cnn_core.estimators.compat import DOCUMENTATION, BaseEstimator, CallbackSupportMixin
from cnn_core.estimators.scoring import OWN
from cnn_core.optimizers import Optimizer
from cnn_core.training.callbacks import Callback
from cnn_core.training.schedules import Schedule

Described = TypeVar("Described", bound="DescribedMLP")


def keep(estimator: BaseEstimator, arguments: dict[str, Any]) -> None:
    """Store the arguments of ``__init__``, its ``locals()``, under their own names."""
    for name, value in arguments.items():
        if name not in ("self", "__class__"):
            setattr(estimator, name, value)


class DescribedMLP(CallbackSupportMixin, BaseEstimator, ABC):
    """The parameters of an estimator, which are checked when it is fitted."""

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
    random_state: int | np.random.RandomState | np.random.Generator | None
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

    # Target of the question mark in scikit-learn's HTML.
    _doc_link_module = "cnn_core"
    _doc_link_template = f"{DOCUMENTATION}/guide"

    # "classifier" or "regressor".
    _kind: ClassVar[str]
    # Name in files, also for subclasses.
    _saved_as: ClassVar[str]
    # Batch size for "auto".
    _usual_batch: ClassVar[int] = 200
    # The meaning of the schedule "auto", if it is allowed.
    _usual_schedule: ClassVar[str | None] = None
    # The parameters that describe the layers, for errors.
    _described_by: ClassVar[str] = "hidden_layer_sizes, normalization"

    @classmethod
    def preset(cls: type[Described], name: str, **overrides: Any) -> Described:
        """Return an estimator with settings that were tuned on Fashion-MNIST.

        They suit about 60,000 images of 784 bytes (0 to 255). They were chosen for classification;
        for regression they are a starting point. `get_params` shows them. `fit` warns if there are
        too few samples for the epochs of the preset.

        Parameters
        ----------
        name : {"fast", "balanced", "best"}
            ``"fast"`` trains for one or two seconds, ``"best"`` about ten times as long.
        **overrides
            Parameters that replace those of the preset.

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

    @property
    def _stops_early(self) -> bool:
        return bool(self.early_stopping) and self.solver != "lbfgs"

    @property
    def _scores_by_r2(self) -> bool:
        return self._kind == "regressor" and self.scoring in (None, OWN["regressor"])
