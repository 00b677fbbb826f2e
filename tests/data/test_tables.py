"""A user's own data: what is well-formed is read, anything else is named and refused."""

from __future__ import annotations

import io
import random
import struct
import zipfile

import numpy as np
import pytest

from cnn_core.data import DataError, Table, load_file
from memory_peak import memory_peak

X = np.array([[0.5, 1.0], [2.0, 3.0], [4.0, 5.0]])
Y = np.array([0, 1, 0])


def saved_npz(tmp_path, **arrays):
    path = tmp_path / "arrays.npz"
    np.savez(path, **arrays)
    return path


# npz


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_of_an_npz_are_read_as_they_were_stored(tmp_path, save):
    images = np.arange(24, dtype=np.uint8).reshape(3, 2, 4)
    save(tmp_path / "a.npz", X=images, y=Y.astype(np.uint8), more=np.zeros(3))
    table = load_file(tmp_path / "a.npz")
    np.testing.assert_array_equal(table.X, images)
    np.testing.assert_array_equal(table.y, Y)
    assert (table.X.dtype, table.y.dtype) == (np.uint8, np.uint8)
    assert table.X_test is None
    assert table.y_test is None


@pytest.mark.parametrize("names", [("x_train", "y_train", "x_test"), ("X_train", "y", "X_test")])
def test_a_test_part_may_stand_beside_the_training_part(tmp_path, names):
    arrays = dict(zip(names, (X, Y, X[:1]), strict=True))
    table = load_file(saved_npz(tmp_path, **arrays, y_test=Y[:1]))
    np.testing.assert_array_equal(table.X, X)
    np.testing.assert_array_equal(table.y, Y)
    np.testing.assert_array_equal(table.X_test, X[:1])
    np.testing.assert_array_equal(table.y_test, Y[:1])


def test_names_of_both_parts_share_one_list(tmp_path):
    arrays = {"x_train": X, "x_test": X[:2], "y_test": np.array(["cat", "eel"])}
    table = load_file(saved_npz(tmp_path, **arrays, y_train=np.array(["dog", "cat", "dog"])))
    assert table.class_names == ("cat", "dog", "eel")
    assert table.y.tolist() == [1, 0, 1]
    assert table.y_test.tolist() == [0, 2]


def test_targets_are_left_out_if_they_are_not_wanted(tmp_path):
    assert load_file(saved_npz(tmp_path, X=X, y=Y), has_target=False).y is None
    assert load_file(saved_npz(tmp_path, X=X), has_target=False).y is None


@pytest.mark.parametrize(
    "array",
    [X.astype(">f4"), np.asfortranarray(X), X.astype(np.float16), X > 1],
    ids=["big-endian", "fortran", "half", "bool"],
)
def test_samples_come_contiguous_in_the_machines_byte_order(tmp_path, array):
    table = load_file(saved_npz(tmp_path, X=array, y=Y))
    np.testing.assert_array_equal(table.X, array)
    assert table.X.flags.c_contiguous
    assert table.X.flags.writeable
    assert table.X.dtype == (np.uint8 if array.dtype == bool else array.dtype.newbyteorder("="))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": Y}, "an array named X or x or X_train or x_train, found y"),
        ({"X": X}, "an array named y or Y or y_train or Y_train, found X"),
        ({"X": X, "x": X, "y": Y}, "one array for X, found X and x"),
        ({"X": X, "y": Y, "x_test": X}, "an array named y_test or Y_test"),
        ({"X": X, "y": Y, "y_test": Y}, "an array named X_test or x_test"),
        ({"X": X, "y": Y[:2]}, "expected 3 targets in y, one per sample, found 2"),
        ({"X": X[:, 0], "y": Y}, r"X of shape \(n, features\).*found shape \(3,\)"),
        ({"X": X[:, :, None, None, None], "y": Y}, r"found shape \(3, 2, 1, 1, 1\)"),
        ({"X": np.array([["a"]]), "y": Y[:1]}, "expected numbers in X, found values of type <U1"),
        ({"X": X.astype(complex), "y": Y}, "found values of type complex128"),
        ({"X": X, "y": Y[:, None, None]}, r"y of shape \(n,\) or \(n, outputs\)"),
        ({"X": X, "y": np.array([["a"]] * 3)}, r"one name per sample in y, found shape \(3, 1\)"),
        ({"X": np.empty((0, 2)), "y": Y[:0]}, r"an array with values, found shape \(0, 2\)"),
        ({"X": np.where(X == 3, np.nan, X), "y": Y}, r"found nan in X at index \(1, 1\)"),
        ({"X": X, "y": np.array([0, np.inf, 0])}, r"found inf in y at index \(1,\)"),
        ({"X": X, "y": Y, "x_test": X[:, :1], "y_test": Y}, r"found float64 of shape \(1,\)"),
        ({"X": X, "y": Y, "x_test": X.astype("f4"), "y_test": Y}, "found float32 of shape"),
        ({"X": X, "y": Y, "x_test": X, "y_test": np.array(list("abc"))}, "in both parts or in nei"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path, arrays, message):
    with pytest.raises(DataError, match=message):
        load_file(saved_npz(tmp_path, **arrays))


