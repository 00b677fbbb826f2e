"""Every compiled loop under valgrind's memcheck, for which the whole suite would take too long.

    valgrind --error-exitcode=1 ... python tests/tools/memcheck.py

`make valgrind` has the rest of that line; `make test-levels` runs it on emulated processors. No
result is compared: that is what the suite does, and valgrind's long double is no wider than a
double. Each array is a block of malloc that ends where it ends, so that memcheck sees a step
beyond it. Each output begins uninitialised, and what is in it at last is written to the null
device: memcheck reports a byte without a value. What is printed before a report is what was being
done.
"""

from __future__ import annotations

import ctypes
import itertools
import math
import os
import struct
import weakref

import numpy as np

from cnn_core import AvgPool2D, Conv2D, GlobalAveragePool, MaxPool2D, backends
from cnn_core.contracts import Kernels
from cnn_core.network import ACTIVATIONS, NORMALIZATIONS, Dense, Network
from cnn_core.optimizers import SGD, Adam
from corpus import DENSE_SHAPES, HEADS, OPTIMIZERS, SIGN_OPTIMIZERS
from image_networks import STACKS, image_network

OPERATIONS = {name for name in vars(Kernels) if not name.startswith("_")}
# Empty, single, around the vectors of every level, over several tiles.
LENGTHS = [0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33, 67]
NOWHERE = os.open(os.devnull, os.O_WRONLY)
LIBC = ctypes.CDLL(None)
LIBC.malloc.argtypes = [ctypes.c_size_t]
LIBC.malloc.restype = ctypes.c_void_p
LIBC.free.argtypes = [ctypes.c_void_p]


