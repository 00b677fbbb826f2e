"""The contenders of a race: one small module for each library, which no other module imports.

Each contender computes one epoch, or predictions, with the settings that its library documents as
the fastest for this work. A race gives each measurement a process of its own: see
`contenders.process`.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import NamedTuple, Protocol

from cnn_core import backends
from cnn_core.network import FloatArray, IndexArray
from contenders.work import Samples, Weights, Work

__all__ = ["CONTENDERS", "Contender", "Entry", "Predictor", "Trainer", "is_installed", "make"]


class Contender(Protocol):
    """What takes part in a race, in training, in predicting or in both.

    It is made from the work, the first weights (which it does not change) and the number of threads
    that it may use.

    Attributes
    ----------
    title : str
        Its name and version.
    work : Work
        What it really computes, should its library have no such network as it was asked for.
    """

    title: str
    work: Work

    def outputs(self, samples: Samples) -> FloatArray:
        """Return the outputs, (n, outputs)."""


class Predictor(Contender, Protocol):
    """A contender that is raced in predicting."""

    def prediction(self, samples: Samples) -> Callable[[], object]:
        """Return what predicts `samples`, which it holds in the library's own form already."""


class Trainer(Contender, Protocol):
    """A contender that is raced in training.

    Attributes
    ----------
    shuffles_itself : bool
        Whether its library cannot be told the order of the samples.
    """

    shuffles_itself: bool

    def load(self, samples: Samples) -> None:
        """Take the training samples, in the library's own form."""

    def train_epoch(self, order: IndexArray | None) -> None:
        """Train on every sample once.

        None: the samples as they stand. A contender that shuffles itself takes any other order as
        leave to choose its own.
        """


class Entry(NamedTuple):
    """Where a contender is found, which modules it needs, and what it does in a race."""

    module: str
    name: str
    packages: tuple[str, ...] = ()
    trains: bool = True
    predicts: bool = True


CONTENDERS = {
    # Users of cnn_core predict through its classes, not through an engine.
    "cython": Entry("ours", "Compiled", predicts=False),
    "cython-bytes": Entry("ours", "CompiledOnBytes", predicts=False),
    "cython-columns": Entry("ours", "CompiledOnColumns", predicts=False),
    "numpy-backend": Entry("ours", "Reference", predicts=False),
    "NN.predict": Entry("ours", "Predict", trains=False),
    "NN.predictor": Entry("ours", "Predictor", trains=False),
    "numpy": Entry("numpy_loop", "NumpyLoop"),
    "scikit-learn": Entry("scikit_learn", "ScikitLearn", ("sklearn",)),
    "pytorch": Entry("pytorch", "PyTorch", ("torch",)),
    "jax": Entry("jax_scan", "Jax", ("jax",)),
    "onnxruntime": Entry("onnx_runtime", "OnnxRuntime", ("onnx", "onnxruntime"), trains=False),
}
"""Everyone, by the names that the races use."""


def is_installed(name: str) -> bool:
    """Return whether a contender has what it needs."""
    if name.startswith("cython"):
        return "cython" in backends.available()
    return all(importlib.util.find_spec(package) for package in CONTENDERS[name].packages)


def make(name: str, work: Work, weights: Weights, threads: int) -> Contender:
    """Return a contender.

    Raises
    ------
    ImportError
        If its library is missing or cannot be loaded.
    """
    entry = CONTENDERS[name]
    module = importlib.import_module(f"{__name__}.{entry.module}")
    contender: Contender = getattr(module, entry.name)(work, weights, threads)
    return contender
