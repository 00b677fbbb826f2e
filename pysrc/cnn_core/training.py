"""The training loop: epochs, the order of the samples and what is reported. No arithmetic."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cnn_core.contracts import Engine
from cnn_core.network import ByteArray, FloatArray, IndexArray


@dataclass(frozen=True)
class EpochRecord:
    """What is known after an epoch.

    Attributes
    ----------
    epoch : int
        Number of this epoch, from 1, counted over all calls of ``fit``.
    last_epoch : int
        Number of the last epoch of this call.
    loss : float
        Mean over the samples of half the squared error summed over the outputs, each sample as it
        was before its own batch's step.
    accuracy : float or None
        Share of samples whose largest output was their class, likewise; None if the targets are
        not classes.
    validation_loss, validation_accuracy : float or None
        The same on the validation data after the epoch; None without such data.
    samples : int
        Samples trained on in this epoch.
    seconds : float
        Time spent training in this epoch, validation not included.
    """

    epoch: int
    last_epoch: int
    loss: float
    accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    samples: int
    seconds: float

    def __str__(self) -> str:
        """Return the line that ``verbose=1`` prints."""
        parts = [f"epoch {self.epoch}/{self.last_epoch}", f"loss {self.loss:.5f}"]
        if self.accuracy is not None:
            parts.append(f"accuracy {self.accuracy:.4f}")
        if self.validation_loss is not None:
            parts.append(f"validation loss {self.validation_loss:.5f}")
        if self.validation_accuracy is not None:
            parts.append(f"validation accuracy {self.validation_accuracy:.4f}")
        parts.append(f"{self.samples / max(self.seconds, 1e-9):,.0f} samples/s")
        return "  ".join(parts)


def shuffled_order(key: int, epoch: int, samples: int) -> IndexArray:
    """Return the order of the samples in an epoch: a permutation fixed by `key` and `epoch` alone.

    The numbers come from the counter-based generator Philox (Salmon et al., "Parallel random
    numbers: as easy as 1, 2, 3", 2011) with the epoch in its counter, so that the order of any
    epoch can be had without those before it, and is the same for every backend.
    """
    generator = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, epoch]))
    return generator.permutation(samples).astype(np.intp, copy=False)


def train(
    engine: Engine,
    x: FloatArray | ByteArray,
    t: FloatArray,
    *,
    first_epoch: int,
    last_epoch: int,
    batch_size: int,
    learning_rate: float,
    shuffle_key: int | None,
    are_classes: bool,
    validate: Callable[[], tuple[float, float | None]] | None,
    on_epoch: Callable[[EpochRecord], None],
) -> None:
    """Run the epochs `first_epoch` to `last_epoch`, both counted from 1 and included.

    Parameters
    ----------
    engine : Engine
    x : (n, n_inputs) array
    t : (n, n_outputs) array
    first_epoch, last_epoch : int
    batch_size : int
    learning_rate : float
    shuffle_key : int or None
        Key of `shuffled_order`; None: the samples as they stand.
    are_classes : bool
        Whether an accuracy makes sense.
    validate : callable, optional
        Gives loss and accuracy on data that is not trained on.
    on_epoch : callable
        Called after every epoch with its `EpochRecord`.

    Raises
    ------
    FloatingPointError
        If the loss of an epoch is not finite.
    """
    for epoch in range(first_epoch, last_epoch + 1):
        order = None if shuffle_key is None else shuffled_order(shuffle_key, epoch, len(x))
        start = time.perf_counter()
        loss, hits = engine.train_epoch(x, t, order, batch_size, learning_rate)
        seconds = time.perf_counter() - start
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the loss became {loss} in epoch {epoch}: the weights have left the range of "
                f"their dtype; start again with a lower learning rate (it was {learning_rate:g})"
            )
        validation_loss, validation_accuracy = validate() if validate else (None, None)
        on_epoch(
            EpochRecord(
                epoch=epoch,
                last_epoch=last_epoch,
                loss=loss,
                accuracy=hits / len(x) if are_classes else None,
                validation_loss=validation_loss,
                validation_accuracy=validation_accuracy,
                samples=len(x),
                seconds=seconds,
            )
        )
