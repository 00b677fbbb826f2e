"""Every function that is given the path of a file refuses what is none, by the argument's name."""

from __future__ import annotations

import os

import numpy as np
import pytest

import cnn_core
from cnn_core import NN, Checkpoint, MLPClassifier, ModelFileError
from cnn_core.callbacks import CSVLog, SaveModel
from cnn_core.cli import main
from cnn_core.data import load_fashion_mnist, load_file, read_idx
from cnn_core.learning_rates import LearningRates

X = np.arange(12.0).reshape(6, 2) / 12
LABELS = np.array([0, 1, 0, 1, 0, 1])


def net():
    return NN(2, 3, 2, learning_rate=0.5, epochs=1, seed=0, backend="numpy")


def classifier():
    return MLPClassifier((2,), max_iter=300, tol=1.0, random_state=0, backend="numpy").fit(
        X, LABELS
    )


def rates():
    return LearningRates([0.1, 0.2, 0.3], [3.0, 2.0, 4.0], [3.0, 2.0, 4.0], 0.2)


WRITERS = {
    "NN.save": lambda path: net().save(path),
    "Model.save": lambda path: net().model.save(path),
    "MLPClassifier.save": lambda path: classifier().save(path),
    "Checkpoint": Checkpoint,
    "checkpoint=": lambda path: net().fit(X, LABELS, checkpoint=path),
    "SaveModel": SaveModel,
    "CSVLog": CSVLog,
    "LearningRates.plot": lambda path: rates().plot(path),
}
READERS = {
    "load": cnn_core.load,
    "read_idx": read_idx,
    "load_file": load_file,
    "load_file, labels": lambda path: load_file("x.npy", labels=path),
    "load_fashion_mnist": load_fashion_mnist,
}
NO_PATHS = {
    "empty": ("", ValueError, "an empty one"),
    "NUL": ("a\0b", ValueError, r"without NUL characters, found 'a\\x00b'"),
    "half a surrogate pair": ("a\ud800b", ValueError, "that the file system can hold"),
    "a number": (3, TypeError, "a path as str or pathlib.Path, found 3"),
    "bytes": (b"file", TypeError, "a path as str or pathlib.Path, found b'file'"),
}
OF_FOLDERS = ["new/", "new/.", "there/", "there/.", "there/..", ".", ".."]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """An empty folder that is the current one; what a refusal must leave alone is compared."""
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)
    yield
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["there"]


@pytest.mark.parametrize("call", [*WRITERS, *READERS])
@pytest.mark.parametrize("kind", NO_PATHS)
def test_what_is_no_path_is_refused(call, kind):
    path, error, reason = NO_PATHS[kind]
    if call == "checkpoint=":
        reason = f"{reason}|checkpoint: expected a path"
    with pytest.raises(error, match=reason):
        {**WRITERS, **READERS}[call](path)


@pytest.mark.parametrize("call", WRITERS)
@pytest.mark.parametrize("path", OF_FOLDERS)
def test_a_path_that_ends_as_that_of_a_folder_is_refused(call, path):
    with pytest.raises(IsADirectoryError, match="expected the name of a file"):
        WRITERS[call](path)


@pytest.mark.parametrize("call", ["NN.save", "MLPClassifier.save", "LearningRates.plot"])
def test_a_folder_is_not_written_to(call):
    with pytest.raises(IsADirectoryError, match="it is a folder, expected a file name"):
        WRITERS[call]("there")


def test_a_model_is_not_read_from_a_file_whose_path_ends_as_a_folders(tmp_path):
    net().save("model")
    for path in ("model/", "model/.", "none/"):
        with pytest.raises(ModelFileError, match="found a path that ends as that of a folder does"):
            cnn_core.load(path)
    os.unlink("model")


def test_a_path_of_ones_own_kind_is_taken():
    class Own:
        def __fspath__(self):
            return "model"

    net().save(Own())
    assert cnn_core.load(Own()).input_neurons == 2
    os.unlink("model")


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "--data", "a\0b.csv"),
        ("train", "--data", "digits", "--out", "a\0b"),
        ("train", "--data", "digits", "--out", ""),
        ("train", "--resume", "a\0b"),
        ("train", "--resume", ""),
        ("evaluate", "a\0b"),
        ("evaluate", ""),
        ("verify", "a\0b"),
        ("predict", "a\0b", "x.csv"),
        ("predict", "there", "a\0b.csv"),
        ("predict", "there", ""),
        ("predict", "there", "x.csv", "--out", ""),
        ("predict", "there", "x.csv", "--out", "new/"),
        ("predict", "there", "x.csv", "--out", "a\0b"),
    ],
    ids=repr,
)
def test_the_command_line_refuses_them_in_one_line(arguments, capsys):
    assert main(list(arguments)) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.count("\n") == 1
    assert "path" in error or "the name of a file" in error
    assert "Traceback" not in error
