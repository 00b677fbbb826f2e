"""The same seed gives the same bits: on any number of threads, at every level with a fused
multiply-add, in every process.

Run as a program, this file prints what its trainings leave behind on the threads that are named:

    python test_reproducibility.py 1 3
"""

from __future__ import annotations

import functools
import hashlib
import json
import mmap
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from cnn_core import NN, backends
from cnn_core.network import Dense, Network
from cnn_core.optimizers import SGD, Adam, Nadam, Optimizer, RMSprop

pytestmark = pytest.mark.covering

# Below so many multiply-adds nothing is shared; a step has three for each parameter and sample, a
# prediction one. More samples than a part has are taken in several parts.
LEAST_SHARED_WORK = 1e6
MOST_ROWS_OF_A_PART = 256

DTYPES = ("float32", "float64")
PLAIN = SGD()


@dataclass(frozen=True)
class Training:
    """A whole training, from the start to the predictions."""

    units: tuple[int, ...]
    samples: int
    batch_size: int
    hidden: str = "sigmoid"
    head: tuple[str, str] = ("sigmoid", "squared_error")
    optimizer: Optimizer = PLAIN
    dropout: float = 0.0
    normalization: str | None = None
    learning_rate: float = 0.1
    of_bytes: bool = False
    is_weighted: bool = False
    # Further settings of the network.
    settings: dict[str, float] = field(default_factory=dict)
    # Whether its steps are large enough for several threads.
    is_shared: bool = True

    @property
    def network(self) -> Network:
        sizes = list(zip(self.units, self.units[1:], strict=False))
        layers = [Dense(m, n, self.hidden, self.dropout, self.normalization) for m, n in sizes[:-1]]
        return Network(
            (*layers, Dense(*sizes[-1], self.head[0])),
            self.head[1],
            optimizer=self.optimizer,
            input_scale=1 / 255 if self.of_bytes else 1.0,
            **self.settings,
        )

    @property
    def work(self) -> float:
        """Multiply-adds of the smallest part of a full batch."""
        parts = -(-self.batch_size // MOST_ROWS_OF_A_PART)
        if self.normalization == "batch":
            parts = 1
        return 3.0 * self.network.n_parameters() * (self.batch_size // parts)

    def run(self, dtype: str, threads: int, backend: str = "cython") -> dict[str, str]:
        """Train for three epochs; return checksums of everything that comes of it."""
        rng = np.random.default_rng(20260202)
        net = self.network
        parameters = (rng.normal(size=net.n_parameters()) * 0.1).astype(dtype)
        x = rng.normal(size=(self.samples, net.n_inputs)).astype(dtype)
        if self.of_bytes:
            x = rng.integers(0, 256, x.shape, np.uint8)
        t = np.eye(net.n_outputs, dtype=dtype)[rng.integers(0, net.n_outputs, self.samples)]
        weights = rng.random(self.samples).astype(dtype) if self.is_weighted else None
        engine = backends.get(backend).engine(net, parameters, seed=2**40 + 9, threads=threads)
        orders = [rng.permutation(self.samples).astype(np.intp), None, np.arange(9, dtype=np.intp)]
        epochs = [
            engine.train_epoch(x, t, order, self.batch_size, self.learning_rate, weights)
            for order in orders
        ]
        gradient, outputs = np.empty_like(parameters), np.empty_like(t)
        loss = engine.gradient(x, t, gradient, weights)
        engine.predict(x, outputs)
        average = parameters if engine.average is None else engine.average
        assert np.isfinite(outputs).all()
        return {
            "losses": " ".join(loss.hex() for loss in (*(loss for loss, _ in epochs), loss)),
            "hits": " ".join(str(hits) for _, hits in epochs),
            "parameters": checksum(parameters),
            "moments": checksum(engine.moments),
            "statistics": checksum(engine.statistics),
            "average": checksum(average),
            "gradient": checksum(gradient),
            "outputs": checksum(outputs),
        }


def checksum(array: np.ndarray) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()[:16]


SMALL_IMAGE = (784, 128, 10)
SOFTMAX = ("softmax", "cross_entropy")

# Batch sizes that do not divide the samples; steps in groups, in one part, in several.
TRAININGS = {
    "batch 1": Training(SMALL_IMAGE, 45, 1, is_shared=False),
    "batch 7": Training(SMALL_IMAGE, 45, 7),
    "batch 16": Training(SMALL_IMAGE, 150, 16),
    "batch 64": Training(SMALL_IMAGE, 210, 64),
    "batch 300": Training(SMALL_IMAGE, 640, 300),
    "bytes, batch 3": Training(SMALL_IMAGE, 40, 3, of_bytes=True, is_shared=False),
    "bytes, batch 100": Training(SMALL_IMAGE, 230, 100, of_bytes=True),
    "bytes, all at once": Training(SMALL_IMAGE, 999, 999, of_bytes=True),
    "one sample for all": Training((784, 512, 10), 9, 1, "tanh", optimizer=SGD(momentum=0.5)),
    "Adam and dropout": Training(
        (100, 64, 50, 10), 330, 50, "relu", SOFTMAX, Adam(), 0.3, learning_rate=0.005
    ),
    "AdamW in three parts": Training(
        (120, 96, 11), 1500, 700, "tanh", SOFTMAX, Adam(weight_decay=0.1), 0.2, learning_rate=0.005
    ),
    "momentum": Training((65, 130, 70, 9), 200, 33, "tanh", optimizer=SGD(momentum=0.9)),
    "Nesterov in parts": Training(
        (200, 90, 5),
        650,
        300,
        "relu",
        ("identity", "squared_error"),
        SGD(momentum=0.9, nesterov=True),
        learning_rate=0.001,
    ),
    "descent with dropout": Training(
        (128, 256, 64, 32), 300, 40, "relu", ("sigmoid", "binary_cross_entropy"), dropout=0.5
    ),
    "batch normalization": Training(
        (130, 96, 70, 10), 330, 64, "gelu", SOFTMAX, Adam(), 0.3, "batch", learning_rate=0.005
    ),
    "batch normalization, all at once": Training(
        (120, 150, 11), 1100, 1100, "silu", SOFTMAX, normalization="batch", of_bytes=True
    ),
    "layer normalization, weights": Training(
        (130, 97, 70, 10),
        700,
        300,
        "elu",
        SOFTMAX,
        RMSprop(momentum=0.5),
        normalization="layer",
        learning_rate=0.001,
        is_weighted=True,
    ),
    "clipped, averaged": Training(
        (130, 96, 70, 10),
        330,
        64,
        "softplus",
        SOFTMAX,
        Nadam(),
        learning_rate=0.005,
        is_weighted=True,
        settings={"clip_norm": 0.5, "l2": 0.1, "averaging": 0.99},
    ),
    "one layer": Training((300, 70), 100, 20, head=("softmax", "squared_error")),
    "sums in several blocks": Training(
        (1201, 33, 401, 2), 90, 30, "tanh", ("tanh", "squared_error")
    ),
}


def networks_run(n_threads: int | None) -> dict[str, str]:
    """What a whole training through the public interface leaves behind."""
    rng = np.random.default_rng(1)
    X, labels = rng.integers(0, 256, (500, 784), np.uint8), rng.integers(0, 10, 500)
    settings = {"batch_size": 64, "seed": 4, "input_scale": 1 / 255, "n_threads": n_threads}
    net = NN(*SMALL_IMAGE, 0.5, 2, **settings).fit(X, labels)
    return {
        "weights": checksum(net.wih) + checksum(net.bih) + checksum(net.who) + checksum(net.bho),
        "outputs": checksum(net.predict(X)),
        "history": " ".join(value.hex() for value in net.history["loss"]),
    }


def random_numbers(backend: str) -> dict[str, str]:
    """A million of them from several places."""
    found = {}
    for key, counter in RANDOM_PLACES:
        out = np.empty(1_000_003, np.uint32)
        backends.get(backend).kernels("float32").random_bits(key, counter, out)
        found[f"{key} {counter}"] = checksum(out)
    return found


# The last one counts beyond 32 bits.
RANDOM_PLACES = [
    (0, (0, 0, 0, 0)),
    (7, (12_345, 1, 2, 3)),
    (2**64 - 1, (2**32 - 100_000, 2**32 - 1, 2**31, 9)),
]


@functools.cache
def on_one_thread(name: str, dtype: str) -> dict[str, str]:
    return TRAININGS[name].run(dtype, 1)


@pytest.fixture
def try_fewer_threads():
    """Decides whether fewer threads than asked for may share a step, which they must not here."""
    from cnn_core._native import threads

    threads.try_fewer_threads(False)
    yield threads.try_fewer_threads
    threads.try_fewer_threads(True)


@pytest.mark.compiled
@pytest.mark.usefixtures("try_fewer_threads")
class TestThreads:
    @pytest.mark.parametrize("name", TRAININGS)
    def test_the_trainings_are_shared_or_known_to_be_too_small(self, name):
        assert (TRAININGS[name].work >= LEAST_SHARED_WORK) == TRAININGS[name].is_shared

    @pytest.mark.parametrize("threads", [2, 3, 4])
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("name", TRAININGS)
    def test_they_change_no_bit_of_a_training(self, name, dtype, threads):
        assert TRAININGS[name].run(dtype, threads) == on_one_thread(name, dtype)

    @pytest.mark.parametrize("tried", [False, True])
    def test_they_change_no_bit_of_a_network(self, try_fewer_threads, tried):
        try_fewer_threads(tried)
        alone = networks_run(1)
        for n_threads in (2, 3, 4, None):
            assert networks_run(n_threads) == alone

    @pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's accounts of each thread")
    def test_the_others_take_part(self):
        """Or the tests above would compare one thread with itself.

        A page of memory counts for the thread that reads it first, and only threads that gather
        samples read them. Where other programs keep the cores busy it can take a few epochs.
        """
        net = TRAININGS["bytes, batch 100"].network
        parameters, t = np.zeros(net.n_parameters(), np.float32), np.zeros((4000, 10), np.float32)
        engine = backends.get("cython").engine(net, parameters, threads=2)
        threads_before = set(os.listdir("/proc/self/task"))
        for _ in range(50):
            with mmap.mmap(-1, 4000 * net.n_inputs) as fresh:
                x = np.frombuffer(fresh, np.uint8).reshape(4000, -1)
                before = pages_first_read_by()
                engine.train_epoch(x, t, None, 100, 0.1)
                after = pages_first_read_by()
                del x
            own = str(os.getpid())
            read = {thread: after[thread] - before.get(thread, 0) for thread in after}
            # A thread's own stack is a few dozen pages.
            if any(pages > 60 for thread, pages in read.items() if thread != own):
                break
        else:
            pytest.fail(f"after {threads_before} no thread but {own} has read samples: {read}")


def pages_first_read_by() -> dict[str, int]:
    """Pages that each thread of this process was the first to touch (`proc(5)`: minflt)."""
    found = {}
    for task in Path("/proc/self/task").iterdir():
        # The name of the thread, which may hold anything, stands in brackets.
        found[task.name] = int((task / "stat").read_text().rpartition(")")[2].split()[7])
    return found


@pytest.mark.compiled
class TestProcesses:
    def test_every_level_with_a_fused_multiply_add_gives_the_same_bits_in_every_process(self):
        expected = {
            f"{name}, {dtype}": on_one_thread(name, dtype) for name in TRAININGS for dtype in DTYPES
        }
        for level in fused_levels():
            for threads, found in results_of_a_process(1, 3, CNN_CORE_ISA=level).items():
                assert found["isa"] == level
                assert found["trainings"] == expected, f"{level}, {threads} threads"
                assert found["network"] == networks_run(1)
                assert found["random numbers"] == random_numbers("cython")

    def test_the_environment_decides_on_the_threads_and_on_no_bit(self):
        alone = networks_run(1)
        for number in ("1", "4"):
            found = results_of_a_process(CNN_CORE_NUM_THREADS=number)
            assert found == {"default": {"network": alone, "n_threads": int(number)}}


def fused_levels() -> list[str]:
    """The levels that have to agree with the one that this process uses."""
    info = backends.backend_info("cython")
    levels = [level for level in info["isa_detected"] if level in info["isa_built"]]
    # x86-64-v2 has no fused multiply-add: it rounds the product as well as the sum.
    alone = "x86-64-v2"
    return [level for level in levels if (level == alone) == (info["isa"] == alone)]


def results_of_a_process(*threads: int, **environment: str) -> dict[str, dict[str, object]]:
    """What another process finds."""
    ended = subprocess.run(
        [sys.executable, __file__, *map(str, threads)],
        env={**os.environ, "CNN_CORE_BACKEND": "cython", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.stderr == ""
    return json.loads(ended.stdout)


class TestRandomNumbers:
    @pytest.mark.compiled
    def test_both_backends_draw_the_same_million_anywhere(self):
        assert random_numbers("cython") == random_numbers("numpy")

    def test_they_are_the_same_from_wherever_they_begin(self, backend):
        kernels = backend.kernels("float32")
        whole = np.empty(300_000, np.uint32)
        kernels.random_bits(99, (2**32 - 50_000, 5, 6, 7), whole)
        for first in (0, 1, 63, 4_096, 49_999, 50_000, 74_999):
            for size in (1, 5, 256, 1_001):
                part = np.empty(size, np.uint32)
                kernels.random_bits(99, ((2**32 - 50_000 + first) % 2**32, 5, 6, 7), part)
                expected = whole[4 * first : 4 * first + size]
                assert np.array_equal(part[: len(expected)], expected)

    @pytest.mark.compiled
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("shape", [(3, 100_001), (5_000, 67)], ids=str)
    def test_both_backends_drop_the_same_units_of_large_layers(self, dtype, shape):
        masks = []
        for name in ("cython", "numpy"):
            masks.append(np.empty(shape, dtype))
            ones = np.ones(shape, dtype)
            backends.get(name).kernels(dtype).dropout(0.3, 2**50 + 1, 2**31, 3, ones, masks[-1])
        assert np.array_equal(*masks)
        assert 0.25 < (masks[0] == 0).mean() < 0.35


def main() -> None:
    found = {}
    for threads in map(int, sys.argv[1:]):
        found[str(threads)] = {
            "isa": backends.get("cython").isa,
            "trainings": {
                f"{name}, {dtype}": training.run(dtype, threads)
                for name, training in TRAININGS.items()
                for dtype in DTYPES
            },
            "network": networks_run(threads),
            "random numbers": random_numbers("cython"),
        }
    if not found:
        n_threads = NN(*SMALL_IMAGE, 0.5, 2).n_threads
        found["default"] = {"network": networks_run(None), "n_threads": n_threads}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
