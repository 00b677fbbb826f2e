"""Fits on a cluster: the bits of the loop in one process, from data of any kind."""

from __future__ import annotations

import re
from typing import Any

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import Client
from sklearn.base import clone

from cnn_core import MLPClassifier, load
from cnn_core.callbacks import Callback
from cnn_core.dask import DaskMLPClassifier, DaskMLPRegressor, PartitionError
from cnn_core.training import TrainingState
from sharded_fits import (
    KINDS,
    ROUND_STEPS,
    SETTINGS,
    ClassifierInShards,
    RegressorInShards,
    bits_of,
)
from sharded_fits import small_classes as data

CHUNKS = (80, 1, 120, 100)
SETTINGS = {**SETTINGS, "max_iter": 2}
ON_DASK = {**SETTINGS, "round_steps": ROUND_STEPS}


def on_dask(X: Any, y: Any, weights: Any) -> tuple[Any, Any, Any]:
    parts = (CHUNKS, (5,))
    return da.from_array(X, parts), da.from_array(y, CHUNKS), da.from_array(weights, CHUNKS)


@pytest.mark.parametrize(
    ("kind", "n_shards"),
    [
        ("plain", 1),
        ("dropout", 3),
        *(pytest.param(kind, 3, marks=pytest.mark.slow) for kind in ("plain", "balanced", "sgd")),
    ],
)
def test_have_the_bits_of_the_loop_in_one_process(kind: str, n_shards: int, client: Client) -> None:
    settings = {**SETTINGS, **KINDS[kind]}
    loop = ClassifierInShards(**settings).of(n_shards).fit(*data())
    fitted = DaskMLPClassifier(**settings, round_steps=ROUND_STEPS, n_shards=n_shards).fit(
        *on_dask(*data())
    )
    assert bits_of(fitted) == bits_of(loop)


def test_a_regressor_likewise(client: Client) -> None:
    X, _, _ = data()
    loop = RegressorInShards(**SETTINGS).of(3).fit(X, X[:, 0])
    Xd = da.from_array(X, (CHUNKS, (5,)))
    fitted = DaskMLPRegressor(**ON_DASK, n_shards=3).fit(Xd, Xd[:, 0])
    assert bits_of(fitted) == bits_of(loop)
    assert fitted.score(Xd, Xd[:, 0]) == loop.score(X, X[:, 0])


def test_how_the_rows_are_divided_into_partitions_changes_no_bit(client: Client) -> None:
    X, y, weights = data()
    frame = pd.DataFrame(X, columns=list("abcde"))
    bounds = [0, 100, 150, 301]
    parts = [slice(*bounds[place : place + 2]) for place in range(3)]
    rows = (tuple(np.diff(bounds)), (5,))
    inputs: dict[str, tuple[Any, Any, Any]] = {
        "array": on_dask(X, y, weights),
        "two chunks of columns": (da.from_array(X, ((301,), (2, 3))), y, weights),
        "local arrays": (X, y, weights),
        "list of arrays": tuple([one[part] for part in parts] for one in (X, y, weights)),
        "delayed": tuple([dask.delayed(one[part]) for part in parts] for one in (X, y, weights)),
        "futures": tuple(client.scatter([one[part] for part in parts]) for one in (X, y, weights)),
        "local targets": (da.from_array(X, rows), y, weights),
        "frame": (
            dd.from_pandas(frame, npartitions=2),
            dd.from_pandas(pd.Series(y), npartitions=2),
            dd.from_pandas(pd.Series(weights), npartitions=2),
        ),
    }
    fits = {
        name: bits_of(DaskMLPClassifier(**ON_DASK, n_shards=2).fit(*values))
        for name, values in inputs.items()
    }
    assert all(bits == fits["array"] for bits in fits.values())


