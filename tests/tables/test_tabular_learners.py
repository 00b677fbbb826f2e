"""What the learners of tables learn, and what they say about it."""

from __future__ import annotations

import copy
import io
import math
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import cnn_core
from cnn_core import callbacks
from cnn_core.tables.progress import MembersProgress
from small_tables import DEAR, PRICES, TABLE, classifier, houses, regressor, rows_of

N = len(PRICES)


@pytest.mark.parametrize("quality", ["fast", "balanced", "best"])
def test_every_quality_learns_a_table_with_columns_of_every_kind(name: str, quality: str) -> None:
    new, prices = houses(400, seed=1)
    learner = regressor(quality=quality, backend=name, hidden_layer_sizes=(32,)).fit(TABLE, PRICES)
    assert learner.score(new, prices) > 0.8
    assert learner.oof_score_ == pytest.approx(learner.score(new, prices), abs=0.1)
    dear = np.where(np.median(PRICES) < prices, "dear", "cheap")
    sorter = classifier(quality=quality, backend=name).fit(TABLE, DEAR)
    assert sorter.score(new, dear) > 0.8
    assert sorter.oof_score_ == pytest.approx(sorter.score(new, dear), abs=0.1)


def test_both_backends_learn_the_same_up_to_rounding() -> None:
    if len(cnn_core.backends.available()) < 2:
        pytest.skip("there is one backend")
    found = [
        classifier(backend=name, max_steps=20).fit(TABLE, DEAR).predict_proba(TABLE)
        for name in cnn_core.backends.available()
    ]
    # Twenty steps of float32, whose roundings Adam's division may enlarge.
    np.testing.assert_allclose(found[0], found[1], atol=1e-3)


def test_the_number_of_threads_changes_no_bit(name: str) -> None:
    one, three = (
        classifier(backend=name, n_threads=threads).fit(TABLE, DEAR) for threads in (1, 3)
    )
    np.testing.assert_array_equal(one.predict_proba(TABLE), three.predict_proba(TABLE))
    np.testing.assert_array_equal(one.oof_prediction_, three.oof_prediction_)


