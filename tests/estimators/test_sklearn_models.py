"""scikit-learn's MLPs become ours and ours become theirs, with the same predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnn_core import MLPClassifier, MLPRegressor, load
from small_estimators import NAMES, NUMBERS, X_NUMBERS, X, Y, classifier, regressor

neural_network = pytest.importorskip("sklearn.neural_network")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

LABELS: dict[str, Any] = {
    "texts": NAMES,
    "two": Y % 2,
    "several": np.stack([Y % 2, Y == 1, Y == 2], axis=1).astype(int),
}
SETTINGS = {"hidden_layer_sizes": (8, 6), "max_iter": 15, "random_state": 0}


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_classifiers_of_theirs(tmp_path: Path, name: str, solver: str) -> None:
    theirs = neural_network.MLPClassifier(solver=solver, activation="tanh", **SETTINGS)
    theirs.fit(X, LABELS[name])
    ours = MLPClassifier.from_sklearn(theirs)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-12)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    assert ours.loss_ == pytest.approx(theirs.loss_)
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.get_params()["solver"] == solver
    ours.save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.predict_proba(X), ours.predict_proba(X))
    back = ours.to_sklearn()
    np.testing.assert_array_equal(back.predict_proba(X), theirs.predict_proba(X))


@pytest.mark.parametrize("y", [NUMBERS, np.stack([NUMBERS, -NUMBERS], 1)])
def test_regressors_of_theirs(y: np.ndarray) -> None:
    theirs = neural_network.MLPRegressor(early_stopping=True, **SETTINGS).fit(X_NUMBERS, y)
    ours = MLPRegressor.from_sklearn(theirs)
    np.testing.assert_allclose(ours.predict(X_NUMBERS), theirs.predict(X_NUMBERS), atol=1e-12)
    np.testing.assert_array_equal(ours.to_sklearn().predict(X_NUMBERS), theirs.predict(X_NUMBERS))


@pytest.mark.parametrize("name", LABELS)
def test_ours_with_what_theirs_have_not(name: str) -> None:
    x = (10 * X + 50).clip(0, 255).astype(np.uint8)
    ours = classifier(
        input_scale=1 / 255, normalization="batch", solver="nadam", dropout=0.1, dtype="float64"
    ).fit(x, LABELS[name])
    theirs = ours.to_sklearn()
    np.testing.assert_allclose(theirs.predict_proba(x), ours.predict_proba(x), atol=1e-10)
    np.testing.assert_array_equal(theirs.predict(x), ours.predict(x))
    assert type(theirs) is neural_network.MLPClassifier
    assert theirs.solver == "adam"
    theirs.set_params(warm_start=True).fit(x, LABELS[name])


def test_a_fit_goes_on_in_both() -> None:
    theirs = neural_network.MLPRegressor(warm_start=True, **SETTINGS).fit(X_NUMBERS, NUMBERS)
    ours = MLPRegressor.from_sklearn(theirs)
    before = ours.score(X_NUMBERS, NUMBERS)
    assert ours.fit(X_NUMBERS, NUMBERS).score(X_NUMBERS, NUMBERS) > before
    ours.to_sklearn().partial_fit(X_NUMBERS, NUMBERS)


def test_poisson() -> None:
    counts = np.exp(NUMBERS)
    ours = regressor(loss="poisson").fit(X_NUMBERS, counts)
    theirs = ours.to_sklearn()
    np.testing.assert_allclose(theirs.predict(X_NUMBERS), ours.predict(X_NUMBERS), rtol=1e-10)
    again = MLPRegressor.from_sklearn(theirs)
    np.testing.assert_allclose(again.predict(X_NUMBERS), ours.predict(X_NUMBERS), rtol=1e-10)


def test_what_the_other_side_does_not_have() -> None:
    for settings, message in (
        ({"activation": "gelu"}, "activation: expected one of identity"),
        ({"hidden_layer_sizes": (8, 8), "activation": ["relu", "tanh"]}, "found relu, tanh"),
        ({"normalization": "layer"}, "normalization"),
    ):
        with pytest.raises(ValueError, match=message):
            classifier(**settings).fit(X, Y).to_sklearn()
    with pytest.raises(ValueError, match="out_activation: expected the identity"):
        regressor(out_activation="softplus").fit(X_NUMBERS, NUMBERS**2).to_sklearn()
    with pytest.raises(ValueError, match="not fitted"):
        classifier().to_sklearn()
    with pytest.raises(ValueError, match="not fitted"):
        MLPClassifier.from_sklearn(neural_network.MLPClassifier())
    for wrong in (neural_network.MLPRegressor(), classifier(), None):
        with pytest.raises(TypeError, match="model: expected scikit-learn's MLPClassifier"):
            MLPClassifier.from_sklearn(wrong)


def test_a_generator_becomes_a_seed_of_theirs_and_stays_as_it_is() -> None:
    seed = np.random.default_rng(5)
    ours = classifier(max_iter=2, random_state=seed).fit(X, Y)
    before = seed.bit_generator.state
    theirs = ours.to_sklearn()
    assert isinstance(theirs.get_params()["random_state"], int)
    assert seed.bit_generator.state == before
    assert (theirs.predict(X) == ours.predict(X)).all()