def test_there_are_as_many_shards_as_partitions_by_default(client: Client) -> None:
    two = DaskMLPClassifier(**ON_DASK, n_shards=2).fit(*data())
    X, y, weights = data()
    parts = tuple([one[:100], one[100:]] for one in (X, y, weights))
    assert bits_of(DaskMLPClassifier(**ON_DASK).fit(*parts)) == bits_of(two)


def test_predictions_are_lazy_and_those_of_the_plain_estimator(client: Client) -> None:
    X, y, weights = data()
    Xd, yd, wd = on_dask(X, y, weights)
    fitted = DaskMLPClassifier(**ON_DASK, n_shards=2).fit(Xd, yd)
    local = fitted.to_local()
    assert type(local) is MLPClassifier
    for name in ("predict", "predict_proba", "predict_log_proba"):
        lazy = getattr(fitted, name)(Xd)
        expected = getattr(local, name)(X)
        assert isinstance(lazy, da.Array)
        assert (lazy.dtype, lazy.chunks[0]) == (expected.dtype, CHUNKS)
        np.testing.assert_array_equal(lazy.compute(), expected)
        np.testing.assert_array_equal(getattr(fitted, name)(X), expected)
    frame = dd.from_pandas(pd.DataFrame(X), npartitions=3)
    np.testing.assert_array_equal(fitted.predict(frame).compute(), local.predict(X))
    np.testing.assert_array_equal(fitted.predict_proba(frame).compute(), local.predict_proba(X))
    assert fitted.score(Xd, yd, wd) == local.score(X, y, weights)


def test_evaluation_sets_and_early_stopping(client: Client) -> None:
    X, y, _ = data()
    more, labels, _ = data(90, seed=1)
    settings = {**SETTINGS, "early_stopping": True, "n_iter_no_change": 1, "max_iter": 30}
    loop = ClassifierInShards(**settings).of(2).fit(X, y, eval_set=[(more, labels)])
    sets = [(da.from_array(more, (30, 5)), da.from_array(labels, 30))]
    fitted = DaskMLPClassifier(**settings, round_steps=ROUND_STEPS, n_shards=2).fit(
        X, y, eval_set=sets
    )
    assert bits_of(fitted) == bits_of(loop)
    assert fitted.evals_result_ == loop.evals_result_
    assert fitted.stopped_because_ == loop.stopped_because_ is not None


def test_it_is_cloned_saved_and_has_parameters(client: Client, tmp_path: Any) -> None:
    X, y, _ = data()
    estimator = DaskMLPClassifier((4,), max_iter=3, client=client, n_shards=2, random_state=0)
    copy = clone(estimator)
    assert copy.client is client
    assert copy.get_params() == estimator.get_params()
    assert DaskMLPClassifier.preset("fast", n_shards=2).batch_size == 128
    fitted = copy.set_params(tol=0.0, schedule="cosine").fit(X, y)
    fitted.save(tmp_path / "model.safetensors")
    loaded = load(tmp_path / "model.safetensors")
    assert type(loaded) is MLPClassifier
    np.testing.assert_array_equal(loaded.predict(X), fitted.predict(X))


def test_a_partition_that_cannot_be_used_is_named(client: Client) -> None:
    X, y, _ = data()
    parts = [X[:100], X[100:200], X[200:]]
    labels = [y[:100], y[100:200], y[200:]]
    estimator = DaskMLPClassifier(**ON_DASK)

    def message(xs: Any, ys: Any) -> str:
        with pytest.raises(PartitionError) as error:
            estimator.fit(xs, ys)
        return str(error.value)

    assert "partition 1 of X: expected 5 features, found 4, as in partition 0 of X" in message(
        [parts[0], parts[1][:, :4], parts[2]], labels
    )
    with_gap = parts[2].copy()
    with_gap[7, 3] = np.nan
    found = message([*parts[:2], with_gap], labels)
    assert found.startswith("partition 2 of X: X: expected finite numbers, found nan")
    assert "partition 1 of X: y: expected one for each of the 100 samples" in message(
        parts, [labels[0], labels[1][:99], labels[2]]
    )
    assert "partition 2 of X: expected y of text, found numbers" in message(
        parts, [*labels[:2], np.arange(101)]
    )
    broken = [parts[0], dask.delayed(_unreadable)(), parts[2]]
    with pytest.raises(PartitionError, match="partition 1 of X: no such disk"):
        estimator.fit(broken, labels)


