"""What the tests of hostile files and the fuzzer share: valid files and their readers.

A reader may give a result or refuse the file with an error of ours that names it; anything else,
a warning included, is a defect.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import struct
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars  # noqa: F401 (so that no test measures what importing it takes)

import cnn_core
from cnn_core.data import DataError, load_file, read_idx
from cnn_core.data.fashion_mnist import FILES
from cnn_core.data.idx import read_known_idx
from cnn_core.model_file import ModelFileError
from hostile_checkpoints import checkpoints, resume
from paths import GOLDEN


class Kind(NamedTuple):
    """A kind of file: its ending, how it is read, which error refuses it, and valid files of it."""

    ending: str
    read: Callable[[Path], Any]
    error: type[ValueError]
    seeds: tuple[bytes, ...]


def _idx() -> tuple[bytes, ...]:
    bytes_of_images = struct.pack(">4B3I", 0, 0, 8, 3, 2, 3, 4) + bytes(range(24))
    doubles = struct.pack(">4BI3d", 0, 0, 14, 1, 3, 0.5, float("nan"), -1)
    return bytes_of_images, doubles


def npy(array: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, **options)
    return stream.getvalue()


def npz(arrays: dict[str, np.ndarray], packed: bool = True) -> bytes:
    stream = io.BytesIO()
    (np.savez_compressed if packed else np.savez)(stream, **arrays)
    return stream.getvalue()


def _npy() -> tuple[bytes, ...]:
    x = np.arange(12.0).reshape(4, 3)
    return npy(x), npy(np.asfortranarray(x)), npy(x > 5), npy(x, version=(2, 0))


def _npz() -> tuple[bytes, ...]:
    x, y = np.arange(12.0).reshape(4, 3), np.array(["a", "b", "a", "c"])
    arrays = {"x_train": x, "y_train": y, "x_test": x, "y_test": y}
    return npz(arrays), npz({"X": x, "y": np.arange(4)}, packed=False)


_CSV = (
    b"length,kind,weight\n1.5,2,3\n-4e3,0,1\n",
    b'"a, b",c\n"1",lily\n2,"ro""se"\n',
    b"1,2,3\r\n4,5,6\r\n\r\n",
)


def _models() -> tuple[bytes, ...]:
    golden = sorted(GOLDEN.glob("*_version_*.safetensors"))
    return (*(path.read_bytes() for path in golden), *_checkpoints(), *_tables())


def _tables() -> tuple[bytes, ...]:
    """Learners of tables with a column of each kind."""
    table = {
        "x": [*np.arange(29.0), None],
        "c": ["a", "b", None] * 10,
        "d": np.arange(30).astype("datetime64[D]"),
    }
    settings = {"n_members": 1, "max_steps": 1, "n_bins": 3, "hidden_layer_sizes": 2}
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for kind in (cnn_core.TabularClassifier, cnn_core.TabularRegressor):
            path = Path(folder) / "learner"
            kind("best", **settings, random_state=0, backend="numpy").fit(
                table, np.arange(30) % 3
            ).save(path)
            found.append(path.read_bytes())
    return tuple(found)


def _checkpoints() -> tuple[bytes, ...]:
    return tuple(checkpoints().values())


def sealed(data: bytes) -> bytes:
    """Return a damaged model file with the checksum that its bytes should have, if it can be."""
    length = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + length])
        texts = header["__metadata__"]
        texts["sha256"] = "0" * 64
        text = json.dumps(header, separators=(",", ":")).encode()
        digest = hashlib.sha256(text + data[8 + length :]).hexdigest()
        text = text.replace(b"0" * 64, digest.encode(), 1)
    except (KeyError, TypeError, ValueError, RecursionError):
        return data
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def load_and_use(path: Path) -> Any:
    """Read a model and let it predict: what was read must be of use, not only be an object."""
    loaded = cnn_core.load(path, backend="numpy")
    if isinstance(loaded, cnn_core.TabularClassifier | cnn_core.TabularRegressor):
        nothing = {str(name): [None] * 2 for name in range(loaded.n_features_in_)}
        vars(loaded).pop("feature_names_in_", None)
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".* was fitted without feature names")
            loaded.predict(nothing)
        return loaded
    model = getattr(loaded, "model_", loaded)
    inputs = loaded.input_neurons if isinstance(loaded, cnn_core.NN) else model.network.n_inputs
    # Weights that overflow, or are none, predict what they predict.
    with np.errstate(all="ignore"):
        loaded.predict(np.zeros((2, inputs), loaded.dtype if loaded is model else None))
    return loaded


def _sealed_first(read: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """Make a reader of files whose checksum is made right, so that what is behind it is reached."""

    def read_sealed(path: Path) -> Any:
        path.write_bytes(sealed(path.read_bytes()))
        return read(path)

    return read_sealed


def _read_known(path: Path) -> Any:
    return read_known_idx(path, shape=FILES[0].shape)


KINDS = {
    "idx": Kind(".idx", read_idx, DataError, _idx()),
    "idx.gz": Kind(".gz", read_idx, DataError, tuple(gzip.compress(s, mtime=0) for s in _idx())),
    "known idx": Kind(".gz", _read_known, DataError, _idx()),
    "npy": Kind(".npy", lambda path: load_file(path, has_target=False), DataError, _npy()),
    "npz": Kind(".npz", load_file, DataError, _npz()),
    "csv": Kind(".csv", load_file, DataError, _CSV),
    "csv without header": Kind(
        ".csv", lambda path: load_file(path, header=False), DataError, _CSV[2:]
    ),
    "model": Kind(
        ".safetensors",
        load_and_use,
        ModelFileError,
        _models(),
    ),
    "sealed model": Kind(".safetensors", _sealed_first(load_and_use), ModelFileError, _models()),
    "checkpoint": Kind(".safetensors", resume, ModelFileError, _checkpoints()),
    "sealed checkpoint": Kind(
        ".safetensors", _sealed_first(resume), ModelFileError, _checkpoints()
    ),
}


def read_or_refuse(kind: Kind, path: Path) -> Any:
    """Return what the reader gives, or the error with which it refuses the file as it should."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return kind.read(path)
    except kind.error as error:
        refusal = error
        shown = _shown(error)
    assert str(path) in str(refusal), f"the file is not named: {refusal}"
    for text in shown:
        assert len(text) < 3000, "a message of many lines"
        assert text.replace(str(path), "").isprintable(), "a message that a terminal obeys"
    return refusal


def _shown(error: BaseException | None) -> list[str]:
    """What a traceback says of an error and of those that led to it."""
    texts = []
    while error is not None:
        texts.append(str(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return texts


def zipped(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method, compresslevel=1) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return stream.getvalue()
