"""Recognize files of other programs by their first bytes, for error messages."""

from __future__ import annotations

import codecs
import re
from itertools import islice
from typing import NamedTuple

__all__ = ["START_BYTES", "recognized"]

# Number of bytes to read.
START_BYTES = 2**16
# Limits for archives: members, and bytes of their names.
_MOST_MEMBERS, _MOST_NAME_BYTES = 50, 256

_SAVE = "save the model by its own save method, and load that"
_UNPACK = "unpack it first; joblib.dump(..., compress=...) writes such files as well, as pickles"
_PICKLE = f"cnn_core runs no pickles: {_SAVE}, or read it with what wrote it"
_READ_THERE = "read it with the library that wrote it; cnn_core loads what its own save has written"
_DATA = "cnn_core.data.load_file reads data"


class _Signature(NamedTuple):
    """The first bytes of a file format.

    Attributes
    ----------
    pattern : bytes
        A regular expression for the first bytes.
    kind : str
        Name of the format, for messages.
    advice : str
        What to do with it.
    """

    pattern: bytes
    kind: str
    advice: str


# The first match is used.
_SIGNATURES = (
    _Signature(rb"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19", "a PyTorch file", _READ_THERE),
    _Signature(rb"\x80[\x02-\x05]", "a pickle, as pickle.dump or joblib.dump writes it", _PICKLE),
    _Signature(
        rb"[(\]})]?(c[A-Za-z_][\w.]*\n\w+\n|[dl]p\d+\n|q\0)", "a pickle of an old protocol", _PICKLE
    ),
    _Signature(rb"\x1f\x8b", "a file packed by gzip", _UNPACK),
    _Signature(rb"x[\x01\x5e\x9c\xda]", "a file packed by zlib", _UNPACK),
    _Signature(rb"BZh[1-9]1AY&SY", "a file packed by bzip2", _UNPACK),
    _Signature(rb"\xfd7zXZ\0|\x5d\0\0[\x80\0]\0", "a file packed by xz or lzma", _UNPACK),
    _Signature(rb"\x04\x22M\x18|\x28\xb5\x2f\xfd", "a file packed by lz4 or zstd", _UNPACK),
    _Signature(rb"\x89HDF\r\n\x1a\n", "an HDF5 file, such as Keras writes (.h5)", _READ_THERE),
    _Signature(rb"\x93NUMPY", "an array in NumPy's format (.npy)", f"{_DATA}, numpy.load arrays"),
    _Signature(rb"\0\0[\x08\x09\x0b-\x0e][\x01-\x20]", "a data set (IDX)", "use cnn_core.read_idx"),
    _Signature(rb".{4}TFL3", "a TensorFlow Lite model", _READ_THERE),
    _Signature(rb"GGUF", "a GGUF model", _READ_THERE),
    _Signature(
        rb"PAR1|ARROW1|SQLite format 3\0",
        "a table (Parquet, Arrow or SQLite)",
        "read it with pandas",
    ),
    # Protocol buffers: the version of the format, then the producer or the graph.
    _Signature(
        rb"\x08[\x01-\x1f][\x12\x1a\x22\x2a\x32\x3a\x42]",
        "an ONNX model",
        "run it with onnxruntime; cnn_core loads what its own save has written",
    ),
    _Signature(
        rb"version https://git-lfs",
        "a pointer of Git LFS in the place of the file",
        "fetch the file itself with git lfs pull",
    ),
    _Signature(rb"\s*(<!DOCTYPE|<html|<\?xml)", "a web page or XML", "was the download refused?"),
)
# By the name of a member, for archives.
_MEMBERS = (
    _Signature(rb"(.*/)?data\.pkl", "a PyTorch file", _READ_THERE),
    _Signature(rb".*\.weights\.h5", "a Keras model (.keras)", _READ_THERE),
    _Signature(rb"(.*/)?schema\.json", "a skops file", _READ_THERE),
    _Signature(rb"xl/.*", "an Excel sheet", "write it as .csv; " + _DATA),
    _Signature(rb".*\.npy", "an archive of NumPy arrays (.npz)", f"{_DATA}, numpy.load arrays"),
    _Signature(rb"", "a zip archive", "unpack it first"),
)


def recognized(start: bytes) -> str | None:
    """Return what a file is and what to do with it.

    Parameters
    ----------
    start : bytes
        Its first `START_BYTES`, or all of it.

    Returns
    -------
    str or None
        Text for a message; None if the format is not recognized.
    """
    if not start:
        return "an empty file: was it being written when the disk was full?"
    if start.startswith(b"PK\x03\x04"):
        names = _members(start)
        for pattern, kind, advice in _MEMBERS:
            if any(re.fullmatch(pattern, name, re.DOTALL) for name in names) or not pattern:
                return f"{kind}; {advice}"
    for pattern, kind, advice in _SIGNATURES:
        if re.match(pattern, start, re.DOTALL):
            return f"{kind}; {advice}"
    return _text(start)


def _members(start: bytes) -> list[bytes]:
    """Return the names of the first members of a zip archive, as far as they are in `start`."""
    names = []
    for head in islice(re.finditer(rb"PK\x03\x04", start), _MOST_MEMBERS):
        first = head.start() + 30
        length = int.from_bytes(start[first - 4 : first - 2], "little")
        names.append(start[first : first + min(length, _MOST_NAME_BYTES)])
    return names


def _text(start: bytes) -> str | None:
    try:
        # Incrementally, since the last character may have been cut.
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(start)
    except UnicodeDecodeError:
        return None
    if not all(character.isprintable() or character in "\t\r\n\f" for character in text):
        return None
    if re.match(r'\s*\{\s*"format": "cnn-core (run|training|article)"', text):
        return "the record of a run; load the file model.safetensors beside it"
    if re.match(r"\s*[\[{]", text):
        return f"JSON; {_READ_THERE}"
    if "," in text or ";" in text or "\t" in text:
        return f"a table of text (CSV); {_DATA}"
    return f"text; {_READ_THERE}"
