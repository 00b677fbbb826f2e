"""The page of a run on a table: what it tells, from the record, the learner and the test part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.cli.pages.charts import short
from cnn_core.cli.pages.classes import class_results
from cnn_core.cli.pages.contents import Contents, Importance, Members, Row, Tile
from cnn_core.cli.pages.importance import largest
from cnn_core.cli.pages.numbers import number_results
from cnn_core.cli.pages.samples import TableSamples
from cnn_core.cli.run_page import commands_of, computed_by, shown_settings
from cnn_core.cli.tabular.result import ClassResult, Result, Table
from cnn_core.io.fields import Fields

__all__ = ["TestedTable", "table_contents"]

Array = npt.NDArray[Any]

# The importance of columns is measured on at most this many rows, columns and shuffles of each.
_ROWS, _COLUMNS, _REPEATS = 500, 60, 3


@dataclass(frozen=True, eq=False)
class TestedTable:
    """A run on a table with its test part.

    Attributes
    ----------
    record : Fields
        What ``run.json`` holds.
    folder : str
        The run folder, as it is typed.
    learner : TabularClassifier or TabularRegressor
    features : polars.DataFrame
        Those of the test part.
    result : Result
        How good the learner is there.
    test_part : str
        In words, how the test part came about.
    curves : Members or None
        The losses of the networks by their epochs.
    """

    __test__ = False  # pytest takes a class of this name for a test

    record: Fields
    folder: str
    learner: Table
    features: Any
    result: Result
    test_part: str
    curves: Members | None = None


def table_contents(tested: TestedTable) -> Contents:
    """Return what the page of a run on a table tells.

    Raises
    ------
    TypeError, ValueError
        If the record is damaged.
    """
    data, result = tested.record.fields("data"), tested.result
    importance = _importance(tested)
    columns = tuple(tested.features.columns)
    first = () if importance is None else tuple(map(columns.index, importance.names))
    cells = [np.array(tested.features[name].to_list(), object) for name in columns]
    viewer = TableSamples(cells, columns, first)
    target = data.text("target_name")
    is_classes = isinstance(result, ClassResult)
    return Contents(
        title=f"{target} in {data.text('name')}",
        sentence=_sentence(tested, target),
        tiles=_tiles(tested),
        classes=class_results(result.probabilities, result.truth, result.classes, viewer)
        if isinstance(result, ClassResult)
        else None,
        numbers=None
        if isinstance(result, ClassResult)
        else number_results(
            result.predicted,
            result.truth,
            target,
            viewer,
            intervals=result.intervals,
            coverage=result.coverage,
        ),
        importance=importance,
        members=tested.curves,
        facts=_facts(tested, is_classes),
        commands=commands_of(tested.record, tested.folder),
    )


def _sentence(tested: TestedTable, target: str) -> str:
    data, result = tested.record.fields("data"), tested.result
    learned = (
        f"Networks learned from {data.whole('training_samples'):,} rows and "
        f"{data.whole('features'):,} columns of {data.text('name')} to predict {target}. "
    )
    if isinstance(result, ClassResult):
        return learned + (
            f"Of {len(result.truth):,} rows that they had not seen they know "
            f"{100 * result.accuracy:.1f} %; always answering the largest class would be right "
            f"for {100 * result.largest_class:.1f} %."
        )
    return learned + (
        f"On {len(result.truth):,} rows that they had not seen they explain "
        f"{100 * max(result.r2, 0):.1f} % of its variance and miss by {short(result.mae)} in the "
        "mean."
    )


def _tiles(tested: TestedTable) -> list[Tile]:
    recorded, result = tested.record.fields("result"), tested.result
    rows = f"on {len(result.truth):,} test rows"
    if isinstance(result, ClassResult):
        tiles = [
            Tile(f"{result.accuracy:.4f}", f"accuracy {rows}"),
            Tile(f"{result.log_loss:.4f}", "log-loss on them"),
        ]
    else:
        tiles = [
            Tile(f"{result.r2:.4f}", f"R2 {rows}"),
            Tile(short(result.rmse), "RMSE: root of the mean squared error"),
            Tile(short(result.mae), "MAE: mean absolute error"),
        ]
    if recorded.values.get("oof_score") is not None:
        score = "accuracy" if isinstance(result, ClassResult) else "R2"
        tiles.append(Tile(f"{recorded.number('oof_score'):.4f}", f"{score} in cross-validation"))
    return [*tiles, Tile(f"{recorded.number('training_seconds'):.1f} s", "of training")]


def _facts(tested: TestedTable, is_classes: bool) -> dict[str, list[Row]]:
    record = tested.record
    data = record.fields("data")
    training, test = data.whole("training_samples"), data.whole("test_samples")
    rows = [
        ("read from", data.text("source")),
        ("target", data.text("target_name")),
        ("task", "classification" if is_classes else "regression"),
        ("rows", f"{training:,} training, {test:,} test"),
        ("test part", tested.test_part),
        *((f"SHA-256 of {name}", value) for name, value in data.text_by_text("sha256").items()),
    ]
    return {
        "Data": rows,
        "Columns, and what was decided": _decisions(record),
        "Settings": shown_settings(record.fields("settings").values),
        "Computed by": computed_by(record),
    }


def _decisions(record: Fields) -> list[Row]:
    """Return what each column was read as, and used as."""
    rows = []
    for decision in record.values.get("decisions", []):
        own = Fields(decision, "decisions")
        words = [word for word in (own.text("read as"), own.text("used as")) if word]
        rows.append((own.text("column"), ": ".join(words)))
    return rows


def _importance(tested: TestedTable) -> Importance | None:
    """Return how much worse the predictions become if a column is shuffled."""
    features, result = tested.features[:_ROWS], tested.result
    names = tuple(features.columns)
    if len(names) > _COLUMNS or len(features) < 2:
        return None
    truth = result.truth[:_ROWS]

    def loss(frame: Any) -> float:
        if isinstance(result, ClassResult):
            right = tested.learner.predict_proba(frame)[np.arange(len(truth)), truth]  # type: ignore[union-attr]
            return float(-np.log(np.maximum(right, 1e-15)).mean())
        return float(np.sqrt(np.mean((tested.learner.predict(frame) - truth) ** 2)))

    usual, random = loss(features), np.random.default_rng(0)
    rises = np.zeros((len(names), _REPEATS))
    for column, name in enumerate(names):
        for repeat in range(_REPEATS):
            order = random.permutation(len(features))
            shuffled = features.with_columns(features[name][order].alias(name))
            rises[column, repeat] = loss(shuffled) - usual
    return largest(names, rises.mean(axis=1), rises.std(axis=1))
