"""An estimator comes back from a file with all that it knows."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import cnn_core
from cnn_core.model_file import ModelFileError, read_tensors, write_tensors
from small_estimators import CLASSES, NAMES, X, Y, classifier, regressor, weights_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# Files


def test_an_estimator_comes_back_from_a_file_with_all_that_it_knows(tmp_path: Path) -> None:
    fitted = classifier(
        early_stopping=True,
        class_weight={"ash": 2.0},
        n_iter_no_change=math.inf,
        hidden_layer_sizes=np.array([8]),
        dtype=np.float64,
    )
    fitted.fit(X, NAMES, eval_set=[(X[:50], NAMES[:50]), (X[50:], NAMES[50:])])
    fitted.feature_names_in_ = np.array(["a", "b", "c", "d"], object)
    fitted.save(tmp_path / "model")
    loaded = cnn_core.load(tmp_path / "model")
    for name in [
        "loss_",
        "loss_curve_",
        "validation_scores_",
        "validation_loss_curve_",
        "best_validation_score_",
        "best_loss_",
        "evals_result_",
        "n_iter_",
        "t_",
        "n_layers_",
        "n_outputs_",
        "out_activation_",
        "n_features_in_",
        "stopped_because_",
    ]:
        assert getattr(loaded, name) == getattr(fitted, name), name
    assert loaded.classes_.tolist() == CLASSES
    assert loaded.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    assert loaded.class_weight == {"ash": 2.0}
    assert loaded.n_iter_no_change == math.inf


def test_a_loaded_estimator_trains_on_like_the_saved_one(tmp_path: Path) -> None:
    fitted = classifier(batch_size=20, dropout=0.2)
    fitted.partial_fit(X, NAMES, classes=CLASSES).save(tmp_path / "model")
    loaded = cnn_core.load(tmp_path / "model")
    for one in (fitted, loaded):
        one.partial_fit(X, NAMES)
    np.testing.assert_array_equal(weights_of(fitted), weights_of(loaded))
    assert loaded.loss_curve_ == fitted.loss_curve_


def test_several_labels_numbers_and_a_single_class_come_back_too(tmp_path: Path) -> None:
    for estimator, y in (
        (classifier(), np.eye(3, dtype=int)[Y]),
        (classifier(), np.full(len(X), "all", object)),
        (classifier(), Y > 0),
        (regressor(), np.column_stack([Y, Y])),
        (regressor(loss="huber", huber_delta=2.0), Y),
    ):
        estimator.fit(X, y).save(tmp_path / "model")
        loaded = cnn_core.load(tmp_path / "model")
        np.testing.assert_array_equal(loaded.predict(X), estimator.predict(X))
        assert loaded.predict(X).dtype == estimator.predict(X).dtype


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"kind": "multiclass"', '"kind": "binary"'),
        ('"ash"', "17"),
        ('"cedar"', '"beech"'),
        ('"feature_names": null', '"feature_names": ["a"]'),
        ('"activation": "relu"', '"activatoin": "relu"'),
        ('"task"', '"tusk"'),
        ("<U5", "|V5"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(old: str, new: str, tmp_path: Path) -> None:
    classifier().fit(X, NAMES).save(tmp_path / "model")
    tensors, metadata = read_tensors(tmp_path / "model")
    assert old in metadata["extra"]
    metadata["extra"] = metadata["extra"].replace(old, new)
    write_tensors(tmp_path / "model", tensors, metadata)
    with pytest.raises(ModelFileError, match="expected the settings and weights"):
        cnn_core.load(tmp_path / "model")


def test_an_object_that_a_file_cannot_hold_is_named(tmp_path: Path) -> None:
    fitted = classifier().fit(X, Y)
    fitted.batch_size = object()
    with pytest.raises(TypeError, match="batch_size: a file cannot hold"):
        fitted.save(tmp_path / "model")
    assert not (tmp_path / "model").exists()
    with pytest.raises(NotFittedError):
        classifier().save(tmp_path / "model")


def test_classes_that_a_file_cannot_hold_are_named(tmp_path: Path) -> None:
    fitted = classifier(max_iter=2).fit(X, np.array([b"a", b"b", b"c"])[Y])
    with pytest.raises(TypeError, match=r"numbers and text, found \|S1"):
        fitted.save(tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())
