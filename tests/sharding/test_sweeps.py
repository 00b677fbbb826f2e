"""Many trainings as tasks: sweeps, ensembles, searches of other libraries, `cnn-core tune`."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from distributed import Client
from sklearn.model_selection import GridSearchCV

from cnn_core import MLPClassifier, MLPRegressor
from cnn_core.cli import main
from cnn_core.dask import train_each, train_ensemble
from sharded_fits import SETTINGS, bits_of
from sharded_fits import small_classes as data

QUICK = {**SETTINGS, "max_iter": 2}


def test_a_sweep_has_the_bits_of_each_fit_alone(client: Client) -> None:
    X, y, weights = data()
    sweep = [MLPClassifier(**{**QUICK, "learning_rate_init": rate}) for rate in (0.001, 0.1)]
    trained = train_each(sweep, X, y, weights, eval_set=(X[:50], y[:50]))
    alone = [one.fit(X, y, weights, eval_set=(X[:50], y[:50])) for one in sweep]
    assert [bits_of(one) for one in trained] == [bits_of(one) for one in alone]
    assert trained[0] is not sweep[0]


def test_an_ensemble_is_the_mean_of_its_members(client: Client) -> None:
    X, y, _ = data()
    ensemble = train_ensemble(MLPClassifier(**QUICK), 3, X, y)
    members = [MLPClassifier(**{**QUICK, "random_state": seed}).fit(X, y) for seed in range(3)]
    mean = np.mean([one.predict_proba(X) for one in members], axis=0)
    np.testing.assert_array_equal(ensemble.predict_proba(X), mean)
    np.testing.assert_array_equal(ensemble.predict(X), members[0].classes_[mean.argmax(axis=1)])
    numbers = train_ensemble(MLPRegressor(**QUICK), 2, X, X[:, 0])
    assert numbers.predict(X).shape == (301,)
    with pytest.raises((TypeError, ValueError), match="random_state"):
        train_ensemble(MLPClassifier(), 2, X, y)


def test_a_grid_search_runs_on_joblibs_backend_of_dask(client: Client) -> None:
    X, y, _ = data()
    search = GridSearchCV(MLPClassifier(**QUICK), {"alpha": [0.0, 1.0]}, cv=2)
    with joblib.parallel_backend("dask", client=client):
        found = search.fit(X, y).cv_results_["mean_test_score"]
    np.testing.assert_array_equal(search.fit(X, y).cv_results_["mean_test_score"], found)


@pytest.mark.slow
def test_tune_names_the_same_settings_for_any_number_of_workers(
    tmp_path: Path, capsys: Any
) -> None:
    said = []
    for workers in ("1", "2"):
        out = tmp_path / workers
        words = ["tune", "--data", "digits", "--trials", "10", "--epochs", "2", "--seed", "0"]
        assert main([*words, "--workers", workers, "--quiet", "--out", str(out)]) == 0
        said.append(capsys.readouterr().out.split("  ")[0])
        rows = list(csv.reader((out / "trials.csv").read_text().splitlines()))
        assert len(rows) == 11
        assert rows[1][0] >= rows[-1][0]
    assert said[0] == said[1]
    assert said[0].startswith("--learning-rate")
