"""PyTorch on the CPU: a plain loop over batches of indices, and the fastest form of each optimizer.

Tensors are indexed directly, since a DataLoader would only add to that. torch.compile is left out:
it needs a C++ compiler on the user's machine, and it does not compile the loop.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from cnn_core.network import FloatArray, IndexArray
from contenders.work import Samples, Weights, Work

__all__ = ["PyTorch"]

_ACTIVATIONS: dict[str, Callable[[], torch.nn.Module]] = {
    "sigmoid": torch.nn.Sigmoid,
    "relu": torch.nn.ReLU,
    "identity": torch.nn.Identity,
    "softmax": lambda: torch.nn.Softmax(dim=1),
}
# On a CPU the plain form of SGD is as fast as the fused one, and faster at batch 1.
_OPTIMIZERS = {
    "sgd": functools.partial(torch.optim.SGD, foreach=False),
    "adam": functools.partial(torch.optim.Adam, fused=True),
}


class PyTorch:
    """A ``torch.nn.Sequential`` with the optimizer of the work."""

    shuffles_itself = False

    def __init__(self, work: Work, weights: Weights, threads: int) -> None:
        torch.set_num_threads(threads)
        self.work = work
        self.title = f"PyTorch {torch.__version__}"
        modules: list[torch.nn.Module] = []
        for (w, b), activation in zip(weights, work.activations, strict=True):
            modules += [_linear(w, b), _ACTIVATIONS[activation]()]
        self._net = torch.nn.Sequential(*modules)
        # The cross-entropy of PyTorch contains the softmax.
        self._trained = self._net[:-1] if work.loss == "cross_entropy" else self._net
        self._optimizer = _OPTIMIZERS[work.optimizer](self._net.parameters(), lr=work.learning_rate)

    def load(self, samples: Samples) -> None:
        """Take the training samples."""
        self._x = self._inputs(samples)
        is_classes = self.work.loss == "cross_entropy"
        self._targets = torch.from_numpy(
            samples.labels if is_classes else samples.t(self.work.dtype)
        )

    def train_epoch(self, order: IndexArray | None) -> None:
        """Train on every sample once."""
        order = np.arange(len(self._x)) if order is None else order
        for rows in torch.from_numpy(order).split(self.work.batch_size):
            self._optimizer.zero_grad()
            self._loss(
                self._x.index_select(0, rows), self._targets.index_select(0, rows)
            ).backward()
            self._optimizer.step()

    def outputs(self, samples: Samples) -> FloatArray:
        """Return the outputs."""
        with torch.inference_mode():
            y: FloatArray = self._net(self._inputs(samples)).numpy()
        return y

    def prediction(self, samples: Samples) -> Callable[[], object]:
        """Return what predicts the samples."""
        x, net = self._inputs(samples), self._net

        def predict() -> object:
            with torch.inference_mode():
                return net(x)

        return predict

    def _inputs(self, samples: Samples) -> torch.Tensor:
        return torch.from_numpy(samples.x(self.work.dtype))

    def _loss(self, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        y = self._trained(x)
        if self.work.loss == "cross_entropy":
            return functional.cross_entropy(y, targets)
        return functional.mse_loss(y, targets, reduction="sum") * (0.5 / len(x))


def _linear(w: FloatArray, b: FloatArray) -> torch.nn.Linear:
    layer = torch.nn.Linear(*w.shape, dtype=torch.from_numpy(w).dtype)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(w.T))
        layer.bias.copy_(torch.from_numpy(b))
    return layer