class Runs:
    """An object whose unpickling would be noticed."""

    ran = False

    def __reduce__(self):
        return Runs._run, ()

    @staticmethod
    def _run():
        Runs.ran = True


@pytest.mark.parametrize("ending", ["npz", "npy"])
def test_pickled_objects_are_refused_and_not_run(tmp_path, ending):
    evil = np.array([[Runs()], [Runs()], [Runs()]])
    path = tmp_path / f"evil.{ending}"
    np.savez(path, X=evil, y=Y) if ending == "npz" else np.save(path, evil)
    np.save(tmp_path / "y.npy", Y)
    with pytest.raises(DataError, match="plain numbers or names, found values of type object"):
        load_file(path, labels=tmp_path / "y.npy" if ending == "npy" else None)
    assert not Runs.ran


def npy_header(shape: str, descr: str = "'<f8'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    text = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def archive(tmp_path, members: dict[str, bytes], compression=zipfile.ZIP_DEFLATED):
    path = tmp_path / "made.npz"
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, contents in members.items():
            file.writestr(name, contents)
    return path


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (npy_header("(4, 1073741824)"), r"expected 34359738368 bytes of values.*found 0"),
        (npy_header("(3, 2)") + bytes(47), "expected 48 bytes of values.*found 47"),
        (npy_header("(3, 2)") + bytes(49), "expected 48 bytes of values.*found 49"),
        (npy_header("(-3, -2)") + bytes(48), "whole numbers from 0 up"),
        (npy_header("(True, 6)") + bytes(48), "whole numbers from 0 up"),
        (npy_header("(0, 2)"), "an array with values"),
        (npy_header("(3, 2.0)") + bytes(48), "NumPy's format"),
        (npy_header("6") + bytes(48), "NumPy's format"),
        (npy_header("(6,)", "[('a', '<f8')]") + bytes(48), "plain numbers or names"),
        (npy_header("(6,)", "'|V8'") + bytes(48), "plain numbers or names"),
        (npy_header("(6,)", "'<U0'"), "plain numbers or names"),
        (npy_header("(6,)", "'nonsense'"), "NumPy's format"),
        (npy_header("__import__('os')"), "NumPy's format"),
        (npy_header("(" * 60), "NumPy's format"),
        (b"\x93NUMPY\x09\x00" + bytes(100), "NumPy's format"),
        (b"\x93NUMPY\x01\x00\xff\xff", "NumPy's format"),
        (b"", "NumPy's format"),
        (b"something else", "NumPy's format"),
    ],
)
def test_a_malformed_array_is_refused_in_either_kind_of_file(tmp_path, contents, message):
    good = npy_header("(3,)") + bytes(24)
    single, labels = tmp_path / "single.npy", tmp_path / "labels.npy"
    single.write_bytes(contents)
    labels.write_bytes(good)
    with memory_peak() as peak:
        with pytest.raises(DataError, match=message):
            load_file(single, labels=labels)
        with pytest.raises(DataError, match=message):
            load_file(archive(tmp_path, {"X.npy": contents, "y.npy": good}))
    assert peak.bytes < 2**22


