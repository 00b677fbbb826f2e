"""Philox 4x32-10: random numbers that are a function of a key and a counter alone."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_LOW = np.uint64(0xFFFFFFFF)
_HIGH = np.uint64(32)


def philox(key: int, *counter: npt.NDArray[np.uint64] | int) -> npt.NDArray[np.uint64]:
    """Return the four numbers of each counter, in a last dimension of their own.

    The four words of the counters broadcast against each other and count modulo 2**32 (Salmon et
    al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
    """
    words = [np.atleast_1d(np.asarray(word & 0xFFFFFFFF, np.uint64)) for word in counter]
    x0, x1, x2, x3 = np.broadcast_arrays(*words)
    for turn in range(10):
        # The constants of the key schedule: the golden ratio and the root of 3.
        k0 = np.uint64((key + turn * 0x9E3779B9) & 0xFFFFFFFF)
        k1 = np.uint64(((key >> 32) + turn * 0xBB67AE85) & 0xFFFFFFFF)
        left, right = np.uint64(0xD2511F53) * x0, np.uint64(0xCD9E8D57) * x2
        x0, x1 = right >> _HIGH ^ x1 ^ k0, right & _LOW
        x2, x3 = left >> _HIGH ^ x3 ^ k1, left & _LOW
    return np.stack([x0, x1, x2, x3], axis=-1)
