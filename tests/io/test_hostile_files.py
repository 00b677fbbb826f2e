"""Files that someone meant to break us: each is read, or refused by name, in bounded memory."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import pickle
import re
import runpy
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cnn_core
from cnn_core import Model
from cnn_core.cli.console import CommandError
from cnn_core.cli.run_folder import RECORD, read_run
from cnn_core.data import DataError, fetching, load_fashion_mnist, load_file, read_idx
from cnn_core.data.checks import ALWAYS_ALLOWED_BYTES
from cnn_core.data.fashion_mnist import FILES
from cnn_core.model_file import MAX_HEADER_BYTES, ModelFileError, read_tensors, write_tensors
from cnn_core.network import Dense, Network
from cnn_core.optimizers import Adam
from hostile import KINDS, npy, npz, read_or_refuse, zipped
from hostile_checkpoints import ESTIMATOR, TRAININGS, Epochs, checkpoints, resume_one
from paths import GOLDEN, HELPERS

MIB = 2**20
# Levels that promise each other's bits.
WITH_MULTIPLY_ADD = ("x86-64-v3", "x86-64-v4")
# Each example of a checkpoint is a training of two epochs.
FEWER = 40
BOUNDED = settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())

# Sizes that overflow, signs that flip, the largest of each width.
NUMBERS = [
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63,
    2**64 - 1,
]


@st.composite
def mutations(draw):
    """A change of some bytes: cut, flipped, overwritten, inserted, doubled, or taken out."""
    kind = draw(st.sampled_from(["cut", "flip", "number", "insert", "double", "remove", "append"]))
    at = draw(st.floats(0, 1, exclude_max=True))
    if draw(st.booleans()):
        # Where headers are.
        at /= 8
    width = draw(st.sampled_from([1, 2, 4, 8, 30]))
    number = draw(st.sampled_from(NUMBERS))
    order = draw(st.sampled_from(["little", "big"]))
    more = draw(
        st.sampled_from([b"\0", b"nan", b"[" * 3000, b'"', b"{", b",", b"9" * 400, b"\xff"])
    )

    def mutate(data: bytes) -> bytes:
        i = int(at * len(data))
        piece = (number % 256 ** min(width, 8)).to_bytes(min(width, 8), order)
        return {
            "cut": data[:i],
            "flip": data[:i] + bytes([data[i] ^ 1 << width % 8]) + data[i + 1 :] if data else data,
            "number": data[:i] + piece + data[i + len(piece) :],
            "insert": data[:i] + more + data[i:],
            "double": data[: i + width] + data[i:],
            "remove": data[:i] + data[i + width :],
            "append": data + more,
        }[kind]

    return mutate


@kinds
def test_the_valid_files_are_read_unless_another_file_is_expected(kind, tmp_path):
    for seed in kind.seeds:
        path = tmp_path / f"file{kind.ending}"
        path.write_bytes(seed)
        result = read_or_refuse(kind, path)
        assert isinstance(result, DataError) == (kind is KINDS["known idx"])


@kinds
@BOUNDED
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_by_name(kind, tmp_path, data):
    contents = data.draw(st.sampled_from(kind.seeds))
    for mutate in data.draw(st.lists(mutations(), min_size=1, max_size=4)):
        contents = mutate(contents)
    path = tmp_path / f"file{kind.ending}"
    path.write_bytes(contents)
    tracemalloc.start()
    try:
        result = read_or_refuse(kind, path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result is not None
    assert peak < ALWAYS_ALLOWED_BYTES + 16 * MIB


@kinds
@pytest.mark.parametrize("contents", [b"", b"\0", b"\n", b"\xef\xbb\xbf", b"\xff" * 100])
def test_what_is_nothing_of_the_kind_is_refused(kind, tmp_path, contents):
    path = tmp_path / f"file{kind.ending}"
    path.write_bytes(contents)
    assert isinstance(read_or_refuse(kind, path), kind.error)


# Each case for each reader


def idx_of(*sizes, code=8, values=b"", rank=None):
    header = bytes([0, 0, code, len(sizes) if rank is None else rank])
    return header + struct.pack(f">{len(sizes)}I", *sizes) + values


def npy_saying(shape, values=b""):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + values


def model_bytes(header, values=b""):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + values


def model_with(**tensor):
    """A model file with one tensor, of which this is said."""
    fields = {"dtype": "F64", "shape": [1], "data_offsets": [0, 8], **tensor}
    metadata = {"format": "cnn-core", "format_version": "1", "sha256": "0" * 64}
    return model_bytes({"__metadata__": metadata, "a": fields}, bytes(8))


def with_nan(seed, name):
    """A model file one of whose numbers is NaN, with a right checksum."""

    def write(path):
        tensors, texts = read_tensors(as_file(path, seed))
        tensors[name].flat[0] = np.nan
        write_tensors(path, tensors, texts)

    return write


def gzip_bomb(header: bytes, zeros: int) -> bytes:
    """Gzip members of which each unpacks to a thousand times its size."""
    member = gzip.compress(bytes(MIB), mtime=0)
    return gzip.compress(header, mtime=0) + member * (zeros // MIB)


def as_file(path, contents):
    path.write_bytes(contents)
    return path


IMAGES = FILES[0].shape
MODEL = (GOLDEN / "model_version_1.safetensors").read_bytes()
CHECKPOINT = checkpoints()["averaging, plateau"]
RANK_33 = str((1,) * 33)
_IDX = {
    "wrong magic": (b"PNG!" + bytes(40), "begins with the bytes 00 00"),
    "lying sizes": (idx_of(2, 3, values=b"12345"), "6 bytes of values.*found 5"),
    "overflowing products": (idx_of(*[2**32 - 1] * 4, code=14), "whose product fits"),
    "trailing bytes": (idx_of(2, values=b"123"), "2 bytes of values.*found (3|more)"),
    "empty file": (b"", "found a file that ends after 0"),
    "huge rank": (idx_of(*[1] * 33, values=b"1"), "from 1 to 32 dimensions, found 33"),
}
NAN_IDX = idx_of(1, code=14, values=struct.pack(">d", np.nan))
_MODEL = {
    "wrong magic": (b"PK\x03\x04" + bytes(40), "not a model file"),
    "lying sizes": (model_with(shape=[2], data_offsets=[0, 16]), "16 bytes of values, found 8"),
    "overflowing products": (model_with(shape=[2**32, 2**32]), "does not take"),
    "empty file": (b"", "at least 8 bytes, found 0"),
    "huge rank": (model_with(shape=[1] * 33), "a list of sizes"),
}
# What is read as it is has None in place of an error.
CASES = {
    "idx": {**_IDX, "NaN": (NAN_IDX, None)},
    "idx.gz": {
        **{case: (gzip.compress(data), error) for case, (data, error) in _IDX.items()},
        "NaN": (gzip.compress(NAN_IDX), None),
        "bomb": (gzip_bomb(idx_of(2**31), 8 * MIB), "when unpacked"),
        "hidden bomb": (gzip_bomb(idx_of(9), 8 * MIB), "found more than 9"),
        "bytes behind the stream": (gzip.compress(idx_of(1, values=b"1")) + b"x", "gzip stream"),
    },
    "known idx": {
        **_IDX,
        "lying sizes": (idx_of(*IMAGES, values=b"1"), "47040000 bytes of values.*found 1"),
        "trailing bytes": (
            gzip.compress(idx_of(*IMAGES) + bytes(int(np.prod(IMAGES)) + 1), 1),
            "found more than 47040000",
        ),
        "overflowing products": (idx_of(*[2**32 - 1] * 4, code=14), "whose product fits"),
        "NaN": (NAN_IDX, "unsigned bytes of shape"),
        "bomb": (gzip_bomb(idx_of(*IMAGES), 64 * MIB), "found more than 47040000"),
    },
    "npy": {
        "wrong magic": (b"NUMPY" + bytes(40), "in NumPy's format"),
        "lying sizes": (npy_saying((2, 2), bytes(24)), "32 bytes of values.*found 24"),
        "overflowing products": (npy_saying((2**61, 8), bytes(8)), "bytes of values"),
        "trailing bytes": (npy_saying((1, 2), bytes(17)), "16 bytes of values.*found 17"),
        "NaN": (npy(np.array([[1.0, np.nan]])), r"finite numbers, found nan.*\(0, 1\)"),
        "empty file": (b"", "in NumPy's format"),
        "huge rank": (npy_saying(RANK_33, bytes(8)), "at most 32 dimensions, found 33"),
    },
    "npz": {
        "wrong magic": (b"PK\x05\x07" + bytes(40), "an .npz archive"),
        "lying sizes": (zipped([("X.npy", npy_saying((2, 2), bytes(24)))]), "array named y"),
        "lying sizes of a member": (
            zipped([("X.npy", npy_saying((2, 2), bytes(24))), ("y.npy", npy(np.ones(2)))]),
            "32 bytes of values.*found 24",
        ),
        "overflowing products": (
            zipped([("X.npy", npy_saying((2**61, 8), bytes(8))), ("y.npy", npy(np.ones(2)))]),
            "bytes of values",
        ),
        "trailing bytes": (npz({"X": np.ones((2, 2)), "y": np.ones(2)}) + b"x", "its directory"),
        "trailing bytes of a member": (
            zipped([("X.npy", npy(np.ones((2, 2))) + b"x"), ("y.npy", npy(np.ones(2)))]),
            "32 bytes of values.*found 33",
        ),
        "NaN": (npz({"X": np.array([[np.nan]]), "y": np.ones(1)}), "finite numbers, found nan"),
        "NaN among targets": (npz({"X": np.ones((1, 1)), "y": np.array([np.nan])}), "nan in y"),
        "empty file": (b"", "an .npz archive"),
        "empty archive": (zipped([]), "array named X"),
        "huge rank": (
            zipped([("X.npy", npy_saying(RANK_33, bytes(8))), ("y.npy", npy(np.ones(1)))]),
            "at most 32 dimensions",
        ),
        "bomb": (
            lambda path: path.write_bytes(zipped([("X.npy", bytes(260 * MIB)), ("y.npy", b"")])),
            "when unpacked",
        ),
    },
    "csv": {
        "wrong magic": (b"\x89PNG\r\n\x1a\n" + bytes(9), "text in UTF-8"),
        "lying sizes": (b"a,b\n1,2\n1,2,3\n", "2 cells on line 3, found 3"),
        "overflowing products": (b"a,b\n1e999,2\n", "finite number, found '1e999'"),
        "trailing bytes": (b"a,b\n1,2\n\0\0", "(1 cell|2 cells|comma-separated)"),
        "NaN": (b"a,b\nnan,2\n", "finite number, found 'nan'"),
        "NaN among targets": (b"a,b\n1,2\n1,nan\n", "a number in the target column"),
        "empty file": (b"", "an empty file"),
        "bomb": (
            b"a,b\n" + b"1,x\n" * 9000 + b"1," + b"y" * 100_000 + b"\n",
            "of 100000 characters on line 9002",
        ),
    },
    "model": {
        **_MODEL,
        "trailing bytes": (MODEL + b"x", "something was added"),
        "NaN": (with_nan(MODEL, "layers.0.weights"), None),
    },
    "checkpoint": {
        **_MODEL,
        "trailing bytes": (CHECKPOINT + b"x", "something was added"),
        "NaN": (with_nan(CHECKPOINT, "layers.0.weights"), "not finite"),
    },
}
# A text has no ranks; nothing in these is packed.
NOT_THERE = {"csv": {"huge rank"}, "idx": {"bomb"}, "npy": {"bomb"}}
NOT_THERE |= {"model": {"bomb"}, "checkpoint": {"bomb"}}
EACH = {
    *("wrong magic", "lying sizes", "overflowing products", "bomb"),
    *("trailing bytes", "NaN", "empty file", "huge rank"),
}


@pytest.mark.parametrize(
    ("kind", "case"), [(kind, case) for kind, cases in CASES.items() for case in cases]
)
def test_each_case_for_each_reader_is_refused_by_its_reason(tmp_path, kind, case):
    contents, expected = CASES[kind][case]
    path = tmp_path / f"file{KINDS[kind].ending}"
    contents(path) if callable(contents) else path.write_bytes(contents)
    before = path.read_bytes()
    result = read_or_refuse(KINDS[kind], path)
    if expected is None:
        assert not isinstance(result, KINDS[kind].error)
    else:
        assert re.search(expected, str(result), re.DOTALL)
    assert path.read_bytes() == before


def test_no_case_is_left_out_for_any_reader():
    for kind, cases in CASES.items():
        assert EACH - set(cases) == NOT_THERE.get(kind, set()), kind
    others = {"csv without header", "sealed model", "sealed checkpoint"}
    assert set(CASES) | others == set(KINDS)


# Descriptions in model files, with a right checksum

VALUES = st.recursive(
    st.sampled_from(
        [
            *(None, True, -1, 0, 1, 3, 2**31, 2**63, 10**400, -0.5, 1e308),
            *(float("nan"), float("inf")),
            *("", "sigmoid", "float64", "é", "training.0", "layers.0.weights"),
        ]
    ),
    lambda items: (
        st.lists(items, max_size=3)
        | st.dictionaries(
            st.sampled_from(["kind", "float", "tuple", "dict", "layers", "tensor"]),
            items,
            max_size=2,
        )
    ),
    max_leaves=4,
)


def places_in(value, place=()):
    """Every place in a tree of JSON."""
    if place:
        yield place
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items if isinstance(value, dict | list) else ():
        yield from (
            places_in(item, (*place, key)) if isinstance(item, dict | list) else [(*place, key)]
        )


def change_somewhere(tree, data):
    """Replace or take out one value in a tree of JSON."""
    place = data.draw(st.sampled_from(list(places_in(tree))))
    inside = tree
    for key in place[:-1]:
        inside = inside[key]
    if data.draw(st.booleans()):
        inside[place[-1]] = data.draw(VALUES)
    else:
        del inside[place[-1]]


@pytest.mark.parametrize("name", ["nn", "model", "classifier", "regressor"])
@BOUNDED
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
    assert isinstance(result, (ModelFileError, cnn_core.NN, *_faces()))


def _faces():
    from cnn_core import MLPClassifier, MLPRegressor

    return Model, MLPClassifier, MLPRegressor


# Checkpoints, with a right checksum


def write_tree(path, tensors, tree):
    """Write a model file whose texts hold these trees of JSON."""
    texts = {key: v if isinstance(v, str) else json.dumps(v) for key, v in tree.items()}
    write_tensors(path, tensors, texts)


def tree_of(path):
    tensors, texts = read_tensors(path)
    return tensors, {
        key: text if key == "kind" else json.loads(text) for key, text in texts.items()
    }


@pytest.mark.parametrize("training", checkpoints())
@settings(BOUNDED, max_examples=FEWER)
@given(data=st.data())
def test_what_a_checkpoint_says_is_taken_or_refused_by_name(training, tmp_path, data):
    path = as_file(tmp_path / "file.safetensors", checkpoints()[training])
    tensors, tree = tree_of(path)
    for _ in range(data.draw(st.integers(1, 2))):
        change_somewhere(tree, data)
    write_tree(path, tensors, tree)
    result = read_or_refuse(KINDS["checkpoint"], path)
    assert result is not None
    assert os.listdir(tmp_path) == ["file.safetensors"]
    shutil.copy(path, tmp_path / "copy")
    assert read_or_refuse(KINDS["model"], tmp_path / "copy") is not None
    (tmp_path / "copy").unlink()


CHANGED_ARRAYS = {
    "other rank": lambda a: a[None],
    "one number": lambda a: a.reshape(-1)[:1],
    "nothing": lambda a: a.reshape(-1)[:0],
    "more": lambda a: np.concatenate([a.reshape(-1), a.reshape(-1)]),
    "other dtype": lambda a: a.astype(np.float64 if a.dtype == np.float32 else np.float32),
    "NaN": lambda a: np.full_like(a, np.nan),
    "infinite": lambda a: np.full_like(a, -np.inf),
    "huge": lambda a: np.full_like(a, 3e38),
}


@pytest.mark.parametrize("change", [*CHANGED_ARRAYS, "gone", "another name"])
@pytest.mark.parametrize("training", checkpoints())
def test_arrays_of_a_checkpoint_that_were_changed_are_taken_or_refused(training, change, tmp_path):
    path = as_file(tmp_path / "file.safetensors", checkpoints()[training])
    tensors, tree = tree_of(path)
    for name, array in tensors.items():
        changed = dict(tensors)
        if change in ("gone", "another name"):
            del changed[name]
        if change != "gone":
            new_name = f"{name}." if change == "another name" else name
            changed[new_name] = CHANGED_ARRAYS.get(change, np.copy)(array)
        write_tree(path, changed, tree)
        is_refused = isinstance(read_or_refuse(KINDS["checkpoint"], path), ModelFileError)
        is_of_weights = array.dtype == np.float32 and array.size > 1
        if change in ("NaN", "infinite"):
            # Measurements and moments may be any numbers.
            assert is_refused or not name.startswith("layers.")
        elif change != "huge":
            assert is_refused or not is_of_weights
        assert is_refused or change != "other rank"


LIES = {
    "another seed": ("state", "seed", 6),
    "epochs of the future": ("state", "epochs_done", 5),
    "epochs of the past": ("state", "epochs_done", -1),
    "no epoch": ("state", "epochs_done", 0),
    "fewer epochs than were measured": ("state", "epochs_done", 1),
    "steps beyond the counter": ("state", "steps", 2**32),
    "another dtype": ("state", "dtype", "float64"),
    "a later version": ("training", "version", 2),
    "a version of text": ("training", "version", "1"),
    "an end that was not reached": ("training", "finished", True),
    "neither true nor false": ("training", "finished", 1),
    "a rate that is none": ("training", "state", "learning_rate", float("nan")),
    "a negative rate": ("training", "state", "learning_rate", -1.0),
    "a best epoch to come": ("training", "state", "best_epoch", 3),
    "a best value that is text": ("training", "state", "best_value", "1"),
    "a reason that is a number": ("training", "state", "stopped_because", 7),
    "steps to come": ("training", "progress", "steps", 7),
    "negative steps": ("training", "progress", "steps", -6),
    "seconds of the past": ("training", "progress", "seconds", -1.0),
    "a largest loss that is none": ("training", "progress", "guard", "largest", float("inf")),
    "weights that are kept nowhere": ("training", "progress", "guard", "kept", {"dict": {}}),
    "no record": ("training", "state", "record", None),
    "a record of another epoch": ("training", "state", "record", "epoch", 1),
    "a record without a loss": ("training", "state", "record", "loss", None),
    "a record of a longer training": ("training", "state", "record", "last_epoch", 2**62),
    "states that are none": ("training", "calls", [{"dict": {"class": "TimeBudget"}}]),
    "a state that is a number": (
        "training",
        "calls",
        [{"dict": {"class": "TimeBudget", "place": 0, "state": 7}}],
    ),
    "a place before the first": (
        "training",
        "calls",
        [{"dict": {"class": "TimeBudget", "place": -1, "state": {"dict": {"left": 1.0}}}}],
    ),
    "a callback that nobody passed": (
        "training",
        "calls",
        [{"dict": {"class": "os.system" * 200, "place": 0, "state": {"dict": {"left": 1.0}}}}],
    ),
    "time that is text": (
        "training",
        "calls",
        [{"dict": {"class": "TimeBudget", "place": 0, "state": {"dict": {"left": "1"}}}}],
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_checkpoint_that_lies_is_refused_before_anything_changes(tmp_path, lie):
    training = "Adam, dropout, cosine"
    path = as_file(tmp_path / "file.safetensors", checkpoints()[training])
    tensors, tree = tree_of(path)
    *place, last, value = LIES[lie]
    inside = tree
    for key in place:
        inside = unwrapped(inside)[key]
    unwrapped(inside)[last] = value
    write_tree(path, tensors, tree)
    assert isinstance(read_or_refuse(KINDS["checkpoint"], path), ModelFileError)


def unwrapped(value):
    """Return the dictionary that an encoded one stands for."""
    return value["dict"] if set(value) == {"dict"} else value


def test_two_places_of_a_checkpoint_cannot_share_an_array(tmp_path):
    path = as_file(
        tmp_path / "file.safetensors", checkpoints()["early stopping, batch normalization"]
    )
    tensors, texts = read_tensors(path)
    names = [name for name in tensors if name.startswith("training.")]
    shared = texts["training"].replace(f'"{names[0]}"', f'"{names[-1]}"')
    assert shared != texts["training"]
    write_tensors(path, tensors, {**texts, "training": shared})
    assert isinstance(read_or_refuse(KINDS["checkpoint"], path), ModelFileError)


@pytest.mark.parametrize("name", ["n_iter_", "predict", "__class__", "callbacks", "model_"])
def test_a_checkpoint_sets_no_attribute_but_those_of_a_fit(tmp_path, name):
    path = as_file(tmp_path / "file.safetensors", checkpoints()[ESTIMATOR])
    tensors, tree = tree_of(path)
    (state,) = [
        one["dict"]["state"]
        for one in unwrapped(tree["training"])["calls"]
        if one["dict"]["class"] == "Monitor"
    ]
    unwrapped(unwrapped(state)["attributes"])[name] = "evil"
    write_tree(path, tensors, tree)
    result = read_or_refuse(KINDS["checkpoint"], path)
    assert isinstance(result, ModelFileError) or vars(result).get(name) != "evil"


@pytest.mark.parametrize(
    "contents",
    {
        "empty": b"",
        "a model": (GOLDEN / "model_version_1.safetensors").read_bytes(),
        "an estimator": (GOLDEN / "classifier_version_1.safetensors").read_bytes(),
        "an NN": (GOLDEN / "nn_version_1.safetensors").read_bytes(),
        "an archive": zipped([("X.npy", b"")]),
        "a table": b"1,2\n",
    }.values(),
)
@pytest.mark.parametrize("training", [*TRAININGS, ESTIMATOR])
def test_a_file_that_is_no_checkpoint_is_refused_and_left_alone(tmp_path, training, contents):
    path = as_file(tmp_path / "file", contents)
    with pytest.raises(ModelFileError, match=re.escape(str(path))):
        resume_one(training, path)
    assert path.read_bytes() == contents


@pytest.mark.parametrize("training", [*TRAININGS, ESTIMATOR])
def test_no_truncated_checkpoint_is_gone_on_with(tmp_path, training):
    contents = checkpoints()[training]
    for length in range(0, len(contents), 97):
        path = as_file(tmp_path / "file", contents[:length])
        with pytest.raises(ModelFileError, match=re.escape(str(path))):
            resume_one(training, path)


@pytest.mark.parametrize("depth", [50, 500, 5_000, 100_000])
@pytest.mark.parametrize("key", ["network", "state", "training"])
def test_deeply_nested_json_of_a_checkpoint_is_refused(tmp_path, depth, key):
    path = as_file(tmp_path / "file", checkpoints()["averaging, plateau"])
    tensors, texts = read_tensors(path)
    for start, end in ("[]", ('{"":', "}")):
        write_tensors(path, tensors, {**texts, key: start * depth + "1" + end * depth})
        assert isinstance(read_or_refuse(KINDS["checkpoint"], path), ModelFileError)


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


def test_a_number_that_no_float_can_hold_is_blamed_on_the_file(tmp_path):
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


@BOUNDED
@given(data=st.data())
def test_a_record_that_was_changed_is_read_or_refused_by_name(run, digits_run, data):
    tree = json.loads((digits_run / RECORD).read_text(encoding="utf-8"))
    change_somewhere(tree, data)
    error = record_error(run, json.dumps(tree).encode())
    assert error is None or str(run) in error


@BOUNDED
@given(data=st.data())
def test_a_damaged_record_is_read_or_refused_by_name(run, digits_run, data):
    contents = (digits_run / RECORD).read_bytes()
    for mutate in data.draw(st.lists(mutations(), min_size=1, max_size=3)):
        contents = mutate(contents)
    error = record_error(run, contents)
    assert error is None or str(run) in error


# Memory


def peak_of(read, path, **options):
    """The most memory that was taken while a file was read or refused, and the error if refused."""
    tracemalloc.start()
    try:
        read(path, **options)
        error = None
    except (DataError, ModelFileError) as refusal:
        error = refusal
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak, error


def test_a_gzip_bomb_that_says_what_it_is_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip_bomb(struct.pack(">4BI", 0, 0, 8, 1, 2 * 2**30), 8 * MIB))
    assert path.stat().st_size < 10_000
    peak, error = peak_of(read_idx, path)
    assert "when unpacked" in str(error)
    assert peak < MIB


def test_a_gzip_bomb_that_hides_its_size_is_unpacked_no_further_than_it_says(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip_bomb(struct.pack(">4BI", 0, 0, 8, 1, 100), 2**30))
    peak, error = peak_of(read_idx, path)
    assert "more than 100" in str(error)
    assert peak < MIB


def test_an_archive_that_hides_its_size_is_unpacked_no_further_than_it_says(tmp_path):
    array = np.zeros((2**13, 2**10))
    contents = npz({"X": array, "y": np.arange(3)})
    declared = len(npy(array)).to_bytes(4, "little")
    # In both places where an archive keeps a member's size.
    shorter = contents.replace(declared, (1000).to_bytes(4, "little"))
    assert shorter != contents
    path = tmp_path / "bomb.npz"
    path.write_bytes(shorter)
    peak, error = peak_of(load_file, path)
    assert error is not None
    assert peak < 2 * MIB


def test_an_archive_that_says_it_is_a_bomb_is_refused(tmp_path):
    path = tmp_path / "bomb.npz"
    path.write_bytes(zipped([("X.npy", bytes(ALWAYS_ALLOWED_BYTES + 1)), ("y.npy", b"")]))
    peak, error = peak_of(load_file, path)
    assert "when unpacked" in str(error)
    assert peak < MIB


@pytest.mark.parametrize("ending", [".npy", ".npz"])
def test_the_length_of_an_array_header_is_checked_before_it_is_read(tmp_path, ending):
    contents = b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b" " * 100
    path = tmp_path / f"file{ending}"
    path.write_bytes(contents if ending == ".npy" else zipped([("X.npy", contents)]))
    peak, error = peak_of(load_file, path, has_target=False)
    assert "a header of 4294967295 bytes" in str(error)
    assert peak < MIB


@pytest.mark.parametrize("rank", [33, 64, 65, 3000])
def test_an_array_of_a_huge_rank_is_refused(tmp_path, rank):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {(1,) * rank}}}\n".encode()
    path = tmp_path / "file.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(8))
    assert isinstance(read_or_refuse(KINDS["npy"], path), DataError)


def test_one_long_name_among_many_short_ones_does_not_take_its_length_for_each(tmp_path):
    path = tmp_path / "names.csv"
    path.write_text("size,kind\n" + "1,a\n" * 2000 + "1," + "b" * 100_000 + "\n", encoding="utf-8")
    peak, error = peak_of(load_file, path)
    assert "of 100000 characters on line 2002" in str(error)
    assert peak < 8 * MIB


def test_a_table_of_many_columns_takes_at_most_a_hundred_times_its_size(tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text(",".join("1" * 100_000), encoding="utf-8")
    peak, error = peak_of(load_file, path, header=False)
    assert error is None
    assert peak < 100 * path.stat().st_size


def test_a_message_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text(",".join(f"column{i}" for i in range(10_000)) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match="a column named 'x'") as refusal:
        load_file(path, target="x")
    assert len(str(refusal.value)) < 3000


def test_a_message_shows_what_a_terminal_would_obey(tmp_path):
    name = "\x1b]0;title\x07\x1b[2J"
    files = {
        "file.npz": zipped([(f"{name}.npy", b"")]),
        "long.npz": zipped([(f"{number}{'x' * 900}.npy", b"") for number in range(20)]),
        "file.csv": f"a,{name}\n1,2\n1\n".encode(),
        "other.csv": f"{name},{name},c\n1,2,3\n".encode(),
        "file.npy": npy(np.zeros(1, [(name, "f8")])),
    }
    for file, contents in files.items():
        with pytest.raises(DataError) as refusal:
            load_file(as_file(tmp_path / file, contents), has_target=False)
        assert str(refusal.value).isprintable()
        assert len(str(refusal.value)) < 3000
    tensors, texts = read_tensors(GOLDEN / "model_version_1.safetensors")
    write_tensors(tmp_path / "model", {**tensors, name: np.zeros(1)}, texts)
    with pytest.raises(ModelFileError) as refusal:
        cnn_core.load(tmp_path / "model")
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("name", ["model", "sealed model", "sealed checkpoint"])
def test_no_word_of_a_header_gets_into_a_message_as_it_stands(tmp_path, name):
    kind = KINDS[name]
    path = tmp_path / f"file{kind.ending}"
    seed = max(kind.seeds, key=len)
    end = 8 + int.from_bytes(seed[:8], "little")
    # A control character that JSON allows to stand for itself.
    words = [word for word in re.finditer(rb"[A-Za-z_]\w{2,}", seed) if 8 < word.end() <= end]
    refused = 0
    for word in words:
        path.write_bytes(seed[: word.end() - 1] + b"\x7f" + seed[word.end() :])
        refused += isinstance(read_or_refuse(kind, path), kind.error)
    assert refused > len(words) // 3


def test_reading_a_model_takes_no_more_than_its_size_and_its_header(tmp_path):
    path = tmp_path / "model.safetensors"
    text = b'{"__metadata__":{},"a":[' + b"[]," * ((MAX_HEADER_BYTES - 50) // 3) + b"[]]}"
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    peak, error = peak_of(read_tensors, path)
    assert error is not None
    assert peak < 64 * MAX_HEADER_BYTES


# Under a limit that the system keeps


def model_saying(name, change):
    """A model or checkpoint whose texts are other ones, with a right checksum."""

    def write(path):
        seed = checkpoints().get(name) or (GOLDEN / f"{name}_version_1.safetensors").read_bytes()
        tensors, tree = tree_of(as_file(path, seed))
        change(tree)
        write_tree(path, tensors, tree)

    return write


def huge_layer(tree):
    layer = tree["network"]["layers"][0]
    layer["fan_in"], layer["fan_out"] = 2**31, 2**31


def huge_nn(tree):
    tree["network"]["network"] = [2**31, 2**31, 2**31]


def many_layers(tree):
    tree["network"]["layers"] = tree["network"]["layers"] * 2000


def npz_that_hides(path):
    array = np.zeros((2**15, 2**11))
    declared, less = (size.to_bytes(4, "little") for size in (len(npy(array)), 1000))
    path.write_bytes(npz({"X": array, "y": np.arange(3)}).replace(declared, less))


TENSOR = {"dtype": "F64", "shape": [2**40], "data_offsets": [0, 2**43]}
METADATA = {"format": "cnn-core", "format_version": "1", "sha256": "0" * 64}
BOMBS = {
    "a gzip stream that says 2 GiB": (
        "idx.gz",
        lambda path: path.write_bytes(
            gzip_bomb(struct.pack(">4BI", 0, 0, 8, 1, 2 * 2**30), 2 * 2**30)
        ),
        32 * MIB,
    ),
    "a gzip stream of 4 GiB that says 100 bytes": (
        "idx.gz",
        lambda path: path.write_bytes(gzip_bomb(struct.pack(">4BI", 0, 0, 8, 1, 100), 4 * 2**30)),
        32 * MIB,
    ),
    "a gzip stream in the place of Fashion-MNIST": (
        "known idx",
        lambda path: path.write_bytes(
            gzip_bomb(struct.pack(">4B3I", 0, 0, 8, 3, *FILES[0].shape), 2 * 2**30)
        ),
        128 * MIB,
    ),
    "sizes whose product is beyond 64 bits": (
        "idx",
        lambda path: path.write_bytes(struct.pack(">4B4I", 0, 0, 14, 4, *[2**32 - 1] * 4)),
        32 * MIB,
    ),
    "an archive that says 2 GiB": (
        "npz",
        lambda path: path.write_bytes(zipped([("X.npy", bytes(300 * MIB)), ("y.npy", b"")])),
        32 * MIB,
    ),
    "an archive that hides 512 MiB": ("npz", npz_that_hides, 32 * MIB),
    "an array of a huge shape": (
        "npy",
        lambda path: path.write_bytes(
            npy(np.zeros((1, 3))).replace(b"(1, 3), }        ", b"(2305843009213693952, 3), }")
        ),
        32 * MIB,
    ),
    "an array with a header of 4 GiB": (
        "npy",
        lambda path: path.write_bytes(b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1)),
        32 * MIB,
    ),
    "a table with one long cell": (
        "csv",
        lambda path: path.write_bytes(b"a,b\n1," + b"x" * MIB + b"\n"),
        100 * MIB,
    ),
    "a table with one long name among many": (
        "csv",
        lambda path: path.write_bytes(b"a,b\n" + b"1,x\n" * 9000 + b"1," + b"y" * 100_000 + b"\n"),
        64 * MIB,
    ),
    "a model with a tensor of 8 TiB": (
        "model",
        lambda path: path.write_bytes(model_bytes({"__metadata__": METADATA, "a": TENSOR}, b"0")),
        32 * MIB,
    ),
    "a model with a header of 8 EiB": (
        "model",
        lambda path: path.write_bytes((2**63).to_bytes(8, "little") + b"{}"),
        32 * MIB,
    ),
    "a model with a header full of lists": (
        "model",
        lambda path: path.write_bytes(model_bytes({"a": [[]] * 250_000})),
        64 * MAX_HEADER_BYTES,
    ),
    "a model of huge layers": ("model", model_saying("model", huge_layer), 32 * MIB),
    "a classifier of huge layers": ("model", model_saying("classifier", huge_layer), 32 * MIB),
    "a model of many layers": ("model", model_saying("model", many_layers), 64 * MIB),
    "an NN of huge layers": ("model", model_saying("nn", huge_nn), 32 * MIB),
    "a checkpoint of huge layers": (
        "checkpoint",
        model_saying(next(iter(TRAININGS)), huge_layer),
        32 * MIB,
    ),
}


def read_in_limits(files):
    """Read files in a process of its own that may not have more memory than they are given."""
    lines = [json.dumps([kind, str(path), most]) for kind, path, most in files]
    done = subprocess.run(
        [sys.executable, str(HELPERS / "limited.py")],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        timeout=300,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(lines), f"{lines[len(answers)]}: {done.returncode} {done.stderr}"
    assert done.returncode == 0
    return answers


only_linux = pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")


@only_linux
def test_bombs_are_refused_by_name_where_memory_is_limited(tmp_path):
    files = []
    for number, (kind, write, most) in enumerate(BOMBS.values()):
        path = tmp_path / f"{number}{KINDS[kind].ending}"
        write(path)
        files.append((kind, path, most))
    answers = dict(zip(BOMBS, read_in_limits(files), strict=True))
    assert [bomb for bomb, (is_refused, _) in answers.items() if not is_refused] == []
    # Not because memory came to an end.
    assert [bomb for bomb, (_, error) in answers.items() if "fit in memory" in error] == []


@only_linux
def test_valid_files_for_which_memory_does_not_suffice_are_refused_by_name(tmp_path):
    x = np.zeros((2**18, 12))
    files = {
        "idx": struct.pack(">4B2I", 0, 0, 14, 2, *x.shape) + x.tobytes(),
        "npy": npy(x),
        "npz": npz({"X": x, "y": np.zeros(len(x))}),
        "csv": b"1,2,3,4,5,6,7,8\n" * 2**18,
    }
    model = Model(Network((Dense(1500, 1500, "relu"), Dense(1500, 2)), "squared_error", Adam()))
    listed = []
    for kind, contents in files.items():
        path = tmp_path / f"file{KINDS[kind].ending}"
        path.write_bytes(contents)
        listed.append((kind, path, 8 * MIB))
    path = tmp_path / "model.safetensors"
    model.save(path)
    # Too little for the tensors, and enough for them but not for the model.
    size = path.stat().st_size
    listed += [("model", path, size // 2), ("model", path, size + 8 * MIB)]
    for is_refused, error in read_in_limits(listed):
        assert is_refused
        assert "fit" in error
        assert "memory" in error


# What arrays may be made of


class Trap:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("ending", [".npy", ".npz"])
@pytest.mark.parametrize("as_array", [True, False])
def test_pickles_are_refused_and_not_run(tmp_path, ending, as_array):
    mark = tmp_path / "mark"
    trap = np.array([[Trap(mark)]], object)
    contents = npy(trap, allow_pickle=True) if as_array else pickle.dumps(trap)
    path = tmp_path / f"file{ending}"
    path.write_bytes(contents if ending == ".npy" else zipped([("X.npy", contents)]))
    with pytest.raises(DataError, match="file"):
        load_file(path, has_target=False)
    assert not mark.exists()


@pytest.mark.parametrize("code", [0x110000, 0x7FFFFFFF, 0xFFFFFFFF, 0xD800])
@pytest.mark.parametrize("order", ["<", ">"])
def test_names_that_are_no_text_are_refused(tmp_path, code, order):
    names = np.array([code, ord("a")], f"{order}u4").view(f"{order}U1")
    path = tmp_path / "names.npz"
    path.write_bytes(npz({"X": np.ones((2, 2)), "y": names}))
    with pytest.raises(DataError, match=f"names in Unicode, found the character {code:#x}"):
        load_file(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused_in_tables_with_their_place(tmp_path, value):
    x = np.ones((2, 2))
    x[1, 0] = value
    for ending, contents in {
        ".npy": npy(x),
        ".npz": npz({"X": x}),
        ".csv": f"1,1\n{value},1\n".encode(),
    }.items():
        path = tmp_path / f"file{ending}"
        path.write_bytes(contents)
        with pytest.raises(DataError, match=r"index \(1, 0\)|column 1.*line 2"):
            load_file(path, has_target=False)


# Archives and paths


@pytest.mark.parametrize(
    "name", ["../X.npy", "/X.npy", "../../etc/X.npy", "a/../../X.npy", "C:\\X.npy", "..\\X.npy"]
)
def test_an_archive_cannot_write_a_file_whatever_its_members_are_called(tmp_path, name):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    path = folder / "file.npz"
    x = npy(np.ones((2, 2)))
    path.write_bytes(zipped([(name, x), ("X.npy", x)]))
    before = sorted(tmp_path.rglob("*"))
    assert load_file(path, has_target=False).X.shape == (2, 2)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_member_is_only_found_by_its_plain_name(tmp_path):
    path = tmp_path / "file.npz"
    path.write_bytes(zipped([("../X.npy", npy(np.ones((2, 2))))]))
    with pytest.raises(DataError, match="an array named X"):
        load_file(path, has_target=False)


def test_a_member_that_is_a_link_is_read_as_bytes_and_not_followed(tmp_path):
    secret = tmp_path / "secret.npy"
    secret.write_bytes(npy(np.ones((2, 2))))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        member = zipfile.ZipInfo("X.npy")
        member.external_attr = 0o120777 << 16
        archive.writestr(member, str(secret))
    path = tmp_path / "file.npz"
    path.write_bytes(stream.getvalue())
    with pytest.raises(DataError, match="an array in NumPy's format"):
        load_file(path, has_target=False)


# Files of released versions


@pytest.mark.parametrize("kind", ["model", "classifier", "regressor"])
def test_a_file_of_a_released_version_predicts_what_it_did(kind, name):
    expected = json.loads((GOLDEN / "models.json").read_text(encoding="utf-8"))
    face = cnn_core.load(GOLDEN / f"{kind}_version_1.safetensors", backend=name)
    predict = getattr(face, "predict_proba", face.predict)
    found = predict(np.array(expected["x"]))
    np.testing.assert_allclose(found, expected[kind], rtol=1e-12, atol=1e-14)


@pytest.fixture
def released_checkpoint(tmp_path):
    """A copy of the checkpoint of a released version, and what made it."""
    path = tmp_path / "checkpoint"
    shutil.copy(GOLDEN / "checkpoint_version_1.safetensors", path)
    return path, runpy.run_path(str(GOLDEN / "make_models.py"))


def check_what_it_comes_to(found, is_exact):
    expected = json.loads((GOLDEN / "models.json").read_text(encoding="utf-8"))["checkpoint"]
    assert found["counts"] == expected["counts"]
    for part in ("arrays", "history"):
        assert set(found[part]) == set(expected[part])
        for name, values in expected[part].items():
            if is_exact:
                assert found[part][name] == values, name
            else:
                np.testing.assert_allclose(found[part][name], values, rtol=2e-3, atol=2e-5)


@pytest.mark.filterwarnings("ignore:.*the last bits may differ")
def test_a_checkpoint_of_a_released_version_is_gone_on_with_to_the_same_bits(
    released_checkpoint, name
):
    path, maker = released_checkpoint
    assert cnn_core.load(path, backend=name).epochs_done == 3
    epochs = Epochs()
    model = maker["checkpointed"](path, name, [epochs])
    assert 1 <= epochs.count <= 4
    is_exact = cnn_core.backend_info(name)["isa"] in WITH_MULTIPLY_ADD
    check_what_it_comes_to(maker["comes_to"](model), is_exact)


@pytest.mark.compiled
@pytest.mark.parametrize("level", WITH_MULTIPLY_ADD)
def test_every_level_with_a_fused_multiply_add_goes_on_to_these_bits(released_checkpoint, level):
    if level not in cnn_core.backend_info("cython")["isa_detected"]:
        pytest.skip(f"this processor has no {level}")
    path, _ = released_checkpoint
    code = (
        "import json, runpy, sys, warnings; from pathlib import Path; "
        "warnings.filterwarnings('ignore', '.*the last bits may differ'); "
        "maker = runpy.run_path(sys.argv[1]); "
        "print(json.dumps(maker['comes_to'](maker['checkpointed'](Path(sys.argv[2])))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(GOLDEN / "make_models.py"), str(path)],
        env={**os.environ, "CNN_CORE_ISA": level},
        capture_output=True,
        text=True,
        check=True,
    )
    check_what_it_comes_to(json.loads(done.stdout), is_exact=True)


# What is fetched


def test_every_file_that_can_be_fetched_has_a_hash_of_its_own():
    hashes = {file.sha256 for file in FILES}
    assert len(hashes) == len(FILES)
    assert all(len(digest) == 64 and set(digest) <= set("0123456789abcdef") for digest in hashes)


def test_data_of_the_right_form_with_another_hash_are_refused_wherever_they_come_from(tmp_path):
    for file in FILES:
        header = struct.pack(f">4B{len(file.shape)}I", 0, 0, 8, len(file.shape), *file.shape)
        path = tmp_path / f"{file.stem}.gz"
        path.write_bytes(gzip.compress(header + bytes(int(np.prod(file.shape))), 1))
    with pytest.raises(DataError, match=f"SHA-256 {FILES[0].sha256}"):
        load_fashion_mnist(tmp_path)


def ar(members: dict[str, bytes]) -> bytes:
    text = b"!<arch>\n"
    for name, data in members.items():
        text += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode()
        text += data + b"\n" * (len(data) % 2)
    return text


def tar(members: list[tuple[str, bytes | str]]) -> bytes:
    """A tar of files and, where a text stands in place of bytes, links to it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            if isinstance(data, str):
                info.type, info.linkname = tarfile.SYMTYPE, data
                archive.addfile(info)
            else:
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def deb(members: list[tuple[str, bytes | str]]) -> bytes:
    control = tar([("control", b"Package: p\nVersion: 1\nArchitecture: all\nMaintainer: m\n")])
    return ar({"debian-binary": b"2.0\n", "control.tar.gz": control, "data.tar.gz": tar(members)})