def test_an_archive_that_would_unpack_to_far_more_than_its_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("cnn_core.data.checks.ALWAYS_ALLOWED_BYTES", 2**20)
    size = 2**21
    contents = npy_header(f"({size // 8}, 1)") + bytes(size)
    path = archive(tmp_path, {"X.npy": contents})
    with (
        memory_peak() as peak,
        pytest.raises(DataError, match=r"bytes declared in a packed file .* store it unpacked"),
    ):
        load_file(path, has_target=False)
    assert peak.bytes < 2**20
    stored = archive(tmp_path, {"X.npy": contents}, zipfile.ZIP_STORED)
    assert load_file(stored, has_target=False).X.shape == (size // 8, 1)


def test_a_name_that_an_archive_holds_twice_is_refused(tmp_path):
    good = npy_header("(3, 2)") + bytes(48)
    with pytest.raises(DataError, match="names that differ, found 'X' twice"):
        load_file(archive(tmp_path, {"X.npy": good, "X": good}))


def test_ways_of_packing_that_numpy_does_not_use_are_refused(tmp_path):
    good = npy_header("(3, 2)") + bytes(48)
    with pytest.raises(DataError, match="expected a member stored or deflated, found method 14"):
        load_file(archive(tmp_path, {"X": good, "y": good}, zipfile.ZIP_LZMA))


@pytest.mark.parametrize("contents", [b"", b"PK\x03\x04 and so on", bytes(100)])
def test_what_is_no_archive_is_refused(tmp_path, contents):
    path = tmp_path / "no.npz"
    path.write_bytes(contents)
    with pytest.raises(DataError, match=r"an .npz archive, found one that cannot be unpacked"):
        load_file(path)


def test_a_damaged_archive_is_refused_or_read_as_it_was(tmp_path):
    chance = random.Random(3)
    whole = io.BytesIO()
    np.savez_compressed(whole, X=X, y=Y)
    path = tmp_path / "damaged.npz"
    refused = 0
    for _ in range(600):
        damaged = bytearray(whole.getvalue())
        if chance.random() < 0.2:
            del damaged[chance.randrange(len(damaged)) :]
        else:
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        try:
            table = load_file(path)
        except DataError:
            refused += 1
        else:
            np.testing.assert_array_equal(table.X, X)
            np.testing.assert_array_equal(table.y, Y)
    assert refused > 300


# npy


def test_a_pair_of_npy_files(tmp_path):
    np.save(tmp_path / "x.npy", X.astype(np.float32))
    np.save(tmp_path / "y.npy", np.array(["b", "a", "b"]))
    table = load_file(tmp_path / "x.npy", labels=tmp_path / "y.npy")
    np.testing.assert_array_equal(table.X, X)
    assert table.X.dtype == np.float32
    assert table.y.tolist() == [1, 0, 1]
    assert table.class_names == ("a", "b")
    assert load_file(tmp_path / "x.npy", has_target=False).y is None


# Arguments


@pytest.mark.parametrize(
    ("ending", "arguments", "message"),
    [
        ("npy", {}, "pass the file of the targets as labels="),
        ("npy", {"target": "a"}, "belong to a table such as .csv"),
        ("npz", {"header": True}, "belong to a table such as .csv"),
        ("npz", {"labels": "y.npy"}, "belongs to an .npy or IDX file"),
        ("csv", {"labels": "y.npy"}, "belongs to an .npy or IDX file"),
        ("csv", {"target": "a", "has_target": False}, "contradicts"),
        ("npy", {"labels": "y.npy", "has_target": False}, "contradicts"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(tmp_path, ending, arguments, message):
    with pytest.raises(ValueError, match=message):
        load_file(tmp_path / f"file.{ending}", **arguments)


def test_an_unknown_ending_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"ending in .npz, .npy, .csv, .*, found '.docx'"):
        load_file(tmp_path / "table.docx")


@pytest.mark.parametrize("ending", ["npz", "npy", "csv"])
def test_a_missing_file_is_named(tmp_path, ending):
    with pytest.raises(FileNotFoundError, match=f"nothing.{ending}: no such file"):
        load_file(tmp_path / f"nothing.{ending}", labels="y" if ending == "npy" else None)


def test_an_ending_in_capitals_is_the_same_ending(tmp_path):
    path = tmp_path / "TABLE.CSV"
    path.write_text("a,b\n1,0\n")
    table = load_file(path)
    assert isinstance(table, Table)
    assert "X (1, 1) float64" in repr(table)


def test_a_number_beyond_64_bits_is_not_finite(tmp_path):
    if np.finfo(np.longdouble).max == np.finfo(np.float64).max:
        pytest.skip("this machine has no type beyond 64 bits")
    x = X.astype(np.longdouble)
    x[2, 1] = np.longdouble("1e4000")
    with pytest.raises(DataError, match=r"finite numbers, found 1e\+4000 in X at index \(2, 1\)"):
        load_file(saved_npz(tmp_path, X=x, y=Y))
