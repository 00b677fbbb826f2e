"""Learning rate finder: a training in which the rate grows from step to step.

Smith, "Cyclical learning rates for training neural networks", 2017, section 3.3.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.files import atomic_write, checked_target
from cnn_core.training.batches import shuffled_order
from cnn_core.types import IndexArray
from cnn_core.validation import number, whole

# Smoothing factor of the running average of the losses.
_SMOOTHING = 0.9
# Steps before the smoothed loss is reliable.
_UNSETTLED = 10
# The search ends when the smoothed loss is this many times its smallest value.
_TOO_MUCH = 4.0


@dataclass(frozen=True, eq=False)
class LearningRates:
    """Result of `find_learning_rate`.

    Attributes
    ----------
    rates : (m,) float64 array
        The learning rate of each step that was taken, rising.
    losses : (m,) float64 array
        The loss of the batch before each step.
    smoothed : (m,) float64 array
        A running average of the losses.
    suggestion : float
        The rate at which the smoothed loss falls fastest, over the logarithm of the rate.
    """

    rates: npt.NDArray[np.float64]
    losses: npt.NDArray[np.float64]
    smoothed: npt.NDArray[np.float64]
    suggestion: float

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw the losses over the rates.

        Parameters
        ----------
        path : path-like
            A PNG, SVG or PDF, by its ending.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        ValueError
            For an unknown ending.
        OSError
            If the file cannot be written.
        """
        checked_target(path)
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise ImportError(
                'a plot needs matplotlib, which is not installed: pip install "cnn-core[app]"'
            ) from error
        figure = Figure(figsize=(6.4, 4.0), layout="constrained")
        axes = figure.subplots()
        axes.semilogx(self.rates, self.losses, color="0.8", label="loss of the batch")
        axes.semilogx(self.rates, self.smoothed, label="smoothed")
        axes.axvline(self.suggestion, linestyle="--", label=f"suggestion {self.suggestion:.2g}")
        # The last losses may be so large that the rest of the curve would be flat.
        shown = 1.05 * float(np.max(self.smoothed))
        axes.set(xlabel="learning rate", ylabel="loss", ylim=(min(0.0, axes.get_ylim()[0]), shown))
        axes.legend()
        # None: matplotlib's default.
        kind = Path(path).suffix[1:] or None
        atomic_write(path, lambda stream: figure.savefig(stream, format=kind))


def find_learning_rate(
    network: Any,
    X: Any,
    T: Any,
    *,
    least: float = 1e-6,
    most: float = 1.0,
    steps: int = 100,
    batch_size: int = 32,
) -> LearningRates:
    """Try learning rates, from the least to the largest one, each in one step.

    The rates grow by a constant factor from step to step, over batches of shuffled samples. The
    search ends early when the loss has grown several times over. Afterwards the network is
    unchanged.

    Parameters
    ----------
    network : Model, NN or an estimator
        A `Model` takes checked arrays; the others take the same data as their `fit`.
    X, T : array-like
        Samples and targets.
    least, most : float
        Above 0, in rising order.
    steps : int
        At least 2.
    batch_size : int

    Returns
    -------
    LearningRates

    Raises
    ------
    TypeError, ValueError
        For an argument of the wrong type or outside its range.
    RuntimeError
        If the network is being trained.

    Examples
    --------
    >>> import numpy as np
    >>> from cnn_core import NN
    >>> X = np.random.RandomState(0).normal(size=(200, 4))
    >>> net = NN(4, 8, 2, learning_rate=1, epochs=10, seed=0)
    >>> found = find_learning_rate(net, X, (X[:, 0] > 0).astype(int), most=100)
    >>> bool(0.01 < found.suggestion < 100)
    True
    """
    if not 0 < number("least", least) < number("most", most):
        raise ValueError(
            f"least, most: expected two numbers above 0 in rising order, found {least}, {most}"
        )
    if isinstance(network, type) or not hasattr(network, "as_model_data"):
        raise TypeError(
            "network: expected a Model, an NN or an estimator of cnn_core, found "
            f"{network.__name__ if isinstance(network, type) else type(network).__name__}; of a "
            "pipeline pass the last step, with samples that the others have transformed"
        )
    model, x, t = network.as_model_data(X, T)
    rates = np.geomspace(least, most, whole("steps", steps, 2))
    batch_size = min(whole("batch_size", batch_size, 1), len(x))
    losses: list[float] = []
    smoothed: list[float] = []
    average = 0.0
    with model.exclusively() as engine:
        before = model.snapshot()
        try:
            for batch, rate in zip(_batches(model.seed, len(x), batch_size), rates, strict=False):
                loss, _ = engine.train_epoch(x, t, batch, batch_size, float(rate))
                if not math.isfinite(loss):
                    break
                average = _SMOOTHING * average + (1 - _SMOOTHING) * loss
                losses.append(loss)
                smoothed.append(average / (1 - _SMOOTHING ** len(losses)))
                if smoothed[-1] > _TOO_MUCH * min(smoothed):
                    break
        finally:
            model.restore(before)
    if len(losses) < min(len(rates), _UNSETTLED):
        raise ValueError(
            f"least: the loss explodes within {len(losses)} steps from {least:g} already; begin "
            "with a lower rate, or scale the inputs to about [-1, 1]"
        )
    return _found(rates[: len(losses)], losses, smoothed)


def _batches(key: int, samples: int, batch_size: int) -> Iterator[IndexArray]:
    """Yield batches of shuffled samples without end."""
    for epoch in itertools.count(1):
        order = shuffled_order(key, epoch, samples)
        for start in range(0, samples - batch_size + 1, batch_size):
            yield order[start : start + batch_size]


def _found(
    rates: npt.NDArray[np.float64], losses: list[float], smoothed: list[float]
) -> LearningRates:
    curve = np.array(smoothed)
    # Only between the first reliable average and the smallest loss.
    begin = min(_UNSETTLED, len(curve) - 2)
    falling = curve[begin : max(int(curve.argmin()) + 1, begin + 2)]
    steepest = begin + int(np.gradient(falling).argmin())
    return LearningRates(rates, np.array(losses), curve, float(rates[steepest]))
