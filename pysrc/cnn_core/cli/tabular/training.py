"""One training of ``cnn-core train`` on a table, from the rows to the result."""

from __future__ import annotations

import argparse
import hashlib
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cnn_core.cli import workers
from cnn_core.cli.pages.contents import Members
from cnn_core.cli.run_folder import CHECKPOINTS
from cnn_core.cli.source import Source
from cnn_core.cli.tabular.curves import MemberLosses
from cnn_core.cli.tabular.result import Result, Table, measured
from cnn_core.cli.tabular.samples import TableSamples
from cnn_core.cli.trained_model import what_computes
from cnn_core.io.checkpoint import Checkpoint
from cnn_core.tables import TabularClassifier, TabularRegressor
from cnn_core.tables.parameters import plan_of
from cnn_core.tables.saving import learned
from cnn_core.training.callbacks import Callback

__all__ = ["TableTraining", "learned_sha256"]


@dataclass(eq=False)
class TableTraining:
    """A training on a table, before and after it is run.

    Attributes
    ----------
    args : argparse.Namespace
        What was typed.
    source : Source
    samples : TableSamples
    learner : TabularClassifier or TabularRegressor
    backend : dict
        What computes: `cnn_core.backend_info`, with the threads of this training.
    callbacks : list of Callback
        Those of the training of each network.
    interrupted : bool
        False: what Ctrl-C has ended leaves no learner.
    seconds : float
        Time spent training.
    result : Result
        On the rows held out.
    """

    args: argparse.Namespace
    source: Source
    samples: TableSamples
    learner: Table = field(init=False)
    backend: dict[str, Any] = field(init=False)
    callbacks: list[Callback] = field(init=False, default_factory=list)
    _losses: MemberLosses = field(init=False, default_factory=MemberLosses)
    seconds: float = field(init=False, default=0.0)
    result: Result = field(init=False)
    interrupted = False
    checkpoint_name = CHECKPOINTS

    def __post_init__(self) -> None:
        args, samples = self.args, self.samples
        kind = TabularClassifier if samples.task == "classification" else TabularRegressor
        self.learner = kind(
            args.quality or "balanced",
            n_members=args.members,
            max_steps=args.max_steps,
            n_bins=args.bins,
            hidden_layer_sizes=args.hidden,
            time_budget=args.time_budget,
            categorical=samples.categorical,
            random_state=args.seed,
            verbose=not args.quiet,
            backend=args.backend,
            n_threads=args.threads,
        )
        self.backend = what_computes(args.backend, args.threads)

    def n_networks(self) -> int:
        """Return how many networks are going to be trained."""
        _, n_numbers = self.samples.reading
        is_classes = self.samples.task == "classification"
        plan = plan_of(self.learner, len(self.samples.train), n_numbers, classes=is_classes)
        return plan.n_members * len(plan.views)

    def rows(self) -> tuple[Any, Any]:
        """Return features and target of the rows to train on."""
        samples = self.samples
        y = samples.y[samples.train]
        if samples.task == "classification":
            y = np.array(y.tolist())
        return samples.features[samples.train], y

    def fit(self, checkpoint: Checkpoint | None = None) -> None:
        """Train, without evaluating what was learned.

        Raises
        ------
        KeyboardInterrupt
            If it was interrupted.
        """
        start = time.perf_counter()
        losses = [] if workers.are_asked_for(self.args) else [self._losses]
        self.learner.set_params(callbacks=[*self.callbacks, *losses] or None)
        with workers.members_on_cluster(self.args, self.learner):
            self.learner.fit(*self.rows(), checkpoint=checkpoint)  # type: ignore[arg-type]
        self.learner.set_params(callbacks=None)
        self.seconds = time.perf_counter() - start

    def learn(self, checkpoint: Checkpoint | None = None) -> None:
        """Train and evaluate."""
        self.fit(checkpoint)
        samples = self.samples
        self.result = measured(
            self.learner,
            samples.features[samples.test],
            samples.y[samples.test],
            self.args.intervals,
        )

    def settings(self) -> dict[str, Any]:
        """Return the settings as the record keeps them."""
        # Only where they are said: records without them can still be gone on with.
        own = {"bins": self.args.bins, "hidden": self.args.hidden}
        return {
            "model": "tables",
            "task": self.samples.task,
            "quality": self.learner.quality,
            "members": self.args.members,
            "max_steps": self.args.max_steps,
            "time_budget": self.args.time_budget,
            "intervals": self.args.intervals,
            "seed": self.args.seed,
            "backend": self.args.backend,
            "threads": self.args.threads,
            **{name: value for name, value in own.items() if value is not None},
        }

    def curves(self) -> Members | None:
        """Return the losses of all networks; None if some were not trained here and now."""
        return self._losses.members(self.n_networks())

    @property
    def length(self) -> str:
        """How long it will take."""
        return f"quality {self.learner.quality}"

    @property
    def weights_sha256(self) -> str:
        """The SHA-256 of all that was learned."""
        return learned_sha256(self.learner)


def learned_sha256(learner: Table) -> str:
    """Return the SHA-256 of all arrays that a learner has learned, by their names."""
    digest = hashlib.sha256()
    for name, array in sorted(learned(learner).items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()
