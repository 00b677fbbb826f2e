"""A file that is no model of ours is refused by the name of what it likely is."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import pickle
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

import cnn_core
from cnn_core.io.container import MAX_HEADER_BYTES, ModelFileError
from cnn_core.io.foreign import START_BYTES
from memory_peak import memory_peak
from paths import GOLDEN


def joblib_dump(compress):
    joblib = pytest.importorskip("joblib")
    stream = io.BytesIO()
    joblib.dump({"coef_": np.ones((3, 2)), "scaler": np.zeros(4)}, stream, compress=compress)
    return stream.getvalue()


def archive(*members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name in members:
            file.writestr(name, b"x" * 50)
    return stream.getvalue()


def npz():
    stream = io.BytesIO()
    np.savez(stream, X=np.ones((2, 2)), y=np.ones(2))
    return stream.getvalue()


def npy():
    stream = io.BytesIO()
    np.save(stream, np.ones((2, 2)))
    return stream.getvalue()


def safetensors(metadata):
    header = {**metadata, "w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(4)


MODEL = (GOLDEN / "model_version_1.safetensors").read_bytes()
# ir_version, producer_name; ir_version, opset_import.
ONNX = (b"\x08\x07\x12\x07pytorch\x1a\x051.9.0" + bytes(40), b"\x08\x0a\x42\x04\x0a\x00\x10\x15")
FOREIGN = {
    "joblib": (lambda: joblib_dump(0), "a pickle, as pickle.dump or joblib.dump"),
    "joblib, packed": (lambda: joblib_dump(3), "packed by zlib.*joblib"),
    **{
        f"pickle {protocol}": (
            lambda protocol=protocol: pickle.dumps({"coef": np.ones(3)}, protocol),
            "a pickle",
        )
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
    "torch": (lambda: archive("archive/data.pkl", "archive/data/0"), "a PyTorch file"),
    "torch of old": (
        lambda: pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2),
        "a PyTorch file",
    ),
    "keras": (lambda: archive("metadata.json", "config.json", "model.weights.h5"), "a Keras model"),
    "h5": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(100), r"HDF5 file, such as Keras"),
    "onnx": (lambda: ONNX[0], "an ONNX model"),
    "onnx of few words": (lambda: ONNX[1], "an ONNX model"),
    "tflite": (lambda: b"\x1c\0\0\0TFL3" + bytes(40), "TensorFlow Lite"),
    "csv": (lambda: b"length,width\n1.5,2\n" * 9000, r"\(CSV\); cnn_core.data.load_file"),
    "csv of Excel": (lambda: "länge;breite\n1,5;2\n".encode("utf-8-sig"), r"\(CSV\)"),
    "csv, cut in a character": (lambda: b"x," + "ä".encode() * START_BYTES, r"\(CSV\)"),
    "gzip": (lambda: gzip.compress(MODEL), "packed by gzip; unpack it"),
    "zlib": (lambda: zlib.compress(MODEL), "packed by zlib"),
    "bz2": (lambda: bz2.compress(MODEL), "packed by bzip2"),
    "xz": (lambda: lzma.compress(MODEL), "packed by xz"),
    "npz": (npz, r"\(\.npz\); cnn_core.data.load_file"),
    "npy": (npy, r"\(\.npy\)"),
    "excel": (lambda: archive("[Content_Types].xml", "xl/workbook.xml"), "an Excel sheet"),
    "skops": (lambda: archive("140.npy", "schema.json"), "a skops file"),
    "zip": (lambda: archive("a.txt"), "a zip archive"),
    "idx": (lambda: b"\0\0\x08\x03" + bytes(40), "read_idx"),
    "json": (lambda: b'{"learner": {"gradient_booster": {}}}', "found JSON"),
    "run.json": (
        lambda: b'{\n  "format": "cnn-core run",\n  "format_version": 2\n}',
        "model.safetensors beside it",
    ),
    "lfs": (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git lfs pull"),
    "html": (lambda: b"<!DOCTYPE html>\n<html>", "a web page"),
    "text": (lambda: b"a model of the weather\n", "found text"),
    "parquet": (lambda: b"PAR1" + bytes(50), "Parquet"),
    "safetensors of others": (lambda: safetensors({}), "safetensors.*of other programs"),
    "safetensors of torch": (
        lambda: safetensors({"__metadata__": {"format": "pt"}}),
        "found 'pt', as in the safetensors of other programs",
    ),
    "empty": (lambda: b"", "an empty file"),
    "a byte": (lambda: b"\xff", "at least 8 bytes, found 1"),
    "bytes": (lambda: bytes(range(200, 256)), "found c8 c9 ca"),
    "a model that was cut": (lambda: MODEL[:100], "or truncated"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_it_is_named_with_what_to_do(tmp_path, kind):
    make, expected = FOREIGN[kind]
    path = tmp_path / "file"
    path.write_bytes(make())
    with pytest.raises(ModelFileError, match=expected) as caught:
        cnn_core.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.isprintable()
    assert len(message) < 500


def test_a_folder_of_a_run_is_refused_with_its_model(tmp_path):
    with pytest.raises(ModelFileError, match=r"expected a model file, found a folder$"):
        cnn_core.load(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(MODEL)
    with pytest.raises(ModelFileError, match=r"its model is .*model\.safetensors$"):
        cnn_core.load(tmp_path)


def test_safetensors_with_a_header_longer_than_ours_are_refused_for_that(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(safetensors({"__metadata__": {"license": "x" * MAX_HEADER_BYTES}}))
    with pytest.raises(ModelFileError, match="a header of 2 to 1048576 bytes was expected"):
        cnn_core.load(path)


@pytest.mark.parametrize("length", range(0, 64, 3))
def test_no_beginning_of_a_model_is_taken_for_anything_else(tmp_path, length):
    path = tmp_path / "file"
    path.write_bytes(MODEL[:length])
    with pytest.raises(ModelFileError, match=r"truncated|an empty file|at least 8 bytes") as caught:
        cnn_core.load(path)
    assert "pickle" not in str(caught.value)


def test_a_model_is_no_file_of_any_other_kind():
    from cnn_core.io.foreign import recognized

    for path in Path(GOLDEN).glob("*.safetensors"):
        assert recognized(path.read_bytes()) is None


def test_an_archive_of_many_long_names_takes_little_memory(tmp_path):

    path = tmp_path / "file"
    head = b"PK\x03\x04" + bytes(22) + (65_000).to_bytes(2, "little") + bytes(2)
    path.write_bytes(head * (START_BYTES // len(head)))
    with memory_peak() as peak, pytest.raises(ModelFileError, match="a zip archive"):
        cnn_core.load(path)
    assert peak.bytes < 2**20
