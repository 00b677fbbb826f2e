"""Learners of tables in files: what comes back, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold

import cnn_core
from cnn_core import callbacks
from cnn_core.io.container import ModelFileError, read_tensors, write_tensors
from cnn_core.tables.saving import DESCRIPTION, text_in
from small_tables import DEAR, PRICES, TABLE, classifier, regressor


@pytest.mark.parametrize("quality", ["balanced", "best"])
def test_a_classifier_comes_back_as_it_was(tmp_path: Path, name: str, quality: str) -> None:
    frame = pd.DataFrame(TABLE)
    learner = classifier(quality=quality, backend=name, max_steps=30).fit(frame, DEAR)
    learner.save(tmp_path / "learner")
    found = cnn_core.load(tmp_path / "learner", backend=name)
    assert isinstance(found, cnn_core.TabularClassifier)
    np.testing.assert_array_equal(found.predict_proba(frame), learner.predict_proba(frame))
    np.testing.assert_array_equal(found.predict(frame), learner.predict(frame))
    np.testing.assert_array_equal(found.oof_prediction_, learner.oof_prediction_)
    np.testing.assert_array_equal(found.predict_set(frame), learner.predict_set(frame))
    assert found.feature_names_in_.tolist() == list(TABLE)
    assert found.summary() == learner.summary()
    assert found.describe_columns() == learner.describe_columns()
    assert found.get_params() == learner.get_params()
    one, other = (
        learned.permutation_importance(frame, DEAR, n_repeats=1, random_state=0).importances
        for learned in (found, learner)
    )
    np.testing.assert_array_equal(one, other)


def test_a_regressor_comes_back_as_it_was(tmp_path: Path, name: str) -> None:
    learner = regressor(backend=name, cv=[(np.arange(200), np.arange(200, 240))])
    learner.fit(TABLE, PRICES).save(tmp_path / "learner")
    found = cnn_core.load(tmp_path / "learner", backend=name)
    np.testing.assert_array_equal(found.predict(TABLE), learner.predict(TABLE))
    np.testing.assert_array_equal(found.oof_prediction_, learner.oof_prediction_)
    np.testing.assert_array_equal(
        found.predict_interval(TABLE, 0.8), learner.predict_interval(TABLE, 0.8)
    )
    assert (found.oof_score_, found.oof_loss_) == (learner.oof_score_, learner.oof_loss_)


def test_a_learner_without_rows_held_out_comes_back(tmp_path: Path) -> None:
    learner = regressor().fit([[1, "a"], [2, "b"]], [1.0, 2.0])
    learner.save(tmp_path / "learner")
    found = cnn_core.load(tmp_path / "learner")
    np.testing.assert_array_equal(found.predict([[1, "b"]]), learner.predict([[1, "b"]]))
    assert np.isnan(found.oof_score_)


def test_parameters_that_are_objects_are_none_again(tmp_path: Path) -> None:
    settings = {"cv": KFold(3), "callbacks": [callbacks.Callback()]}
    learner = classifier(random_state=np.random.RandomState(0), **settings).fit(TABLE, DEAR)
    learner.save(tmp_path / "learner")
    found = cnn_core.load(tmp_path / "learner")
    assert (found.cv, found.callbacks, found.random_state) == (None, None, None)


def test_thousands_of_levels_fit_into_a_file(tmp_path: Path) -> None:
    table = {"x": [f"{'a long name of a level' * 16} {row % 1000}" for row in range(5000)]}
    learner = classifier(max_steps=1, n_members=1).fit(table, np.arange(5000) % 2)
    learner.save(tmp_path / "learner")
    found = cnn_core.load(tmp_path / "learner")
    np.testing.assert_array_equal(found.predict(table), learner.predict(table))


def test_nothing_is_left_of_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    learner = classifier().fit(TABLE, DEAR)
    with pytest.raises(OSError, match="nowhere"):
        learner.save(tmp_path / "nowhere" / "learner")
    assert not list(tmp_path.iterdir())


# Hostile files


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "learner"
    classifier(quality="best", max_steps=3, n_members=2).fit(TABLE, DEAR).save(path)
    return path


def changed(saved: Path, path: Path, change: Any) -> Path:
    """Write the file with a description or tensors that were changed, and a right checksum."""
    tensors, metadata = read_tensors(saved)
    description = json.loads(text_in(tensors[DESCRIPTION]))
    change(description, tensors)
    text = json.dumps(description)
    tensors[DESCRIPTION] = np.frombuffer(text.encode(), np.uint8).astype(np.float32)
    write_tensors(path, tensors, metadata)
    return path


def set_in(*keys: Any, value: Any) -> Any:
    def change(description: Any, tensors: Any) -> None:
        place = description
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return change


def set_tensor(name: str, value: Any) -> Any:
    def change(description: Any, tensors: Any) -> None:
        tensors[name] = np.asarray(value, np.float64)

    return change


CHANGES = {
    "no columns": set_in("columns", value=[]),
    "columns of another type": set_in("columns", value={}),
    "fewer columns": lambda description, _: description["columns"].pop(),
    "an unknown kind": set_in("columns", 0, "kind", value="picture"),
    "other levels": set_in("columns", 1, "levels", value=["flat"]),
    "levels that are numbers": set_in("columns", 1, "levels", value=[1, 2, 3]),
    "unknown parts": set_in("columns", 2, "parts", value=["time", "era"]),
    "no views": set_in("views", value=[]),
    "a view of another type": set_in("views", 0, value=3),
    "huge layers": set_in("views", 0, "view", "hidden", value=[2**40]),
    "layers that are no numbers": set_in("views", 0, "view", "hidden", value=["a"]),
    "very many layers": set_in("views", 0, "view", "hidden", value=[1] * 5000),
    "an unknown activation": set_in("views", 0, "view", "activation", value="softmax"),
    "an unknown setting of a view": set_in("views", 0, "view", "scaling", value="none"),
    "dropout of everything": set_in("views", 0, "view", "dropout", value=1),
    "many members": set_in("views", 0, "members", value=10**9),
    "shares beyond one": set_in("views", 0, "share", value=3.0),
    "a share that is no number": set_in("views", 0, "share", value="1"),
    "edges that fall": set_in("views", 0, "encoder", 0, "edges", value=[3, 2, 1]),
    "very many edges": set_in("views", 0, "encoder", 0, "edges", value=list(range(5000))),
    "fewer scales": lambda description, _: description["views"][0]["encoder"].pop(),
    "another number of levels": set_in("views", 0, "encoder", 2, value=10**9),
    "no temperature": set_in("task", "temperature", value=0),
    "other classes": set_in("task", "classes", "values", value=["a", "b", "c"]),
    "an unknown parameter": set_in("parameters", "depth", value=3),
    "names of other columns": set_in("feature_names", value=["a"]),
    "a name that is a number": set_in("feature_names", value=[1, 2, 3, 4, 5]),
    "no parameters of a network": lambda _, tensors: tensors.pop("views.0.1.parameters"),
    "too few parameters": set_tensor("views.0.0.parameters", [1.0]),
    "weights that are NaN": lambda _, tensors: tensors["views.0.0.parameters"].fill(np.nan),
    "a tensor too many": set_tensor("more", [1.0]),
    "rows that are no rows": set_tensor("held_out.0", [0.5]),
    "rows beyond the table": set_tensor("held_out.0", [1e9]),
    "scores beyond one": set_tensor("learned.scores", [2.0]),
    "predictions of another shape": set_tensor("oof_prediction", [0.5]),
    "scores of another shape": set_tensor("oof", [0.5]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_does_not_go_together_is_refused(
    saved: Path, tmp_path: Path, change: str
) -> None:
    path = changed(saved, tmp_path / "changed", CHANGES[change])
    with pytest.raises(ModelFileError, match="a TabularClassifier"):
        cnn_core.load(path)


@pytest.mark.parametrize("text", ["", "[]", "{", "nonsense", "[" * 100_000])
def test_a_description_that_is_none_is_refused(saved: Path, tmp_path: Path, text: str) -> None:
    tensors, metadata = read_tensors(saved)
    tensors[DESCRIPTION] = np.frombuffer(text.encode(), np.uint8).astype(np.float32)
    write_tensors(tmp_path / "changed", tensors, metadata)
    with pytest.raises(ModelFileError):
        cnn_core.load(tmp_path / "changed")


@pytest.mark.parametrize("numbers", [[300.0], [0.5], [-1.0], [np.nan], [255.0], [[97.0]]])
def test_numbers_that_are_no_text_are_refused(saved: Path, tmp_path: Path, numbers: Any) -> None:
    tensors, metadata = read_tensors(saved)
    tensors[DESCRIPTION] = np.array(numbers)
    write_tensors(tmp_path / "changed", tensors, metadata)
    with pytest.raises(ModelFileError):
        cnn_core.load(tmp_path / "changed")
