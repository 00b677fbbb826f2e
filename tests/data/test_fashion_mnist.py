"""Fashion-MNIST is found, fetched and verified, and each place that was tried is named."""

from __future__ import annotations

import gzip
import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest

from cnn_core.data import (
    DataError,
    DataNotFoundError,
    fashion_mnist,
    load_fashion_mnist,
)
from fashion_files import ALL_FOUR, check, names_in, put

# The real data


def test_the_real_data_are_found_and_are_what_they_should_be():
    data = load_fashion_mnist()
    assert data.x_train.shape == (60_000, 28, 28)
    assert data.x_test.shape == (10_000, 28, 28)
    assert data.y_train.shape == (60_000,)
    assert data.y_test.shape == (10_000,)
    for array in (data.x_train, data.y_train, data.x_test, data.y_test):
        assert array.dtype == np.uint8
        assert array.flags.writeable
    assert np.bincount(data.y_train).tolist() == [6_000] * 10
    assert np.bincount(data.y_test).tolist() == [1_000] * 10
    assert (data.x_train.min(), data.x_train.max()) == (0, data.scale)
    assert data.class_names[0] == "T-shirt/top"
    assert data.class_names[data.y_train[0]] == "Ankle boot"
    assert len(data.class_names) == 10
    assert data.source


# Folders


@pytest.mark.parametrize("as_text", [True, False])
def test_the_folder_passed_is_used(cache, contents, tmp_path, as_text):
    folder = put(tmp_path / "mine", contents)
    data = load_fashion_mnist(str(folder) if as_text else folder)
    check(data, contents)
    assert data.source == str(folder)
    assert not cache.exists()


@pytest.mark.parametrize("pattern", ["{}", "{}.gz"])
@pytest.mark.parametrize("dot", [True, False])
def test_files_may_be_packed_or_not_and_named_with_a_dot(cache, contents, tmp_path, pattern, dot):
    for stem, unpacked in contents.items():
        name = pattern.format(stem.replace("-idx", ".idx") if dot else stem)
        (tmp_path / name).write_bytes(gzip.compress(unpacked) if ".gz" in name else unpacked)
    check(load_fashion_mnist(tmp_path), contents)


def test_only_the_folder_passed_is_looked_at(cache, contents, tmp_path, monkeypatch):
    put(cache, contents)
    monkeypatch.setenv("CNN_CORE_DATA", str(cache))
    folder = put(tmp_path / "mine", contents)
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataNotFoundError, match=r"mine \(from the path passed\): no t10k-labels"):
        load_fashion_mnist(folder)
    with pytest.raises(DataNotFoundError, match="no such folder"):
        load_fashion_mnist(tmp_path / "nowhere")
    with pytest.raises(DataNotFoundError, match="a file, not a folder"):
        load_fashion_mnist(folder / "t10k-images-idx3-ubyte.gz")


def test_only_the_folder_of_the_environment_is_looked_at(cache, contents, tmp_path, monkeypatch):
    put(cache, contents)
    monkeypatch.setenv("CNN_CORE_DATA", str(tmp_path / "mine"))
    with pytest.raises(DataNotFoundError, match=r"mine \(from CNN_CORE_DATA\): no such folder"):
        load_fashion_mnist()
    put(tmp_path / "mine", contents)
    check(load_fashion_mnist(), contents)


def test_the_folder_passed_goes_before_the_environment(cache, contents, tmp_path, monkeypatch):
    monkeypatch.setenv("CNN_CORE_DATA", "/nowhere")
    check(load_fashion_mnist(put(tmp_path / "mine", contents)), contents)


def test_an_empty_environment_variable_is_none(cache, contents, monkeypatch):
    monkeypatch.setenv("CNN_CORE_DATA", "")
    put(cache, contents)
    assert load_fashion_mnist().source == str(cache)


