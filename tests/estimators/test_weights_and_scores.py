"""Samples without weight, scores that are no numbers, and what is said about both."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold, cross_val_score

from cnn_core import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 3))
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 1)
NUMBERS = X[:, 0] - X[:, 1]


def classifier(**parameters: Any) -> MLPClassifier:
    return MLPClassifier((6,), random_state=0, **{"max_iter": 15, **parameters})


def regressor(**parameters: Any) -> MLPRegressor:
    return MLPRegressor(hidden_layer_sizes=(6,), random_state=0, **{"max_iter": 15, **parameters})


def some_zero(counted: int) -> np.ndarray:
    weights = np.zeros(len(X))
    weights[RNG.permutation(len(X))[:counted]] = 1
    return weights


# Early stopping


@pytest.mark.parametrize("make", [classifier, regressor])
def test_samples_without_weight_are_never_validated_on(make: Any) -> None:
    y = Y if make is classifier else NUMBERS
    fitted = make(early_stopping=True, n_iter_no_change=3).fit(X, y, some_zero(20))
    assert np.isfinite(fitted.validation_scores_).all()
    assert np.isfinite(fitted.best_validation_score_)


def test_too_few_samples_with_weight_to_validate_on_are_refused() -> None:
    with pytest.raises(ValueError, match=r"validation set is too small.*samples that count"):
        regressor(early_stopping=True).fit(X, NUMBERS, some_zero(5))


def test_an_evaluation_set_without_weight_is_refused() -> None:
    nothing = np.zeros(len(X))
    for make, y in ((classifier, Y), (regressor, NUMBERS)):
        with pytest.raises(ValueError, match=r"eval_set\[2\]: expected at least one weight above"):
            make(early_stopping=True).fit(X, y, eval_set=(X, y, nothing))


def test_one_sample_is_too_few_to_stop_by_r2() -> None:
    with pytest.raises(ValueError, match="at least 2 samples that count to stop early by R2"):
        regressor(early_stopping=True).fit(X, NUMBERS, eval_set=(X, NUMBERS, some_zero(1)))
    regressor(early_stopping=True, scoring="loss").fit(X, NUMBERS, eval_set=(X[:1], NUMBERS[:1]))


def no_number(estimator: Any, X: Any, y: Any) -> float:
    return float("nan")


def late_number(estimator: Any, X: Any, y: Any) -> float:
    return float("nan") if estimator.n_iter_ < 8 else 1.0


def test_scores_that_are_no_numbers_stop_nothing_and_are_reported() -> None:
    fitting = classifier(early_stopping=True, scoring=no_number, n_iter_no_change=2)
    with pytest.warns(UserWarning, match="scoring: found nan after every epoch"):
        fitted = fitting.fit(X, Y)
    assert fitted.n_iter_ == 15
    fitted = classifier(early_stopping=True, scoring=late_number, n_iter_no_change=2).fit(X, Y)
    assert fitted.n_iter_ == 9 + 3
    assert fitted.best_validation_score_ == 1


def test_a_training_that_no_class_has_weight_in_is_refused() -> None:
    with pytest.raises(ValueError, match="class_weight: expected at least one weight above 0"):
        classifier(class_weight={0: 0, 1: 0, 2: 0}).fit(X, Y)


def test_scoring_without_samples_to_score_is_reported() -> None:
    with pytest.warns(UserWarning, match="scoring: found no samples to score.*pass eval_set"):
        classifier(scoring="accuracy").fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier(scoring="accuracy", early_stopping=True).fit(X, Y)
        classifier(scoring="accuracy").fit(X, Y, eval_set=(X, Y))


# Weights of classes


def test_weights_of_classes_that_a_fold_lacks_are_left_out() -> None:
    order = np.argsort(Y, kind="stable")
    model = classifier(class_weight={0: 1.0, 1: 2.0, 2: 5.0})
    scores = cross_val_score(model, X[order], Y[order], cv=KFold(3), error_score="raise")
    assert len(scores) == 3


def test_a_weight_of_a_missing_class_gives_a_warning_unless_all_are_named() -> None:
    with pytest.warns(UserWarning, match=r"class_weight: found \[7\], which the samples"):
        classifier(class_weight={0: 2.0, 7: 3.0}).fit(X, Y)


@pytest.mark.parametrize(
    ("class_weight", "error", "message"),
    [
        ({0: "1"}, TypeError, "class_weight: expected a number, found str"),
        ({0: None}, TypeError, "class_weight: expected a number"),
        ({0: True}, TypeError, "class_weight: expected a number"),
        ({0: float("nan")}, ValueError, "class_weight: expected a finite number"),
        ({0: -1}, ValueError, "class_weight: expected numbers of at least 0"),
        ({"0": 1.0}, ValueError, "class_weight: expected classes among .* numbers, found '0'"),
        ([1, 2], ValueError, "class_weight: expected None, 'balanced' or a dict"),
    ],
)
def test_weights_of_classes_that_make_no_sense_are_refused(
    class_weight: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        classifier(class_weight=class_weight).fit(X, Y)


# Labels of another kind


@pytest.mark.parametrize(
    ("fitted", "scored"),
    [
        ([0, 1], ["0", "1"]),
        (["0", "1"], [0, 1]),
        (["a", "b"], np.array([b"a", b"b"])),
        (np.array([b"a", b"b"]), ["a", "b"]),
        ([0, 1], np.array(["2020", "2021"], "M8[Y]")),
        ([False, True], ["False", "True"]),
    ],
)
def test_labels_of_another_kind_are_refused_wherever_they_are_compared(
    fitted: Any, scored: Any
) -> None:
    samples = X[:2]
    model = classifier().fit(samples, fitted)
    with pytest.raises(ValueError, match=r"y: expected classes among .* found"):
        model.score(samples, scored)
    with pytest.raises(ValueError, match=r"y: expected classes among .* found"):
        model.partial_fit(samples, scored)
    with pytest.raises(ValueError, match=r"eval_set\[1\]: expected classes among .* found"):
        classifier().fit(samples, fitted, eval_set=(samples, scored))


def test_numbers_are_compared_as_numbers_and_text_as_text() -> None:
    model = classifier().fit(X, Y > 0)
    expected = model.score(X, Y > 0)
    for dtype in (int, float, np.uint8, object):
        assert model.score(X, (Y > 0).astype(dtype)) == expected
    names = np.array(["ash", "oak"])[(Y > 0).astype(int)]
    model = classifier().fit(X, names)
    assert model.score(X, names.astype(object)) == model.score(X, list(names)) == expected


def test_the_first_partial_fit_speaks_of_its_own_classes() -> None:
    with pytest.raises(ValueError, match=r"y: .* those of classes, found \[2\]"):
        classifier().partial_fit(X, Y, classes=[0, 1])
    with pytest.raises(ValueError, match=r"eval_set\[1\]: .* those of y, found \[9\]"):
        classifier().fit(X, Y, eval_set=(X[:1], [9]))
    with pytest.raises(ValueError, match=r"y: .* those of the fit before, found \[9\]"):
        classifier().fit(X, Y).partial_fit(X[:1], [9])


# What is told


def test_the_warning_of_an_unfinished_training_is_one_short_line_a_fit() -> None:
    for parameters in ({}, {"solver": "lbfgs"}):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            classifier(max_iter=2, **parameters).fit(X, Y)
        assert [warning.category for warning in caught] == [ConvergenceWarning]
        assert len(str(caught[0].message)) <= 110
        assert "\n" not in str(caught[0].message)
        assert caught[0].filename == __file__


def test_a_preset_for_many_samples_hints_at_too_few() -> None:
    images = np.random.default_rng(0).integers(0, 256, size=(300, 20), dtype=np.uint8)
    labels = images[:, 0] > 127
    hint = "preset 'fast': 12 epochs of 300 samples are only 36 steps: pass max_iter=67 or more"
    with pytest.warns(UserWarning, match=hint):
        MLPClassifier.preset("fast", random_state=0).fit(images, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        MLPClassifier.preset("fast", random_state=0, max_iter=67).fit(images, labels)
        MLPClassifier.preset("fast", random_state=0, max_iter=3).fit(images, labels)


@pytest.mark.parametrize("name", ["fast", "balanced", "best"])
def test_there_are_presets_for_numbers(name: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, size=(400, 20), dtype=np.uint8)
    numbers = (images.mean(axis=1) - 127.5) / 20
    fitted = MLPRegressor.preset(name, random_state=0, max_iter=40).fit(images, numbers)
    assert fitted.score(images, numbers) > 0.5
    with pytest.raises(ValueError, match="preset: expected one of"):
        MLPRegressor.preset("slow")


@pytest.mark.parametrize(
    ("activation", "numbers"),
    [
        ("logistic", [0.0, 1.0, 1.5]),
        ("tanh", [-1.0, 1.0, 2.0]),
        ("relu", [0.0, 5.0, -1.0]),
        ("softplus", [0.0, 5.0, -1.0]),
        ("exp", [0.0, 5.0, -1.0]),
        ("elu", [-0.9, 5.0, -2.0]),
        ("gelu", [-0.1, 5.0, -1.0]),
    ],
)
def test_numbers_that_the_outputs_cannot_reach_give_a_warning(
    activation: str, numbers: list[float]
) -> None:
    fitting = regressor(out_activation=activation)
    with pytest.warns(UserWarning, match=r"y: expected numbers .* found .* at index 2"):
        fitting.fit(X[:3], numbers)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitting.fit(X[:2], numbers[:2])
        regressor().fit(X[:3], numbers)


def test_warnings_point_at_the_line_that_calls_fit() -> None:
    images = np.zeros((300, 20), np.uint8)
    images[::2] = 255
    fits = {
        "scoring": lambda: classifier(scoring="accuracy").fit(X, Y),
        "class_weight": lambda: classifier(class_weight={9: 1.0}).fit(X, Y),
        "y: expected": lambda: regressor(out_activation="logistic").fit(X, 2 + NUMBERS),
        "preset": lambda: MLPClassifier.preset("fast").fit(images, images[:, 0]),
    }
    for start, fit in fits.items():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fit()
        found = [warning for warning in caught if str(warning.message).startswith(start)]
        assert [warning.filename for warning in found] == [__file__], start
