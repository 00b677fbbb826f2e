"""Descriptions of networks: frozen, without parameters or arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from cnn_core.layers import (
    ACTIVATIONS,
    EPSILON,
    HIDDEN_ACTIVATIONS,
    LAST_LAYER_ACTIVATIONS,
    LAYERS,
    NORMALIZATIONS,
    STATISTICS_MOMENTUM,
    Activation,
    Augmentation,
    AvgPool2D,
    Conv2D,
    Dense,
    Embedding,
    EncodedDense,
    GlobalAveragePool,
    LayerArrays,
    LayerDescription,
    MaxPool2D,
    Normalization,
)
from cnn_core.losses import LOSSES, NEEDED_ACTIVATION, Huber, Loss, LossName, Pinball
from cnn_core.optimizers import OPTIMIZERS, SGD, Optimizer
from cnn_core.types import ByteArray, FloatArray, IndexArray
from cnn_core.validation import (
    above_0,
    at_least_0,
    real,
    require_known,
    require_settings_in_dtype,
    set_checked,
    share,
    shown,
)

__all__ = [
    "ACTIVATIONS",
    "EPSILON",
    "HIDDEN_ACTIVATIONS",
    "LAYERS",
    "LOSSES",
    "MOST_LAYERS",
    "NEEDED_ACTIVATION",
    "NORMALIZATIONS",
    "RULES",
    "STATISTICS_MOMENTUM",
    "Activation",
    "Augmentation",
    "AvgPool2D",
    "ByteArray",
    "Conv2D",
    "Dense",
    "Embedding",
    "EncodedDense",
    "FloatArray",
    "GlobalAveragePool",
    "Huber",
    "IndexArray",
    "LayerArrays",
    "Loss",
    "LossName",
    "MaxPool2D",
    "Network",
    "Normalization",
    "Pinball",
    "Rule",
]

Rule: TypeAlias = Literal["exact", "article"]
RULES: tuple[Rule, ...] = ("exact", "article")
# A limit against damaged files, far above real networks.
MOST_LAYERS = 1000


def _factor(name: str, value: Any) -> float:
    found = real(name, value)
    if not (math.isfinite(found) and found):
        raise ValueError(f"{name}: expected a finite number other than 0, found {shown(value)}")
    return found


@dataclass(frozen=True)
class Network:
    """A chain of layers with its loss and its optimizer.

    All parameters are in one flat array, layer after layer: the weights (row by row), the bias, the
    gain. So an update, a copy, a checksum or a comparison is one operation. The running averages of
    batch normalization are in a second flat array, the means of a layer before its variances.

    Attributes
    ----------
    layers : tuple of Dense, or of other kinds in `LAYERS`
        From 1 to `MOST_LAYERS`; each layer's ``fan_in`` is the ``fan_out`` of the one before it.
    loss : str, Huber or Pinball
        Summed over the outputs, averaged over the samples of a batch; `Kernels.loss` has the
        formulas. ``"poisson"`` and the cross-entropies need the activation that
        `NEEDED_ACTIVATION` names in the last layer.
    optimizer : Optimizer
        One of `cnn_core.optimizers`.
    rule : {"exact", "article"}
        ``"exact"``: the true gradient of the loss, one bias per unit. ``"article"``: the step that
        the article published, one bias per unit *and training sample*; for sigmoid layers without
        dropout, the squared error and plain `SGD` alone.
    input_scale : float
        Every input is first multiplied by it, so that images can be bytes: use ``1 / 255``.
    l2 : float
        At least 0. Adds ``l2 / (2 * n)`` times the sum of all squared weights, without biases and
        gains, to the loss of a batch of n samples; with sample weights n is their sum.
    clip_value : float, optional
        Above 0: every value of a gradient is clipped to ``-clip_value`` to ``clip_value``.
    clip_norm : float, optional
        Above 0: a gradient whose norm over all parameters is larger is scaled to this norm (Pascanu
        et al., "On the difficulty of training recurrent neural networks", 2013).
        At most one of the two.
    averaging : float
        From 0 to below 1. Above 0 the engine keeps an average of the parameters: at step t, from 1,
        ``average += (1 - decay) * (parameters - average)`` with ``decay = min(averaging,
        (1 + t) / (10 + t))`` (Polyak and Juditsky, 1992, in its exponential form).

    Raises
    ------
    TypeError
        If `optimizer` is not an `Optimizer`, or a setting is not a number.
    ValueError
        For layers that do not fit together or to the loss, an unknown name, or a number outside its
        range.

    Examples
    --------
    >>> import numpy as np
    >>> network = Network((Dense(4, 8, "relu"), Dense(8, 3, "softmax")), "cross_entropy")
    >>> network.n_parameters()  # (4 + 1) * 8 + (8 + 1) * 3
    67
    >>> parameters = np.zeros(67)
    >>> first, last = network.unflatten(parameters)
    >>> last.weights.shape, last.bias.shape
    ((8, 3), (3,))
    >>> last.bias[:] = 1  # a view: the network's own bias
    >>> parameters[-4:]
    array([0., 1., 1., 1.])
    """

    layers: tuple[LayerDescription, ...]
    loss: Loss = "squared_error"
    optimizer: Optimizer = field(default_factory=SGD)
    rule: Rule = "exact"
    input_scale: float = 1.0
    l2: float = 0.0
    clip_value: float | None = None
    clip_norm: float | None = None
    averaging: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.layers, tuple | list) or not all(
            isinstance(layer, LayerDescription) for layer in self.layers
        ):
            known = ", ".join(LAYERS)
            raise TypeError(f"layers: expected a tuple of {known}, found {shown(self.layers)}")
        if not 1 <= len(self.layers) <= MOST_LAYERS:
            raise ValueError(
                f"a Network needs at least one layer and at most {MOST_LAYERS}, "
                f"found {len(self.layers)}"
            )
        require_known("rule", self.rule, RULES)
        if not isinstance(self.optimizer, OPTIMIZERS):
            known = ", ".join(kind.__name__ for kind in OPTIMIZERS)
            raise TypeError(f"optimizer: expected one of {known}, found {self.optimizer!r}")
        set_checked(self, _factor, "input_scale")
        for number, (below, above) in enumerate(zip(self.layers, self.layers[1:], strict=False)):
            self._check_sizes(number, below, above)
            if below.activation in LAST_LAYER_ACTIVATIONS:
                raise ValueError(
                    f"layer {number}: {below.activation} belongs in the last layer alone"
                )
        self._check_places()
        self._check_loss()
        self._check_last_layer()
        self._check_step()
        self._check_rule()

    @staticmethod
    def _check_sizes(number: int, below: LayerDescription, above: LayerDescription) -> None:
        """Refuse a layer whose input does not match the output of layer `number` below it."""
        given = getattr(below, "output_shape", None)
        taken = getattr(above, "input_shape", None)
        if given is not None and taken is not None:
            if given != taken:
                raise ValueError(
                    f"layer {number + 1} ({type(above).__name__}) expects images of the shape "
                    f"{taken}, but layer {number} ({type(below).__name__}) has {given}"
                )
        elif below.fan_out != above.fan_in:
            raise ValueError(
                f"layer {number + 1} expects {above.fan_in} inputs, "
                f"but layer {number} has {below.fan_out} units"
            )

    def _check_places(self) -> None:
        """Refuse a layer in a position where its kind is not allowed."""
        for number, layer in enumerate(self.layers):
            kind = type(layer).__name__
            is_last = number == len(self.layers) - 1
            if (layer.reads_columns or layer.must_be_first) and number > 0:
                raise ValueError(f"layer {number}: expected {kind} as the first layer alone")
            if is_last and not layer.may_be_last:
                raise ValueError(f"layer {number}: expected another layer above {kind}")
        if self.layers[0].reads_columns and self.input_scale != 1:
            raise ValueError(
                f"input_scale: expected 1, since some columns are codes, found {self.input_scale!r}"
            )

    def _check_loss(self) -> None:
        if isinstance(self.loss, Pinball):
            found = len(self.loss.quantiles(self.n_outputs))
            if found != self.n_outputs:
                raise ValueError(
                    f"quantile: expected one, or {self.n_outputs}, one for each output, "
                    f"found {found}"
                )
        elif not isinstance(self.loss, Huber):
            require_known("loss", self.loss, get_args(LossName))

    def _check_step(self) -> None:
        set_checked(self, at_least_0, "l2")
        for name in ("clip_value", "clip_norm"):
            if getattr(self, name) is not None:
                set_checked(self, above_0, name)
        if self.clip_value is not None and self.clip_norm is not None:
            raise ValueError("clip_value, clip_norm: expected at most one of them, found both")
        set_checked(self, share, "averaging")

    def _check_last_layer(self) -> None:
        last = self.layers[-1]
        needed = NEEDED_ACTIVATION.get(self.loss) if isinstance(self.loss, str) else None
        if needed is not None and last.activation != needed:
            raise ValueError(
                f"the loss {self.loss!r} needs {needed!r} in the last layer, "
                f"found {last.activation!r}"
            )
        if last.dropout:
            raise ValueError(f"dropout: expected 0 in the last layer, found {last.dropout}")
        if last.normalization:
            raise ValueError(
                f"normalization: expected none in the last layer, found {last.normalization!r}"
            )

    def _check_rule(self) -> None:
        if self.rule == "exact":
            return
        usual = tuple(Dense(layer.fan_in, layer.fan_out) for layer in self.layers)
        if replace(self, rule="exact") != Network(usual, input_scale=self.input_scale):
            raise ValueError(
                "the article's rule is one for sigmoid layers alone, the squared error and plain "
                "SGD, without anything in addition"
            )

    def require_dtype(self, dtype: np.dtype[Any]) -> None:
        """Refuse settings that `dtype` cannot represent.

        Raises
        ------
        ValueError
            For a setting that becomes 0 or infinite when rounded to `dtype`.
        """
        for settings in (self, *self.layers, self.loss, self.optimizer):
            require_settings_in_dtype(settings, dtype)

    @property
    def n_inputs(self) -> int:
        """Number of features of a sample."""
        return self.layers[0].fan_in

    @property
    def n_outputs(self) -> int:
        """Number of units of the last layer."""
        return self.layers[-1].fan_out

    def n_parameters(self, bias_rows: int = 1) -> int:
        """Length of the flat parameter array.

        Parameters
        ----------
        bias_rows : int
            Rows of each bias: 1 for the exact rule, the number of training samples for the
            article's.
        """
        return sum(layer.n_parameters(bias_rows) for layer in self.layers)

    @property
    def n_statistics(self) -> int:
        """Length of the flat array of batch normalization's running averages."""
        return sum(layer.n_statistics for layer in self.layers)

    def bias_rows(self, n_parameters: int) -> int:
        """Rows of each bias in a flat array of `n_parameters` values.

        Raises
        ------
        ValueError
            If no whole number of rows fits, or if it is not 1 for the exact rule.
        """
        units = self.n_parameters(1) - self.n_parameters(0)
        # Without any bias, as in a network of pools only, any number of rows fits; use 1.
        rows, rest = (
            divmod(n_parameters - self.n_parameters(0), units) if units else (1, n_parameters)
        )
        if rest or rows < 0 or (self.rule == "exact" and rows != 1):
            raise ValueError(
                f"this network has {self.n_parameters()} parameters (rule {self.rule!r}), "
                f"found an array of {n_parameters}"
            )
        return rows

    def unflatten(self, parameters: FloatArray) -> list[LayerArrays]:
        """Return views of each layer's parameters into the flat array `parameters`.

        Raises
        ------
        ValueError
            If the array is not as long as this network needs it.
        """
        rows = self.bias_rows(parameters.size)
        by_rows = self.rule == "article"
        views = []
        start = 0
        for layer in self.layers:
            end = start + layer.n_parameters(rows)
            views.append(layer.arrays(parameters[start:end], rows, by_rows=by_rows))
            start = end
        return views

    def unflatten_statistics(
        self, statistics: FloatArray
    ) -> list[tuple[FloatArray, FloatArray] | None]:
        """Return a view (mean, variance), each (units,), for each layer; None if it has none.

        Raises
        ------
        ValueError
            If the array is not as long as this network needs it.
        """
        if statistics.shape != (self.n_statistics,):
            raise ValueError(
                f"statistics: expected the shape ({self.n_statistics},), found {statistics.shape}"
            )
        views: list[tuple[FloatArray, FloatArray] | None] = []
        start = 0
        for layer in self.layers:
            middle, end = start + layer.n_statistics // 2, start + layer.n_statistics
            pair = statistics[start:middle], statistics[middle:end]
            views.append(pair if layer.n_statistics else None)
            start = end
        return views

    def first_statistics(self, dtype: npt.DTypeLike) -> FloatArray:
        """Return the running averages before the first step: means 0, variances 1.

        Shape (n_statistics,), of the given `dtype`.
        """
        statistics: FloatArray = np.zeros(self.n_statistics, dtype)
        for pair in self.unflatten_statistics(statistics):
            if pair is not None:
                pair[1][:] = 1
        return statistics
