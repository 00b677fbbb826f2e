"""Learners of tables on a cluster: the bits of the plain ones, a task for each network."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import Client
from sklearn.base import clone

from cnn_core import TabularClassifier, load
from cnn_core.dask import DaskTabularClassifier, DaskTabularRegressor
from small_tables import DEAR, PRICES, SMALL, TABLE, classifier, regressor

FRAME = pd.DataFrame(TABLE)


def numbers(learner: Any) -> tuple[Any, ...]:
    found = learner.predict_proba if hasattr(learner, "predict_proba") else learner.predict
    return found(FRAME).tobytes(), learner.oof_prediction_.tobytes(), learner.oof_loss_


@pytest.fixture(scope="module")
def fitted(client: Client) -> DaskTabularClassifier:
    return DaskTabularClassifier(**SMALL, class_weight="balanced").fit(FRAME, DEAR)


def test_have_the_bits_of_the_plain_learners(client: Client, fitted: DaskTabularClassifier) -> None:
    assert numbers(fitted) == numbers(classifier(class_weight="balanced").fit(FRAME, DEAR))
    weights = np.linspace(0.5, 1.5, len(PRICES))
    settings = {**SMALL, "cv": "time"}
    on_dask = DaskTabularRegressor(**settings).fit(FRAME, PRICES, weights)
    assert numbers(on_dask) == numbers(regressor(cv="time").fit(FRAME, PRICES, weights))


def test_frames_of_dask_are_brought_here_and_predicted_lazily(
    client: Client, fitted: DaskTabularClassifier
) -> None:
    frame = dd.from_pandas(FRAME, npartitions=3)
    labels = dd.from_pandas(pd.Series(DEAR), npartitions=3)
    on_dask = DaskTabularClassifier(**SMALL, class_weight="balanced").fit(frame, labels)
    assert numbers(on_dask) == numbers(fitted)
    lazy = on_dask.predict_proba(frame)
    assert hasattr(lazy, "compute")
    np.testing.assert_array_equal(lazy.compute(), fitted.predict_proba(FRAME))
    np.testing.assert_array_equal(on_dask.predict(frame).compute(), fitted.predict(FRAME))
    assert on_dask.score(frame, labels) == fitted.score(FRAME, DEAR)


def test_the_plain_learner_is_had_saved_and_pickled(
    client: Client, fitted: DaskTabularClassifier, tmp_path: Path
) -> None:
    assert type(fitted.to_local()) is TabularClassifier
    assert numbers(fitted.to_local()) == numbers(fitted)
    fitted.save(tmp_path / "table.safetensors")
    loaded = load(tmp_path / "table.safetensors")
    assert type(loaded) is TabularClassifier
    assert loaded.predict_proba(FRAME).tobytes() == fitted.predict_proba(FRAME).tobytes()
    assert numbers(pickle.loads(pickle.dumps(fitted))) == numbers(fitted)
    copy = clone(DaskTabularClassifier(**SMALL, client=client))
    assert copy.client is client
    assert copy.get_params()["max_steps"] == SMALL["max_steps"]


def test_what_cannot_be_is_refused(client: Client) -> None:
    with pytest.raises(ValueError, match="n_members"):
        DaskTabularClassifier(**{**SMALL, "n_members": 0}).fit(FRAME, DEAR)
