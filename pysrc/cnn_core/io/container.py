"""The file format of models: named arrays of numbers and text, nothing that can run.

The layout is that of safetensors: the length of the header as eight little-endian bytes, a header
in JSON, and the values of all tensors, little-endian, one after the other::

    {"__metadata__": {"format": "cnn-core", "format_version": "1", "sha256": "...", ...},
     "name": {"dtype": "F32", "shape": [784, 128], "data_offsets": [0, 401408]}, ...}

The header is padded with spaces to a multiple of eight bytes. Tensors follow each other in the
order of the header without gaps. ``sha256`` is the digest of the header, written as `_header_text`
writes it with 64 zeros in place of the digest, followed by the values.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
from collections.abc import Mapping
from io import BufferedReader
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from cnn_core.files import NotAFileError, atomic_write, in_message, open_file
from cnn_core.io.foreign import START_BYTES, recognized

__all__ = ["ModelFileError", "read_tensors", "write_tensors"]

FORMAT = "cnn-core"
FORMAT_VERSION = 1
MAX_HEADER_BYTES = 2**20

_NOT_OURS = "not a model file of cnn-core"
_METADATA = "__metadata__"
_OWN_KEYS = ("format", "format_version", "sha256")
_NO_DIGEST = "0" * 64
_MAX_RANK = 32
_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
_CODES = {np.dtype(np.float32): "F32", np.dtype(np.float64): "F64"}

PathLike = str | os.PathLike[str]


class ModelFileError(ValueError):
    """The file is not a model file, is incomplete, or is of a newer version.

    Parameters
    ----------
    path : str or path-like
        The file.
    reason : str
        What was expected, what was found, and what to do about it. Text from the file is escaped,
        so that it cannot control a terminal.
    """

    def __init__(self, path: PathLike, reason: str) -> None:
        # Both are passed on unchanged, so that the error survives pickling.
        super().__init__(path, reason)
        self.path = os.fspath(path)
        self.reason = reason

    def __str__(self) -> str:
        """Return file and reason in one line."""
        return f"{self.path}: {in_message(self.reason, 2500)}"


class _Entry(NamedTuple):
    """A tensor as the header declares it."""

    name: str
    code: str
    shape: tuple[int, ...]
    begin: int
    end: int


# Writing


def write_tensors(
    path: PathLike, tensors: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str]
) -> None:
    """Write named arrays and text to a file, completely or not at all.

    Parameters
    ----------
    path : str or path-like
        File to create or to replace.
    tensors : mapping of str to numpy.ndarray
        Float32 or float64 arrays of any shape, layout and byte order.
    metadata : mapping of str to str
        Text to keep with them. ``format``, ``format_version`` and ``sha256`` are added.

    Raises
    ------
    TypeError
        A name or a text is not a str, or an array is not an array of float32 or float64.
    ValueError
        A name is empty or reserved, a text is not valid Unicode, or names and texts together
        exceed the header's limit of 1 MiB.
    OSError
        The file cannot be written; an existing file is then unchanged.
    """
    _check_metadata(metadata)
    arrays = {_checked_name(name): _checked_array(name, a) for name, a in tensors.items()}
    entries = _entries(arrays)
    texts = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "sha256": _NO_DIGEST,
        **metadata,
    }
    digest = hashlib.sha256(_header_text(texts, entries))
    for array in arrays.values():
        digest.update(_bytes_of(array))
    header = _padded(_header_text({**texts, "sha256": digest.hexdigest()}, entries))
    if len(header) > MAX_HEADER_BYTES:
        raise ValueError(
            f"names and metadata take {len(header)} bytes, at most {MAX_HEADER_BYTES} can be stored"
        )

    def write(stream: BinaryIO) -> None:
        stream.write(len(header).to_bytes(8, "little"))
        stream.write(header)
        for array in arrays.values():
            stream.write(_bytes_of(array))

    atomic_write(path, write)


def _check_metadata(metadata: Mapping[str, str]) -> None:
    for key, text in metadata.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise TypeError(f"metadata must map str to str, found {key!r}: a {type(text).__name__}")
        if key in _OWN_KEYS:
            raise ValueError(f"the metadata key {key!r} is reserved for the file format")
        if not (_is_unicode(key) and _is_unicode(text)):
            raise ValueError(f"metadata {key!r} holds half a surrogate pair, not valid Unicode")


def _checked_name(name: str) -> str:
    if not isinstance(name, str):
        raise TypeError(f"names of tensors must be str, found {name!r}")
    if not name or name == _METADATA or not _is_unicode(name):
        raise ValueError(f"a tensor cannot be named {name!r}")
    return name


def _checked_array(name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the array in its stored form: little-endian and C-contiguous."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"tensor {name!r} must be an array, found a {type(array).__name__}")
    dtype = array.dtype.newbyteorder("=")
    if dtype not in _CODES:
        raise TypeError(f"tensor {name!r} must be float32 or float64, found {array.dtype}")
    return np.asarray(array, dtype=dtype.newbyteorder("<"), order="C")


def _entries(arrays: Mapping[str, npt.NDArray[Any]]) -> list[_Entry]:
    entries = []
    begin = 0
    for name, array in arrays.items():
        end = begin + array.nbytes
        code = _CODES[array.dtype.newbyteorder("=")]
        entries.append(_Entry(name, code, array.shape, begin, end))
        begin = end
    return entries


def _header_text(metadata: Mapping[str, str], entries: list[_Entry]) -> bytes:
    """Return the canonical text of a header."""
    header: dict[str, Any] = {_METADATA: dict(metadata)}
    for entry in entries:
        header[entry.name] = {
            "dtype": entry.code,
            "shape": list(entry.shape),
            "data_offsets": [entry.begin, entry.end],
        }
    return json.dumps(header, separators=(",", ":")).encode()


def _padded(text: bytes) -> bytes:
    return text + b" " * (-len(text) % 8)


def _bytes_of(array: npt.NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# Reading


def read_tensors(path: PathLike) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    """Read a file that `write_tensors` wrote.

    Every size in it is checked against the size of the file before memory is taken for it, and
    its checksum covers names, texts and values. Nothing in the file is ever run.

    Parameters
    ----------
    path : str or path-like
        File to read.

    Returns
    -------
    tensors : dict of str to numpy.ndarray
        Arrays in the order of the file: float32 or float64 in the machine's byte order,
        C-contiguous and writable.
    metadata : dict of str to str
        The text that was passed to `write_tensors`.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ModelFileError
        The file is damaged, truncated, of another kind, of a newer version than this one, or does
        not fit in memory.
    """
    with _opened(path) as stream:
        file_size = os.fstat(stream.fileno()).st_size
        header = _read_header(path, stream, file_size)
        texts = _read_metadata(path, header)
        entries = _read_entries(path, header, file_size - stream.tell())
        digest = hashlib.sha256(_header_text({**texts, "sha256": _NO_DIGEST}, entries))
        tensors = {}
        for entry in entries:
            try:
                array = np.empty(entry.shape, _DTYPES[entry.code])
            except MemoryError as error:
                raise ModelFileError(
                    path, f"expected tensors that fit in memory, found {file_size} bytes of them"
                ) from error
            view = _bytes_of(array)
            if stream.readinto(view) != len(view):
                raise ModelFileError(path, "the file became shorter while it was read")
            digest.update(view)
            tensors[entry.name] = array.astype(array.dtype.newbyteorder("="), copy=False)
    if digest.hexdigest() != texts["sha256"]:
        raise ModelFileError(
            path,
            f"the file is damaged: its checksum is {digest.hexdigest()}, "
            f"expected {texts['sha256'][:64]}",
        )
    return tensors, {key: text for key, text in texts.items() if key not in _OWN_KEYS}


def _opened(path: PathLike) -> BufferedReader:
    try:
        return open_file(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{os.fspath(path)}: no such file, expected a model file"
        ) from error
    except NotAFileError as error:
        inside = os.path.join(os.fspath(path), "model.safetensors")
        hint = f"; its model is {inside}" if os.path.isfile(inside) else ""
        raise ModelFileError(path, f"expected a model file, found {error.found}{hint}") from error


def _read_header(path: PathLike, stream: BinaryIO, file_size: int) -> dict[str, Any]:
    """Read the header as JSON, its objects without duplicate keys."""
    length = int.from_bytes(stream.read(8), "little")
    if not 2 <= length <= min(file_size - 8, MAX_HEADER_BYTES):
        raise _no_header(path, stream, file_size, length)
    text = stream.read(length)
    if text[:1] != b"{":
        raise _no_header(path, stream, file_size, length)
    try:
        header = json.loads(
            text.decode(), object_pairs_hook=_without_duplicates, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as error:
        raise ModelFileError(
            path, f"{_NOT_OURS}, or damaged: the header is no JSON ({error})"
        ) from error
    # JSON text that begins with a brace is an object.
    return dict(header)


def _no_header(path: PathLike, stream: BinaryIO, file_size: int, declared: int) -> ModelFileError:
    """Return the error for a file without a header; it names the kind of file, if known.

    Parameters
    ----------
    path, stream, file_size
        The file.
    declared : int
        The first bytes as the length of a header.
    """
    stream.seek(0)
    start = stream.read(START_BYTES)
    if start[8:9] == b"{":
        limit = min(file_size - 8, MAX_HEADER_BYTES)
        reason = (
            f"{_NOT_OURS}, or truncated: a header of 2 to {limit} bytes was expected, "
            f"{declared} are declared"
        )
    elif known := recognized(start):
        reason = f"{_NOT_OURS}: found {known}"
    elif len(start) < 8:
        reason = f"{_NOT_OURS}: expected at least 8 bytes, found {len(start)}"
    else:
        reason = f"{_NOT_OURS}: no header in JSON begins at its byte 8, found {start[:16].hex(' ')}"
    return ModelFileError(path, reason)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:80]!r} stands there twice")
        if not _is_unicode(key):
            raise ValueError(f"the key {key[:80]!r} is not valid Unicode")
        found[key] = value
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _read_metadata(path: PathLike, header: dict[str, Any]) -> dict[str, str]:
    """Check the text part of a header: its types, its format and its version."""
    texts = header.get(_METADATA)
    found = texts.get("format") if isinstance(texts, dict) else None
    if not isinstance(texts, dict) or found != FORMAT:
        raise ModelFileError(
            path,
            f"{_NOT_OURS}: expected format {FORMAT!r}, found {found!r:.80}, as in the safetensors "
            "of other programs; cnn_core loads what its own save has written, "
            "safetensors.numpy.load_file reads the arrays of any",
        )
    version = texts.get("format_version")
    if version != str(FORMAT_VERSION):
        raise ModelFileError(
            path,
            f"the file has format version {version!r:.80}, this cnn_core understands version "
            f"{FORMAT_VERSION}; a newer cnn_core may read it",
        )
    for key, text in texts.items():
        if not isinstance(text, str) or not _is_unicode(text):
            raise ModelFileError(path, f"metadata {key[:80]!r}: expected text, found {text!r:.80}")
    if "sha256" not in texts:
        raise ModelFileError(path, "the metadata have no checksum 'sha256'")
    return texts


def _read_entries(path: PathLike, header: dict[str, Any], data_size: int) -> list[_Entry]:
    """Check the tensors of a header: they must fill the rest of the file exactly."""
    entries = []
    begin = 0
    for name, fields in header.items():
        if name == _METADATA:
            continue
        entry = _read_entry(path, name, fields)
        if entry.begin != begin:
            raise ModelFileError(
                path, f"tensor {name[:80]!r} begins at byte {entry.begin}, expected {begin}"
            )
        begin = entry.end
        entries.append(entry)
    if begin != data_size:
        raise ModelFileError(
            path,
            f"expected {begin} bytes of values, found {data_size}: the file is truncated, or "
            "something was added to it",
        )
    return entries


def _read_entry(path: PathLike, name: str, fields: object) -> _Entry:
    where = f"tensor {name[:80]!r}"
    if not name:
        raise ModelFileError(path, "a tensor without a name")
    if not isinstance(fields, dict) or set(fields) != {"dtype", "shape", "data_offsets"}:
        raise ModelFileError(
            path, f"{where}: expected dtype, shape and data_offsets, found {fields!r:.80}"
        )
    code, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if not isinstance(code, str) or code not in _DTYPES:
        raise ModelFileError(path, f"{where}: expected dtype F32 or F64, found {code!r:.80}")
    if not _are_sizes(shape) or len(shape) > _MAX_RANK:
        raise ModelFileError(path, f"{where}: expected a list of sizes, found shape {shape!r:.80}")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise ModelFileError(
            path, f"{where}: expected two offsets, found data_offsets {offsets!r:.80}"
        )
    itemsize = _DTYPES[code].itemsize
    # NumPy also refuses an empty array if the product of its other sizes is absurd.
    absurd = math.prod(max(length, 1) for length in shape) * itemsize > sys.maxsize
    begin, end = offsets
    if absurd or end - begin != math.prod(shape) * itemsize:
        raise ModelFileError(
            path, f"{where}: shape {shape!r:.80} does not take {offsets!r:.80} in the file"
        )
    return _Entry(name, code, tuple(shape), begin, end)


def _are_sizes(value: object) -> bool:
    """Tell whether a value is a list of valid sizes or offsets."""
    return isinstance(value, list) and all(
        # The exact type, because a bool is an int in Python.
        type(number) is int and 0 <= number <= sys.maxsize
        for number in value
    )