def blank(shape, dtype):
    """An uninitialised array in a block of exactly its size."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    address = LIBC.malloc(size)
    memory = (ctypes.c_char * size).from_address(address)
    weakref.finalize(memory, LIBC.free, address)
    return np.ndarray(shape, dtype, memory)


def placed(values):
    """The same values in a block of exactly their size."""
    array = blank(values.shape, values.dtype)
    array[...] = values
    return array


def use(*arrays) -> None:
    for array in arrays:
        if array.size > 0:
            os.write(NOWHERE, array)


def use_number(number) -> None:
    os.write(NOWHERE, struct.pack("d", number))


def begin(*subject) -> None:
    print(*subject, flush=True)


class Calls:
    """The kernels of a dtype, each called in all its ways."""

    def __init__(self, dtype):
        self.dtype = np.dtype(dtype)
        self.kernels = backends.get("cython").kernels(self.dtype)
        self.rng = np.random.default_rng(20260401)
        self.called = set()

    def call(self, operation, *arguments, **outputs):
        """Call it, and use what it has written and returned."""
        self.called.add(operation)
        number = getattr(self.kernels, operation)(*arguments, **outputs)
        use(*(a for a in (*arguments, *outputs.values()) if isinstance(a, np.ndarray)))
        if number is not None:
            use_number(number)

    def normal(self, *shape):
        return placed(self.rng.normal(size=shape).astype(self.dtype))

    def shares(self, *shape):
        """Between 0 and 1, for outputs, targets and weights of any loss."""
        return placed(self.rng.uniform(0.05, 0.95, shape).astype(self.dtype))

    def blank(self, *shape):
        return blank(shape, self.dtype)

    def begin(self, *subject) -> None:
        begin(self.dtype, *subject)

    def shapes(self):
        return [*((n, 3) for n in LENGTHS), *((5, n) for n in LENGTHS)]

    def dense(self) -> None:
        for rows, fan_in, fan_out in DENSE_SHAPES:
            self.begin("dense", rows, fan_in, fan_out)
            x, weights = self.normal(rows, fan_in), self.normal(fan_in, fan_out)
            delta = self.normal(rows, fan_out)
            self.call("dense_forward", x, weights, self.normal(fan_out), self.blank(rows, fan_out))
            self.call(
                "dense_backward",
                x,
                weights,
                delta,
                grad_weights=self.blank(fan_in, fan_out),
                grad_bias=self.blank(fan_out),
                grad_x=self.blank(rows, fan_in),
            )

    def images(self) -> None:
        shape = (7, 6, 4)
        for layer in (
            Conv2D(shape, 5),
            Conv2D((7, 6, 9), 17),
            Conv2D(shape, 6, kernel=5, stride=2, padding="valid", groups=2),
            MaxPool2D(shape),
            MaxPool2D(shape, 3, 2),
            AvgPool2D(shape),
            GlobalAveragePool(shape),
        ):
            self.begin(layer)
            x, out = self.normal(3, layer.fan_in), self.blank(3, layer.fan_out)
            delta, grad_x = self.normal(3, layer.fan_out), self.blank(3, layer.fan_in)
            if isinstance(layer, Conv2D):
                weights, gradient = (of(*layer.weights_shape) for of in (self.normal, self.blank))
                self.call("convolve", layer, x, weights, out)
                self.call("convolve_backward", layer, x, weights, delta, gradient, grad_x)
            else:
                self.call("pool", layer, x, out)
                self.call("pool_backward", layer, x, delta, grad_x)

    def activations(self) -> None:
        for activation in ACTIVATIONS:
            self.begin(activation)
            for shape in self.shapes():
                z, a = self.normal(*shape), self.blank(*shape)
                self.call("activate", activation, z, a)
                gradient = self.normal(*shape)
                self.call("activation_backward", activation, z, a, gradient, self.blank(*shape))
                self.call("activation_backward", activation, z, a, gradient, gradient)
                self.call("activate", activation, z, z)

    def losses(self) -> None:
        for activation, loss in HEADS:
            self.begin(activation, loss)
            for shape in self.shapes():
                z, y, t = self.normal(*shape), self.shares(*shape), self.shares(*shape)
                for weights in ((), (self.shares(shape[0]),)):
                    self.call("loss", loss, z, y, t, *weights)
                    out = self.blank(*shape)
                    self.call("output_delta", loss, activation, z, y, t, out, *weights)

    def normalizations(self) -> None:
        for kind in NORMALIZATIONS:
            self.begin("normalization", kind)
            for rows, units in self.shapes():
                u, gain, bias = self.normal(rows, units), self.normal(units), self.normal(units)
                normal, z, out = (self.blank(rows, units) for _ in range(3))
                spread = self.blank(units if kind == "batch" else rows)
                if u.size == 0:
                    # What there is of no values stays as it is.
                    spread[...] = 0
                self.call("normalize", kind, u, gain, bias, normal, spread, z)
                gradients = self.blank(units), self.blank(units)
                self.call("normalize_backward", kind, normal, spread, gain, u, *gradients, out)
                self.call("normalize_by", self.normal(units), self.shares(units), gain, bias, u, z)

    def updates(self) -> None:
        for optimizer in OPTIMIZERS + SIGN_OPTIMIZERS:
            self.begin(optimizer)
            for n in LENGTHS:
                parameters = self.normal(n)
                moments = placed(np.zeros((optimizer.n_moments, n), self.dtype))
                for step in (1, 2):
                    self.call("update", optimizer, parameters, self.normal(n), moments, 0.1, step)

    def random_numbers(self) -> None:
        self.begin("random numbers")
        for n in LENGTHS:
            self.call("random_bits", 2**63 + 5, (2**32 - 1, 1, 2, 3), blank((n,), np.uint32))
        for shape in self.shapes():
            self.call("dropout", 0.3, 7, 1, 2, self.normal(*shape), self.blank(*shape))

    def all(self) -> None:
        self.dense()
        self.images()
        self.activations()
        self.losses()
        self.normalizations()
        self.updates()
        self.random_numbers()
        assert self.called == OPERATIONS, OPERATIONS - self.called


def layers(units, *hidden, head="identity"):
    return (
        *(Dense(m, n, *hidden) for m, n in itertools.pairwise(units[:-1])),
        Dense(*units[-2:], head),
    )


UNITS = (37, 19, 18, 5)
# With the numbers of samples and of those in a batch: nothing that a tile or a vector divides.
NETWORKS = [
    *((Network(layers((9, 7, 6), "gelu", head=a), loss), 23, 10) for a, loss in HEADS),
    *((Network(layers((9, 7, 6)), optimizer=o), 23, 10) for o in OPTIMIZERS + SIGN_OPTIMIZERS),
    (Network(layers(UNITS, "tanh", 0.3, "batch"), averaging=0.9), 61, 30),
    (Network(layers(UNITS, "silu", 0.3, "layer"), l2=0.1, clip_value=0.5), 61, 30),
    (Network(layers(UNITS, "relu", 0.3, "batch"), optimizer=Adam(), clip_norm=0.5), 61, 30),
    (Network(layers(UNITS, "elu"), optimizer=SGD(momentum=0.9), input_scale=1 / 255), 61, 1),
    # The small steps that are taken ahead, of one sample and of several.
    (Network(layers((131, 67, 3), "sigmoid"), input_scale=1 / 255), 37, 1),
    (Network(layers((131, 67, 3), "sigmoid")), 37, 3),
    *((image_network(name), 13, 6) for name in STACKS),
    # So large that it is shared among threads, and in parts.
    (Network(layers((75, 70, 3), "tanh")), 1037, 1037),
]


def train(network, samples, batch_size, dtype) -> None:
    """Train on floats and on bytes; use all that comes of it."""
    begin(dtype.__name__, network)
    rng = np.random.default_rng(samples)
    last = network.layers[-1]

    def shares(*shape):
        return placed(rng.uniform(0.05, 0.95, shape).astype(dtype))

    parameters = placed((rng.normal(size=network.n_parameters()) * 0.1).astype(dtype))
    engine = backends.get("cython").engine(
        network,
        parameters,
        moments=placed(np.zeros((network.optimizer.n_moments, len(parameters)), dtype)),
        statistics=placed(network.first_statistics(dtype)),
        seed=1,
        threads=2,
    )
    order = placed(rng.permutation(samples)[: samples - 1])
    targets, weights = shares(samples, last.fan_out), shares(samples)
    gradient = blank(parameters.shape, dtype)
    floats = shares(samples, network.layers[0].fan_in)
    for x in (floats, placed((255 * floats).astype(np.uint8))):
        use_number(engine.train_epoch(x, targets, order, batch_size, 0.01)[0])
        use_number(engine.train_epoch(x, targets, None, batch_size, 0.01, weights)[0])
        use_number(engine.gradient(x, targets, gradient, weights))
        out = blank(targets.shape, dtype)
        use_number(engine.predict(x, out))
        use(out, gradient, engine.predictor(1)(placed(x[:1])))
    use(parameters, engine.moments, engine.statistics)


def train_by_article(dtype) -> None:
    begin(dtype.__name__, "the article's rule")
    network = Network(layers((9, 7, 6), "sigmoid", head="sigmoid"), rule="article")
    rng = np.random.default_rng(1)
    x, targets = (placed(rng.random((21, n)).astype(dtype)) for n in (9, 6))
    parameters = placed(rng.normal(size=network.n_parameters(21)).astype(dtype))
    engine = backends.get("cython").engine(network, parameters)
    use_number(engine.train_epoch(x, targets, None, 21, 0.01)[0])
    out = blank(targets.shape, dtype)
    engine.predict(x, out)
    use(out, parameters)


def main() -> None:
    print(backends.backend_info("cython")["isa"], flush=True)
    for dtype in (np.float32, np.float64):
        Calls(dtype).all()
        for network, samples, batch_size in NETWORKS:
            train(network, samples, batch_size, dtype)
        train_by_article(dtype)


if __name__ == "__main__":
    main()
