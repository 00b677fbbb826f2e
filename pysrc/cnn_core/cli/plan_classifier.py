"""Plans for presets of `cnn_core.MLPClassifier`."""

from __future__ import annotations

import argparse
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from cnn_core.cli import workers
from cnn_core.cli.console import note
from cnn_core.cli.options import OPTIMIZER_RATES
from cnn_core.cli.plan import ENDLESS, Data, Part, Plan
from cnn_core.io.checkpoint import Checkpoint
from cnn_core.network import Network
from cnn_core.training import INTERRUPTED, DivergenceError
from cnn_core.training.callbacks import Callback

if TYPE_CHECKING:
    from cnn_core.estimators import MLPClassifier
    from cnn_core.images import ImageClassifier

__all__ = ["ClassifierPlan"]


class ClassifierPlan(Plan):
    """A plan for a preset of `MLPClassifier`."""

    face: MLPClassifier | ImageClassifier

    def __init__(self, args: argparse.Namespace, data: Data) -> None:
        self.preset = args.preset
        usual = self._usual_settings(args)
        self.time_budget = args.time_budget
        self.patience = args.patience
        self.epochs = args.epochs or (
            data.epochs(usual["max_iter"]) if self.time_budget is None else ENDLESS
        )
        self.batch_size = min(args.batch_size or usual["batch_size"], data.n_samples)
        self.learning_rate = args.learning_rate or _default_rate(usual, args.optimizer)
        self._args = args
        self.face = workers.kind_of(args, self._kind()).preset(
            args.preset,
            **self._network_overrides(args, data),
            **training_overrides(args),
            max_iter=self.epochs,
            batch_size=self.batch_size,
            learning_rate_init=self.learning_rate,
            input_scale=data.input_scale,
            random_state=args.seed,
            dtype=args.dtype,
            backend=args.backend,
            n_threads=args.threads,
        )
        if workers.are_asked_for(args):
            self.face.set_params(n_shards=args.shards or args.workers)
        self.network = self._network_of(data)
        self.smoothing = self.face.label_smoothing

    @staticmethod
    def _usual_settings(args: argparse.Namespace) -> dict[str, Any]:
        """Return the settings of the preset."""
        from cnn_core.estimators.presets import settings_of

        return settings_of(args.preset)

    @staticmethod
    def _kind() -> Any:
        """Return the class of the estimator."""
        from cnn_core.estimators import MLPClassifier

        return MLPClassifier

    def _network_overrides(self, args: argparse.Namespace, data: Data) -> dict[str, Any]:
        """Return the settings of the network that were typed."""
        return network_overrides(args)

    def _network_of(self, data: Data) -> Network:
        """Return the network of the estimator."""
        return _network_of(self.face, data)

    def fit(
        self,
        train: Part,
        watched: Part,
        callbacks: list[Callback],
        checkpoint: Checkpoint | None = None,
    ) -> bool:
        """Train; see `Plan.fit`."""
        face = self.face.set_params(callbacks=callbacks)
        try:
            with (
                workers.cluster(self._args, face),
                warnings.catch_warnings(record=True) as caught,
            ):
                warnings.filterwarnings("always", "Training interrupted|Solver produced")
                face.fit(*train, eval_set=watched, checkpoint=checkpoint)
        finally:
            face.set_params(callbacks=None)
        done = len(face.model_.history.get("loss", ()))
        # A diverged epoch is counted, but is not in the history.
        diverged = face.n_iter_ > done
        if not done:
            raise DivergenceError(face.stopped_because_) if diverged else KeyboardInterrupt
        for warning in caught:
            text = str(warning.message)
            # The command has its own message about the interruption.
            if not text.startswith("Training interrupted"):
                note(text)
        return diverged or done >= self.epochs or face.stopped_because_ not in (None, INTERRUPTED)

    @property
    def _steps(self) -> str:
        return f"{self.face.solver}, {self.face.schedule}"

    def settings(self) -> dict[str, Any]:
        """Return the settings for the record."""
        face = self.face
        return {
            "preset": self.preset,
            **self._network_settings(),
            "label_smoothing": self.smoothing,
            "optimizer": str(face.solver),
            "weight_decay": face.weight_decay,
            "clip_norm": face.clip_norm,
            "epochs": None if self.epochs == ENDLESS else self.epochs,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "schedule": str(face.schedule),
            "time_budget": self.time_budget,
            "patience": self.patience,
        }

    def _network_settings(self) -> dict[str, Any]:
        face: Any = self.face
        names = ("activation", "dropout", "normalization")
        return {"hidden": self.hidden, **{name: getattr(face, name) for name in names}}


def _default_rate(usual: dict[str, Any], optimizer: str | None) -> float:
    """Return the learning rate of a preset, adapted to another optimizer."""
    rate: float = usual["learning_rate_init"]
    if optimizer is None:
        return rate
    return rate * OPTIMIZER_RATES[optimizer] / OPTIMIZER_RATES[usual["solver"]]


def network_overrides(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of the network that were typed."""
    found: dict[str, Any] = {
        "hidden_layer_sizes": args.hidden,
        "activation": args.activation,
        "dropout": args.dropout,
        "solver": args.optimizer,
        "label_smoothing": args.label_smoothing,
        "clip_norm": args.clip_norm,
    }
    overrides = {name: value for name, value in found.items() if value is not None}
    if args.normalization is not None:
        none = args.normalization == "none"
        overrides["normalization"] = None if none else args.normalization
    if args.weight_decay is not None or args.optimizer not in (None, "adamw"):
        # The preset's value is for "adamw"; other optimizers have none, or another default.
        overrides["weight_decay"] = args.weight_decay
    return overrides


def training_overrides(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings of the training that were typed."""
    overrides: dict[str, Any] = {"time_budget": args.time_budget}
    if args.schedule is not None:
        overrides["schedule"] = args.schedule
    if args.patience is not None:
        overrides |= {"early_stopping": True, "n_iter_no_change": args.patience, "tol": 0.0}
    return overrides


def _network_of(face: Any, data: Data) -> Network:
    from cnn_core.estimators.labels import Classification
    from cnn_core.estimators.parameters import network_of

    task = Classification.of_classes(np.arange(data.n_classes))
    return network_of(face, data.n_features, task)
