"""Searches of ``cnn-core tune``: settings to try, estimators with them, and their scores."""

from __future__ import annotations

import argparse
from typing import Any, Protocol

import numpy as np

from cnn_core.cli import workers
from cnn_core.cli.console import CommandError, note
from cnn_core.cli.plan import Part
from cnn_core.cli.source import Source
from cnn_core.cli.sources import read_samples
from cnn_core.cli.tabular.samples import read_samples as read_table_samples
from cnn_core.cli.tabular.samples import unheard
from cnn_core.cli.tabular.training import TableTraining
from cnn_core.cli.training import plan_and_parts
from cnn_core.optimizers import WITH_DECAY
from cnn_core.tables.parameters import plan_of
from cnn_core.tables.recipe import LEAST_ROWS_FOR_FOLDS

__all__ = ["Search", "Settings", "search_of"]

Settings = dict[str, Any]

_VALIDATION_SHARE = 0.1
_UNITS, _MOST_LAYERS = [64, 128, 256], 2
_TABLE_UNITS, _MOST_TABLE_LAYERS = [32, 64, 96, 128, 192], 3
_BINS = [0, 4, 8, 16, 32, 64]


class Search(Protocol):
    """A search over settings.

    Attributes
    ----------
    name : str
        Of the data, short.
    measure : str
        The score: ``"accuracy"`` or ``"r2"``.
    measured_on : str
        Rows that are scored, as text.
    names : list of str
        Of the settings that are tried.
    usual : str
        The default settings, as text.
    """

    name: str
    measure: str
    measured_on: str
    names: list[str]
    usual: str

    def suggested(self, trial: Any) -> Settings:
        """Return the suggestions of an Optuna trial."""

    def estimator(self, settings: Settings) -> Any:
        """Return an estimator with these settings."""

    def rows(self) -> tuple[Any, Any]:
        """Return the training rows."""

    def score(self, fitted: Any) -> float:
        """Return the score; higher is better."""

    def options(self, settings: Settings) -> list[str]:
        """Return the options of ``cnn-core train`` that say such settings."""


def search_of(args: argparse.Namespace, source: Source) -> Search:
    """Return the search for the model of `options.choose_model`.

    Raises
    ------
    CommandError
        If the user fixed all settings, or there are too few rows.
    FileNotFoundError, ImportError, ValueError
        If the data cannot be read, or nothing can be learned from them.
    """
    kind = TableSearch if args.model == "tables" else NetworkSearch
    search: Search = kind(args, source)
    if not search.names:
        raise CommandError("all settings that could be tried are typed; leave one of them out")
    return search


class NetworkSearch:
    """Settings of one network, by its accuracy on a validation part.

    Parameters
    ----------
    args : argparse.Namespace
    source : Source
    """

    measure = "accuracy"
    measured_on = "validation"

    def __init__(self, args: argparse.Namespace, source: Source) -> None:
        samples = read_samples(source, None if args.quiet else note)
        args.validation_share = _VALIDATION_SHARE
        plan, self._parts = plan_and_parts(args, samples)
        self._face: Any = plan.face
        self._model = ["--model", "mlp"] if source.is_table else []
        self.name, self.usual = samples.name, f"those of the preset {args.preset}"
        self.names = ["learning_rate_init"]
        self.names += ["units", "layers"] if args.hidden is None else []
        self.names += ["dropout"] if args.dropout is None else []
        if args.weight_decay is None and args.optimizer in (None, *WITH_DECAY):
            self.names.append("weight_decay")

    def suggested(self, trial: Any) -> Settings:
        """Return settings around those of the preset, to the digits that are printed."""
        rate = self._face.learning_rate_init
        found: Settings = {}
        for name in self.names:
            if name == "learning_rate_init":
                found[name] = _short(trial.suggest_float("rate", rate / 8, rate * 4, log=True))
            elif name == "units":
                found[name] = trial.suggest_categorical(name, _UNITS)
            elif name == "layers":
                found[name] = trial.suggest_int(name, 1, _MOST_LAYERS)
            elif name == "dropout":
                found[name] = _short(trial.suggest_float(name, 0.0, 0.4))
            else:
                found[name] = _short(trial.suggest_float(name, 1e-3, 0.1, log=True))
        return found

    def estimator(self, settings: Settings) -> Any:
        """Return the classifier with such settings."""
        from sklearn.base import clone

        own = {name: value for name, value in settings.items() if name not in ("units", "layers")}
        if "units" in settings:
            own["hidden_layer_sizes"] = (settings["units"],) * settings["layers"]
        return clone(self._face).set_params(**own)

    def rows(self) -> tuple[Any, Any]:
        """Return the training part."""
        train = self._parts.train
        return train.x, train.y

    def score(self, fitted: Any) -> float:
        """Return the accuracy on the validation part."""
        watched: Part = self._parts.watched
        return float(fitted.score(*watched))

    def options(self, settings: Settings) -> list[str]:
        """Return the options of ``cnn-core train`` that say such settings."""
        words = []
        for name, option in (
            ("learning_rate_init", "--learning-rate"),
            ("units", "--hidden"),
            ("dropout", "--dropout"),
            ("weight_decay", "--weight-decay"),
        ):
            if name == "units" and name in settings:
                words += [option, ",".join([str(settings[name])] * settings["layers"])]
            elif name in settings:
                words += [option, f"{settings[name]:g}"]
        return [*words, *self._model]


