"""A training that is killed and called again ends with the bits of one that was not."""

import errno
import os
import random
import signal
import stat
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import cnn_core
from cnn_core import NN, Checkpoint, CheckpointError, MLPClassifier, MLPRegressor, files, training
from cnn_core.callbacks import Callback, CSVLog, EarlyStopping, OnEpoch, ProgressBar, SaveModel
from cnn_core.io.checkpoint import CheckpointSession
from cnn_core.model import Model
from cnn_core.model_file import ModelFileError
from cnn_core.network import Dense, Network
from cnn_core.optimizers import SGD, Adam
from cnn_core.schedules import Plateau
from cnn_core.training import DivergenceError, Recipe, Validation

EPOCHS = 6


class KilledError(Exception):
    pass


class KillAfter(Callback):
    """Ends a training from the outside: in the epoch after the one whose checkpoint is there."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, state):
        if state.epoch == self.epoch + 1:
            raise KilledError


def data(seed=5, n=40):
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, 4)).astype(np.float32)
    t = np.zeros((n, 3), np.float32)
    t[np.arange(n), random.integers(3, size=n)] = 1
    return x, t


NETWORKS = {
    "momentum, plateau, dropout": (
        Network(
            (Dense(4, 8, "relu", dropout=0.3), Dense(8, 3, "softmax")),
            "cross_entropy",
            SGD(momentum=0.9),
        ),
        {"learning_rate": 0.2, "schedule": Plateau(0.5, 0, 0.01)},
    ),
    "Adam, cosine, averaging, batch norm": (
        Network(
            (Dense(4, 8, "tanh", normalization="batch"), Dense(8, 3, "softmax")),
            "cross_entropy",
            Adam(),
            averaging=0.9,
        ),
        {"learning_rate": 0.02, "schedule": "cosine"},
    ),
    "early stopping": (
        Network((Dense(4, 8, "relu"), Dense(8, 3, "softmax")), "cross_entropy", Adam()),
        {
            "learning_rate": 0.3,
            "patience": 1,
            "restore_best": True,
            "monitor": "validation_loss",
        },
    ),
}


def train(network, name, settings, path, *callbacks, every=1, seed=3, xt=None, **others):
    model = Model(network, seed=seed, backend=name).initialize("auto", np.random.RandomState(1))
    recipe = Recipe(**{"epochs": EPOCHS, "batch_size": 8, **settings, **others})
    state = model.train(
        *(xt or data()),
        recipe,
        are_classes=True,
        validation=Validation(*data(6), are_classes=True),
        callbacks=callbacks,
        checkpoint=None if path is None else Checkpoint(path, every_epochs=every),
    )
    return model, state


def same_models(one, other):
    for name, array in one.arrays().items():
        np.testing.assert_array_equal(array, other.arrays()[name], err_msg=name, strict=True)
    assert (one.steps, one.epochs_done, one.samples_done, one.seed) == (
        other.steps,
        other.epochs_done,
        other.samples_done,
        other.seed,
    )
    assert without_times(one.history) == without_times(other.history)


def without_times(history):
    return {name: values for name, values in history.items() if name != "seconds"}


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


KIND = "momentum, plateau, dropout"


@pytest.fixture
def killed(tmp_path):
    network, settings = NETWORKS[KIND]
    path = tmp_path / "file"
    with pytest.raises(KilledError):
        train(network, "numpy", settings, path, KillAfter(3))
    return path


OTHER_DATA = data(8)
DIFFERENT = {
    "batch_size": {"batch_size": 9},
    "epochs": {"epochs": 7},
    "schedule": {"schedule": "cosine"},
    "learning_rate": {"learning_rate": 0.1},
    "seed": {"seed": 4},
    "x": {"xt": (OTHER_DATA[0], data()[1])},
    "t": {"xt": (data()[0], OTHER_DATA[1])},
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_a_checkpoint_of_another_training_is_refused_by_what_differs(killed, what):
    network, settings = NETWORKS[KIND]
    before = killed.read_bytes()
    with pytest.raises(CheckpointError, match=f"file: .*another: {what}: expected .*, found"):
        train(network, "numpy", settings, killed, **DIFFERENT[what])
    assert killed.read_bytes() == before


def test_a_checkpoint_of_another_network_is_refused(killed):
    network, _ = NETWORKS["early stopping"]
    with pytest.raises(CheckpointError, match=r"network\.layers: expected"):
        train(network, "numpy", NETWORKS[KIND][1], killed)


def test_a_refused_estimator_is_as_it_was_before(killed):
    estimator = MLPClassifier(random_state=0)
    with pytest.raises(CheckpointError, match="network"):
        estimator.fit(*data(), checkpoint=killed)
    assert not hasattr(estimator, "model_")


def test_a_state_without_its_callback_is_refused(tmp_path):
    network, settings = NETWORKS[KIND]
    with pytest.raises(KilledError):
        train(network, "numpy", settings, tmp_path / "file", EarlyStopping(), KillAfter(2))
    with pytest.raises(CheckpointError, match="1 of EarlyStopping"):
        train(network, "numpy", settings, tmp_path / "file")


def test_damaged_truncated_future_and_foreign_files_are_refused(killed, tmp_path):
    network, settings = NETWORKS[KIND]
    good = killed.read_bytes()
    flipped = bytearray(good)
    flipped[-5] ^= 1
    model = tmp_path / "model"
    Model(network).save(model)
    for content, reason in (
        (bytes(flipped), "damaged"),
        (good[:-9], "truncated"),
        (good.replace(b'"format_version":"1"', b'"format_version":"9"'), "version '9'"),
        (b"PK\x03\x04 is no model", "not a model file"),
        (b"", "not a model file"),
        (model.read_bytes(), "found a saved Model"),
    ):
        killed.write_bytes(content)
        with pytest.raises(ModelFileError, match=f"file: .*{reason}"):
            train(network, "numpy", settings, killed)
        assert killed.read_bytes() == content


@pytest.mark.filterwarnings("ignore:.*the last bits may differ")
def test_a_full_disk_is_an_error_and_the_checkpoint_before_stays(killed, name, monkeypatch):
    network, settings = NETWORKS[KIND]
    before = killed.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            train(network, name, settings, killed)
    assert killed.read_bytes() == before
    assert os.listdir(killed.parent) == ["file"]
    resumed, _ = train(network, "numpy", settings, killed)
    same_models(train(network, "numpy", settings, None)[0], resumed)


def failing(code, of, original=None):
    """Return what fails as the system does, if `of` its arguments it should."""

    def fail(*arguments, **options):
        if of(*arguments):
            name = arguments[0] if isinstance(arguments[0], str | os.PathLike) else None
            raise OSError(code, os.strerror(code), None if name is None else os.fspath(name))
        return original(*arguments, **options)

    return fail


def is_folder(descriptor):
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


CODES = ("ENOSPC", "EROFS", "EACCES", "EDQUOT", "EIO")
CALLS = {
    "open": (files, lambda path, mode: mode == "x+b"),
    "fsync": (os, lambda descriptor: not is_folder(descriptor)),
    "chmod": (os, lambda *_: True),
    "replace": (os, lambda *_: True),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("code", CODES)
def test_whatever_fails_the_error_names_the_path_and_the_checkpoint_before_stays(
    killed, monkeypatch, call, code
):
    network, settings = NETWORKS[KIND]
    before = killed.read_bytes()
    number = getattr(errno, code)
    where, of = CALLS[call]
    original = getattr(where, call, open)
    with monkeypatch.context() as patch:
        patch.setattr(where, call, failing(number, of, original), raising=False)
        with pytest.raises(OSError, match="the checkpoint before this one is whole") as caught:
            train(network, "numpy", settings, killed)
    assert (caught.value.errno, caught.value.filename) == (number, str(killed))
    assert os.strerror(number) in str(caught.value)
    assert killed.read_bytes() == before
    assert os.listdir(killed.parent) == ["file"]
    resumed, _ = train(network, "numpy", settings, killed)
    same_models(train(network, "numpy", settings, None)[0], resumed)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no limits of resources")
def test_a_file_beyond_the_limit_of_the_process_is_an_error_and_the_checkpoint_before_stays(killed):
    import resource

    network, settings = NETWORKS[KIND]
    before = killed.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(OSError, match="too large; the checkpoint before") as caught:
            train(network, "numpy", settings, killed)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(killed))
    assert killed.read_bytes() == before
    assert os.listdir(killed.parent) == ["file"]
    resumed, _ = train(network, "numpy", settings, killed)
    same_models(train(network, "numpy", settings, None)[0], resumed)


def test_a_folder_that_cannot_be_brought_to_the_disk_does_no_harm(tmp_path, monkeypatch):
    network, settings = NETWORKS[KIND]
    monkeypatch.setattr(os, "fsync", failing(errno.EIO, is_folder, os.fsync))
    model, _ = train(network, "numpy", settings, tmp_path / "file")
    same_models(model, cnn_core.load(tmp_path / "file"))


def test_where_nothing_can_be_written_nothing_is_trained(name, tmp_path, monkeypatch):
    network, settings = NETWORKS[KIND]
    fail = failing(errno.EROFS, CALLS["open"][1], open)
    monkeypatch.setattr(files, "open", fail, raising=False)
    epochs = []
    with pytest.raises(OSError, match="or name another path") as caught:
        train(network, name, settings, tmp_path / "file", OnEpoch(epochs.append))
    assert (caught.value.errno, caught.value.filename) == (errno.EROFS, str(tmp_path / "file"))
    assert epochs == []
    assert os.listdir(tmp_path) == []


NO_PATHS = {
    "in a file": (FileNotFoundError, "the folder .*file does not exist"),
    "in nowhere": (FileNotFoundError, "the folder .*nowhere does not exist"),
    "a folder": (ModelFileError, "found a (folder|device)"),
    "the null device": (ModelFileError, "found a (folder|device)"),
}


@pytest.mark.skipif(sys.platform == "win32", reason="names of a POSIX system")
@pytest.mark.parametrize("kind", NO_PATHS)
def test_a_path_of_no_file_is_refused_before_the_first_epoch(killed, kind):
    network, settings = NETWORKS[KIND]
    folder = killed.parent
    path = {
        "in a file": killed / "in a file",
        "in nowhere": folder / "nowhere" / "file",
        "a folder": folder,
        "the null device": Path(os.devnull),
    }[kind]
    error, reason = NO_PATHS[kind]
    with pytest.raises(error, match=reason) as caught:
        train(network, "numpy", settings, path, KillAfter(0))
    assert str(path) in str(caught.value)
    assert os.listdir(folder) == ["file"]


@pytest.mark.compiled
def test_another_backend_resumes_with_a_warning(killed):
    network, settings = NETWORKS[KIND]
    with pytest.warns(UserWarning, match="the last bits may differ"):
        model, _ = train(network, "cython", settings, killed)
    assert model.epochs_done == EPOCHS


def test_the_table_of_a_resumed_training_has_each_epoch_once(tmp_path):
    network, settings = NETWORKS[KIND]
    log = CSVLog(tmp_path / "log.csv")
    with pytest.raises(KilledError):
        train(network, "numpy", settings, tmp_path / "file", log, KillAfter(5), every=2)
    train(network, "numpy", settings, tmp_path / "file", log, every=2)
    assert epochs_in(tmp_path / "log.csv") == [1, 2, 3, 4, 5, 6]


def epochs_in(table):
    return [int(line.split(",")[0]) for line in table.read_text().splitlines()[1:]]


def test_the_table_has_each_epoch_once_also_if_there_was_no_time_for_a_checkpoint(tmp_path):
    network, settings = NETWORKS[KIND]
    for epoch in (0, 1, 2):
        log = CSVLog(tmp_path / "log.csv")
        with pytest.raises(KilledError):
            train(network, "numpy", settings, tmp_path / "file", log, KillAfter(epoch), every=4)
    train(network, "numpy", settings, tmp_path / "file", log, every=4)
    assert epochs_in(tmp_path / "log.csv") == [1, 2, 3, 4, 5, 6]


def test_a_table_that_has_lost_lines_gives_a_warning(tmp_path):
    network, settings = NETWORKS[KIND]
    log = CSVLog(tmp_path / "log.csv")
    with pytest.raises(KilledError):
        train(network, "numpy", settings, tmp_path / "file", log, KillAfter(3))
    (tmp_path / "log.csv").unlink()
    with pytest.warns(UserWarning, match=r"log\.csv: expected the .* bytes .* are missing"):
        train(network, "numpy", settings, tmp_path / "file", log)
    assert epochs_in(tmp_path / "log.csv") == [4, 5, 6]


def test_reports_of_a_resumed_training_have_the_numbers_of_the_whole(tmp_path, capsys):
    def fit(*callbacks):
        net = NN(4, 5, 3, 0.5, EPOCHS, batch_size=8, seed=0, verbose=True, backend="numpy")
        told = (ProgressBar(stream=sys.stdout), SaveModel(tmp_path / "at-{epoch}"), *callbacks)
        path = Checkpoint(tmp_path / "file", every_epochs=2)
        return net.fit(*data(), callbacks=told, checkpoint=path)

    with pytest.raises(KilledError):
        fit(KillAfter(3))
    (tmp_path / "at-3").write_bytes(b"half of")
    capsys.readouterr()
    history = fit().history
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[::2]] == [["epoch", f"{n}/6"] for n in (3, 4, 5, 6)]
    assert lines[::2] == lines[1::2]
    assert [line.split()[3] for line in lines[::2]] == [f"{x:.5f}" for x in history["loss"][2:]]
    saved = [cnn_core.load(tmp_path / f"at-{number}") for number in range(1, 7)]
    assert [net.model.epochs_done for net in saved] == [1, 2, 3, 4, 5, 6]


def test_killed_in_its_first_epoch_a_training_without_a_seed_has_its_seed(name, tmp_path):
    def fit(*callbacks):
        net = NN(4, 5, 3, 0.5, EPOCHS, batch_size=8, backend=name)
        return net.fit(*data(), callbacks=callbacks, checkpoint=tmp_path / "file")

    np.random.seed(7)
    with pytest.raises(KilledError):
        fit(KillAfter(0))
    first = cnn_core.load(tmp_path / "file")
    assert (first.epochs_done, first.steps, first.history) == (0, 0, {})
    assert fit().model.seed == first.seed


def test_a_resumed_training_has_the_rest_of_its_time_budget(tmp_path):
    network, _ = NETWORKS["early stopping"]

    class Clock:
        now = 0.0

        def __call__(self):
            self.now += 0.1
            return self.now

    def budgeted(*callbacks):
        model = Model(network, seed=3, backend="numpy")
        clock = Clock()
        checkpoint = Checkpoint(tmp_path / "file", every_epochs=1)
        state = training.train(
            model.initialize("auto", np.random.RandomState(1)),
            training.TrainingData(*data()),
            Recipe(1000, 8, 0.1, "cosine", time_budget=20.0),
            callbacks=callbacks,
            open_checkpoint=partial(CheckpointSession, checkpoint, seeded=True),
            clock=clock,
        )
        return model, state, clock.now

    with pytest.raises(KilledError):
        budgeted(KillAfter(3))
    model, state, seconds = budgeted()
    assert model.epochs_done > 4
    assert 10 < seconds < 19.5
    assert "budget" in state.stopped_because


@pytest.mark.parametrize("wrong", [{"every_epochs": 0}, {"every_seconds": -1.0}, {"path": ""}])
def test_a_checkpoint_without_sense_is_refused(wrong):
    with pytest.raises((TypeError, ValueError), match=next(iter(wrong))):
        Checkpoint(**{"path": "file", **wrong})


SCRIPT = """
import os, signal, sys, time
import numpy as np
from cnn_core import Checkpoint, Model, Recipe
from cnn_core.callbacks import Callback, CSVLog
from cnn_core.network import Dense, Network
from cnn_core.optimizers import Adam

