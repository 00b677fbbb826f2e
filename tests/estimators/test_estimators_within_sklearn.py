"""Estimators in pipelines and searches, and without scikit-learn."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import sklearn.neural_network
from sklearn.calibration import CalibratedClassifierCV
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import cnn_core
from cnn_core.callbacks import Callback
from cnn_core.schedules import StepDecay
from small_estimators import NAMES, NUMBERS, X_NUMBERS, X, Y, classifier, regressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


# With scikit-learn's tools, and without scikit-learn


def test_it_works_in_pipelines_searches_and_calibration() -> None:
    pipeline = make_pipeline(StandardScaler(), classifier(max_iter=60))
    search = GridSearchCV(pipeline, {"mlpclassifier__alpha": [1e-4, 1e-3]}, cv=3)
    assert search.fit(X, NAMES).score(X, NAMES) > 0.9
    assert CalibratedClassifierCV(classifier(max_iter=60), cv=3).fit(X, NAMES).score(X, NAMES) > 0.9
    assert cross_val_score(regressor(max_iter=200), X_NUMBERS, NUMBERS, cv=3).min() > 0.7
    cloned = sklearn.base.clone(classifier(callbacks=[Callback()], schedule=StepDecay(5)))
    assert cloned.get_params()["schedule"] == StepDecay(5)


def test_weights_of_samples_are_routed() -> None:
    with sklearn.config_context(enable_metadata_routing=True):
        weighted = classifier().set_fit_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), weighted)
        weights = np.where(Y == 0, 1.0, 0.0)
        pipeline.fit(X, NAMES, sample_weight=weights)
    scaled = StandardScaler().fit_transform(X)
    by_hand = classifier().fit(scaled, NAMES, sample_weight=weights)
    np.testing.assert_array_equal(pipeline.predict_proba(X), by_hand.predict_proba(scaled))


def in_a_new_process(code: str) -> str:
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        # Chosen, so that an installation without the compiled backend does not warn.
        env={**os.environ, "CNN_CORE_BACKEND": cnn_core.backend_info()["backend"]},
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_importing_the_library_imports_no_scikit_learn() -> None:
    code = "import cnn_core, sys; cnn_core.NN; print(*sys.modules)"
    loaded = in_a_new_process(code).split()
    assert not {"sklearn", "scipy", "pandas", "joblib", "matplotlib"} & set(loaded)
    assert "cnn_core.model" in loaded
    assert {"MLPClassifier", "MLPRegressor"} <= set(dir(cnn_core))


def test_the_estimators_work_without_scikit_learn() -> None:
    code = """
import sys
for name in ("sklearn", "scipy", "pandas", "joblib"):
    sys.modules[name] = None
import copy, os, pickle, tempfile
import numpy as np
import cnn_core
rng = np.random.default_rng(0)
X = rng.normal(size=(200, 4))
y = np.where(X[:, 0] + X[:, 1] > 0, "yes", "no")
classifier = cnn_core.MLPClassifier((8,), random_state=0, max_iter=40, schedule="cosine",
                                    learning_rate_init=0.05, early_stopping=True)
assert repr(classifier) == ("MLPClassifier(early_stopping=True, hidden_layer_sizes=(8,), "
                            "learning_rate_init=0.05, max_iter=40, random_state=0, "
                            "schedule='cosine')"), classifier
try:
    classifier.predict(X)
except AttributeError as error:
    assert "call fit" in str(error)
assert classifier.fit(X, y).score(X, y) > 0.9
copies = [copy.deepcopy(classifier), pickle.loads(pickle.dumps(classifier))]
with tempfile.TemporaryDirectory() as folder:
    classifier.save(os.path.join(folder, "model"))
    copies.append(cnn_core.load(os.path.join(folder, "model")))
for one in copies:
    assert (one.predict_proba(X) == classifier.predict_proba(X)).all()
assert classifier.set_params(alpha=0.5).get_params()["alpha"] == 0.5
for wrong in (lambda: classifier.set_params(aplha=1), lambda:
              cnn_core.MLPClassifier(scoring="f1").fit(X, y)):
    try:
        wrong()
    except ValueError as error:
        assert "expected" in str(error)
    else:
        raise AssertionError
assert not hasattr(cnn_core.MLPRegressor(solver="lbfgs"), "partial_fit")
regressor = cnn_core.MLPRegressor(hidden_layer_sizes=8, random_state=0, max_iter=60,
                                  schedule="cosine", learning_rate_init=0.05)
assert regressor.fit(X, X[:, 0]).score(X, X[:, 0]) > 0.9
print("done")
"""
    assert in_a_new_process(code) == "done\n"
