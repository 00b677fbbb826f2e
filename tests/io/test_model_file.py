"""The model file: what is written is read again, anything else is refused."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import random

import numpy as np
import pytest

from cnn_core.model_file import ModelFileError, read_tensors, write_tensors
from memory_peak import memory_peak

TENSORS = {
    "hidden.weights": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
    "hidden.bias": np.array([1e-300, -0.0, np.inf]),
}
METADATA = {"network": '{"layers": [2, 3]}', "note": 'ümlaut, "quotes", \n and 🧦'}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "model"
    write_tensors(path, TENSORS, METADATA)
    return path


def parts(path) -> tuple[dict, bytes]:
    """Header and data of a file, found with nothing but the format's description."""
    contents = path.read_bytes()
    length = int.from_bytes(contents[:8], "little")
    return json.loads(contents[8 : 8 + length]), contents[8 + length :]


def with_checksum(header: dict, data: bytes) -> dict:
    """The header with the checksum that belongs to it."""
    blank = {**header, "__metadata__": {**header["__metadata__"], "sha256": "0" * 64}}
    text = json.dumps(blank, separators=(",", ":")).encode()
    blank["__metadata__"]["sha256"] = hashlib.sha256(text + data).hexdigest()
    return blank


def write_raw(path, header: dict | str | bytes, data: bytes) -> None:
    """Write a file whose framing is right, whatever is in its header."""
    text = json.dumps(header) if isinstance(header, dict) else header
    raw = text.encode() if isinstance(text, str) else text
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + data)


# What is written


def test_what_was_written_is_read(path):
    tensors, metadata = read_tensors(path)
    assert list(tensors) == list(TENSORS)
    for name, array in tensors.items():
        assert array.dtype == TENSORS[name].dtype
        assert array.tobytes() == TENSORS[name].tobytes()
        assert array.shape == TENSORS[name].shape
        assert array.flags.writeable
        assert array.flags.c_contiguous
        assert array.flags.aligned
    assert metadata == METADATA


@pytest.mark.parametrize(
    "array",
    [
        np.array(3.5),
        np.empty((0, 5), np.float32),
        np.arange(12.0).reshape(3, 4).T,
        np.arange(12.0)[::-3],
        np.arange(4, dtype=">f4"),
        np.array([np.nan, -np.nan, np.inf]),
        np.broadcast_to(np.float32(2), (3, 2)),
    ],
    ids=["scalar", "empty", "transposed", "strided", "big-endian", "nan", "read-only"],
)
def test_any_shape_layout_and_byte_order_is_stored_by_value(tmp_path, array):
    before = array.tobytes()
    write_tensors(tmp_path / "model", {"a": array}, {})
    read = read_tensors(tmp_path / "model")[0]["a"]
    np.testing.assert_array_equal(read, array)
    assert read.dtype == array.dtype.newbyteorder("=")
    assert read.shape == array.shape
    assert array.tobytes() == before


def test_no_tensors_and_no_metadata_is_a_model_too(tmp_path):
    write_tensors(tmp_path / "model", {}, {})
    assert read_tensors(tmp_path / "model") == ({}, {})


def test_the_layout_is_that_of_safetensors(path):
    header, data = parts(path)
    assert header["__metadata__"]["format"] == "cnn-core"
    assert header["__metadata__"]["format_version"] == "1"
    assert header["hidden.weights"] == {
        "dtype": "F32",
        "shape": [2, 3],
        "data_offsets": [0, 24],
    }
    assert header["hidden.bias"] == {"dtype": "F64", "shape": [3], "data_offsets": [24, 48]}
    assert data == TENSORS["hidden.weights"].tobytes() + TENSORS["hidden.bias"].tobytes()
    assert int.from_bytes(path.read_bytes()[:8], "little") % 8 == 0


def test_the_checksum_is_that_of_blanked_header_and_data(path):
    header, data = parts(path)
    assert with_checksum(header, data) == header


def test_safetensors_reads_the_file(path):
    import safetensors.numpy

    for name, array in safetensors.numpy.load_file(path).items():
        np.testing.assert_array_equal(array, TENSORS[name])


def test_the_same_model_makes_the_same_bytes(path, tmp_path):
    write_tensors(tmp_path / "again", TENSORS, METADATA)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("tensors", "metadata", "error", "message"),
    [
        ({"a": np.arange(3)}, {}, TypeError, "'a' must be float32 or float64, found int64"),
        ({"a": np.array([None])}, {}, TypeError, "found object"),
        ({"a": [1.0]}, {}, TypeError, "'a' must be an array, found a list"),
        ({1: np.zeros(1)}, {}, TypeError, "names of tensors must be str"),
        ({"": np.zeros(1)}, {}, ValueError, "cannot be named ''"),
        ({"__metadata__": np.zeros(1)}, {}, ValueError, "cannot be named '__metadata__'"),
        ({"\ud800": np.zeros(1)}, {}, ValueError, "cannot be named"),
        ({}, {"epochs": 3}, TypeError, "must map str to str, found 'epochs': a int"),
        ({}, {"sha256": "0"}, ValueError, "'sha256' is reserved"),
        ({}, {"a": "\udfff"}, ValueError, "not valid Unicode"),
        ({}, {"a": "x" * 2**20}, ValueError, "at most 1048576 can be stored"),
    ],
)
def test_what_cannot_be_stored_is_refused_and_no_file_is_made(
    tmp_path, tensors, metadata, error, message
):
    with pytest.raises(error, match=message):
        write_tensors(tmp_path / "model", tensors, metadata)
    assert os.listdir(tmp_path) == []