def test_the_cache_goes_before_the_systems_folder(cache, contents, tmp_path, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "SYSTEM_FOLDER", put(tmp_path / "system", contents))
    steps = []
    data = load_fashion_mnist(report=steps.append)
    check(data, contents)
    assert data.source == str(tmp_path / "system")
    assert steps == [f"{cache}: no such folder"]
    put(cache, contents)
    assert load_fashion_mnist().source == str(cache)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: b[:-1] + bytes([b[-1] ^ 1]), "expected contents with the SHA-256 .*, found"),
        (lambda b: b[:-1], "expected 7 bytes of values after the header, found 6"),
        (lambda b: b + b"\0", "expected 7 bytes of values after the header, found more than 7"),
        (lambda b: b"<html>not found</html>", "expected an IDX file"),
        (lambda b: b[:4] + b"\xff\xff\xff\xff" + b[8:], r"expected unsigned bytes of shape \(7,\)"),
        (lambda b: b"", "expected a magic number"),
    ],
    ids=["a bit", "truncated", "over-long", "a web page", "another shape", "empty"],
)
def test_a_damaged_file_of_the_users_is_an_error_and_stays(
    cache, contents, tmp_path, damage, message
):
    stem = "train-labels-idx1-ubyte"
    whole = contents[stem]
    folder = put(tmp_path / "mine", {**contents, stem: damage(whole)})
    before = (folder / f"{stem}.gz").read_bytes()
    with pytest.raises(DataError, match=message) as caught:
        load_fashion_mnist(folder)
    assert str(folder / f"{stem}.gz") in str(caught.value)
    assert hashlib.sha256(whole).hexdigest() in str(caught.value)
    assert (folder / f"{stem}.gz").read_bytes() == before


def test_a_damaged_file_in_the_systems_folder_is_an_error(cache, contents, tmp_path, monkeypatch):
    damaged = {**contents, "t10k-labels-idx1-ubyte": b"damaged"}
    monkeypatch.setattr(fashion_mnist, "SYSTEM_FOLDER", put(tmp_path / "system", damaged))
    with pytest.raises(DataError, match="system"):
        load_fashion_mnist()
    assert names_in(tmp_path / "system") == ALL_FOUR


def test_a_damaged_file_in_the_cache_is_removed_and_the_search_continues(cache, contents):
    put(cache, {**contents, "t10k-labels-idx1-ubyte": b"damaged"})
    steps = []
    with pytest.raises(DataNotFoundError) as caught:
        load_fashion_mnist(report=steps.append)
    assert names_in(cache) == [name for name in ALL_FOUR if name != "t10k-labels-idx1-ubyte.gz"]
    assert steps[0].startswith(f"{cache / 't10k-labels-idx1-ubyte.gz'}: damaged, removed (")
    assert all(step in str(caught.value) for step in steps)


def test_where_nothing_is_found_every_place_is_named_and_the_digits_too(cache, contents):
    steps = []
    with pytest.raises(FileNotFoundError) as caught:
        load_fashion_mnist(report=steps.append)
    text = str(caught.value)
    assert [step.split(":")[0] for step in steps] == [
        str(cache),
        "/nowhere/fashion-mnist",
        "apt-get download dataset-fashion-mnist",
    ]
    assert all(f"  - {step}\n" in text for step in steps)
    assert "skipped, there is no apt-get here" in text
    assert "--data digits" in text
    assert "CNN_CORE_DATA" in text
    assert "train-images-idx3-ubyte.gz" in text


def test_without_platformdirs_there_is_a_cache_folder_only_where_its_place_is_known(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    monkeypatch.setattr(sys, "platform", "linux")
    assert fashion_mnist.cache_folder() == Path("/caches/cnn-core/fashion-mnist")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    assert fashion_mnist.cache_folder() is None


def test_the_cache_folder_is_the_users(monkeypatch):
    import platformdirs

    folder = fashion_mnist.cache_folder()
    assert folder == Path(platformdirs.user_cache_dir("cnn-core", appauthor=False), "fashion-mnist")
