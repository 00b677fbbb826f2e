"""Each field of a checkpoint, with a value of each other kind, is refused or gone on with.

What is refused is refused before anything begins: see `hostile_checkpoints.resume_one`.
"""

from __future__ import annotations

import itertools

import pytest

from cnn_core import ModelFileError
from damage import tree_of, write_tree
from hostile import KINDS, read_or_refuse
from hostile_bytes import MIB
from hostile_checkpoints import ESTIMATOR, checkpoints, resume_one
from json_fields import NUMBERS, VALUES, change, places_in
from memory_peak import memory_peak


def contents(path, name):
    path.write_bytes(checkpoints()[name])
    return tree_of(path)


def check(name, path, tensors, tree, place, value):
    """Change one field; see that the training is refused by name, or goes on."""
    if len(place) == 1 and value == VALUES["no text"]:
        # A text of the header, which is written in Unicode.
        return
    write_tree(path, tensors, change(tree, place, value))
    kind = KINDS["checkpoint"]._replace(read=lambda path: resume_one(name, path))
    assert read_or_refuse(kind, path) is not None


@pytest.mark.parametrize("name", checkpoints())
def test_a_changed_field_is_refused_or_resumed(tmp_path, name):
    path = tmp_path / "file"
    tensors, tree = contents(path, name)
    for place, value in zip(places_in(tree), itertools.cycle(VALUES.values()), strict=False):
        check(name, path, tensors, tree, place, value)


ESTIMATORS = {
    "a curve that this fit measures": ("curves", "loss_curve_", None),
    "a curve of scores": ("curves", "validation_scores_", None),
    "a best score": ("attributes", "best_validation_score_", None),
    "a loss": ("attributes", "loss_", None),
    "a best loss, which this fit does not look at": ("attributes", "best_loss_", 1.0),
}


@pytest.mark.parametrize("missing", ESTIMATORS)
def test_what_a_fit_measures_is_there_and_nothing_else(tmp_path, missing):
    path = tmp_path / "file"
    tensors, tree = contents(path, ESTIMATOR)
    part, name, value = ESTIMATORS[missing]
    calls = tree["training"]["dict"]["calls"]
    (monitor,) = [one["dict"] for one in calls if name in str(one)]
    inside = monitor["state"]["dict"][part]["dict"]
    removed = inside[name]
    inside[name] = value
    if isinstance(removed, dict):
        del tensors[removed["tensor"]]
    write_tree(path, tensors, tree)
    with pytest.raises(ModelFileError, match=name):
        resume_one(ESTIMATOR, path)


@pytest.mark.slow
@pytest.mark.parametrize("name", checkpoints())
@pytest.mark.parametrize("kind", VALUES)
def test_each_field_with_each_value_is_refused_or_resumed(tmp_path, name, kind):
    path = tmp_path / "file"
    tensors, tree = contents(path, name)
    for place in places_in(tree):
        check(name, path, tensors, tree, place, VALUES[kind])


@pytest.mark.slow
def test_no_number_takes_memory_that_the_file_does_not_have(tmp_path):
    path, name = tmp_path / "file", "averaging, plateau"
    tensors, tree = contents(path, name)
    check(name, path, tensors, tree, ("kind",), "Model")
    for place, kind in zip(places_in(tree), itertools.cycle(NUMBERS), strict=False):
        with memory_peak() as peak:
            check(name, path, tensors, tree, place, VALUES[kind])
        assert peak.bytes < 2 * MIB, place
