"""A plan: a network that is to be trained, and how; one kind for each face of the library."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy.typing as npt

from cnn_core import NN
from cnn_core.io.checkpoint import Checkpoint
from cnn_core.network import ByteArray, FloatArray, Network
from cnn_core.training.callbacks import Callback

if TYPE_CHECKING:
    from cnn_core.estimators import MLPClassifier

__all__ = ["ENDLESS", "Data", "Part", "Plan", "counted"]

# The presets' epochs are for 60,000 samples. Fewer get as many epochs as give a useful number of
# steps, up to a limit.
_MOST_DEFAULT_EPOCHS = 300
_DEFAULT_SAMPLES = 320_000
# More epochs than fit into any time budget.
ENDLESS = 1_000_000


class Part(NamedTuple):
    """Samples, as the network takes them, with their classes.

    Attributes
    ----------
    x : (n, n_features) array
    y : (n,) array of int
    """

    x: FloatArray | ByteArray
    y: npt.NDArray[Any]


class Data(NamedTuple):
    """What a plan has to know of the samples.

    Attributes
    ----------
    n_features, n_classes : int
    input_scale : float
        What the network is to multiply its inputs by.
    n_samples : int
        Samples to train on.
    """

    n_features: int
    n_classes: int
    input_scale: float
    n_samples: int

    def epochs(self, usual: int) -> int:
        """Return the epochs for as many samples where 60,000 have the usual ones."""
        needed = min(_MOST_DEFAULT_EPOCHS, math.ceil(_DEFAULT_SAMPLES / self.n_samples))
        return max(usual, needed)


class Plan(ABC):
    """A network that is to be trained, and how.

    Attributes
    ----------
    preset : str
    face : NN or MLPClassifier
        The network, without anything learned.
    network : Network
        What it will be.
    epochs : int
        Planned; with a time budget at most so many.
    batch_size : int
    learning_rate : float
    time_budget : float or None
        Seconds.
    patience : int or None
    smoothing : float
        Share of a label that the loss of the training spreads over all classes.
    least_rate, largest_rate : float
        Between them a useful learning rate will be.
    """

    preset: str
    face: NN | MLPClassifier
    network: Network
    epochs: int
    batch_size: int
    learning_rate: float
    time_budget: float | None = None
    patience: int | None = None
    smoothing: float = 0.0
    least_rate = 1e-6
    largest_rate = 10.0

    @abstractmethod
    def fit(
        self,
        train: Part,
        watched: Part,
        callbacks: list[Callback],
        checkpoint: Checkpoint | None = None,
    ) -> bool:
        """Train on one part, measuring the other after each epoch; go on where a checkpoint stands.

        Returns
        -------
        bool
            Whether it came to its end; False if Ctrl-C was pressed after an epoch at least.

        Raises
        ------
        KeyboardInterrupt
            If there was no epoch before.
        """

    @property
    def hidden(self) -> list[int]:
        """Units of each hidden layer."""
        return [layer.fan_out for layer in self.network.layers[:-1]]

    @property
    @abstractmethod
    def _steps(self) -> str:
        """What the steps are made by."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return what the record keeps of it."""

    @property
    def length(self) -> str:
        """How long it will take: ``8 epochs``, ``5 s``."""
        if self.time_budget is None:
            return counted(self.epochs)
        most = "" if self.epochs == ENDLESS else f", at most {counted(self.epochs)},"
        return f"{self.time_budget:g} s{most}"

    @property
    def description(self) -> str:
        """The training in a line."""
        ends = "" if self.patience is None else f", patience {self.patience}"
        return (
            f"preset {self.preset}: {self.length} in batches of {self.batch_size}, {self._steps}, "
            f"learning rate {self.learning_rate:g}{ends}"
        )


def counted(epochs: int) -> str:
    """Return the number of epochs with the word."""
    return "1 epoch" if epochs == 1 else f"{epochs} epochs"
