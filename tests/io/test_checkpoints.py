"""A training that is killed and called again ends with the bits of one that was not."""

import os

import numpy as np
import pytest

import cnn_core
from checkpointed import EPOCHS, NETWORKS, KillAfter, KilledError, data, same_models, train
from cnn_core import NN, Checkpoint, MLPClassifier, MLPRegressor
from cnn_core.callbacks import Callback, OnEpoch
from cnn_core.model import Model
from cnn_core.network import Dense, Network
from cnn_core.optimizers import SGD
from cnn_core.training import DivergenceError, Recipe, Validation


@pytest.mark.parametrize("kind", NETWORKS)
def test_killed_after_any_epoch_it_ends_with_the_same_bits(name, kind, tmp_path):
    network, settings = NETWORKS[kind]
    whole, ended = train(network, name, settings, None)
    for epoch in range(1, whole.epochs_done):
        path = tmp_path / f"{epoch}"
        with pytest.raises(KilledError):
            train(network, name, settings, path, KillAfter(epoch))
        assert cnn_core.load(path, backend=name).epochs_done == epoch
        epochs = []
        counted = OnEpoch(lambda record, epochs=epochs: epochs.append(record.epoch))
        resumed, state = train(network, name, settings, path, counted)
        assert epochs == list(range(epoch + 1, whole.epochs_done + 1))
        same_models(whole, resumed)
        assert (state.stopped_because, state.best_epoch, state.best_value, state.converged) == (
            ended.stopped_because,
            ended.best_epoch,
            ended.best_value,
            ended.converged,
        )
        same_models(whole, cnn_core.load(path, backend=name))


def test_between_two_checkpoints_the_epochs_are_trained_once_more(name, tmp_path):
    network, settings = NETWORKS["momentum, plateau, dropout"]
    with pytest.raises(KilledError):
        train(network, name, settings, tmp_path / "file", KillAfter(5), every=3)
    assert cnn_core.load(tmp_path / "file").epochs_done == 3
    resumed, _ = train(network, name, settings, tmp_path / "file", every=3)
    same_models(train(network, name, settings, None)[0], resumed)


def test_a_finished_training_is_given_at_once(name, tmp_path):
    network, settings = NETWORKS["early stopping"]
    first, _ = train(network, name, settings, tmp_path / "file")
    before = (tmp_path / "file").read_bytes()
    again, _ = train(network, name, settings, tmp_path / "file", KillAfter(0))
    same_models(first, again)
    assert (tmp_path / "file").read_bytes() == before


def test_a_divergence_after_resuming_restores_the_same_weights(name, tmp_path):
    class Explode(Callback):
        def on_epoch_begin(self, state):
            if state.epoch == 4:
                state.learning_rate = 1e20

    network = Network(
        (Dense(4, 8, "identity"), Dense(8, 3, "identity")), "squared_error", SGD(momentum=0.9)
    )
    kept = []
    for path in (None, tmp_path / "file"):
        if path:
            with pytest.raises(KilledError):
                train(network, name, {"learning_rate": 0.1}, path, KillAfter(3))
        model = Model(network, seed=3, backend=name).initialize("auto", np.random.RandomState(1))
        with pytest.raises(DivergenceError, match="after epoch"):
            model.train(
                *data(),
                Recipe(EPOCHS, 8, 0.1),
                are_classes=True,
                validation=Validation(*data(6), are_classes=True),
                callbacks=[Explode()],
                checkpoint=path,
            )
        kept.append(model.parameters)
    np.testing.assert_array_equal(*kept, strict=True)


ESTIMATORS = {
    "classifier": (MLPClassifier, {"early_stopping": True, "n_iter_no_change": 2}),
    "classifier without a seed": (MLPClassifier, {"early_stopping": True, "random_state": None}),
    "adaptive": (
        MLPClassifier,
        {"solver": "sgd", "learning_rate": "adaptive", "n_iter_no_change": 1, "tol": 0.05},
    ),
    "regressor": (MLPRegressor, {"early_stopping": True, "dropout": 0.2}),
}


