"""Processes that are forked off during a training, by whatever means, on both backends.

What fails here hangs or crashes, so each scenario is a function that runs in a process of its own:

    python test_forks.py children_of_the_midst_of_a_training numpy
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import cnn_core
from cnn_core import NN, MLPClassifier
from cnn_core.callbacks import Callback
from scenarios import run_alone

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]

LONGEST_RUN = 120
CHILDREN, PROCESSES = 8, 3

rng = np.random.default_rng(20260402)
X, LABELS = rng.random((240, 60), np.float32), rng.integers(0, 10, 240)


def network(backend: str, seed: int = 5) -> NN:
    return NN(60, 70, 10, 0.1, 2, batch_size=40, seed=seed, backend=backend, n_threads=2)


def bits(net: NN) -> bytes:
    return net.model.parameters.tobytes() + net.predict(X).tobytes()


def trained(backend: str) -> bytes:
    return bits(network(backend).fit(X, LABELS))


def trained_and_saved(backend: str, path: Path) -> bytes:
    net = network(backend).fit(X, LABELS)
    net.save(path)
    loaded = cnn_core.load(path, backend=backend)
    assert bits(loaded) == bits(net)
    return bits(loaded)


class Midst(Callback):
    """A training that runs until enough processes were forked off it."""

    def __init__(self, backend: str) -> None:
        self.net = network(backend, seed=6)
        self.net.epochs = 1_000_000
        self.over = False

    def on_epoch_end(self, state):
        if self.over:
            state.stop("enough")

    def go_on(self) -> None:
        self.net.fit(X, LABELS, callbacks=[self])

    def is_right(self, backend: str) -> bool:
        """Whether it has learned what a training without forks learns."""
        alone = network(backend, seed=6)
        alone.epochs = len(self.net.history["loss"])
        return bits(alone.fit(X, LABELS)) == bits(self.net)


def children_of_the_midst_of_a_training(backend: str) -> None:
    """Each trains a network of its own, and the one that was being trained."""
    alone, midst, chance = trained(backend), Midst(backend), random.Random(3)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as threads:
        training = threads.submit(midst.go_on)
        try:
            for number in range(CHILDREN):
                time.sleep(chance.uniform(0, 0.02))
                child = os.fork()
                if child == 0:
                    signal.alarm(LONGEST_RUN // 2)
                    try:
                        assert trained_and_saved(backend, Path(folder) / f"{number}") == alone
                        midst.net.epochs = 1
                        assert np.isfinite(midst.net.fit(X, LABELS).predict(X)).all()
                        os._exit(0)
                    except BaseException:
                        traceback.print_exc()
                    os._exit(1)
                assert os.waitpid(child, 0)[1] == 0
        finally:
            midst.over = True
        training.result()
    assert midst.is_right(backend)


def processes_of_multiprocessing(backend: str) -> None:
    """They train, predict and save at once, while the parent trains in another thread."""
    alone, midst = trained(backend), Midst(backend)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as threads:
        training = threads.submit(midst.go_on)
        try:
            with multiprocessing.get_context("fork").Pool(PROCESSES) as pool:
                wanted = [(backend, Path(folder) / f"{number % 2}") for number in range(12)]
                there = pool.starmap_async(trained_and_saved, wanted, chunksize=1)
                assert set(there.get(LONGEST_RUN / 2)) == {alone}
        finally:
            midst.over = True
        training.result()
        assert sorted(os.listdir(folder)) == ["0", "1"]
    assert midst.is_right(backend)


def jobs_of_a_search(backend: str) -> None:
    """Those of scikit-learn's, in a process that has trained before."""
    import joblib
    from sklearn.model_selection import GridSearchCV

    estimator = MLPClassifier((30,), max_iter=3, random_state=1, backend=backend, n_threads=2)
    estimator.fit(X, LABELS)

    def searched(n_jobs: int) -> bytes:
        search = GridSearchCV(estimator, {"alpha": [0.0, 0.1], "tol": [0.0]}, cv=2, n_jobs=n_jobs)
        search.fit(X, LABELS)
        parameters: bytes = search.best_estimator_.model_.parameters.tobytes()
        return search.cv_results_["mean_test_score"].tobytes() + parameters

    alone = searched(1)
    for kind in ("loky", "multiprocessing"):
        with joblib.parallel_config(backend=kind):
            assert searched(2) == alone, kind


SCENARIOS = [children_of_the_midst_of_a_training, processes_of_multiprocessing, jobs_of_a_search]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_children_get_the_bits_of_their_parents(scenario, name):
    ended = run_alone(
        __file__, scenario.__name__, name, longest=LONGEST_RUN, PYTHONWARNINGS="ignore"
    )
    assert ended == (0, "", "")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    globals()[sys.argv[1]](sys.argv[2])
