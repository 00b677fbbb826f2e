"""Memory for blocks of rows that is returned to the system when a block is dropped."""

from __future__ import annotations

import math
import mmap
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["all_finite", "block_memory"]

# Values checked at a time, few enough for the caches.
_AT_ONCE = 2**18


def block_memory(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return an uninitialised array in its own memory pages.

    An allocator would keep the memory of freed blocks and split it for other uses. After a few
    blocks the process would hold one or two more than are in use.
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
        # As in NumPy: a few large pages take a fraction of the time of many small ones.
        with suppress(OSError):
            pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, kind).reshape(shape)


def all_finite(values: npt.NDArray[Any]) -> bool:
    """Tell whether no value of a C-contiguous array of floats is infinite or NaN."""
    flat = values.reshape(-1)
    starts = range(0, flat.size, _AT_ONCE)
    return all(np.isfinite(flat[start : start + _AT_ONCE]).all() for start in starts)