def test_a_failed_write_leaves_the_old_model(path, monkeypatch):
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda source, target: (_ for _ in ()).throw(OSError("no")))
    with pytest.raises(OSError, match="no"):
        write_tensors(path, {"a": np.zeros(1000)}, {})
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


# What is refused


def test_every_truncation_is_refused(path):
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelFileError):
            read_tensors(path)


def test_every_flipped_bit_is_refused_or_changes_nothing(path):
    whole = path.read_bytes()
    refused = 0
    for position in range(len(whole)):
        for bit in (0, 3, 7):
            damaged = bytearray(whole)
            damaged[position] ^= 1 << bit
            path.write_bytes(damaged)
            try:
                tensors, metadata = read_tensors(path)
            except ModelFileError:
                refused += 1
            else:
                assert metadata == METADATA
                assert {n: a.tobytes() for n, a in tensors.items()} == {
                    n: a.tobytes() for n, a in TENSORS.items()
                }
    assert refused > 2.9 * len(whole)


def test_random_damage_is_refused(path):
    chance = random.Random(11)
    whole = path.read_bytes()
    for _ in range(500):
        damaged = bytearray(whole)
        start = chance.randrange(len(damaged))
        damaged[start : start + chance.randrange(20)] = chance.randbytes(chance.randrange(1, 20))
        if bytes(damaged) == whole:
            continue
        path.write_bytes(damaged)
        with pytest.raises(ModelFileError, match="model"):
            read_tensors(path)


def test_trailing_bytes_are_refused(path):
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ModelFileError, match="expected 48 bytes of values, found 49"):
        read_tensors(path)


def test_a_later_version_is_named_beside_the_version_understood(path):
    header, data = parts(path)
    header["__metadata__"]["format_version"] = "2"
    header["a field of the future"] = {"dtype": "F8"}
    write_raw(path, header, data)
    with pytest.raises(ModelFileError, match=r"version '2', .* understands version 1"):
        read_tensors(path)


@pytest.mark.parametrize("version", [None, 1, "1.0", " 1", "", True])
def test_a_version_that_is_none_is_refused(path, version):
    header, data = parts(path)
    header["__metadata__"]["format_version"] = version
    write_raw(path, header, data)
    with pytest.raises(ModelFileError, match="format version"):
        read_tensors(path)


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"\x80\x04\x95",
        b"\x89PNG\r\n\x1a\n" + bytes(1000),
        b"PK\x03\x04" + bytes(1000),
        bytes(1000),
        b"\xff" * 1000,
        (2).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (4).to_bytes(8, "little") + b"  {}",
        (2).to_bytes(8, "little") + b"{{",
        (2**63).to_bytes(8, "little") + b"{}",
        (16).to_bytes(8, "little") + b'{"a":"\xff\xff\xff\xff\xff\xff\xff"}',
        (40).to_bytes(8, "little") + b'{"__metadata__":{"format":"pt"}}        ',
        (21).to_bytes(8, "little") + b'{"__metadata__":null}',
    ],
)
def test_a_foreign_file_is_refused_by_name(tmp_path, contents):
    path = tmp_path / "foreign"
    path.write_bytes(contents)
    with pytest.raises(ModelFileError, match=r"foreign: not a model file of cnn-core"):
        read_tensors(path)


def test_a_header_beyond_the_limit_is_not_read(tmp_path):
    path = tmp_path / "model"
    write_raw(path, b"{" + b" " * 2**24, b"")
    refused = pytest.raises(ModelFileError, match="2 to 1048576 bytes was expected")
    with memory_peak() as peak, refused:
        read_tensors(path)
    assert peak.bytes < 2**20


@pytest.mark.parametrize(
    "text",
    [
        '{"a": ' + "[" * 100_000,
        '{"a": ' + "9" * 100_000 + "}",
        '{"a": NaN}',
        '{"a": 1} {"b": 2}',
        '{"__metadata__": {}, "__metadata__": {}}',
        '{"__metadata__": {"format": "cnn-core", "format": "cnn-core"}}',
        '{"\\ud800": 1}',
    ],
    ids=["deep", "long number", "nan", "two objects", "twice", "twice inside", "surrogate"],
)
def test_bad_json_is_refused(tmp_path, text):
    path = tmp_path / "model"
    write_raw(path, text, b"")
    with pytest.raises(ModelFileError, match="the header is no JSON"):
        read_tensors(path)


