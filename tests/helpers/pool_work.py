"""Trainings that can be done again and again from the same start, and in a child."""

from __future__ import annotations

import itertools
import os
import signal
import traceback
from collections.abc import Callable

import numpy as np

from cnn_core import backends
from cnn_core.network import Dense, Network
from cnn_core.optimizers import SGD, Adam

LONGEST_RUN = 120
PLAIN = SGD()


class Work:
    """A training that can be done again and again from the same start."""

    def __init__(
        self,
        units,
        samples,
        batch_size,
        hidden="sigmoid",
        optimizer=PLAIN,
        dropout=0.0,
        normalization=None,
        dtype=np.float32,
        **settings,
    ):
        layers = [
            Dense(m, n, hidden, dropout, normalization) for m, n in itertools.pairwise(units[:-1])
        ]
        self.network = Network((*layers, Dense(*units[-2:])), optimizer=optimizer, **settings)
        self.batch_size = batch_size
        rng = np.random.default_rng(samples)
        self.start = (rng.normal(size=self.network.n_parameters()) * 0.1).astype(dtype)
        self.x = rng.normal(size=(samples, units[0])).astype(dtype)
        self.t = rng.random((samples, units[-1])).astype(dtype)

    def engine(self, threads):
        parameters = self.start.copy()
        engine = backends.get("cython").engine(self.network, parameters, seed=3, threads=threads)
        return engine, parameters

    def epoch(self, engine, order=None, learning_rate=0.01):
        return engine.train_epoch(self.x, self.t, order, self.batch_size, learning_rate)

    def train(self, threads) -> bytes:
        """Train for two epochs; return the bits of what comes of it."""
        engine, parameters = self.engine(threads)
        losses = [self.epoch(engine)[0] for _ in range(2)]
        gradient = np.empty_like(parameters)
        losses.append(engine.gradient(self.x, self.t, gradient))
        state = (parameters, engine.moments, engine.statistics)
        arrays = (np.array(losses), *state, gradient, self.outputs(engine))
        return b"".join(array.tobytes() for array in arrays)

    def outputs(self, engine):
        found = np.empty_like(self.t)
        engine.predict(self.x, found)
        return found

    def long_order(self):
        """So long that what comes from outside comes in the midst of an epoch.

        Its end is the end of a batch, and of any number of small ones that are taken together.
        """
        return np.resize(np.arange(len(self.x), dtype=np.intp), 40_000 * self.batch_size)

    def replayed(self, steps, order):
        """An engine after so many steps on one thread, with its parameters."""
        engine, parameters = self.engine(1)
        epochs, rest = divmod(steps, len(order) // self.batch_size)
        for _ in range(epochs):
            self.epoch(engine, order)
        self.epoch(engine, order[: rest * self.batch_size])
        return engine, parameters


def works() -> dict[str, Work]:
    """Trainings whose steps are shared, but for the last two, which are too small for that."""
    return {
        "batches": Work((300, 64, 10), 400, 100),
        "parts": Work((200, 90, 5), 600, 600),
        "Adam": Work((100, 64, 50, 10), 300, 64, "relu", Adam(), 0.3),
        "momentum": Work((130, 100, 9), 200, 70, "tanh", SGD(momentum=0.9)),
        "normalized": Work((90, 140, 70, 8), 260, 130, "relu", Adam(), 0.2, "batch", clip_norm=0.5),
        "float64": Work(
            (110, 80, 70, 6), 240, 120, "tanh", Adam(), 0.2, "batch", np.float64, averaging=0.9
        ),
        "one by one": Work((300, 64, 10), 60, 1),
        "tiny": Work((12, 7, 3), 50, 5),
    }


SHARED = ("batches", "parts", "Adam", "momentum", "normalized", "float64")


def in_a_child(function: Callable[[], None]) -> None:
    """Do it in a child process; fail here if it fails there, or takes too long."""
    child = os.fork()
    if child == 0:
        signal.alarm(LONGEST_RUN // 2)
        try:
            function()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
