"""Minimal replacements of scikit-learn's base classes, used if it is not installed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


class NotFittedError(ValueError, AttributeError):
    """A method or attribute needs a fitted estimator."""


class ConvergenceWarning(UserWarning):
    """A training ended before it converged."""


class DataConversionWarning(UserWarning):
    """Data were converted to another shape."""


class BaseEstimator:
    """An estimator that stores the parameters of ``__init__`` under their names."""

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return sorted(name for name in inspect.signature(cls).parameters)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters.

        Parameters
        ----------
        deep : bool
            Ignored: no parameter is an estimator.

        Returns
        -------
        dict of str to object
        """
        return {name: getattr(self, name) for name in self._parameter_names()}

    def set_params(self, **parameters: Any) -> Any:
        """Set parameters and return the estimator.

        Raises
        ------
        ValueError
            For an unknown parameter.
        """
        known = self._parameter_names()
        for name in parameters:
            if name not in known:
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {type(self).__name__}: "
                    f"expected one of {', '.join(known)}"
                )
        for name, value in parameters.items():
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        """Return the class with the parameters that differ from their defaults."""
        defaults = inspect.signature(type(self)).parameters
        changed = (
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if repr(value) != repr(defaults[name].default)
        )
        return f"{type(self).__name__}({', '.join(changed)})"

    def __sklearn_tags__(self) -> Any:
        """Unused: only scikit-learn calls it."""
        raise NotImplementedError("tags are scikit-learn's: it is not installed")


class ClassifierMixin:
    """Marks an estimator as a classifier."""

    _estimator_type = "classifier"


class RegressorMixin:
    """Marks an estimator as a regressor."""

    _estimator_type = "regressor"


class CallbackSupportMixin:
    """Empty: scikit-learn's callbacks need scikit-learn 1.9."""

    def _init_callback_context(self, *, max_subtasks: int) -> Any:
        raise NotImplementedError("callbacks of scikit-learn's protocol need scikit-learn 1.9")


def with_callbacks(method: Function) -> Function:
    """Return the method itself."""
    return method