def test_the_same_number_gives_the_same_learner_and_another_one_another() -> None:
    first, again, other = (
        regressor(random_state=state).fit(TABLE, PRICES).predict(TABLE) for state in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_predictions_for_rows_held_out_are_by_networks_that_had_not_seen_them() -> None:
    noise = np.random.default_rng(0).normal(size=N)
    learner = regressor(n_members=5, max_steps=600, hidden_layer_sizes=(64,)).fit(TABLE, noise)
    assert learner.oof_score_ < 0.1
    assert learner.oof_prediction_.shape == (N,)
    assert np.isfinite(learner.oof_prediction_).all()
    assert learner.oof_loss_ == pytest.approx(
        np.sqrt(((learner.oof_prediction_ - noise) ** 2).mean())
    )


@pytest.mark.parametrize(("n_members", "held_out"), [(5, 48), (8, 30), (12, 24)])
def test_there_are_as_many_folds_as_networks_up_to_ten(n_members: int, held_out: int) -> None:
    learner = regressor(n_members=n_members, max_steps=1).fit(TABLE, PRICES)
    assert [len(rows) for rows in learner._held_out] == [held_out] * n_members
    assert np.isfinite(learner.oof_prediction_).all()


def test_fewer_networks_than_folds_leave_rows_without_a_prediction() -> None:
    learner = classifier(n_members=2).fit(TABLE, DEAR)
    known = np.isfinite(learner.oof_prediction_).all(axis=1)
    assert known.sum() == pytest.approx(2 * N / 5, abs=2)
    likeliest = learner.classes_[learner.oof_prediction_[known].argmax(axis=1)]
    assert learner.oof_score_ == (likeliest == DEAR[known]).mean()


def test_levels_and_values_that_come_later_are_taken() -> None:
    learner = regressor().fit(TABLE, PRICES)
    new = {"size": [None, 1e9], "kind": ["castle", None], "built": [None, "2100-01-01"]}
    found = learner.predict({**new, "garden": [None, True], "same": ["y", None]})
    assert ((PRICES.min() <= found) & (found <= PRICES.max())).all()


def test_other_columns_are_refused_with_what_to_do() -> None:
    learner = regressor().fit(pd.DataFrame(TABLE), PRICES)
    frame = pd.DataFrame(TABLE)
    with pytest.raises(ValueError, match="should match those that were passed during fit"):
        learner.predict(frame.rename(columns={"size": "area"}))
    with pytest.raises(ValueError, match="must be in the same order"):
        learner.predict(frame[frame.columns[::-1]])
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        learner.predict(frame.to_numpy(object))
    with pytest.raises(ValueError, match=r"column 0 \('size'\), row 0: expected a number"):
        learner.predict(frame.assign(size="large"))


def test_a_row_without_weight_is_as_if_it_were_not_there() -> None:
    rows = np.arange(N) % 3 > 0
    weighted = regressor().fit(TABLE, PRICES, sample_weight=rows)
    without = regressor().fit(rows_of(TABLE, rows), PRICES[rows], sample_weight=np.ones(rows.sum()))
    np.testing.assert_array_equal(weighted.predict(TABLE), without.predict(TABLE))
    np.testing.assert_array_equal(weighted.oof_prediction_[rows], without.oof_prediction_)
    assert np.isnan(weighted.oof_prediction_[~rows]).all()


def test_weights_of_classes_move_the_probabilities() -> None:
    rare = np.where(np.quantile(PRICES, 0.9) < PRICES, "rare", "usual")
    plain = classifier().fit(TABLE, rare).predict_proba(TABLE)[:, 0].mean()
    balanced = classifier(class_weight="balanced").fit(TABLE, rare).predict_proba(TABLE)[:, 0]
    assert balanced.mean() > 1.5 * plain


def test_groups_are_held_out_together_and_time_goes_on() -> None:
    groups = np.repeat(np.arange(24), 10)
    learner = regressor(n_members=4, cv=4).fit(TABLE, PRICES, groups=groups)
    for held_out in learner._held_out:
        assert len(held_out) == 10 * len(set(groups[held_out]))
    few = regressor().fit(TABLE, PRICES, groups=np.arange(N) % 2)
    assert [len(rows) for rows in few._held_out] == [N // 2] * 3
    with pytest.raises(ValueError, match="at least as many groups as folds, 2, found 1"):
        regressor().fit(TABLE, PRICES, groups=["all"] * N)
    in_time = regressor(cv="time").fit(TABLE, PRICES)
    assert np.isnan(in_time.oof_prediction_[: N // 2]).all()
    assert np.isfinite(in_time.oof_prediction_[N // 2 :]).all()


def test_intervals_sets_and_quantiles_hold_what_they_say() -> None:
    new, prices = houses(2000, seed=2)
    learner = regressor(n_members=5).fit(TABLE, PRICES)
    low, high = learner.predict_interval(new, coverage=0.8).T
    # 240 errors, and networks that are better together than one by one.
    assert 0.7 < ((low <= prices) & (prices <= high)).mean() < 0.95
    thirds = learner.predict(new, quantiles=[0.25, 0.5, 0.75])
    assert (np.diff(thirds, axis=1) >= 0).all()
    assert (prices < thirds[:, 2]).mean() == pytest.approx(0.75, abs=0.1)
    np.testing.assert_array_equal(learner.predict(new, quantiles=0.5), thirds[:, 1])
    dear = np.where(np.median(PRICES) < prices, "dear", "cheap")
    sorter = classifier(n_members=5).fit(TABLE, DEAR)
    sets = sorter.predict_set(new, coverage=0.95)
    assert sets[np.arange(2000), np.searchsorted(sorter.classes_, dear)].mean() > 0.9
    assert sorter.predict_set(new, coverage=0.6).sum() < sets.sum()


def test_shuffling_tells_which_columns_matter() -> None:
    learner = regressor(n_members=5).fit(TABLE, PRICES)
    found = learner.permutation_importance(TABLE, PRICES, n_repeats=3, random_state=0)
    assert found.names == list(TABLE)
    assert found.importances.shape == (5, 3)
    assert found.importances_mean[0] == found.importances_mean.max() > 10
    assert found.importances_mean[1] > 3 * abs(found.importances_mean[3])
    assert found.importances_mean[4] == 0
    assert str(found).startswith("size")
    with pytest.raises(ValueError, match="the 240 rows of the last fit, in their order, found 10"):
        learner.permutation_importance(rows_of(TABLE, slice(10)), PRICES[:10])


def test_the_columns_and_the_networks_are_described() -> None:
    learner = classifier(n_members=5).fit(TABLE, DEAR)
    described = learner.describe_columns().split("\n")
    assert [line.split()[:2] for line in described[1:]] == [
        ["size", "number"],
        ["kind", "category"],
        ["built", "date"],
        ["garden", "boolean"],
        ["same", "category"],
    ]
    lines = learner.summary().split("\n")
    assert lines[0] == "5 networks, fast; 5 columns, 1 of them dropped"
    assert lines[-1].startswith(f"on rows held out: accuracy {learner.oof_score_:.4f}, log-loss ")


def test_probabilities_are_calibrated_unless_it_is_said_otherwise() -> None:
    coin = np.random.default_rng(0).integers(0, 2, N)
    settings = {"max_steps": 800, "hidden_layer_sizes": (64,), "n_members": 5}
    raw = classifier(calibrate=False, **settings).fit(TABLE, coin)
    calibrated = classifier(**settings).fit(TABLE, coin)
    assert calibrated.oof_loss_ < raw.oof_loss_
    np.testing.assert_allclose(calibrated.predict_proba(TABLE).sum(axis=1), 1, rtol=1e-12)


class Recorder(callbacks.Callback):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def on_train_begin(self, state: Any) -> None:
        self.seen.append("begin")

    def on_train_end(self, state: Any) -> None:
        self.seen.append("end")


def test_callbacks_are_told_of_every_network() -> None:
    recorder = Recorder()
    classifier(quality="best", callbacks=[recorder], max_steps=5).fit(TABLE, DEAR)
    assert sorted(recorder.seen) == ["begin"] * 9 + ["end"] * 9


def test_the_progress_of_all_networks_is_one_line(capsys) -> None:
    classifier(verbose=True, n_threads=1).fit(TABLE, DEAR)
    lines = capsys.readouterr().err.strip().split("\n")
    assert lines[-1].startswith("network 3/3  step 360/360  validation loss 0.")
    assert len(lines) <= 14


def test_on_a_terminal_the_line_has_a_bar() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Terminal()
    progress = MembersProgress(3, 60, out)
    classifier(callbacks=[progress], max_steps=20).fit(TABLE, DEAR)
    assert out.getvalue().rstrip().split("\r")[-1].startswith("[" + "#" * 20 + "] network 3/3")


def test_a_copy_and_a_pickled_learner_predict_the_same(name: str) -> None:
    learner = classifier(backend=name).fit(TABLE, DEAR)
    for other in (copy.deepcopy(learner), pickle.loads(pickle.dumps(learner))):
        np.testing.assert_array_equal(other.predict_proba(TABLE), learner.predict_proba(TABLE))
        assert other.summary() == learner.summary()


def test_scikit_learns_tools_work_with_them() -> None:
    X = np.column_stack([np.nan_to_num(TABLE["size"]), TABLE["garden"]])
    scores = cross_val_score(make_pipeline(StandardScaler(), regressor()), X, PRICES, cv=3)
    assert scores.mean() > 0.5
    search = GridSearchCV(classifier(), {"n_bins": [0, 8]}, cv=2).fit(pd.DataFrame(TABLE), DEAR)
    assert search.best_estimator_.score(pd.DataFrame(TABLE), DEAR) > 0.8


def test_a_fit_that_is_refused_leaves_the_learner_as_it_was() -> None:
    learner = classifier().fit(TABLE, DEAR)
    before = learner.predict_proba(TABLE)
    with pytest.raises(ValueError, match="one for each of the 240 samples, found 3"):
        learner.fit(TABLE, ["a", "b", "c"])
    np.testing.assert_array_equal(learner.predict_proba(TABLE), before)
    assert not math.isnan(learner.oof_score_)


def test_what_was_passed_is_not_changed() -> None:
    frame = pd.DataFrame(TABLE)
    kept, prices = frame.copy(), PRICES.copy()
    regressor().fit(frame, prices).predict(frame)
    pd.testing.assert_frame_equal(frame, kept)
    np.testing.assert_array_equal(prices, PRICES)
