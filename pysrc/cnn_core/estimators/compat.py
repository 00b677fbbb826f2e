"""scikit-learn's base classes, warnings and errors; our own if it is not installed.

A broken installation of scikit-learn is an error; it is not ignored.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

# The folder of the documentation.
DOCUMENTATION = "https://github.com/cnn-core/cnn-core/tree/main/docs"
HAS_SKLEARN = importlib.util.find_spec("sklearn") is not None
# Since version 1.9.
HAS_CALLBACKS = HAS_SKLEARN and importlib.util.find_spec("sklearn.callback") is not None

if TYPE_CHECKING or not HAS_SKLEARN:
    from cnn_core.estimators.standalone import (
        BaseEstimator,
        ClassifierMixin,
        ConvergenceWarning,
        DataConversionWarning,
        NotFittedError,
        RegressorMixin,
    )
else:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
    from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError

if TYPE_CHECKING or not HAS_CALLBACKS:
    from cnn_core.estimators.standalone import CallbackSupportMixin, with_callbacks
else:
    from sklearn.callback import CallbackSupportMixin, with_callbacks

__all__ = [
    "DOCUMENTATION",
    "HAS_CALLBACKS",
    "HAS_SKLEARN",
    "BaseEstimator",
    "CallbackSupportMixin",
    "ClassifierMixin",
    "ConvergenceWarning",
    "DataConversionWarning",
    "NotFittedError",
    "RegressorMixin",
    "available_if",
    "with_callbacks",
]


class available_if:  # noqa: N801
    """Decorate a method that an object has only under a condition.

    Parameters
    ----------
    condition : callable
        Takes the object; raises ``AttributeError`` with the reason why there is no such method.
    """

    def __init__(self, condition: Callable[[Any], None]) -> None:
        self._condition = condition

    def __call__(self, method: Callable[..., Any]) -> Any:
        """Return the method in its new form."""
        return _Conditional(self._condition, method)


class _Conditional:
    def __init__(self, condition: Callable[[Any], None], method: Callable[..., Any]) -> None:
        self._condition = condition
        self._method = method
        self.__doc__ = method.__doc__

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        # Accessed on the class it is a plain function, whose signature can be read.
        if owner is None:
            return self._method
        self._condition(owner)
        return self._method.__get__(owner, kind)
