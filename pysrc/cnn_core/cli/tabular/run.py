"""A run on a table, read from its folder: what it predicts, and how good it is on other rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cnn_core import load
from cnn_core.cli import run_folder
from cnn_core.cli.console import CommandError
from cnn_core.cli.predictions import Predictions
from cnn_core.cli.records import check_format, damaged, source_from_json
from cnn_core.cli.source import Source
from cnn_core.cli.tabular.columns import Columns, listed, read_features
from cnn_core.cli.tabular.result import Result, Table, measured
from cnn_core.cli.tabular.samples import (
    Task,
    read_raw,
    read_samples,
    targets_of,
    unheard,
)
from cnn_core.cli.tabular.training import learned_sha256
from cnn_core.data import DataError
from cnn_core.data.cell_formats import without_marks
from cnn_core.data.table_file import RawTable
from cnn_core.io.fields import Fields
from cnn_core.tables import TabularClassifier, TabularRegressor

if TYPE_CHECKING:
    import polars as pl

__all__ = ["TableRun", "is_record_of_one", "read"]

Array = npt.NDArray[Any]
Report = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class TableRun:
    """A run on a table.

    Attributes
    ----------
    learner : TabularClassifier or TabularRegressor
    source : Source
        The data that it was trained on.
    hashes : dict of str to str
        Their SHA-256.
    columns : Columns
    task : str
    intervals : float or None
        Coverage of the intervals that were asked for.
    recorded : str
        The result on the test part after training, in words.
    record : Fields
        All that the record holds.
    """

    learner: Table
    source: Source
    hashes: dict[str, str]
    columns: Columns
    task: Task
    intervals: float | None
    recorded: str
    record: Fields

    @property
    def weights_sha256(self) -> str:
        """The SHA-256 of what was learned."""
        return learned_sha256(self.learner)

    @property
    def unused(self) -> list[str]:
        """The features that nothing was learned from, such as an id of each row."""
        return [list(self.columns.features)[number] for number in self.learner.dropped_columns_]

    def predicted(self, raw: RawTable, report: Report, intervals: float | None) -> Predictions:
        """Return what is predicted for the rows of a table.

        Parameters
        ----------
        raw : RawTable
            With or without the target.
        report : callable
            Called with each line of text for the user.
        intervals : float or None
            Coverage of the intervals of numbers; by default as in training.

        Raises
        ------
        ValueError
            If a feature is not there, or too few rows were held out for these intervals.
        """
        raw = replace(raw, frame=without_marks(raw.frame, self.source.missing))
        features = read_features(raw, self.columns, report, self.unused)
        if isinstance(self.learner, TabularClassifier):
            if intervals is not None:
                raise CommandError("--intervals belongs to numbers; this run predicts classes")
            names = [str(label) for label in self.learner.classes_]
            probabilities = self.learner.predict_proba(features)
            best = [names[place] for place in probabilities.argmax(axis=1)]
            return Predictions(best, dict(zip(names, probabilities.T, strict=True)))
        bounds: dict[str, Array] = {}
        coverage = intervals or self.intervals
        if coverage is not None:
            low, high = self.learner.predict_interval(features, coverage).T
            bounds = {"low": low, "high": high}
        return Predictions(self.learner.predict(features).tolist(), bounds=bounds)

    def measured_on(
        self, source: Source, report: Report, *, asked_for: bool
    ) -> tuple[Result, str, int]:
        """Return the result on a table, what was measured, and how many rows that are.

        Raises
        ------
        FileNotFoundError, ValueError
            As `test_part`.
        """
        features, y, what = self.test_part(source, report, asked_for=asked_for)
        return measured(self.learner, features, y, self.intervals), what, len(y)

    def test_part(
        self, source: Source, report: Report, *, asked_for: bool
    ) -> tuple[pl.DataFrame, Array, str]:
        """Return the features and targets that are measured on, and in words what they are.

        That is the part that was held out in training if it is the file that was trained on,
        unchanged; otherwise all of it, which must have been asked for.

        Raises
        ------
        FileNotFoundError, ValueError
            If there is no such file, or it does not go with the run.
        """
        raw, hashes = read_raw(source, report)
        if sorted(hashes.values()) == sorted(self.hashes.values()):
            asked = source.target and raw.column(source.target, "target")
            if asked and asked != self.columns.target:
                raise CommandError(
                    f"--target: the run predicts {self.columns.target!r}, found {asked!r}; train "
                    "another one"
                )
            samples = read_samples(self.source, self.task, unheard, (raw, hashes), self.columns)
            part = samples.features[samples.test], samples.y[samples.test]
            what = f"the rows of {raw.path} held out in training"
        elif not asked_for:
            raise CommandError(
                f"{raw.path} has changed since the training, so that the rows held out then can no "
                f"longer be told from the others; to measure on all of it, pass --data {raw.path}"
            )
        else:
            report(
                f"{raw.path} is not, or no longer, the file that was trained on; all its rows are "
                "measured, also those that may have been trained on"
            )
            part = self._all_of(raw, source, report)
            what = f"all rows of {raw.path}"
        return *part, what

    def _all_of(self, raw: RawTable, source: Source, report: Report) -> tuple[Any, Array]:
        wanted = source.target or self.columns.target
        if source.target is None and wanted not in raw.frame.columns and self.columns.has_header:
            raise DataError(
                raw.path,
                f"a column with the target {wanted!r}",
                listed(raw.frame.columns),
                "without the true values nothing can be measured; cnn-core predict needs none",
            )
        target = targets_of(raw, source, raw.column(wanted, "target"), self.task)
        features = read_features(raw, self.columns, report, self.unused)
        rows = np.flatnonzero(target.known)
        y = target.values[rows]
        if not len(y):
            raise DataError(raw.path, f"values in the target column {wanted!r}", "none")
        if isinstance(self.learner, TabularClassifier):
            known = set(self.learner.classes_.tolist())
            others = sorted({str(label) for label in y.tolist() if label not in known})
            if others:
                names = [str(label) for label in self.learner.classes_]
                raise CommandError(
                    f"{raw.path}: expected the classes that the run knows, {listed(names)}, "
                    f"found also {listed(others)}"
                )
        return features[rows], y


def is_record_of_one(fields: Fields) -> bool:
    """Tell whether a record is that of a run on a table."""
    return fields.values.get("format_version") == run_folder.TABLES_VERSION


def read(folder: Path, fields: Fields, backend: str) -> TableRun:
    """Read the folder of a run on a table, whose record is `fields`.

    Raises
    ------
    CommandError
        If it is damaged.
    ValueError, OSError
        If the model cannot be read.
    """
    with damaged(folder / run_folder.RECORD):
        check_format(fields, run_folder.FORMAT, (run_folder.TABLES_VERSION,))
        data, settings = fields.fields("data"), fields.fields("settings")
        source, hashes = source_from_json(data.fields("asked_for")), data.text_by_text("sha256")
        columns = Columns.from_json(fields.fields("columns"))
        intervals = settings.optional(settings.number, "intervals")
        recorded = _recorded(fields.fields("result"))
    learner = load(folder / run_folder.MODEL, backend=backend)
    if not isinstance(learner, TabularClassifier | TabularRegressor):
        raise CommandError(
            f"{folder / run_folder.MODEL}: expected a learner of tables, found "
            f"{type(learner).__name__}"
        )
    task: Task = "classification" if isinstance(learner, TabularClassifier) else "regression"
    names = (
        []
        if learner.n_features_in_ != len(columns.features)
        else learner.feature_names_in_.tolist()
    )
    if names != list(columns.features) or settings.text("task") != task:
        raise CommandError(
            f"{folder}: {run_folder.RECORD} and {run_folder.MODEL} do not belong together"
        )
    return TableRun(learner, source, hashes, columns, task, intervals, recorded, fields)


def _recorded(result: Fields) -> str:
    words = {"test_accuracy": "accuracy", "test_log_loss": "log-loss", "test_r2": "R2"}
    words |= {"test_rmse": "RMSE", "test_mae": "MAE"}
    return ", ".join(
        f"{word} {result.number(key):.4g}" for key, word in words.items() if key in result
    )
