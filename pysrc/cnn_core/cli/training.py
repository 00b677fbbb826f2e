"""One training of ``cnn-core train``, from the samples to the result."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cnn_core.cli.console import note
from cnn_core.cli.image_options import is_for_images
from cnn_core.cli.options import NN_PRESET
from cnn_core.cli.plan import Data, Part, Plan, counted
from cnn_core.cli.plan_classifier import ClassifierPlan
from cnn_core.cli.plan_images import ImagePlan
from cnn_core.cli.plan_nn import NNPlan
from cnn_core.cli.progress import epochs_shown
from cnn_core.cli.report import Evaluation, evaluate
from cnn_core.cli.run_folder import CHECKPOINT
from cnn_core.cli.source import Source
from cnn_core.cli.sources import Samples, split_off
from cnn_core.cli.trained_model import Trained, weights_sha256, what_computes
from cnn_core.io.checkpoint import Checkpoint
from cnn_core.model import Model
from cnn_core.training.callbacks import Callback, OnEpoch

__all__ = ["Parts", "Training", "history_of", "plan_and_parts"]

_VALIDATION_SHARE = 0.1


@dataclass(frozen=True, eq=False)
class Parts:
    """The samples for training, for validation and for the final test.

    Attributes
    ----------
    train, watched, test : Part
    measured : str
        What `watched` is: ``"test"`` or ``"validation"``.
    """

    train: Part
    watched: Part
    test: Part
    measured: str

    @classmethod
    def of(cls, samples: Samples, dtype: str, held_out_share: float | None) -> Parts:
        """Return the samples in parts, a share of the training samples held out if there is one.

        Raises
        ------
        CommandError
            If nothing can be held out.
        """
        x_train = samples.scaling.apply(samples.x_train, dtype)
        test = Part(samples.scaling.apply(samples.x_test, dtype), samples.y_test)
        if held_out_share is None:
            return cls(Part(x_train, samples.y_train), test, test, "test")
        rest, held_out = split_off(samples.y_train, samples.class_names, held_out_share)
        return cls(
            Part(x_train[rest], samples.y_train[rest]),
            Part(x_train[held_out], samples.y_train[held_out]),
            test,
            "validation",
        )


def _validation_share(args: argparse.Namespace) -> float | None:
    """Return the share of the training samples to hold out: what was typed, or what is needed."""
    share: float | None = args.validation_share
    return _VALIDATION_SHARE if share is None and args.patience is not None else share


def plan_and_parts(args: argparse.Namespace, samples: Samples) -> tuple[Plan, Parts]:
    """Return what was asked for, made for these samples.

    Raises
    ------
    CommandError
        If nothing can be held out.
    """
    parts = Parts.of(samples, args.dtype, _validation_share(args))
    data = Data(
        n_features=samples.n_features,
        n_classes=len(samples.class_names),
        input_scale=samples.scaling.input_scale,
        n_samples=len(parts.train.y),
        image_shape=samples.image_shape,
    )
    return _plan_for(args)(args, data), parts


def _plan_for(args: argparse.Namespace) -> Callable[[argparse.Namespace, Data], Plan]:
    if args.preset == NN_PRESET:
        return NNPlan
    return ImagePlan if is_for_images(args) else ClassifierPlan


@dataclass(eq=False)
class Training:
    """A training, before and after it is run.

    Attributes
    ----------
    args : argparse.Namespace
        What was typed.
    source : Source
    samples : Samples
    plan : Plan
    parts : Parts
    backend : dict
        What computes: `cnn_core.backend_info`, with the threads of this training.
    callbacks : list of Callback
        Those of the training, beside the one that shows its progress.
    interrupted : bool
        Whether it ended by Ctrl-C.
    trained : Trained
        What was learned.
    history : dict of str to list of float
        ``loss``, ``validation_loss``, ``validation_accuracy``, ``learning_rate``, ``seconds`` and,
        where it is known, ``accuracy`` of each epoch.
    result, watched : Evaluation
        What was kept, on the test part, and on what was measured after every epoch.
    """

    args: argparse.Namespace
    source: Source
    samples: Samples
    plan: Plan = field(init=False)
    parts: Parts = field(init=False)
    backend: dict[str, Any] = field(init=False)
    interrupted: bool = field(init=False, default=False)
    callbacks: list[Callback] = field(init=False, default_factory=list)
    trained: Trained = field(init=False)
    history: dict[str, list[float]] = field(init=False)
    result: Evaluation = field(init=False)
    watched: Evaluation = field(init=False)
    checkpoint_name = CHECKPOINT

    def __post_init__(self) -> None:
        self.plan, self.parts = plan_and_parts(self.args, self.samples)
        self.backend = what_computes(self.args.backend, self.args.threads)
        if self.args.threads and self.backend["threads"] is None:
            note("--threads has no effect: the NumPy backend leaves threads to NumPy's BLAS")

    def learn(self, checkpoint: Checkpoint | None = None) -> None:
        """Train and evaluate, also after an interrupt.

        Raises
        ------
        KeyboardInterrupt
            If it was interrupted before the end of its first epoch.
        """
        self.fit(checkpoint)
        if self.interrupted:
            note(f"interrupted after {counted(self.epochs_done)}; what was learned is kept")
        parts = self.parts
        self.result = self.watched = evaluate(self.trained, *parts.test, self.samples.class_names)
        if parts.measured == "validation":
            self.watched = evaluate(self.trained, *parts.watched, self.samples.class_names)

    def fit(self, checkpoint: Checkpoint | None = None) -> None:
        """Train, without evaluating what was learned.

        Raises
        ------
        KeyboardInterrupt
            If it was interrupted before the end of its first epoch.
        """
        plan, parts = self.plan, self.parts
        with epochs_shown(
            "training",
            plan.epochs,
            quiet=self.args.quiet,
            measured=parts.measured,
            seconds=plan.time_budget,
        ) as on_epoch:
            finished = plan.fit(
                parts.train, parts.watched, [OnEpoch(on_epoch), *self.callbacks], checkpoint
            )
        self.interrupted = not finished
        self.trained = Trained.of(plan.face)
        self.history = history_of(self.trained.model)

    def settings(self) -> dict[str, Any]:
        """Return the settings as the record keeps them."""
        return {
            "model": "mlp",
            **self.plan.settings(),
            "seed": self.args.seed,
            "dtype": self.args.dtype,
            "backend": self.args.backend,
            "threads": self.args.threads,
            "validation_share": _validation_share(self.args),
        }

    @property
    def length(self) -> str:
        """How long it will take."""
        return self.plan.length

    @property
    def weights_sha256(self) -> str:
        """The SHA-256 of what was learned."""
        return weights_sha256(self.trained.model)

    @property
    def epochs_done(self) -> int:
        """Epochs that came to their end."""
        return len(self.history["loss"])

    @property
    def kept_epoch(self) -> int:
        """Number of the epoch whose weights were kept: the last one, or with patience the best."""
        if self.plan.patience is None:
            return self.epochs_done
        return 1 + int(np.argmax(self.history["validation_accuracy"]))

    @property
    def seconds(self) -> float:
        """Time spent training, without the measuring after each epoch."""
        return sum(self.history["seconds"])

    @property
    def samples_per_second(self) -> float:
        """Samples trained on in a second."""
        return self.trained.model.samples_done / max(self.seconds, 1e-9)

    @property
    def largest_class_share(self) -> float:
        """Accuracy, on what was measured, of answering the largest class throughout."""
        y = self.parts.watched.y
        return int(np.bincount(y).max()) / len(y)

    @property
    def has_learned_nothing(self) -> bool:
        """Whether answering the largest class throughout would have been as good."""
        return self.watched.accuracy <= self.largest_class_share


def history_of(model: Model) -> dict[str, list[float]]:
    """Return the history, in which the score of a classifier is what it is: its accuracy."""
    history = dict(model.history)
    score = history.pop("validation_score", None)
    if score is not None:
        history["validation_accuracy"] = score
    order = ("loss", "accuracy", "validation_loss", "validation_accuracy", "learning_rate")
    return {name: history[name] for name in (*order, "seconds") if name in history}
