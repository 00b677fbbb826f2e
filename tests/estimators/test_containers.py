"""Samples, targets and weights come in any container and any order of memory."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from cnn_core import NN, MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

NAMES = ["a", "b"]
X = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 0.0], [4.0, 1.0], [5.0, 1.0]])
LABELS = np.array([0, 1, 0, 1, 1, 0])
SEVERAL = np.array([[0, 1], [1, 1], [0, 0], [1, 0], [1, 1], [0, 1]])
WEIGHTS = np.array([1.0, 2.0, 1.0, 3.0, 1.0, 2.0])


class HasArray:
    """An object that is no array and can become one, as xarray's are."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self.values, dtype)


def frame(values: np.ndarray, library: Any, **settings: Any) -> Any:
    columns = values if values.ndim == 2 else values.reshape(-1, 1)
    return library({name: columns[:, place] for place, name in zip(range(2), NAMES, strict=False)})


def read_only(values: np.ndarray) -> np.ndarray:
    values = values.copy()
    values.flags.writeable = False
    return values


CONTAINERS: dict[str, Callable[[np.ndarray], Any]] = {
    "Fortran order": np.asfortranarray,
    "every second value": lambda a: np.repeat(np.repeat(a, 2, axis=0), 2, axis=-1)[
        (slice(None, None, 2),) * a.ndim if a.ndim > 1 else slice(None, None, 4)
    ],
    "backwards": lambda a: np.flip(np.flip(a).copy()),
    "read-only": read_only,
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "objects": lambda a: a.astype(object),
    "lists": lambda a: a.tolist(),
    "tuple of rows": tuple,
    "__array__": HasArray,
    "list of arrays": list,
    "pandas": lambda a: pd.DataFrame(a, columns=NAMES) if a.ndim == 2 else pd.Series(a),
    "pandas, any index": lambda a: (
        pd.DataFrame(a, index=list("zyxwvu")) if a.ndim == 2 else pd.Series(a, list("zyxwvu"))
    ),
    "pandas, nullable": lambda a: (
        pd.DataFrame(a, columns=NAMES) if a.ndim == 2 else pd.Series(a)
    ).convert_dtypes(),
    "pandas, arrow": lambda a: (
        pd.DataFrame(a, columns=NAMES) if a.ndim == 2 else pd.Series(a)
    ).convert_dtypes(dtype_backend="pyarrow"),
    "polars": lambda a: frame(a, pl.DataFrame) if a.ndim == 2 else pl.Series(a),
    "pyarrow": lambda a: frame(a, pa.table) if a.ndim == 2 else pa.chunked_array([a]),
}


def outcome(network: Any) -> list[bytes]:
    model = network.model_ if hasattr(network, "model_") else network.model
    return [array.tobytes() for array in model.arrays().values()]


def classifier(**parameters: Any) -> MLPClassifier:
    return MLPClassifier((3,), max_iter=2, random_state=0, **parameters)


def regressor() -> MLPRegressor:
    return MLPRegressor(hidden_layer_sizes=(3,), max_iter=2, random_state=0)


def labelled(make: Any, x: Any, y: Any, w: Any) -> Any:
    return classifier().fit(x, y, w, eval_set=(x, y, w))


ENTRIES: dict[str, Callable[[Callable[[np.ndarray], Any]], Any]] = {
    "labels": lambda c: outcome(classifier().fit(X, c(LABELS))),
    "several labels": lambda c: outcome(classifier().fit(X, c(SEVERAL))),
    "numbers": lambda c: outcome(regressor().fit(X, c(WEIGHTS))),
    "several numbers": lambda c: outcome(regressor().fit(X, c(SEVERAL))),
    "sample_weight": lambda c: outcome(classifier().fit(X, LABELS, c(WEIGHTS))),
    "samples": lambda c: outcome(classifier().fit(np.asarray(c(X), float), LABELS)),
    "eval_set": lambda c: (
        regressor()
        .fit(X, WEIGHTS, eval_set=(np.array(X), c(WEIGHTS), c(WEIGHTS)))
        .validation_scores_
    ),
    "eval_set of several labels": lambda c: (
        classifier(early_stopping=True)
        .fit(X, SEVERAL, eval_set=[(X, c(SEVERAL), c(WEIGHTS))])
        .validation_scores_
    ),
    "partial_fit": lambda c: outcome(
        classifier().partial_fit(X, c(LABELS), c(WEIGHTS), classes=c(np.array([0, 1, 2, 3, 4, 5])))
    ),
    "score": lambda c: classifier().fit(X, LABELS).score(X, c(LABELS), c(WEIGHTS)),
    "score of several labels": lambda c: classifier().fit(X, SEVERAL).score(X, c(SEVERAL)),
    "NN targets": lambda c: outcome(nn(2).fit(X, c(SEVERAL))),
    "NN labels": lambda c: outcome(nn(2).fit(X, c(LABELS))),
    "NN samples": lambda c: outcome(nn(2).fit(c(X), LABELS, validation=(c(X), c(LABELS)))),
}


