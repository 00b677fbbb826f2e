"""Plans: a network and its training settings, for each kind of estimator."""

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
    from cnn_core.images import ImageClassifier

__all__ = ["ENDLESS", "Data", "Part", "Plan", "counted"]

# The presets' epochs are for 60,000 samples. With fewer samples there are more epochs, for enough
# steps, up to this limit.
_MOST_DEFAULT_EPOCHS = 300
_DEFAULT_SAMPLES = 320_000
# More epochs than fit into any time budget.
ENDLESS = 1_000_000


class Part(NamedTuple):
    """Samples in the form of the network, and their classes.

    Attributes
    ----------
    x : (n, n_features) array
    y : (n,) array of int
    """

    x: FloatArray | ByteArray
    y: npt.NDArray[Any]


class Data(NamedTuple):
    """The properties of the samples that a plan depends on.

    Attributes
    ----------
    n_features, n_classes : int
    input_scale : float
        Factor by which the network multiplies its inputs.
    n_samples : int
        Samples to train on.
    image_shape : tuple of int, optional
        Height and width, and channels if there are several; None for other samples.
    """

    n_features: int
    n_classes: int
    input_scale: float
    n_samples: int
    image_shape: tuple[int, ...] | None = None

    def epochs(self, usual: int) -> int:
        """Return the epochs for this number of samples, given those for 60,000."""
        needed = min(_MOST_DEFAULT_EPOCHS, math.ceil(_DEFAULT_SAMPLES / self.n_samples))
        return max(usual, needed)


class Plan(ABC):
    """A network and its training settings.

    Attributes
    ----------
    preset : str
    face : NN, MLPClassifier or ImageClassifier
        The untrained estimator.
    network : Network
        The description of its network.
    epochs : int
        Planned epochs; with a time budget the largest number of them.
    batch_size : int
    learning_rate : float
    time_budget : float or None
        Seconds.
    patience : int or None
    smoothing : float
        Label smoothing of the training loss.
    least_rate, largest_rate : float
        Range to search for a learning rate.
    """

    preset: str
    face: NN | MLPClassifier | ImageClassifier
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
        """Train on one part and evaluate the other after each epoch; resume from a checkpoint.

        Returns
        -------
        bool
            True if the training was completed, False if Ctrl-C ended it after at least one epoch.

        Raises
        ------
        KeyboardInterrupt
            If Ctrl-C ended it before that.
        """

    @property
    def hidden(self) -> list[int]:
        """Units of each hidden layer."""
        return [layer.fan_out for layer in self.network.layers[:-1]]

    @property
    @abstractmethod
    def _steps(self) -> str:
        """Description of the optimizer."""

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Return the settings for the record."""

    @property
    def length(self) -> str:
        """Planned length: ``8 epochs``, ``5 s``."""
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
