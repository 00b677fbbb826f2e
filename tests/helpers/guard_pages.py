"""Arrays against a guard page: memory whose every access ends the process."""

from __future__ import annotations

import ctypes
import mmap
import sys

import numpy as np

HAS_GUARD_PAGES = sys.platform != "win32"
PROT_NONE = 0


def guarded(array: np.ndarray, side: str) -> np.ndarray:
    """Return a copy with a guard page right "before" or "behind" it."""
    page = mmap.PAGESIZE
    pages = -(-max(array.nbytes, 1) // page)
    memory = mmap.mmap(-1, (pages + 1) * page)
    guard, first = (0, page) if side == "before" else (pages * page, pages * page - array.nbytes)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory)) + guard
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(page), PROT_NONE) != 0:
        raise OSError(ctypes.get_errno(), "mprotect")
    copy = np.frombuffer(memory, array.dtype, array.size, first).reshape(array.shape)
    copy[...] = array
    return copy
