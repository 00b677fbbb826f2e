"""Memory of blocks of rows, which goes back to the system as soon as a block is dropped."""

from __future__ import annotations

import math
import mmap
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["all_finite", "block_memory"]

# Values looked at together, few enough for the caches.
_AT_ONCE = 2**18


def block_memory(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return an array that is not filled, in pages of its own.

    An allocator would keep what a block leaves, and cut it up for others: after a few blocks a
    process holds one or two more than are in use.
    """
    kind = np.dtype(dtype)
    size = math.prod(shape) * kind.itemsize
    if not size:
        return np.empty(shape, kind)
    private = (
        {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if hasattr(mmap, "MAP_PRIVATE") else {}
    )
    try:
        pages = mmap.mmap(-1, size, **private)
    except OSError as error:
        raise MemoryError(f"no memory for a block of {size} bytes") from error
    if hasattr(mmap, "MADV_HUGEPAGE"):
        # As NumPy does: a few large pages are had in a fraction of the time of many small ones.
        with suppress(OSError):
            pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, kind).reshape(shape)


def all_finite(values: npt.NDArray[Any]) -> bool:
    """Tell whether no value of a C-contiguous array of floats is infinite or NaN."""
    flat = values.reshape(-1)
    starts = range(0, flat.size, _AT_ONCE)
    return all(np.isfinite(flat[start : start + _AT_ONCE]).all() for start in starts)
