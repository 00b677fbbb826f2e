"""Callbacks of ours and of scikit-learn's, interrupts, fits within fits."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV

import cnn_core
from cnn_core.callbacks import Callback
from cnn_core.callbacks import ProgressBar as OurProgressBar
from small_estimators import NAMES, X, Y, classifier, weights_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Interrupting(Callback):
    def on_epoch_end(self, state: Any) -> None:
        if state.epoch == 3:
            raise KeyboardInterrupt


def test_ctrl_c_ends_the_training_and_leaves_what_was_learned() -> None:
    with pytest.warns(UserWarning, match="interrupted"):
        fitted = classifier(callbacks=[Interrupting()]).fit(X, Y)
    assert fitted.n_iter_ == 3
    np.testing.assert_array_equal(weights_of(fitted), weights_of(classifier(max_iter=3).fit(X, Y)))


def test_a_refused_fit_leaves_the_estimator_as_it_was() -> None:
    fitted = classifier().fit(X, NAMES)
    before = pickle.dumps(fitted)
    for samples, labels, more in (
        (X[:, :2], np.full(len(X), np.nan), {}),
        (X[:, :2], NAMES, {"sample_weight": -np.ones(len(X))}),
        (X[:, :2], NAMES, {"eval_set": (X, NAMES)}),
    ):
        with pytest.raises(ValueError, match="expect"):
            fitted.fit(samples, labels, **more)
        assert pickle.dumps(fitted) == before
    fresh = classifier(activation="sine")
    with pytest.raises(ValueError, match="activation"):
        fresh.fit(X, NAMES)
    assert not hasattr(fresh, "classes_")
    with pytest.raises(NotFittedError, match="call fit"):
        fresh.predict(X)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_verbose_prints_a_line_for_each_epoch(
    solver: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fitted = classifier(verbose=True, solver=solver, max_iter=6).fit(X, Y, eval_set=(X, Y))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == fitted.n_iter_
    assert lines[-1] == (
        f"Iteration {fitted.n_iter_}, loss = {fitted.loss_:.8f}, "
        f"validation loss = {fitted.validation_loss_curve_[-1]:.8f}, "
        f"validation score = {fitted.validation_scores_[-1]:.6f}"
    )


# Callbacks


class Recorder(Callback):
    def __init__(self) -> None:
        self.seen: list[tuple[int, float]] = []

    def on_epoch_end(self, state: Any) -> None:
        self.seen.append((state.face.n_iter_, state.face.loss_))
        if len(self.seen) == 4:
            state.stop("enough")


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_callbacks_see_the_estimator_as_it_stands_and_can_stop_it(solver: str) -> None:
    recorder = Recorder()
    fitted = classifier(solver=solver, callbacks=[recorder]).fit(X, Y)
    assert recorder.seen == list(enumerate(fitted.loss_curve_, start=1))
    assert fitted.stopped_because_ == "enough"
    assert fitted.n_iter_ == 4


class Refitting(Callback):
    def on_epoch_end(self, state: Any) -> None:
        state.face.fit(X, Y)


def test_a_fit_within_a_fit_is_refused() -> None:
    with pytest.raises(RuntimeError, match="being fitted already"):
        classifier(callbacks=[Refitting()]).fit(X, Y)


def test_a_progress_bar_is_a_callback(capsys: pytest.CaptureFixture[str]) -> None:
    classifier(callbacks=[OurProgressBar()], max_iter=3).fit(X, Y)
    assert "epoch 3/3" in capsys.readouterr().err


def test_a_checkpoint_holds_the_estimator(tmp_path: Path) -> None:
    checkpoint = cnn_core.callbacks.SaveModel(tmp_path / "at-{epoch}", every=2)
    classifier(callbacks=[checkpoint], max_iter=5).fit(X, NAMES)
    loaded = cnn_core.load(tmp_path / "at-4")
    np.testing.assert_array_equal(
        loaded.predict_proba(X), classifier(max_iter=4).fit(X, NAMES).predict_proba(X)
    )
    assert loaded.get_params()["callbacks"] is None
    assert not (tmp_path / "at-5").exists()


class Protocol:
    """A callback of scikit-learn's protocol that has a training stop after three epochs."""

    def __init__(self) -> None:
        self.hooks: list[str] = []
        self.losses: list[float] = []

    def setup(self, estimator: Any, context: Any) -> None:
        self.hooks.append("setup")

    def on_fit_task_begin(self, estimator: Any, context: Any, *, X: Any) -> None:
        self.hooks.append(f"begin {context.task_name}")

    def on_fit_task_end(
        self, estimator: Any, context: Any, *, X: Any, y: Any, fitted_estimator: Any
    ) -> bool:
        self.hooks.append(f"end {context.task_name}")
        self.losses.append(fitted_estimator.score(X, y))
        return len(self.losses) == 3

    def teardown(self, estimator: Any, context: Any) -> None:
        self.hooks.append("teardown")


def test_callbacks_of_scikit_learns_protocol_are_called_and_obeyed() -> None:
    pytest.importorskip("sklearn.callback")
    callback = Protocol()
    fitted = classifier().set_callbacks(callback).fit(X, Y)
    epoch = ["begin epoch", "end epoch"]
    assert callback.hooks == ["setup", "begin fit", *3 * epoch, "end fit", "teardown"]
    assert fitted.n_iter_ == 3
    # Each saw the estimator as it would have been, had the fit ended there.
    for epochs, score in enumerate(callback.losses[:3], start=1):
        assert classifier(max_iter=epochs).fit(X, Y).score(X, Y) == score


def test_scikit_learns_own_callbacks_work(capsys: pytest.CaptureFixture[str]) -> None:
    callbacks = pytest.importorskip("sklearn.callback")
    monitor = callbacks.ScoringMonitor(scoring="accuracy")
    fitted = classifier(max_iter=4).set_callbacks(monitor, callbacks.ProgressBar())
    fitted.fit(X, Y)
    assert "MLPClassifier - fit" in capsys.readouterr().out
    search = GridSearchCV(classifier(max_iter=2), {"alpha": [0.0, 1.0]}, cv=2)
    search.set_callbacks(callbacks.ProgressBar()).fit(X, Y)
    assert search.best_score_ > 0.3


def test_a_scikit_learn_callback_in_the_wrong_place_is_refused_with_the_right_one() -> None:
    with pytest.raises(TypeError, match="is for set_callbacks"):
        classifier(callbacks=[Protocol()]).fit(X, Y)


def test_of_two_fits_at_once_one_is_refused() -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Waiting(Callback):
        def on_epoch_begin(self, state: Any) -> None:
            begun.set()
            go_on.wait(timeout=60)

    shared = classifier(callbacks=[Waiting()])
    first = threading.Thread(target=shared.fit, args=(X, Y))
    first.start()
    begun.wait(timeout=60)
    with pytest.raises(RuntimeError, match="being fitted already"):
        shared.fit(X, Y)
    go_on.set()
    first.join()
    assert shared.n_iter_ == shared.max_iter