HUGE = 2**70


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("", {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}),
        ("a", None),
        ("a", []),
        ("a", {}),
        ("a", {"dtype": "F32", "shape": [2]}),
        ("a", {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], "more": 1}),
        ("a", {"dtype": "I32", "shape": [2], "data_offsets": [0, 8]}),
        ("a", {"dtype": "O", "shape": [1], "data_offsets": [0, 8]}),
        ("a", {"dtype": None, "shape": [2], "data_offsets": [0, 8]}),
        ("a", {"dtype": ["F32"], "shape": [2], "data_offsets": [0, 8]}),
        ("a", {"dtype": "F32", "shape": 2, "data_offsets": [0, 8]}),
        ("a", {"dtype": "F32", "shape": [2.0], "data_offsets": [0, 8]}),
        ("a", {"dtype": "F32", "shape": [True, 2], "data_offsets": [0, 8]}),
        ("a", {"dtype": "F32", "shape": [-1, -2], "data_offsets": [0, 8]}),
        ("a", {"dtype": "F32", "shape": ["2"], "data_offsets": [0, 8]}),
        ("a", {"dtype": "F32", "shape": [None], "data_offsets": [0, 8]}),
        ("a", {"dtype": "F32", "shape": [1] * 33 + [2], "data_offsets": [0, 8]}),
        ("a", {"dtype": "F32", "shape": [HUGE], "data_offsets": [0, HUGE * 4]}),
        ("a", {"dtype": "F32", "shape": [0, 2**62, 2**62], "data_offsets": [0, 0]}),
        ("a", {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}),
        ("a", {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}),
        ("a", {"dtype": "F32", "shape": [2], "data_offsets": [0]}),
        ("a", {"dtype": "F32", "shape": [2], "data_offsets": [False, 8]}),
        ("a", {"dtype": "F32", "shape": [2], "data_offsets": [0, 8.0]}),
        ("a", {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}),
        ("a", {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}),
        ("a", {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}),
        ("a", {"dtype": "F32", "shape": [2], "data_offsets": None}),
    ],
)
def test_an_ill_declared_tensor_is_refused(tmp_path, name, fields):
    metadata = {"format": "cnn-core", "format_version": "1"}
    data = bytes(8)
    path = tmp_path / "model"
    good = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    write_raw(path, with_checksum({"__metadata__": metadata, "a": good}, data), data)
    assert read_tensors(path)[0]["a"].tolist() == [0, 0]

    write_raw(path, with_checksum({"__metadata__": metadata, name: fields}, data), data)
    with pytest.raises(ModelFileError, match="tensor"):
        read_tensors(path)


@pytest.mark.parametrize(
    "second", [[4, 12], [12, 20], [0, 8]], ids=["overlap", "hole", "the same place"]
)
def test_tensors_must_follow_each_other_without_gaps(tmp_path, second):
    header = {
        "__metadata__": {"format": "cnn-core", "format_version": "1"},
        "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        "b": {"dtype": "F64", "shape": [1], "data_offsets": second},
    }
    data = bytes(second[1])
    write_raw(tmp_path / "model", with_checksum(header, data), data)
    with pytest.raises(ModelFileError, match=r"tensor 'b' begins at byte .*, expected 8"):
        read_tensors(tmp_path / "model")


@pytest.mark.parametrize("text", [1, None, ["a"], {"a": "b"}, True])
def test_metadata_that_are_not_text_are_refused(path, text):
    header, data = parts(path)
    header["__metadata__"]["note"] = text
    write_raw(path, with_checksum(header, data), data)
    with pytest.raises(ModelFileError, match="metadata 'note': expected text"):
        read_tensors(path)


@pytest.mark.parametrize("digest", [None, "", "0" * 64, "ä"])
def test_a_file_without_its_checksum_is_refused(path, digest):
    header, data = parts(path)
    if digest is None:
        del header["__metadata__"]["sha256"]
    else:
        header["__metadata__"]["sha256"] = digest
    write_raw(path, header, data)
    with pytest.raises(ModelFileError, match="checksum"):
        read_tensors(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing: no such file"):
        read_tensors(tmp_path / "nothing")
    with pytest.raises(ModelFileError, match="found a folder"):
        read_tensors(tmp_path)


def test_a_refusal_survives_pickling_and_names_its_parts(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(b"short")
    with pytest.raises(ModelFileError) as refusal:
        read_tensors(path)
    error = pickle.loads(pickle.dumps(refusal.value))
    assert type(error) is ModelFileError
    assert (error.path, error.reason) == (str(path), refusal.value.reason)
    assert str(error) == str(refusal.value) == f"{path}: {error.reason}"
