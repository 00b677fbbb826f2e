"""Reading takes no more memory than the reader states, even for files that lie about sizes."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys

import numpy as np
import pytest

from cnn_core import Model
from cnn_core.data import DataError, load_file, read_idx
from cnn_core.data.checks import ALWAYS_ALLOWED_BYTES
from cnn_core.data.fashion_mnist import FILES
from cnn_core.model_file import MAX_HEADER_BYTES, ModelFileError, read_tensors
from cnn_core.network import Dense, Network
from cnn_core.optimizers import Adam
from damage import tree_of, write_tree
from hostile import KINDS, npy, npz, read_or_refuse, zipped
from hostile_bytes import MIB, as_file, gzip_bomb, model_bytes
from hostile_checkpoints import TRAININGS, checkpoints
from memory_peak import memory_peak
from paths import GOLDEN, HELPERS

# Memory


def peak_of(read, path, **options):
    """The most memory that was taken while a file was read or refused, and the error if refused."""
    error = None
    with memory_peak() as peak:
        try:
            read(path, **options)
        except (DataError, ModelFileError) as refusal:
            error = refusal
    return peak.bytes, error


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


@pytest.mark.slow
def test_a_table_of_many_columns_takes_at_most_a_hundred_times_its_size(tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text(",".join("1" * 100_000), encoding="utf-8")
    peak, error = peak_of(load_file, path, header=False)
    assert error is None
    assert peak < 100 * path.stat().st_size


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
        # What was freed is given back: a file would be read into it, whatever the limit.
        env={**os.environ, "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(lines), f"{lines[len(answers)]}: {done.returncode} {done.stderr}"
    assert done.returncode == 0
    return answers


only_linux = pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")


@pytest.mark.slow
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


@pytest.mark.slow
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
