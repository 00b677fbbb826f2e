"""Members of an ensemble, each on rows of shared arrays and on a thread of its own."""

from __future__ import annotations

import signal
import threading
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from cnn_core import Model, Recipe
from cnn_core.callbacks import Callback
from cnn_core.class_targets import ClassTargets
from cnn_core.io.checkpoint import Checkpoint
from cnn_core.members import Member, train_members
from cnn_core.network import Dense, EncodedDense, Network
from cnn_core.optimizers import Adam
from cnn_core.training.divergence import DivergenceError
from cnn_core.training.state import Validation

DENSE = Network(
    (Dense(4, 12, "relu", dropout=0.1), Dense(12, 3, "softmax")), "cross_entropy", Adam()
)
ENCODED = replace(
    DENSE,
    layers=(
        EncodedDense(("pieces", "number", "number", "pieces"), (4, 1, 1, 6), 12, "relu", 0.1),
        Dense(12, 3, "softmax"),
    ),
)
RECIPE = Recipe(
    epochs=12,
    batch_size=16,
    learning_rate=0.02,
    schedule="one_cycle",
    monitor="validation_loss",
    restore_best=True,
)


def data(rng, n=150):
    x = rng.uniform(0, 4, (n, 4)).astype(np.float32)
    labels = (x[:, 0] + x[:, 3] + rng.normal(size=n)).astype(np.intp) % 3
    return x, labels


def members_of(rng, name, network=DENSE, recipe=RECIPE, count=4, **settings):
    x, labels = data(rng)
    folds = np.arange(len(x)) % count

    def maker(number):
        return lambda: Model(network, seed=number, backend=name, n_threads=1).initialize(
            "he_normal", np.random.RandomState(number)
        )

    return [
        Member(
            maker(number),
            recipe,
            x,
            labels,
            np.flatnonzero(folds != number),
            np.flatnonzero(folds == number),
            are_classes=True,
            **settings,
        )
        for number in range(count)
    ]


def bits(trained):
    return [
        b"".join(array.tobytes() for array in (*one.weights.values(), one.outputs))
        for one in trained
    ]


def assert_same(found, expected):
    assert bits(found) == bits(expected)
    for one, other in zip(found, expected, strict=True):
        assert (one.best_epoch, one.epochs, one.steps) == (
            other.best_epoch,
            other.epochs,
            other.steps,
        )
        assert one.history["validation_loss"] == other.history["validation_loss"]


class Raises(Callback):
    """Raises after an epoch."""

    def __init__(self, error, epoch):
        self.error, self.epoch = error, epoch

    def on_epoch_end(self, state):
        if state.epoch == self.epoch:
            raise self.error


@pytest.mark.parametrize("network", [DENSE, ENCODED], ids=["dense", "encoded"])
def test_a_member_learns_what_a_model_learns_on_a_copy_of_its_rows(rng, name, network):
    members = members_of(rng, name, network)
    for member, trained in zip(members, train_members(members, n_threads=2), strict=True):
        model = member.make()
        validation = Validation(
            member.x[member.validation_rows], member.t[member.validation_rows], are_classes=True
        )
        state = model.train(
            member.x[member.rows],
            member.t[member.rows],
            RECIPE,
            validation=validation,
            are_classes=True,
        )
        assert trained.weights["parameters"].tobytes() == model.parameters.tobytes()
        assert trained.outputs.tobytes() == model.predict(validation.x).tobytes()
        assert (trained.best_epoch, trained.best_value) == (state.best_epoch, state.best_value)
        for key in ("loss", "accuracy", "validation_loss", "validation_accuracy"):
            assert trained.history[key] == model.history[key]


def test_threads_change_no_bit(rng, name):
    members = members_of(rng, name)
    alone = train_members(members, n_threads=1)
    for threads in (2, 3, 9):
        assert_same(train_members(members, n_threads=threads), alone)


def test_outputs_are_those_of_the_best_epoch(rng, name):
    for member, trained in zip(
        members := members_of(rng, name), train_members(members, n_threads=2), strict=True
    ):
        own = member.t[member.validation_rows]
        loss = -np.log(trained.outputs[np.arange(len(own)), own]).mean()
        assert loss == pytest.approx(trained.best_value, rel=1e-5)
        assert trained.best_value == min(trained.history["validation_loss"])


def test_steps_end_within_an_epoch(rng, name):
    recipe = replace(RECIPE, epochs=100, max_steps=45, restore_best=False)
    seen = []

    class Rates(Callback):
        def on_epoch_end(self, state):
            seen.append(state.record.learning_rate)

    (trained, *_) = train_members(
        members_of(rng, name, recipe=recipe, callbacks=(Rates(),))[:1], n_threads=1
    )
    # 112 rows, 7 steps an epoch.
    assert (trained.steps, trained.epochs) == (45, 7)
    assert seen[-1] == min(seen)
    assert trained.stopped_because is None


