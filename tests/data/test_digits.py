"""The digits that come with scikit-learn, and a data set itself."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from cnn_core.data import (
    load_digits,
    load_fashion_mnist,
)
from fashion_files import put

# What comes with scikit-learn, and the object itself


def test_the_digits_are_split_the_same_way_each_time():

    data = load_digits()
    assert data.x_train.shape == (1437, 8, 8)
    assert data.x_test.shape == (360, 8, 8)
    assert {part.dtype for part in (data.x_train, data.y_train, data.x_test, data.y_test)} == {
        np.dtype(np.uint8)
    }
    assert (data.x_train.max(), data.scale) == (16, 16.0)
    assert data.class_names == tuple("0123456789")
    assert np.bincount(data.y_test).tolist() == [36, 36, 36, 36, 37, 36, 36, 36, 35, 36]
    again = load_digits()
    np.testing.assert_array_equal(data.x_test, again.x_test)


def test_no_digit_is_in_both_parts():
    from sklearn import datasets

    data = load_digits()
    both = np.concatenate([data.x_train, data.x_test]).reshape(-1, 64)
    whole = datasets.load_digits().data.astype(np.uint8)
    assert sorted(map(bytes, both)) == sorted(map(bytes, whole))


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "cnn-core\[app\]"'):
        load_digits()


def test_a_data_set_cannot_be_changed_by_accident_and_prints_in_one_line(cache, contents, tmp_path):
    data = load_fashion_mnist(put(tmp_path / "mine", contents))
    with pytest.raises(AttributeError):
        data.x_train = None
    assert "\n" not in repr(data)
    assert "(7, 2, 2)" in repr(data)


def test_importing_the_package_imports_nothing_optional():
    code = (
        "import sys, cnn_core.data; "
        "print(*[m for m in ('pooch', 'requests', 'platformdirs', 'rich', 'sklearn')"
        " if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == []
