"""What a model file or a run's record says is read or refused by name."""

from __future__ import annotations

import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cnn_core
from cnn_core import NN, MLPClassifier, MLPRegressor, Model
from cnn_core.cli.console import CommandError
from cnn_core.cli.run_folder import RECORD, read_run
from cnn_core.model_file import ModelFileError, read_tensors, write_tensors
from damage import change_somewhere, mutations
from hostile import KINDS, read_or_refuse
from paths import GOLDEN


@pytest.mark.parametrize("name", ["nn", "model", "classifier", "regressor"])
@given(data=st.data())
def test_a_description_that_was_changed_is_read_or_refused_by_name(name, tmp_path, data):
    tensors, texts = read_tensors(GOLDEN / f"{name}_version_1.safetensors")
    tree = {key: json.loads(text) if key != "kind" else text for key, text in texts.items()}
    change_somewhere(tree, data)
    path = tmp_path / "model.safetensors"
    texts = {
        key: value if key == "kind" and isinstance(value, str) else json.dumps(value)
        for key, value in tree.items()
    }
    write_tensors(path, tensors, texts)
    result = read_or_refuse(KINDS["model"], path)
    assert isinstance(result, (ModelFileError, NN, Model, MLPClassifier, MLPRegressor))


@pytest.mark.parametrize("depth", [50, 500, 5_000, 100_000])
@pytest.mark.parametrize("key", ["network", "state", "extra"])
def test_deeply_nested_json_is_refused(tmp_path, depth, key):
    tensors, texts = read_tensors(GOLDEN / "classifier_version_1.safetensors")
    path = tmp_path / "model.safetensors"
    write_tensors(path, tensors, {**texts, key: "[" * depth + "]" * depth})
    assert isinstance(read_or_refuse(KINDS["model"], path), ModelFileError)


@pytest.mark.parametrize("depth", [50, 500, 5_000, 100_000])
@pytest.mark.parametrize("before", [b'"a":', b'"__metadata__":', b'"__metadata__":{"format":'])
def test_a_deeply_nested_header_is_refused(tmp_path, depth, before):
    text = b"{" + before + b"[" * depth + b"]" * depth + b"}" * before.count(b"{") + b"}"
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    assert isinstance(read_or_refuse(KINDS["model"], path), ModelFileError)


def test_a_number_that_no_float_can_hold_is_an_error_of_the_file(tmp_path):
    tensors, texts = read_tensors(GOLDEN / "model_version_1.safetensors")
    network = {**json.loads(texts["network"]), "averaging": 10**400}
    path = tmp_path / "model.safetensors"
    write_tensors(path, tensors, {**texts, "network": json.dumps(network)})
    with pytest.raises(ModelFileError, match=r"model\.safetensors.*a Model"):
        cnn_core.load(path)


# Records of runs


def record_error(folder, text):
    """Read a run with this record and return the error that refuses it, None if none does."""
    (folder / RECORD).write_bytes(text)
    try:
        read_run(folder, backend="numpy")
    except (CommandError, ModelFileError) as error:
        return str(error)
    return None


@pytest.fixture
def run(digits_run, tmp_path):
    """A copy of a run, to be damaged."""
    folder = tmp_path / "run"
    shutil.copytree(digits_run, folder)
    assert record_error(folder, (folder / RECORD).read_bytes()) is None
    return folder


@given(data=st.data())
def test_a_record_that_was_changed_is_read_or_refused_by_name(run, digits_run, data):
    tree = json.loads((digits_run / RECORD).read_text(encoding="utf-8"))
    change_somewhere(tree, data)
    error = record_error(run, json.dumps(tree).encode())
    assert error is None or str(run) in error


@given(data=st.data())
def test_a_damaged_record_is_read_or_refused_by_name(run, digits_run, data):
    contents = (digits_run / RECORD).read_bytes()
    for mutate in data.draw(st.lists(mutations(), min_size=1, max_size=3)):
        contents = mutate(contents)
    error = record_error(run, contents)
    assert error is None or str(run) in error