def attributes(estimator):
    names = ("n_iter_", "t_", "loss_", "best_loss_", "loss_curve_", "validation_loss_curve_")
    names += ("validation_scores_", "best_validation_score_", "evals_result_", "stopped_because_")
    progress = estimator._progress
    known = {name: getattr(estimator, name) for name in names}
    return {**known, "patience": progress.patience, "cuts": progress.cuts}


@pytest.mark.parametrize("kind", ESTIMATORS)
@pytest.mark.filterwarnings("ignore:the maximum of")
def test_a_killed_estimator_ends_as_if_it_had_not_been(name, kind, tmp_path):
    x, t = data()
    cls, settings = ESTIMATORS[kind]
    y = t.argmax(axis=1) if cls is MLPClassifier else x[:, 0] * x[:, 1]
    settings = {"hidden_layer_sizes": (6,), "random_state": 4, "max_iter": 8} | settings

    def fit(path, *callbacks, seed=None):
        if seed is not None:
            np.random.seed(seed)
        estimator = cls(**settings, batch_size=8, backend=name, callbacks=list(callbacks))
        checkpoint = None if path is None else Checkpoint(path, every_epochs=1)
        return estimator.fit(x, y, checkpoint=checkpoint)

    whole = fit(None, seed=1)
    for epoch in range(1, whole.n_iter_):
        path = tmp_path / f"{epoch}"
        with pytest.raises(KilledError):
            fit(path, KillAfter(epoch), seed=1)
        resumed = fit(path, seed=epoch + 10)
        same_models(whole.model_, resumed.model_)
        assert attributes(whole) == attributes(resumed)
        finished = fit(path, KillAfter(0), seed=99)
        same_models(whole.model_, finished.model_)
        assert attributes(whole) == attributes(finished)


@pytest.mark.parametrize("seed", [0, None])
def test_a_killed_nn_ends_as_if_it_had_not_been(name, seed, tmp_path):
    def fit(path, *callbacks):
        net = NN(4, 5, 3, 0.5, EPOCHS, batch_size=8, seed=seed, backend=name)
        checkpoint = None if path is None else Checkpoint(path, every_epochs=1)
        return net.fit(*data(), callbacks=callbacks, checkpoint=checkpoint)

    np.random.seed(7)
    whole = fit(None)
    np.random.seed(7)
    with pytest.raises(KilledError):
        fit(tmp_path / "file", KillAfter(2))
    same_models(whole.model, fit(tmp_path / "file").model)


def test_an_estimator_saved_in_the_middle_of_partial_fit_keeps_its_best_weights(name, tmp_path):
    x, t = data()
    y = t.argmax(axis=1)

    def begin():
        estimator = MLPClassifier(
            (6,), early_stopping=True, n_iter_no_change=3, random_state=0, backend=name
        )
        for _ in range(4):
            estimator.partial_fit(x, y, classes=[0, 1, 2])
        return estimator

    def go_on(estimator):
        for _ in range(100):
            if estimator.stopped_because_ is None:
                estimator.partial_fit(x, y)
        assert estimator.stopped_because_
        return estimator

    begun = begin()
    assert begun._progress.best is not None
    begun.save(tmp_path / "file")
    loaded = go_on(cnn_core.load(tmp_path / "file", backend=name))
    whole = go_on(begin())
    same_models(whole.model_, loaded.model_)
    assert attributes(whole) == attributes(loaded)


def test_what_has_no_checkpoint_says_so(tmp_path):
    x, t = data()
    with pytest.raises(ValueError, match="article's rule"):
        NN(4, 5, 3, 0.5, 2, rule="article").fit(x, t, checkpoint=tmp_path / "file")
    with pytest.raises(ValueError, match="lbfgs"):
        MLPClassifier(solver="lbfgs").fit(x, t[:, 0], checkpoint=tmp_path / "file")
    assert os.listdir(tmp_path) == []
