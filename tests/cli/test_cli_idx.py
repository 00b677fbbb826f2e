"""One's own IDX files, as MNIST has them, are learned, evaluated, verified and predicted."""

from __future__ import annotations

import pytest

import cnn_core
from cnn_core.data import load_digits
from command_line import accuracy_in, record_of, refused, succeed
from idx_files import write_idx

QUICK = ("--epochs", 2, "--no-plots", "--quiet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path, digits = tmp_path_factory.mktemp("kmnist"), load_digits()
    parts = {
        "train-images-idx3-ubyte.gz": digits.x_train[:300].reshape(-1, 8, 8),
        "train-labels-idx1-ubyte.gz": digits.y_train[:300],
        "t10k-images-idx3-ubyte.gz": digits.x_test[:60].reshape(-1, 8, 8),
        "t10k-labels-idx1-ubyte.gz": digits.y_test[:60],
    }
    for name, values in parts.items():
        write_idx(path / name, values)
    return path


@pytest.mark.parametrize("preset", ["image", "fast"])
def test_a_folder_of_the_four_files(folder, tmp_path, preset):
    out = tmp_path / "run"
    succeed("train", "--data", folder, "--preset", preset, *QUICK, "--out", out)
    record = record_of(out)
    assert (record["data"]["training_samples"], record["data"]["test_samples"]) == (300, 60)
    assert record["data"]["image_shape"] == [8, 8]
    assert sorted(record["data"]["sha256"]) == sorted(path.name for path in folder.iterdir())
    assert record["class_names"] == list("0123456789")
    evaluated = accuracy_in(succeed("evaluate", out))
    assert evaluated == pytest.approx(record["result"]["test_accuracy"], abs=5e-5)
    assert succeed("verify", out, "--quiet").startswith("the same")
    predicted = succeed("predict", out, folder / "t10k-images-idx3-ubyte.gz")
    assert len(predicted.splitlines()) == 61
    if preset == "image":
        # Digits are not clothes.
        assert not cnn_core.load(out / "model.safetensors").mirror


def test_a_file_with_its_labels(folder, tmp_path, capsys):
    out = tmp_path / "run"
    files = {
        part: ("--data", folder / f"{part}-images-idx3-ubyte.gz",
               "--labels", folder / f"{part}-labels-idx1-ubyte.gz")
        for part in ("train", "t10k")
    }  # fmt: skip
    succeed("train", *files["train"], "--preset", "image", *QUICK, "--out", out)
    data = record_of(out)["data"]
    # A fifth of the file is held out.
    assert (data["training_samples"], data["test_samples"]) == (240, 60)
    assert "60 samples: all samples of" in succeed("evaluate", out, *files["t10k"])
    error = refused(capsys, "train", *files["train"][:2], "--out", tmp_path / "other")
    assert "an IDX file holds samples only; name the file of their classes with --labels" in error


def test_a_folder_of_anything_else_is_refused(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("nothing", encoding="utf-8")
    error = refused(capsys, "train", "--data", tmp_path, "--out", tmp_path / "run")
    assert "of such IDX files, or of images by their classes, found the folder" in error
