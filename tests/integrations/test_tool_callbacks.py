"""Callbacks for Optuna, TensorBoard, MLflow and notebooks, each with the tool itself."""

from __future__ import annotations

import copy
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnn_core import NN, load
from cnn_core.integrations import (
    MLflowLogger,
    NotebookProgress,
    OptunaPruning,
    TensorBoardLogger,
)
from small_estimators import X, Y, classifier, weights_of

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

EVAL = (X[:30], Y[:30])


def test_they_show_their_settings_and_can_be_copied(tmp_path: Path) -> None:
    for callback, text in (
        (TensorBoardLogger("logs"), "TensorBoardLogger(folder='logs')"),
        (MLflowLogger("a"), "MLflowLogger(run_name='a', log_model=True)"),
        (NotebookProgress(), "NotebookProgress(every=0.2)"),
        (OptunaPruning(None, "loss"), "OptunaPruning(trial=None, monitor='loss')"),
    ):
        assert repr(callback) == text
        for again in (pickle.loads(pickle.dumps(callback)), copy.deepcopy(callback)):
            assert repr(again) == text


def test_they_change_no_bit(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    plain = classifier().fit(X, Y, eval_set=EVAL)
    watched = classifier(callbacks=[TensorBoardLogger(tmp_path)]).fit(X, Y, eval_set=EVAL)
    np.testing.assert_array_equal(weights_of(plain), weights_of(watched))


def test_a_missing_tool_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module, package, callback in (
        ("tensorboard.summary.writer.event_file_writer", "tensorboard", TensorBoardLogger("x")),
        ("mlflow", "mlflow-skinny", MLflowLogger()),
        ("IPython.display", "ipython", NotebookProgress()),
    ):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            with pytest.raises(ImportError, match=f"pip install {package}"):
                classifier(callbacks=[callback]).fit(X, Y)


def test_optuna_prunes_what_is_hopeless() -> None:
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    epochs = {}

    def objective(trial: Any) -> float:
        rate = trial.suggest_categorical("rate", [0.05, 1e-6])
        model = classifier(
            max_iter=8, learning_rate_init=rate, callbacks=[OptunaPruning(trial)]
        ).fit(X, Y, eval_set=EVAL)
        epochs[trial.number] = model.n_iter_
        return float(model.score(*EVAL))

    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.GridSampler({"rate": [0.05, 1e-6]}, seed=0),
        pruner=optuna.pruners.ThresholdPruner(lower=0.7, n_warmup_steps=4),
    )
    study.optimize(objective, n_trials=2)
    states = {trial.params["rate"]: trial.state.name for trial in study.trials}
    assert states == {0.05: "COMPLETE", 1e-6: "PRUNED"}
    best = study.best_trial
    assert list(best.intermediate_values) == list(range(1, 9))
    assert list(epochs.values()) == [8]


def test_optuna_needs_something_to_go_by() -> None:
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    trial = optuna.create_study(direction="minimize").ask()
    classifier(max_iter=2, callbacks=[OptunaPruning(trial)]).fit(X, Y)
    with pytest.raises(ValueError, match="monitor: expected a value for validation_loss"):
        classifier(callbacks=[OptunaPruning(trial, "validation_loss")]).fit(X, Y)
    with pytest.raises(ValueError, match="monitor: expected one of"):
        OptunaPruning(trial, "beauty")
    assert copy.deepcopy(OptunaPruning(trial)).trial is trial


def test_tensorboard_reads_the_curves(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    model = classifier(max_iter=3, callbacks=[TensorBoardLogger(tmp_path)])
    model.fit(X, Y, eval_set=EVAL)
    found = EventAccumulator(str(tmp_path))
    found.Reload()
    assert {"loss", "accuracy", "validation/loss", "learning_rate"} <= set(found.Tags()["scalars"])
    losses = [event.value for event in found.Scalars("validation/loss")]
    np.testing.assert_allclose(losses, model.validation_loss_curve_, rtol=1e-6)
    assert [event.step for event in found.Scalars("loss")] == [1, 2, 3]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """MLflow with a store of its own, in a folder."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    mlflow = pytest.importorskip("mlflow")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri((tmp_path / "store").as_uri())
    yield mlflow
    mlflow.set_tracking_uri(before)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_parameters_curves_and_the_model(store: Any, tmp_path: Path) -> None:
    model = classifier(max_iter=3, callbacks=[MLflowLogger("one")]).fit(X, Y)
    assert store.active_run() is None
    run = store.last_active_run()
    assert run.info.run_name == "one"
    assert run.info.status == "FINISHED"
    assert run.data.params["max_iter"] == "3"
    history = store.MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert [one.step for one in history] == [1, 2, 3]
    folder = Path(store.artifacts.download_artifacts(run_id=run.info.run_id, dst_path=tmp_path))
    again = load(folder / "model" / "model.safetensors")
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_mlflow_goes_on_with_the_run_that_is_active(store: Any) -> None:
    with store.start_run() as run:
        net = NN(4, 3, 3, 0.5, 2, seed=0)
        net.fit(X.astype(np.float32), Y, callbacks=[MLflowLogger(log_model=False)])
        assert store.active_run().info.run_id == run.info.run_id
    assert store.get_run(run.info.run_id).data.params["epochs"] == "2"


def test_a_notebook_shows_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    display = pytest.importorskip("IPython.display")
    shown: list[str] = []

    class Handle:
        def update(self, picture: Any) -> None:
            shown.append(picture.data)

    def show(picture: Any, display_id: bool) -> Handle:
        shown.append(picture.data)
        return Handle()

    monkeypatch.setattr(display, "display", show)
    classifier(max_iter=3, callbacks=[NotebookProgress(1e-9)]).fit(X, Y)
    assert 'value="0" max="3"' in shown[0]
    assert 'value="3" max="3"' in shown[-1]
    assert "loss" in shown[-1]