class TableSearch:
    """Settings of a learner of tables, by its out-of-fold score.

    Parameters
    ----------
    args : argparse.Namespace
    source : Source
    """

    measured_on = "out-of-fold"

    def __init__(self, args: argparse.Namespace, source: Source) -> None:
        if workers.are_large(args):
            raise CommandError(
                f"{args.data} holds too much for the tables' learner, which has a table in memory; "
                "tune on a part of its files"
            )
        samples = read_table_samples(source, args.task, unheard if args.quiet else note)
        if len(samples.train) < LEAST_ROWS_FOR_FOLDS:
            raise CommandError(
                f"{samples.source}: expected at least {LEAST_ROWS_FOR_FOLDS} rows to train on, of "
                f"which each network holds some out, found {len(samples.train)}"
            )
        self._training = TableTraining(args, source, samples)
        is_classes = samples.task == "classification"
        self.measure = "accuracy" if is_classes else "r2"
        learner = self._training.learner
        self.name, self.usual = samples.name, f"those of the quality {learner.quality}"
        _, n_numbers = samples.reading
        plan = plan_of(learner, len(samples.train), n_numbers, classes=is_classes)
        steps = plan.views[0].steps
        self._steps = [max(steps // 2, 1), steps, 2 * steps]
        self.names = ["units", "layers"] if args.hidden is None else []
        self.names += ["bins"] if args.bins is None and n_numbers else []
        self.names += ["max_steps"] if args.max_steps is None else []

    def suggested(self, trial: Any) -> Settings:
        """Return settings around those of the qualities."""
        choices = {"units": _TABLE_UNITS, "bins": _BINS, "max_steps": self._steps}
        return {
            name: trial.suggest_int(name, 1, _MOST_TABLE_LAYERS)
            if name == "layers"
            else trial.suggest_categorical(name, choices[name])
            for name in self.names
        }

    def estimator(self, settings: Settings) -> Any:
        """Return the learner with such settings."""
        from sklearn.base import clone

        own: Settings = {"verbose": False}
        if "units" in settings:
            own["hidden_layer_sizes"] = (settings["units"],) * settings["layers"]
        for name, parameter in (("bins", "n_bins"), ("max_steps", "max_steps")):
            if name in settings:
                own[parameter] = settings[name]
        return clone(self._training.learner).set_params(**own)

    def rows(self) -> tuple[Any, Any]:
        """Return features and target of the training rows."""
        return self._training.rows()

    def score(self, fitted: Any) -> float:
        """Return the out-of-fold score; minus infinity if it is NaN."""
        score = float(fitted.oof_score_)
        return score if np.isfinite(score) else -np.inf

    def options(self, settings: Settings) -> list[str]:
        """Return the options of ``cnn-core train`` that say such settings."""
        words = ["--model", "tables"]
        if "units" in settings:
            words += ["--hidden", ",".join([str(settings["units"])] * settings["layers"])]
        for name, option in (("bins", "--bins"), ("max_steps", "--max-steps")):
            if name in settings:
                words += [option, str(settings[name])]
        return words


def _short(value: float) -> float:
    """Round to two digits, so that the tried value is the printed one."""
    return float(f"{value:.2g}")
