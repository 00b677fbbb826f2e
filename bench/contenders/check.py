"""Whether a contender computes what it is timed for.

From the same weights, on the same few samples in the same order, it must give the outputs and reach
the loss that the plain loop in float64 does.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from cnn_core.network import FloatArray, IndexArray
from contenders import Contender, Trainer
from contenders.numpy_loop import NumpyLoop
from contenders.work import Samples, start_weights

__all__ = ["CHECK_SAMPLES", "Check", "check"]

CHECK_SAMPLES = 300
"""Samples that a check takes: with most batch sizes several steps, the last a smaller one."""

_EPOCHS = 3
# Rounding in float32 leaves differences of 1e-7 to 5e-5, the latter by hundreds of batches of 1,
# and 3e-4 by Adam where a gradient is nearly 0. On Fashion-MNIST a learning rate that is off
# by a twentieth makes 2e-3 to 0.2, batches that are one larger 3e-3 and more.
_TOLERANCE = 2e-3


@dataclass(frozen=True)
class Check:
    """How far a contender was from the reference.

    Attributes
    ----------
    outputs : float
        Largest difference of an output, before and after training.
    loss, expected_loss : float
        After training; None for a contender that only predicts.
    """

    outputs: float
    loss: float | None = None
    expected_loss: float | None = None

    @property
    def passed(self) -> bool:
        """Whether it computes the same."""
        if self.loss is None or self.expected_loss is None:
            return self.outputs <= _TOLERANCE
        difference = abs(self.loss - self.expected_loss)
        return self.outputs <= _TOLERANCE and difference <= _TOLERANCE * self.expected_loss

    def __str__(self) -> str:
        if self.loss is None:
            return f"outputs differ by {self.outputs:.2g}"
        return (
            f"outputs differ by {self.outputs:.2g}, loss {self.loss:.6f} where "
            f"{self.expected_loss:.6f} was expected"
        )


def check(contender: Contender, samples: Samples, trains: bool) -> Check:
    """Compare a new contender with the reference; it is not new afterwards.

    Parameters
    ----------
    contender : Contender
    samples : Samples
    trains : bool
        Whether to train as well as predict.
    """
    work = contender.work
    reference = NumpyLoop(replace(work, dtype="float64"), start_weights(work), threads=1)
    difference = _difference(contender, reference, samples)
    if not trains:
        return Check(difference)
    generator = np.random.RandomState(1)
    for order in itertools.islice(_orders(generator, len(samples)), _EPOCHS):
        for trainer in (reference, cast(Trainer, contender)):
            _train(trainer, samples, order)
    difference = max(difference, _difference(contender, reference, samples))
    loss, expected = (_loss(c, samples) for c in (contender, reference))
    return Check(difference, loss, expected)


def _orders(generator: np.random.RandomState, samples: int) -> itertools.starmap[IndexArray]:
    return itertools.starmap(generator.permutation, itertools.repeat((samples,)))


def _train(trainer: Trainer, samples: Samples, order: IndexArray) -> None:
    if trainer.shuffles_itself:
        trainer.load(samples[order])
        trainer.train_epoch(None)
    else:
        trainer.load(samples)
        trainer.train_epoch(order)


def _difference(contender: Contender, reference: Contender, samples: Samples) -> float:
    return float(np.abs(contender.outputs(samples) - reference.outputs(samples)).max())


def _loss(contender: Contender, samples: Samples) -> float:
    """Return the loss of the contender's outputs, averaged over the samples."""
    y: FloatArray = contender.outputs(samples).astype(np.float64)
    t = samples.t(np.float64)
    each = (
        -t * np.log(np.maximum(y, 1e-30))
        if contender.work.loss == "cross_entropy"
        else ((y - t) ** 2 / 2)
    )
    return float(each.sum() / len(samples))
