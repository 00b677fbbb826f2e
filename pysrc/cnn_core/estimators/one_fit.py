"""One fit of an estimator at a time."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from weakref import WeakKeyDictionary

from cnn_core.exclusive import Exclusive

# Not an attribute, since a copy made during a fit would share it.
_FITS: WeakKeyDictionary[Any, Exclusive] = WeakKeyDictionary()


def one_fit(estimator: Any) -> AbstractContextManager[None]:
    """Return a context in which no other fit of the estimator begins.

    Raises
    ------
    RuntimeError
        On entering, if there is a fit of it already.
    """
    return _FITS.setdefault(estimator, Exclusive()).held(
        "this estimator is being fitted already, by another thread or one of its callbacks; "
        "wait for it, or fit a clone"
    )
