"""Initial values of a network's parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from cnn_core.network import FloatArray, LayerArrays, Network
from cnn_core.validation import shown

Initializer: TypeAlias = Literal[
    "auto",
    "glorot_uniform",
    "glorot_normal",
    "he_uniform",
    "he_normal",
    "lecun_uniform",
    "lecun_normal",
    "article",
]
INITIALIZERS: tuple[Initializer, ...] = get_args(Initializer)


class Random(Protocol):
    """The source of random numbers: a ``numpy.random.RandomState``, or ``numpy.random``."""

    def uniform(self, low: float, high: float, size: Any) -> npt.NDArray[np.float64]:
        """Return numbers from `low` to below `high`."""

    def normal(self, loc: float, scale: float, size: Any) -> npt.NDArray[np.float64]:
        """Return numbers of a normal distribution."""


def initialize(
    network: Network,
    parameters: FloatArray,
    names: Initializer | Sequence[Initializer],
    random: Random,
) -> None:
    """Initialize `parameters` layer by layer, the weights of each before its bias.

    Vectors of an `Embedding` always have a normal distribution with deviation 1. Biases are 0 and
    gains 1, except that ``"auto"`` also draws biases. ``bound`` is the largest absolute value of a
    uniform distribution, ``deviation`` the standard deviation of a normal one, both around 0::

        auto             bound      sqrt(6 / (fan_in + fan_out)), with 2 in place of 6 for sigmoid
                                    units, biases included: scikit-learn's
        glorot_uniform   bound      sqrt(6 / (fan_in + fan_out))         (Glorot and Bengio, 2010)
        glorot_normal    deviation  sqrt(2 / (fan_in + fan_out))
        he_uniform       bound      sqrt(6 / fan_in)                     (He et al., 2015)
        he_normal        deviation  sqrt(2 / fan_in)
        lecun_uniform    bound      sqrt(3 / fan_in)                     (LeCun et al., 1998)
        lecun_normal     deviation  sqrt(1 / fan_in)
        article          deviation  sqrt(1 / fan_in), drawn unit by unit

    Use He's for ReLU and similar activations, LeCun's for SELU, and Glorot's for most others.

    Parameters
    ----------
    network : Network
    parameters : (n_parameters,) array
        Written to.
    names : str or sequence of str
        One of `INITIALIZERS` for all layers, or one for each.
    random : numpy.random.RandomState or numpy.random
        Its stream never changes from one version of NumPy to another. The numbers are drawn in
        float64, whatever the dtype of the parameters.

    Raises
    ------
    TypeError
        If `random` is neither, such as a number.
    ValueError
        For an unknown name, or if the number of names differs from that of layers.
    """
    if not (hasattr(random, "uniform") and hasattr(random, "normal")):
        raise TypeError(
            f"random: expected a numpy.random.RandomState, found {shown(random)}; pass "
            "numpy.random.RandomState(0), for example"
        )
    for name, sigmoid, layer, arrays in zip(
        as_initializers(names, len(network.layers)),
        _feed_sigmoid(network),
        network.layers,
        network.unflatten(parameters),
        strict=True,
    ):
        _draw(name, sigmoid, layer.fans, arrays, random)


def as_initializers(
    names: Initializer | Sequence[Initializer], n_layers: int
) -> tuple[Initializer, ...]:
    """Return the name for each layer; see `initialize`.

    Raises
    ------
    TypeError
        If it is neither a name nor a sequence.
    ValueError
        As for `initialize`.
    """
    if not isinstance(names, str | Sequence):
        raise TypeError(
            f"initializer: expected a name, or one for each layer, found {shown(names)}"
        )
    found = (names,) * n_layers if isinstance(names, str) else tuple(names)
    if len(found) != n_layers:
        raise ValueError(
            f"initializer: expected one name, or {n_layers}, one for each layer, found {len(found)}"
        )
    for name in found:
        if not isinstance(name, str) or name not in INITIALIZERS:
            known = ", ".join(map(repr, INITIALIZERS))
            raise ValueError(f"initializer: expected one of {known}, found {shown(name)}")
    return found


def _feed_sigmoid(network: Network) -> list[bool]:
    """Tell for each layer whether scikit-learn uses its bound for sigmoid layers.

    It depends on the hidden activation, so the last layer uses that of the layer before.
    """
    sigmoid = [layer.activation == "sigmoid" for layer in network.layers]
    return [*sigmoid[:-1], sigmoid[-2] if len(sigmoid) > 1 else sigmoid[-1]]


def _draw(
    name: Initializer,
    sigmoid: bool,
    fans: tuple[float, int] | None,
    arrays: LayerArrays,
    random: Random,
) -> None:
    weights, bias, gain = arrays
    bias[...] = 0
    if gain is not None:
        gain[...] = 1
    if fans is None:
        weights[...] = random.normal(0.0, 1.0, weights.shape)
        return
    fan_in, fan_out = fans
    if name == "article":
        weights[...] = random.normal(0.0, fan_in**-0.5, weights.T.shape).T
        return
    if name == "auto":
        bound = np.sqrt((2 if sigmoid else 6) / (fan_in + fan_out))
        weights[...] = random.uniform(-bound, bound, weights.shape)
        bias[...] = random.uniform(-bound, bound, bias.shape)
        return
    family, distribution = name.split("_")
    variance = {"glorot": 2 / (fan_in + fan_out), "he": 2 / fan_in, "lecun": 1 / fan_in}[family]
    if distribution == "normal":
        weights[...] = random.normal(0.0, np.sqrt(variance), weights.shape)
    else:
        bound = np.sqrt(3 * variance)
        weights[...] = random.uniform(-bound, bound, weights.shape)