def nn(outputs: int) -> NN:
    return NN(2, 3, outputs, learning_rate=0.1, epochs=2, seed=0)


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("entry", ENTRIES)
def test_the_container_makes_no_difference(entry: str, container: str) -> None:
    expected = ENTRIES[entry](lambda values: values)
    assert ENTRIES[entry](CONTAINERS[container]) == expected


def test_a_data_frame_of_labels_is_learned_from() -> None:
    labels = pd.DataFrame({"a": [0, 1, 0, 1], "b": [1, 1, 0, 0]})
    fitted = MLPClassifier(max_iter=3).fit([[0.0], [1.0], [2.0], [3.0]], labels)
    assert fitted.predict([[0.0]]).shape == (1, 2)


def test_flags_beside_numbers_are_numbers() -> None:
    flagged = pd.DataFrame({"a": X[:, 0], "b": X[:, 1] == 1})
    assert outcome(classifier().fit(flagged, LABELS)) == outcome(classifier().fit(X, LABELS))


def test_decimal_numbers_are_numbers() -> None:
    decimals = [[Decimal(int(value)) for value in row] for row in X]
    assert outcome(classifier().fit(decimals, LABELS)) == outcome(classifier().fit(X, LABELS))
    assert outcome(nn(2).fit(decimals, LABELS)) == outcome(nn(2).fit(X, LABELS))


NUMBERS = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
DAY = datetime.date(2020, 1, 1)
REFUSED: dict[str, tuple[Any, str]] = {
    "pandas NA": (
        pd.DataFrame({"a": NUMBERS, "b": pd.array([1, None, 3, 4, 5, 6], "Float64")}),
        r"missing value \(<NA>\) at row 1, column 1 \('b'\).*X.fillna or X.dropna",
    ),
    "pandas text": (
        pd.DataFrame({"a": NUMBERS, "colour": ["red"] * 6}),
        r"text 'red' at row 0, column 1 \('colour'\).*get_dummies",
    ),
    "pandas category": (
        pd.DataFrame({"a": NUMBERS, "colour": pd.Categorical(["red"] * 6)}),
        r"text 'red' at row 0, column 1 \('colour'\).*get_dummies",
    ),
    "pandas date": (
        pd.DataFrame({"a": NUMBERS, "day": pd.to_datetime([DAY] * 6)}),
        r"Timestamp.* at row 0, column 1 \('day'\).*days since",
    ),
    "pandas period": (
        pd.DataFrame({"a": NUMBERS, "day": pd.period_range("2020", periods=6, freq="D")}),
        r"Period.* at row 0, column 1 \('day'\).*days since",
    ),
    "pandas NaN": (
        pd.DataFrame({"a": NUMBERS, "b": [1, 2, np.nan, 4, 5, 6]}),
        r"nan \(not finite\) at row 2, column 1 \('b'\)",
    ),
    "polars text": (
        pl.DataFrame({"a": NUMBERS, "colour": ["red"] * 6}),
        r"text 'red' at row 0, column 1 \('colour'\).*to_dummies",
    ),
    "polars category": (
        pl.DataFrame({"a": NUMBERS, "colour": pl.Series(["red"] * 6, dtype=pl.Categorical)}),
        r"text 'red' at row 0, column 1 \('colour'\)",
    ),
    "polars date": (
        pl.DataFrame({"a": NUMBERS, "day": [DAY] * 6}),
        r"datetime64.* in column 1 \('day'\).*days since",
    ),
    "polars null": (
        pl.DataFrame({"a": NUMBERS, "b": [1, None, 3, 4, 5, 6]}),
        r"nan \(not finite\) at row 1, column 1 \('b'\)",
    ),
    "polars lazy": (pl.LazyFrame({"a": NUMBERS}), r"LazyFrame.*not run yet: pass X\.collect\(\)"),
    "pyarrow text": (
        pa.table({"a": NUMBERS, "colour": ["red"] * 6}),
        r"text 'red' at row 0, column 1 \('colour'\)",
    ),
    "pyarrow date": (
        pa.table({"a": NUMBERS, "day": [DAY] * 6}),
        r"datetime64.* in column 1 \('day'\).*days since",
    ),
    "pyarrow null": (
        pa.table({"a": NUMBERS, "b": [1, None, 3, 4, 5, 6]}),
        r"nan \(not finite\) at row 1, column 1 \('b'\)",
    ),
    "a dict": ({"a": NUMBERS}, r"dict; pass pandas.DataFrame\(X\)"),
    "a generator": ((row for row in X), r"generator; pass list\(X\)"),
    "huge": ([[10**400, 1]] * 6, r"too large for float64 at row 0, column 0"),
    "text in a list": ([["1.5", "red"]] * 6, r"text '(1.5|red)' at row 0, column"),
}


