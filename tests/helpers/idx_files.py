"""IDX files of arrays of bytes, for tests."""

from __future__ import annotations

import gzip
import struct

import numpy as np


def write_idx(path, values):
    """Write bytes as an IDX file, packed if its name says so."""
    values = np.asarray(values, np.uint8)
    header = struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    contents = header + values.tobytes()
    path.write_bytes(gzip.compress(contents) if path.suffix == ".gz" else contents)
    return path