def test_weights_count_for_the_rows_that_have_them(rng, name):
    members = members_of(rng, name)
    weights = rng.uniform(0.5, 2, len(members[0].x)).astype(np.float32)
    trained = train_members([replace(one, weights=weights) for one in members], n_threads=2)
    for member, one in zip(members, trained, strict=True):
        model = member.make()
        rows, held = member.rows, member.validation_rows
        validation = Validation(member.x[held], member.t[held], weights[held])
        model.train(
            member.x[rows], member.t[rows], RECIPE, weights=weights[rows], validation=validation
        )
        assert one.weights["parameters"].tobytes() == model.parameters.tobytes()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_killed_call_resumes_to_the_same_bits(rng, name, tmp_path, threads):
    members = members_of(rng, name)
    expected = train_members(members, n_threads=1)
    checkpoint = Checkpoint(tmp_path / "ensemble", every_epochs=1)
    error = RuntimeError("killed")
    members[2] = replace(members[2], callbacks=(Raises(error, 7),))
    with pytest.raises(RuntimeError, match="killed"):
        train_members(members, n_threads=threads, checkpoint=checkpoint)
    members[2] = replace(members[2], callbacks=(Raises(error, 99),))
    first_epochs = []

    class FirstEpoch(Callback):
        def on_epoch_begin(self, state):
            first_epochs.append(state.epoch)

    members[2] = replace(members[2], callbacks=(Raises(error, 99), FirstEpoch()))
    assert_same(train_members(members, n_threads=threads, checkpoint=checkpoint), expected)
    # It went on with the epoch that it was killed in, and what is finished is only read.
    assert first_epochs[0] == 7
    del first_epochs[:]
    assert_same(train_members(members, n_threads=threads, checkpoint=checkpoint), expected)
    assert first_epochs == []


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_of_one_member_ends_all(rng, name, threads):
    members = members_of(rng, name, recipe=replace(RECIPE, epochs=10_000))
    members[1] = replace(members[1], callbacks=(Raises(ValueError("of one"), 2),))
    members[0] = replace(members[0], recipe=RECIPE)
    with pytest.raises(ValueError, match="of one"):
        train_members(members, n_threads=threads)
    assert not [one for one in threading.enumerate() if one.name.startswith("cnn_core member")]


@pytest.mark.serial
@pytest.mark.parametrize("ends_waits", [True, False])
def test_ctrl_c_ends_all(rng, name, ends_waits):
    epochs = []

    class Interrupts(Callback):
        def on_epoch_end(self, state):
            epochs.append(state.epoch)
            if state.epoch == 3:
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    members = members_of(rng, name, recipe=replace(RECIPE, epochs=10_000))
    members[0] = replace(members[0], callbacks=(Interrupts(),))
    # A shell lets what it starts in the background ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    # Some libraries ask by their import that system calls go on, such as polars.
    signal.siginterrupt(signal.SIGINT, ends_waits)
    try:
        with pytest.raises(KeyboardInterrupt):
            train_members(members, n_threads=2)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(epochs) < 10_000
    assert not [one for one in threading.enumerate() if one.name.startswith("cnn_core member")]


def test_ctrl_c_while_the_threads_start_trains_nothing(rng, name, monkeypatch):
    began = []

    class Began(Callback):
        def on_train_begin(self, state):
            began.append(state)

    start = threading.Thread.start

    def interrupted(thread):
        start(thread)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_members(members_of(rng, name, callbacks=(Began(),)), n_threads=2)
    for thread in threading.enumerate():
        if thread.name.startswith("cnn_core member"):
            thread.join()
    assert began == []


def test_a_time_budget_is_shared(rng, name):
    recipe = replace(RECIPE, epochs=1_000_000)
    trained = train_members(members_of(rng, name, recipe=recipe), n_threads=2, time_budget=0.2)
    for one in trained:
        assert sum(one.history["seconds"]) < 0.2
        assert "budget" in one.stopped_because


def test_hooks_of_all_members_are_called_one_at_a_time(rng, name):
    inside = []

    class Alone(Callback):
        def on_epoch_end(self, state):
            inside.append(1)
            assert len(inside) == 1
            inside.pop()

    train_members(members_of(rng, name, callbacks=(Alone(),)), n_threads=3)
    assert inside == []


def test_a_member_that_diverges_at_once_is_an_error(rng, name):
    network = Network((Dense(4, 12, "relu"), Dense(12, 3, "identity")))
    recipe = replace(RECIPE, learning_rate=1e6, schedule="constant")
    members = members_of(rng, name, network, recipe)
    with pytest.raises(DivergenceError):
        train_members(members, n_threads=2)


@pytest.mark.serial
def test_no_member_copies_the_samples(rng, name):
    x = rng.uniform(0, 4, (200_000, 4)).astype(np.float32)
    labels = rng.integers(0, 3, len(x))
    rows = np.flatnonzero(np.arange(len(x)) % 50)
    recipe = replace(RECIPE, epochs=1, batch_size=4096)
    member = replace(
        members_of(rng, name)[0], recipe=recipe, x=x, t=labels, rows=rows, validation_rows=rows[:99]
    )
    tracemalloc.start()
    try:
        train_members([member], n_threads=1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # The orders of an epoch, 8 bytes a row each, are there, but no row of samples twice.
    assert peak < 4 * rows.nbytes + 4e6


@pytest.mark.parametrize(
    ("rows", "error", "match"),
    [
        ([0, 1], TypeError, "rows: expected an array"),
        (np.array([0.0]), TypeError, "rows: expected an array"),
        (np.array([], int), ValueError, "rows: expected at least one sample"),
        (np.array([-1, 3]), ValueError, "from 0 to 149, found -1 to 3"),
        (np.array([150]), ValueError, "from 0 to 149"),
    ],
)
def test_rows_that_are_none_are_refused(rng, name, rows, error, match):
    member = members_of(rng, name)[0]
    with pytest.raises(error, match=match):
        train_members([replace(member, rows=rows)], n_threads=1)
    with pytest.raises(error, match=f"validation {match}" if "rows" in match else match):
        train_members([replace(member, validation_rows=rows)], n_threads=1)


def test_the_loss_of_validation_may_be_by_other_targets(rng, name):
    member = members_of(rng, name)[0]
    hard = member.t
    smoothed = replace(member, t=ClassTargets(hard, 3, 0.1), validation_t=hard)
    (trained,) = train_members([smoothed], n_threads=1)
    own = hard[member.validation_rows]
    loss = -np.log(trained.outputs[np.arange(len(own)), own]).mean()
    assert trained.best_value == pytest.approx(loss, rel=1e-5)
