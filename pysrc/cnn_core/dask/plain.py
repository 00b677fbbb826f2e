"""Common code of Dask estimators: parameters, copies, and conversion to plain estimators."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from distributed import Client

_Estimator = TypeVar("_Estimator", bound="OfPlain")


def with_parameters_of(plain: type[Any], own: tuple[str, ...]) -> Callable[..., None]:
    """Return an ``__init__`` with the parameters of a plain estimator, and others, by default None.

    Parameters
    ----------
    plain : type
    own : tuple of str
    """

    def begin(self: Any, *args: Any, **parameters: Any) -> None:
        for name in own:
            setattr(self, name, parameters.pop(name, None))
        plain.__init__(self, *args, **parameters)

    signature = inspect.signature(plain.__init__)
    more = (inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in own)
    # scikit-learn reads the names of the parameters from it.
    vars(begin)["__signature__"] = signature.replace(
        parameters=[*signature.parameters.values(), *more]
    )
    return begin


class OfPlain:
    """Base class of all Dask estimators.

    Attributes
    ----------
    client : distributed.Client or None
    """

    client: Client | None
    # The class of the plain estimator, and the attributes that it does not have.
    _plain: ClassVar[type[Any]]
    _own: ClassVar[tuple[str, ...]]

    def to_local(self) -> Any:
        """Return a fitted plain estimator with the same parameters.

        Raises
        ------
        NotFittedError
            Before the first `fit`.
        """
        self._require_fitted()  # type: ignore[attr-defined]
        local = self._plain(**self._parameters_without(self._own))
        vars(local).update({k: v for k, v in vars(self).items() if k not in self._own})
        return local

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plain estimator to a file that `cnn_core.load` reads; see `to_local`."""
        self.to_local().save(path)

    def _parameters_without(self, names: tuple[str, ...]) -> dict[str, Any]:
        parameters = self.get_params(deep=False)  # type: ignore[attr-defined]
        return {name: value for name, value in parameters.items() if name not in names}

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the client, which is a connection of this process."""
        return {**vars(self), "client": None}

    def __sklearn_clone__(self: _Estimator) -> _Estimator:
        """Return an estimator with the same parameters and the same client."""
        from sklearn.base import clone

        parameters = self._parameters_without(("client",))
        made = type(self)(**{name: clone(one, safe=False) for name, one in parameters.items()})
        made.client = self.client
        return made
