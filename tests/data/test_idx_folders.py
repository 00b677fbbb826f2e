"""A folder with the IDX files of MNIST, KMNIST or EMNIST is found by their names."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_core.data import DataError, load_file
from cnn_core.data.idx import is_idx
from cnn_core.data.idx_folders import idx_files_in
from idx_files import write_idx

IMAGES = np.arange(48, dtype=np.uint8).reshape(3, 4, 4)
LABELS = np.array([2, 0, 1], np.uint8)


def fill(folder, *names):
    for name in names:
        write_idx(folder / name, LABELS if "labels" in name else IMAGES)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("train-images-idx3-ubyte", True),
        ("emnist-letters-train-labels-idx1-ubyte.gz", True),
        ("train-images.idx3-ubyte", True),
        ("mine.idx", True),
        ("mine.idx.GZ", True),
        ("idx3.npy", False),
        ("appendix", False),
        ("digits.csv.gz", False),
    ],
)
def test_a_name_says_whether_a_file_is_an_idx_file(name, is_one):
    assert is_idx(name) == is_one


@pytest.mark.parametrize(
    "names",
    [
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte"),
        ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
        ("emnist-letters-train-images-idx3-ubyte", "emnist-letters-train-labels-idx1-ubyte"),
    ],
)
def test_the_training_part_is_enough(tmp_path, names):
    fill(tmp_path, *names)
    table = idx_files_in(tmp_path).read()
    np.testing.assert_array_equal(table.X, IMAGES)
    np.testing.assert_array_equal(table.y, LABELS)
    assert table.X_test is None


def test_a_test_part_is_read_too_and_each_file_once(tmp_path):
    names = [
        f"{part}-{what}-idx{rank}-ubyte"
        for part in ("train", "t10k")
        for what, rank in (("images", 3), ("labels", 1))
    ]
    fill(tmp_path, *names, *(f"{name}.gz" for name in names))
    (tmp_path / "README.md").write_text("of MNIST", encoding="utf-8")
    found = idx_files_in(tmp_path)
    assert [file.name for file in found.files] == names
    np.testing.assert_array_equal(found.read().X_test, IMAGES)


def test_other_folders_are_none(tmp_path):
    (tmp_path / "cats").mkdir()
    assert idx_files_in(tmp_path) is None
    assert idx_files_in(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    ("names", "missing"),
    [
        (["train-images-idx3-ubyte"], "no file of the train labels"),
        (["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"], "no file of the train images"),
        (
            ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-labels-idx1-ubyte"],
            "no file of the test images",
        ),
        (["a-train-images-idx3-ubyte", "b-train-labels-idx1-ubyte"], "those of several: a-, b-"),
    ],
)
def test_what_is_missing_or_too_much_is_named(tmp_path, names, missing):
    fill(tmp_path, *names)
    with pytest.raises(DataError, match=missing):
        idx_files_in(tmp_path)


def test_load_file_reads_samples_and_labels(tmp_path):
    fill(tmp_path, "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
    images, labels = (
        tmp_path / f"train-{name}-ubyte.gz" for name in ("images-idx3", "labels-idx1")
    )
    table = load_file(images, labels=labels)
    np.testing.assert_array_equal(table.X, IMAGES)
    np.testing.assert_array_equal(table.y, LABELS)
    assert load_file(images, has_target=False).y is None
    with pytest.raises(ValueError, match="an IDX file holds the samples only"):
        load_file(images)
    write_idx(labels, LABELS[:2])
    with pytest.raises(DataError, match="3 targets in y, one per sample, found 2"):
        load_file(images, labels=labels)
