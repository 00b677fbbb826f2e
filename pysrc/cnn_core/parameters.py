"""The parameters of an `NN`: one flat array, and the views of it that have names."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from cnn_core.arrays import as_finite, as_numbers
from cnn_core.network import FloatArray, Network

# Weights before bias, layer after layer, as in the flat array.
NAMES = ("wih", "bih", "who", "bho")


class Parameters:
    """The flat array of a network of two layers; `network.Network` says how it is laid out.

    Parameters
    ----------
    network : Network
    flat : (n_parameters,) array
        Bound, not copied.

    Attributes
    ----------
    flat : array
    bias_rows : int
        Rows of each bias: 1 for the exact rule; for the article's the number of samples that were
        fitted, 0 before.
    """

    __slots__ = ("_network", "_views", "bias_rows", "flat")

    def __init__(self, network: Network, flat: FloatArray) -> None:
        self._network = network
        self.flat = flat
        self.bias_rows = network.bias_rows(flat.size)
        # Transposed: units are rows in the attributes of `NN`, columns in the kernels.
        views = [array.T for layer in network.unflatten(flat) for array in layer]
        self._views: dict[str, FloatArray] = dict(zip(NAMES, views, strict=True))

    @classmethod
    def zeros(cls, network: Network, dtype: npt.DTypeLike) -> Parameters:
        """Return the parameters, all of them 0, of a network that was not fitted yet."""
        bias_rows = 1 if network.rule == "exact" else 0
        return cls(network, np.zeros(network.n_parameters(bias_rows), dtype))

    def with_bias_rows(self, rows: int) -> Parameters:
        """Return parameters with these weights, copied, and `rows` rows of zero biases."""
        flat = np.zeros(self._network.n_parameters(rows), self.flat.dtype)
        parameters = Parameters(self._network, flat)
        for name in ("wih", "who"):
            parameters._views[name][...] = self._views[name]
        return parameters

    def weights(self, name: str) -> FloatArray:
        """Return the view (units, inputs) of the layer's weights."""
        return self._views[name]

    def bias(self, name: str) -> FloatArray | int:
        """Return the view (units,) of a layer's bias, for the article's rule (units, samples).

        Where there are no samples yet it is the number 0.
        """
        return self._views[name] if self.bias_rows else 0

    def assign(self, name: str, value: npt.ArrayLike) -> None:
        """Copy finite numbers into a view.

        Raises
        ------
        TypeError, ValueError
            For anything but finite numbers in the shape of the view.
        """
        target: FloatArray | int = self.bias(name) if name in ("bih", "bho") else self.weights(name)
        found = as_numbers(value, name)
        if found.shape != np.shape(target):
            raise ValueError(f"{name}: expected the shape {np.shape(target)}, found {found.shape}")
        if isinstance(target, np.ndarray):
            target[...] = as_finite(found, target.dtype, name)
        elif found != target:
            raise ValueError(f"{name}: the article's rule starts from 0, found {found}")

    def tensors(self) -> dict[str, FloatArray]:
        """Return the views by their names, those of the biases with as many rows as there are."""
        return dict(self._views)

    def restore(self, tensors: Mapping[str, FloatArray]) -> None:
        """Take over what `tensors` gave, also where it is not finite.

        Raises
        ------
        KeyError, ValueError
            If an array is missing, or of another shape or dtype.
        """
        for name, own in self._views.items():
            array = tensors[name]
            if array.dtype != own.dtype:
                raise ValueError(f"{name}: expected {own.dtype}, found {array.dtype}")
            if array.shape != own.shape:
                raise ValueError(f"{name}: expected the shape {own.shape}, found {array.shape}")
            own[...] = array
