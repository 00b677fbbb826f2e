"""Files that lie about what they hold, as bytes."""

from __future__ import annotations

import gzip
import json
import struct

import numpy as np

from cnn_core.data.fashion_mnist import FILES
from cnn_core.model_file import read_tensors, write_tensors
from hostile import npy, npz, zipped
from hostile_checkpoints import checkpoints
from paths import GOLDEN

MIB = 2**20


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
    "empty file": (b"", "an empty file"),
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
        "wrong magic": (b"\x89PNG\r\n\x1a\n" + bytes(9), "(text in|NUL byte)"),
        "lying sizes": (b"a,b\n1,2\n1,2,3\n", "2 cells on line 3, found 3"),
        "overflowing products": (b"a,b\n1e999,2\n", "finite number in column 'a', found '1e999'"),
        "trailing bytes": (b"a,b\n1,2\n\0\0", "a NUL byte on line 3"),
        "NaN": (b"a,b\nnan,2\n", "finite number in column 'a', found 'nan'"),
        "NaN among targets": (b"a,b\n1,2\n1,nan\n", "finite number in column 'b', found 'nan'"),
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
