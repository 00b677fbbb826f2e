"""What contenders are given: the network, the images and the first weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from cnn_core import Adam, Conv2D, Dense, MaxPool2D, Model, Network, Stack
from cnn_core.initializers import initialize

CHANNELS, HIDDEN, CLASSES, SIDE = (16, 32, 64), 128, 10, 28
LEARNING_RATE = 1e-3

Order = Literal["pool first", "usual"]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Job:
    """What is measured.

    Attributes
    ----------
    contender : str
    order : {"pool first", "usual"}
        Convolution, pool, batch normalization, ReLU; or the pool at the end.
    images : int
        How many there are in an epoch, or are predicted at a time.
    batch_size : int
        0: images are predicted.
    threads : int
    """

    contender: str
    order: Order
    images: int
    batch_size: int
    threads: int


class Contender(Protocol):
    """A library's form of the network, made from a job, the images and classes of `samples`."""

    title: str

    def train_epoch(self) -> None:
        """Train on every image once, as they stand."""

    def predict(self) -> Any:
        """Return the outputs for all images, in the library's own form."""

    def outputs(self) -> Floats:
        """Return the same as an array."""


def network(order: Order) -> Network:
    """Return the description: kernels of 3 x 3, pools of 2 x 2, cross-entropy, Adam."""
    stack = Stack((SIDE, SIDE, 1))
    for channels in CHANNELS:
        if order == "pool first":
            stack.add(Conv2D, channels, activation="identity")
            stack.add(MaxPool2D, normalization="batch", activation="relu")
        else:
            stack.add(Conv2D, channels, normalization="batch").add(MaxPool2D)
    stack.add(Dense, HIDDEN, "relu").add(Dense, CLASSES, "softmax")
    return Network(stack.layers, loss="cross_entropy", optimizer=Adam())


def operations(order: Order) -> int:
    """Return what a step takes for a sample, two operations for a multiply-add.

    Forward, and backward without the gradient of the images. Rows and columns that no pool reads
    count where normalization comes first; products with margins count always.
    """
    layers = network(order).layers
    found = []
    for layer, above in zip(layers, (*layers[1:], None), strict=True):
        if isinstance(layer, Conv2D):
            height, width, channels = layer.output_shape
            if order == "pool first" and isinstance(above, MaxPool2D):
                height, width = (2 * size for size in above.output_shape[:2])
            found.append(height * width * layer.weights_shape[0] * channels)
        elif isinstance(layer, Dense):
            found.append(layer.fan_in * layer.fan_out)
    return 2 * (2 * found[0] + 3 * sum(found[1:]))


def first_parameters(described: Network) -> Floats:
    """Return first weights, the same for all."""
    flat = np.zeros(described.n_parameters(), np.float32)
    initialize(described, flat, "he_normal", np.random.RandomState(1))
    return flat


def samples(images: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return images (n, height, width, 1) of clothes-like blobs from 0 to 1, and their classes.

    The time does not depend on what is in them: no library leaves out a zero here.
    """
    generator = np.random.RandomState(3)
    labels = generator.randint(0, CLASSES, images)
    patterns = generator.rand(CLASSES, SIDE, SIDE, 1)
    noise = generator.rand(images, SIDE, SIDE, 1)
    found = np.where(noise < 0.5, 0, 0.7 * patterns[labels] + 0.3 * noise)
    return found.astype(np.float32), labels.astype(np.int64)


def reference_outputs(job: Job, x: Floats, labels: npt.NDArray[np.int64]) -> Floats:
    """Return the outputs by the NumPy backend in float64, after an epoch if the job trains."""
    described = network(job.order)
    model = Model(described, dtype=np.float64, backend="numpy")
    model.parameters[...] = first_parameters(described)
    rows = x.reshape(len(x), -1).astype(np.float64)
    if job.batch_size:
        with model.exclusively() as engine:
            engine.train_epoch(rows, np.eye(CLASSES)[labels], None, job.batch_size, LEARNING_RATE)
    found: Floats = model.predict(rows)
    return found