def _unreadable() -> None:
    raise OSError("no such disk")


def test_partitions_of_targets_that_do_not_belong_together_are_refused(client: Client) -> None:
    X, y, _ = data()
    with pytest.raises(ValueError, match="y: expected the 2 partitions of X, found 1"):
        DaskMLPClassifier().fit([X[:100], X[100:]], [y])
    with pytest.raises(ValueError, match="n_shards: expected at most one for each of the 301"):
        DaskMLPClassifier(n_shards=302).fit(X, y)
    with pytest.raises(ValueError, match="n_shards"):
        DaskMLPClassifier(n_shards=0).fit(X, y)


def test_partitions_without_rows_are_left_out(client: Client) -> None:
    X, y, _ = data()
    two = DaskMLPClassifier(**ON_DASK).fit([X[:100], X[100:]], [y[:100], y[100:]])
    three = DaskMLPClassifier(**ON_DASK).fit([X[:100], X[:0], X[100:]], [y[:100], y[:0], y[100:]])
    assert bits_of(three) == bits_of(two)


class Rounds(Callback):
    """Notes the steps and the first weight after each round."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, float]] = []

    def on_round_end(self, state: TrainingState) -> None:
        self.seen.append((state.model.steps, float(state.model.parameters[0])))


def test_callbacks_hear_of_rounds_with_the_state_after_each(client: Client) -> None:
    X, y, _ = data()
    on_dask, in_process = Rounds(), Rounds()
    fitted = DaskMLPClassifier(**ON_DASK, n_shards=2, callbacks=[on_dask]).fit(X, y)
    loop = ClassifierInShards(**SETTINGS, callbacks=[in_process]).of(2).fit(X, y)
    assert on_dask.seen == in_process.seen
    assert [steps for steps, _ in on_dask.seen] == [8, 16, 24, 32]
    assert bits_of(fitted) == bits_of(loop)


def test_samples_and_targets_may_come_of_one_graph(client: Client, caplog: Any) -> None:
    X, _, _ = data()
    lazy = (da.from_array(X, (100, 5)) + 1).astype(np.float32) - 1
    y = (lazy[:, 0] > 0).astype(int)
    fitted = DaskMLPClassifier(**ON_DASK, n_shards=2).fit(lazy, y)
    values = (X + 1).astype(np.float32) - 1
    here = DaskMLPClassifier(**ON_DASK, n_shards=2).fit(values, (values[:, 0] > 0).astype(int))
    assert bits_of(fitted) == bits_of(here)
    # Dask warns of keys that mean two things, which may bring a cluster to a halt.
    assert "different `run_spec`" not in caplog.text


def test_how_long_rounds_are_and_what_they_cost_is_said(client: Client, capsys: Any) -> None:
    X, y, _ = data()
    fitted = DaskMLPClassifier(**ON_DASK, n_shards=2, verbose=True).fit(X, y)
    said = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(
        r"2 shards, 2 rounds an epoch of 8 steps; measured: a step of a shard took [\d.]+ ms, a "
        r"round [\d.]+ ms, and \d+\.\d% of the workers' time went to passing states on and "
        r"waiting(: fewer workers or longer rounds \(round_steps\) would waste less of it)?\.",
        said,
    )
    assert said == fitted.rounds_ + "."
    assert not hasattr(fitted.to_local(), "rounds_")
    chosen = DaskMLPClassifier(**{**ON_DASK, "round_steps": None}, n_shards=2).fit(X, y)
    assert re.match(r"2 shards, \d+ rounds? an epoch of \d+ steps \(by the size", chosen.rounds_)