@pytest.mark.parametrize("samples", REFUSED)
def test_what_is_no_number_is_named_by_row_column_and_remedy(samples: str) -> None:
    values, message = REFUSED[samples]
    with pytest.raises((TypeError, ValueError), match=f"^X: .*{message}"):
        classifier().fit(values, LABELS)
    with pytest.raises((TypeError, ValueError), match=f"^X: .*{message}"):
        nn(2).fit(values, LABELS)


MISSING_LABELS: dict[str, Any] = {
    "None": ["oak", None, "ash", "oak", "ash", "ash"],
    "pandas": pd.Series(["oak", pd.NA, "ash", "oak", "ash", "ash"], dtype="string"),
    "pandas flags": pd.Series([True, None, True, False, False, True], dtype="boolean"),
    "pandas numbers": pd.Series([1, None, 1, 0, 0, 0], dtype="Int64"),
    "pandas category": pd.Series(pd.Categorical(["oak", None, "ash", "oak", "ash", "ash"])),
    "polars": pl.Series(["oak", None, "ash", "oak", "ash", "ash"]),
    "pyarrow": pa.chunked_array([["oak", None, "ash"], ["oak", "ash", "ash"]]),
    "NaN": [0, np.nan, 1, 0, 1, 1],
    "NaT": np.array(["2020", "NaT", "2021", "2020", "2021", "2021"], "M8[Y]"),
}


@pytest.mark.parametrize("labels", MISSING_LABELS)
def test_a_missing_label_is_named_by_its_row(labels: str) -> None:
    message = r"^y: .* missing one \((None|<NA>|nan|NaT)\) at index 1.* leave such samples out"
    with pytest.raises(ValueError, match=message):
        classifier().fit(X, MISSING_LABELS[labels])


def test_a_missing_one_of_several_labels_is_named_by_its_column() -> None:
    several = pd.DataFrame(SEVERAL, columns=["oak", "ash"]).astype("boolean")
    several.iloc[2, 1] = pd.NA
    with pytest.raises(ValueError, match=r"at row 2, column 1 \('ash'\)"):
        classifier().fit(X, several)
    with pytest.raises(ValueError, match=r"at row 2, column 1 \('ash'\)"):
        regressor().fit(X, several)


@pytest.mark.parametrize(
    "column",
    [["oak", "ash"] * 3, pd.date_range("2020", periods=6), [1.0, np.nan] * 3, [1, None] * 3],
)
@pytest.mark.parametrize(
    ("learner", "other"), [(classifier, "Classifier"), (regressor, "Regressor")]
)
def test_whoever_has_a_table_is_told_of_the_learner_of_tables(
    learner: Any, other: str, column: Any
) -> None:
    table = pd.DataFrame({"height": range(6), "more": pd.Series(column, dtype=object)})
    with pytest.raises((TypeError, ValueError), match=f"; or use Tabular{other}, which takes text"):
        learner().fit(table, np.arange(6) % 2)
