"""A checkpoint that was damaged or lies is refused before anything changes."""

from __future__ import annotations

import os
import re
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn_core.model_file import ModelFileError, read_tensors, write_tensors
from damage import change_somewhere, tree_of, write_tree
from hostile import KINDS, read_or_refuse, zipped
from hostile_bytes import as_file
from hostile_checkpoints import ESTIMATOR, TRAININGS, checkpoints, resume_one
from paths import GOLDEN


@pytest.mark.parametrize("training", checkpoints())
@settings(max_examples=settings.default.max_examples // 4)
@given(data=st.data())
def test_what_a_checkpoint_says_is_taken_or_refused_by_name(training, tmp_path, data):
    path = as_file(tmp_path / "file.safetensors", checkpoints()[training])
    tensors, tree = tree_of(path)
    for _ in range(data.draw(st.integers(1, 2))):
        change_somewhere(tree, data)
    write_tree(path, tensors, tree)
    result = read_or_refuse(KINDS["checkpoint"], path)
    assert result is not None
    assert os.listdir(tmp_path) == ["file.safetensors"]
    shutil.copy(path, tmp_path / "copy")
    assert read_or_refuse(KINDS["model"], tmp_path / "copy") is not None
    (tmp_path / "copy").unlink()


CHANGED_ARRAYS = {
    "other rank": lambda a: a[None],
    "one number": lambda a: a.reshape(-1)[:1],
    "nothing": lambda a: a.reshape(-1)[:0],
    "more": lambda a: np.concatenate([a.reshape(-1), a.reshape(-1)]),
    "other dtype": lambda a: a.astype(np.float64 if a.dtype == np.float32 else np.float32),
    "NaN": lambda a: np.full_like(a, np.nan),
    "infinite": lambda a: np.full_like(a, -np.inf),
    "huge": lambda a: np.full_like(a, 3e38),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", [*CHANGED_ARRAYS, "gone", "another name"])
@pytest.mark.parametrize("training", checkpoints())
def test_arrays_of_a_checkpoint_that_were_changed_are_taken_or_refused(training, change, tmp_path):
    path = as_file(tmp_path / "file.safetensors", checkpoints()[training])
    tensors, tree = tree_of(path)
    for name, array in tensors.items():
        changed = dict(tensors)
        if change in ("gone", "another name"):
            del changed[name]
        if change != "gone":
            new_name = f"{name}." if change == "another name" else name
            changed[new_name] = CHANGED_ARRAYS.get(change, np.copy)(array)
        write_tree(path, changed, tree)
        is_refused = isinstance(read_or_refuse(KINDS["checkpoint"], path), ModelFileError)
        is_of_weights = array.dtype == np.float32 and array.size > 1
        if change in ("NaN", "infinite"):
            # Measurements and moments may be any numbers.
            assert is_refused or not name.startswith("layers.")
        elif change != "huge":
            assert is_refused or not is_of_weights
        assert is_refused or change != "other rank"


LIES = {
    "another seed": ("state", "seed", 6),
    "epochs of the future": ("state", "epochs_done", 5),
    "epochs of the past": ("state", "epochs_done", -1),
    "no epoch": ("state", "epochs_done", 0),
    "fewer epochs than were measured": ("state", "epochs_done", 1),
    "steps beyond the counter": ("state", "steps", 2**63),
    "another dtype": ("state", "dtype", "float64"),
    "a later version": ("training", "version", 2),
    "a version of text": ("training", "version", "1"),
    "an end that was not reached": ("training", "finished", True),
    "neither true nor false": ("training", "finished", 1),
    "a rate that is none": ("training", "state", "learning_rate", float("nan")),
    "a negative rate": ("training", "state", "learning_rate", -1.0),
    "a best epoch to come": ("training", "state", "best_epoch", 3),
    "a best value that is text": ("training", "state", "best_value", "1"),
    "a reason that is a number": ("training", "state", "stopped_because", 7),
    "steps to come": ("training", "progress", "steps", 7),
    "negative steps": ("training", "progress", "steps", -6),
    "seconds of the past": ("training", "progress", "seconds", -1.0),
    "a largest loss that is none": ("training", "progress", "guard", "largest", float("inf")),
    "weights that are kept nowhere": ("training", "progress", "guard", "kept", {"dict": {}}),
    "no record": ("training", "state", "record", None),
    "a record of another epoch": ("training", "state", "record", "epoch", 1),
    "a record without a loss": ("training", "state", "record", "loss", None),
    "a record of a longer training": ("training", "state", "record", "last_epoch", 2**62),
    "states that are none": ("training", "calls", [{"dict": {"class": "TimeBudget"}}]),
    "a state that is a number": (
        "training",
        "calls",
        [{"dict": {"class": "TimeBudget", "place": 0, "state": 7}}],
    ),
    "a place before the first": (
        "training",
        "calls",
        [{"dict": {"class": "TimeBudget", "place": -1, "state": {"dict": {"left": 1.0}}}}],
    ),
    "a callback that was not passed": (
        "training",
        "calls",
        [{"dict": {"class": "os.system" * 200, "place": 0, "state": {"dict": {"left": 1.0}}}}],
    ),
    "time that is text": (
        "training",
        "calls",
        [{"dict": {"class": "TimeBudget", "place": 0, "state": {"dict": {"left": "1"}}}}],
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_checkpoint_that_lies_is_refused_before_anything_changes(tmp_path, lie):
    training = "Adam, dropout, cosine"
    path = as_file(tmp_path / "file.safetensors", checkpoints()[training])
    tensors, tree = tree_of(path)
    *place, last, value = LIES[lie]
    inside = tree
    for key in place:
        inside = unwrapped(inside)[key]
    unwrapped(inside)[last] = value
    write_tree(path, tensors, tree)
    assert isinstance(read_or_refuse(KINDS["checkpoint"], path), ModelFileError)


def unwrapped(value):
    """Return the dictionary that an encoded one stands for."""
    return value["dict"] if set(value) == {"dict"} else value


def test_two_places_of_a_checkpoint_cannot_share_an_array(tmp_path):
    path = as_file(
        tmp_path / "file.safetensors", checkpoints()["early stopping, batch normalization"]
    )
    tensors, texts = read_tensors(path)
    names = [name for name in tensors if name.startswith("training.")]
    shared = texts["training"].replace(f'"{names[0]}"', f'"{names[-1]}"')
    assert shared != texts["training"]
    write_tensors(path, tensors, {**texts, "training": shared})
    assert isinstance(read_or_refuse(KINDS["checkpoint"], path), ModelFileError)


@pytest.mark.parametrize("name", ["n_iter_", "predict", "__class__", "callbacks", "model_"])
def test_a_checkpoint_sets_no_attribute_but_those_of_a_fit(tmp_path, name):
    path = as_file(tmp_path / "file.safetensors", checkpoints()[ESTIMATOR])
    tensors, tree = tree_of(path)
    (state,) = [
        one["dict"]["state"]
        for one in unwrapped(tree["training"])["calls"]
        if one["dict"]["class"] == "Monitor"
    ]
    unwrapped(unwrapped(state)["attributes"])[name] = "evil"
    write_tree(path, tensors, tree)
    result = read_or_refuse(KINDS["checkpoint"], path)
    assert isinstance(result, ModelFileError) or vars(result).get(name) != "evil"


@pytest.mark.parametrize(
    "contents",
    {
        "empty": b"",
        "a model": (GOLDEN / "model_version_1.safetensors").read_bytes(),
        "an estimator": (GOLDEN / "classifier_version_1.safetensors").read_bytes(),
        "an NN": (GOLDEN / "nn_version_1.safetensors").read_bytes(),
        "an archive": zipped([("X.npy", b"")]),
        "a table": b"1,2\n",
    }.values(),
)
@pytest.mark.parametrize("training", [*TRAININGS, ESTIMATOR])
def test_a_file_that_is_no_checkpoint_is_refused_and_left_alone(tmp_path, training, contents):
    path = as_file(tmp_path / "file", contents)
    with pytest.raises(ModelFileError, match=re.escape(str(path))):
        resume_one(training, path)
    assert path.read_bytes() == contents


@pytest.mark.parametrize("training", [*TRAININGS, ESTIMATOR])
def test_no_truncated_checkpoint_is_resumed(tmp_path, training):
    contents = checkpoints()[training]
    for length in range(0, len(contents), 97):
        path = as_file(tmp_path / "file", contents[:length])
        with pytest.raises(ModelFileError, match=re.escape(str(path))):
            resume_one(training, path)


@pytest.mark.parametrize("depth", [50, 500, 5_000, 100_000])
@pytest.mark.parametrize("key", ["network", "state", "training"])
def test_deeply_nested_json_of_a_checkpoint_is_refused(tmp_path, depth, key):
    path = as_file(tmp_path / "file", checkpoints()["averaging, plateau"])
    tensors, texts = read_tensors(path)
    for start, end in ("[]", ('{"":', "}")):
        write_tensors(path, tensors, {**texts, key: start * depth + "1" + end * depth})
        assert isinstance(read_or_refuse(KINDS["checkpoint"], path), ModelFileError)