only_debian = pytest.mark.skipif(
    shutil.which("dpkg-deb") is None, reason="only Debian unpacks its packages"
)


@pytest.fixture
def fetched(tmp_path, monkeypatch):
    """The bytes that stand for the package which apt-get fetches, in a list to be filled."""
    contents: list[bytes] = []
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setattr(
        fetching,
        "_download_package",
        lambda package, folder: (folder / f"{package}.deb").write_bytes(contents[0]),
    )
    return contents


@only_debian
def test_a_package_is_unpacked_into_a_folder_that_is_gone_afterwards(fetched):
    fetched.append(deb([("usr/good", b"x")]))
    with fetching.unpacked_package("p") as root:
        assert (root / "usr" / "good").read_bytes() == b"x"
    assert not root.parent.exists()


@only_debian
@pytest.mark.parametrize(
    "members",
    [
        [("../evil", b"x")],
        [("../../evil", b"x")],
        [("usr/../../evil", b"x")],
        [("link", "../.."), ("link/evil", b"x")],
        [("link", "{outside}"), ("link/evil", b"x")],
        [("{outside}/evil", b"x")],
    ],
)
def test_a_package_cannot_place_anything_outside_its_folder(tmp_path, fetched, members):
    outside = tmp_path / "outside"
    outside.mkdir()
    placed = [
        (name.format(outside=outside), d.format(outside=outside) if isinstance(d, str) else d)
        for name, d in members
    ]
    fetched.append(deb(placed))
    with contextlib.suppress(OSError), fetching.unpacked_package("p") as root:
        assert [path for path in tmp_path.rglob("evil") if root not in path.parents] == []
    assert list(tmp_path.rglob("evil")) == []
    assert list(outside.iterdir()) == []
