"""What a backend is: it gives the kernels and the engines of `cnn_core.backends.interface`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy.typing as npt

from cnn_core.backends.interface import Engine, Kernels
from cnn_core.backends.kernels import checked
from cnn_core.network import Network
from cnn_core.types import FloatArray


@dataclass(frozen=True, eq=False)
class EngineSpec:
    """What an engine is made of.

    Attributes
    ----------
    network : Network
    parameters : (n_parameters,) array, float32 or float64
        Trained in place. The compiled engine is fastest if it begins on a cache line:
        `cnn_core.backends.alignment.aligned`.
    moments : (network.optimizer.n_moments, n_parameters) array, optional
        What the optimizer keeps, bound like the parameters; by default the engine's own zeros.
        Rows may lie apart, so that each begins on a cache line.
    statistics : (network.n_statistics,) array, optional
        Running averages of batch normalization, bound likewise; by default the engine's own
        `Network.first_statistics`.
    average : (n_parameters,) array, optional
        The average of the parameters, bound likewise; by default, if the network's `averaging` is
        above 0, the engine's own copy of the parameters. Not allowed if it is 0.
    seed : int
        From 0 to below ``2**64``: the key of the dropout's random numbers.
    threads : int, optional
        At most so many for a step; by default `Backend.threads`. They change no bit of any result.
    """

    network: Network
    parameters: FloatArray
    _: KW_ONLY
    moments: FloatArray | None = None
    statistics: FloatArray | None = None
    average: FloatArray | None = None
    seed: int = 0
    threads: int | None = None


class Backend(ABC):
    """What every backend gives.

    Attributes
    ----------
    name : str
        ``"cython"`` or ``"numpy"``.
    isa : str
        The ISA level of the kernels; ``"numpy"`` where NumPy decides.
    """

    name: str
    isa: str

    @property
    @abstractmethod
    def threads(self) -> int | None:
        """Threads that an engine uses unless told otherwise; None where NumPy's BLAS decides."""

    @abstractmethod
    def unchecked_kernels(self, dtype: npt.DTypeLike) -> Kernels:
        """Return the kernels without checks, for arrays that are known to fit.

        The checks take longer than an operation on some ten samples.
        """

    def kernels(self, dtype: npt.DTypeLike) -> Kernels:
        """Return the kernels for arrays of `dtype`, float32 or float64."""
        return checked(self.unchecked_kernels(dtype), dtype)

    @abstractmethod
    def engine_from(self, spec: EngineSpec) -> Engine:
        """Return an engine that trains ``spec.parameters`` in place."""

    def engine(self, network: Network, parameters: FloatArray, **options: Any) -> Engine:
        """Return an engine that trains `parameters` in place; see `EngineSpec`."""
        return self.engine_from(EngineSpec(network, parameters, **options))

    @abstractmethod
    def module_paths(self) -> dict[str, str]:
        """Return the file of each module that computes."""