path, log, backend, epochs, deadly, count = *sys.argv[1:4], *map(eval, sys.argv[4:])
random = np.random.RandomState(0)
x = random.normal(size=(64, 8)).astype(np.float32)
t = random.normal(size=(64, 2)).astype(np.float32)
layers = (Dense(8, 64, "relu", dropout=0.2), Dense(64, 2))
model = Model(Network(layers, "squared_error", Adam(), averaging=0.9), seed=1, backend=backend)
model.initialize("auto", random)
recipe = Recipe(epochs, 16, 0.01, "cosine", patience=epochs, restore_best=True)

class Slow(Callback):
    def on_epoch_end(self, state):
        time.sleep(0.001)

if deadly:
    original, calls = getattr(os, deadly), []
    def dying(*arguments):
        calls.append(arguments)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments)
    setattr(os, deadly, dying)
print("begun", flush=True)
callbacks = [Slow(), CSVLog(f"{path}.{log}")]
model.train(x, t, recipe, callbacks=callbacks, checkpoint=Checkpoint(path, every_epochs=1))
print("ended")
"""


def start(path: Path, backend: str, epochs: int, deadly=None, count=0, log="csv"):
    arguments = [str(path), log, backend, str(epochs), repr(deadly), str(count)]
    return subprocess.Popen([sys.executable, "-c", SCRIPT, *arguments], stdout=subprocess.PIPE)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_process_killed_at_30_random_moments_ends_with_the_same_bits(name, tmp_path):
    moments = random.Random(2026)
    folder = tmp_path / "killed"
    folder.mkdir()
    epochs, kills, finished = 1200, 0, False
    while kills < 30 and not finished:
        with start(folder / "file", name, epochs) as process:
            process.stdout.read(6)
            time.sleep(moments.uniform(0.0, 0.03))
            process.send_signal(signal.SIGKILL)
            finished = process.wait() == 0
            kills += not finished
    assert kills == 30
    with (
        start(tmp_path / "whole", name, epochs) as whole,
        start(folder / "file", name, epochs) as end,
    ):
        assert whole.wait() == end.wait() == 0
    assert sorted(os.listdir(folder)) == ["file", "file.csv"]
    same_models(cnn_core.load(folder / "file"), cnn_core.load(tmp_path / "whole"))
    assert epochs_in(folder / "file.csv") == list(range(1, epochs + 1))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_two_processes_with_one_path_each_end_with_the_right_bits(name, tmp_path):
    folder = tmp_path / "shared"
    folder.mkdir()
    processes = [start(folder / "file", name, 60, log=log) for log in ("a", "b")]
    for process in (*processes, start(tmp_path / "whole", name, 60)):
        with process:
            assert process.stdout.read() == b"begun\n" + b"ended\n"
    same_models(cnn_core.load(folder / "file"), cnn_core.load(tmp_path / "whole"))
    assert sorted(os.listdir(folder)) == ["file", "file.a", "file.b"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
@pytest.mark.parametrize("deadly", ["fsync", "replace"])
def test_a_process_killed_while_it_writes_leaves_the_checkpoint_before(name, deadly, tmp_path):
    folder = tmp_path / "killed"
    folder.mkdir()
    with start(folder / "file", name, 6, deadly, 7) as process:
        assert process.wait() == -signal.SIGKILL
    assert len(os.listdir(folder)) == 3
    # Of a file two things are brought to the disk, itself and its name.
    # The first file is that of no epoch.
    assert cnn_core.load(folder / "file").epochs_done == {"fsync": 2, "replace": 5}[deadly]
    for path in (folder / "file", tmp_path / "whole"):
        with start(path, name, 6) as process:
            assert process.wait() == 0
    assert sorted(os.listdir(folder)) == ["file", "file.csv"]
    same_models(cnn_core.load(folder / "file"), cnn_core.load(tmp_path / "whole"))
