"""A trained network as the command line sees it: that of an `NN` or of a classifier."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from cnn_core import NN, backend_info, backends
from cnn_core.arrays import as_samples
from cnn_core.layers import Augmentation, AvgPool2D, Conv2D, GlobalAveragePool, MaxPool2D
from cnn_core.model import Model
from cnn_core.network import ByteArray, FloatArray, IndexArray, Network
from cnn_core.sparse import Samples
from cnn_core.targets import as_targets

__all__ = ["Trained", "describe_backend", "describe_network", "weights_sha256", "what_computes"]


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained classifier network; its classes are numbered from 0.

    Attributes
    ----------
    model : Model
    n_classes : int
    mirrored : (height, width, channels), optional
        The shape of an image, whose predictions are averaged with those of its mirror image.
    """

    model: Model
    n_classes: int
    mirrored: tuple[int, int, int] | None = None

    @classmethod
    def of(cls, owner: Any) -> Trained:
        """Return the network of an `NN`, or of a fitted `MLPClassifier` or `ImageClassifier`.

        Raises
        ------
        TypeError
            For anything else.
        """
        if isinstance(owner, NN):
            return cls(owner.model, owner.output_neurons)
        if not hasattr(owner, "classes_"):
            raise TypeError(f"expected a network for classes, found {type(owner).__name__}")
        mirrored = owner.image_shape_ if getattr(owner, "mirror_average", False) else None
        return cls(owner.model_, len(owner.classes_), mirrored)

    @property
    def n_features(self) -> int:
        """Features of a sample."""
        return self.model.network.n_inputs

    @property
    def computed_by(self) -> str:
        """What computes, in a few words."""
        return describe_backend(what_computes(self.model.backend, self.model.n_threads))

    def predict(self, x: FloatArray | ByteArray) -> IndexArray:
        """Return the class of each sample, (n,), for samples as the network takes them.

        Raises
        ------
        TypeError, ValueError
            For samples of another shape, and values that are not finite.
        """
        if self.mirrored is not None:
            return self._classes(self._averaged(self._samples(x)))
        return self.model.predict(self._samples(x), keep=self._classes)

    def outputs(self, x: FloatArray | ByteArray) -> FloatArray:
        """Return the outputs for samples as the network takes them, (n, n_classes).

        Raises
        ------
        TypeError, ValueError
            As `predict`.
        """
        samples = self._samples(x)
        if self.mirrored is not None:
            return self._each_class(self._averaged(samples))
        return self._each_class(self.model.predict(samples))

    def measure(
        self, x: FloatArray | ByteArray, y: np.ndarray[Any, Any]
    ) -> tuple[float, IndexArray]:
        """Return the loss for samples with known classes, and the predicted class of each.

        The loss is the one that the network was trained for, without smoothing of the labels.

        Parameters
        ----------
        x : numpy.ndarray, (n, n_features)
            Samples as the network takes them.
        y : numpy.ndarray, (n,)
            Their classes.

        Raises
        ------
        TypeError, ValueError
            As `predict`.
        """
        samples, n_outputs = self._samples(x), self.model.network.n_outputs
        if self.mirrored is not None:
            outputs = self._each_class(self._averaged(samples))
            own = np.maximum(outputs[np.arange(len(y)), y].astype(np.float64), 1e-300)
            return float(-np.log(own).mean()), self._classes(outputs)
        # For two classes, one output: the probability of the second one.
        values = y.astype(np.float64) if n_outputs == 1 else y
        targets, _ = as_targets(values, len(samples), n_outputs, self.model.dtype)
        return self.model.evaluate(samples, targets, keep=self._classes)

    def _classes(self, outputs: FloatArray) -> IndexArray:
        largest: IndexArray = self._each_class(outputs).argmax(axis=1)
        return largest

    def _averaged(self, samples: Samples) -> FloatArray:
        """Return the mean of the outputs for images and for their mirror images."""
        assert self.mirrored is not None
        assert isinstance(samples, np.ndarray)
        outputs: FloatArray = self.model.predict(samples)
        images = samples.reshape(len(samples), *self.mirrored)[:, :, ::-1]
        mirrored: Any = np.ascontiguousarray(images).reshape(samples.shape)
        outputs += self.model.predict(mirrored)
        outputs /= 2
        return outputs

    def _samples(self, x: FloatArray | ByteArray) -> Samples:
        return as_samples(x, self.n_features, self.model.dtype)

    def _each_class(self, outputs: FloatArray) -> FloatArray:
        if outputs.shape[1] == self.n_classes:
            return outputs
        return np.hstack([1 - outputs, outputs])


def describe_network(network: Network) -> str:
    """Return sizes, activation, normalization and dropout, as ``784-512-10, relu, dropout 0.3``.

    A convolution to 16 channels with a kernel of 3 is ``16c3``, with a stride of 2 ``16c3s2``; a
    pool of 2 is ``p2``, an average pool ``a2``, one over the whole image ``gap``.
    """
    layers: list[Any] = [x for x in network.layers if not isinstance(x, Augmentation)]
    hidden = layers[:-1]
    shape = getattr(layers[0], "input_shape", (network.n_inputs,))
    sizes = "-".join(["x".join(map(str, shape)), *map(_size_of, layers)])
    words = [
        *(layer.activation for layer in hidden if layer.activation != "identity"),
        *(f"{layer.normalization} normalization" for layer in hidden if layer.normalization),
        *(f"dropout {layer.dropout:g}" for layer in hidden if layer.dropout),
    ]
    return ", ".join([sizes, *dict.fromkeys(words)])


def _size_of(layer: Any) -> str:
    if isinstance(layer, Conv2D):
        stride = "" if layer.stride == 1 else f"s{layer.stride}"
        return f"{layer.channels}c{layer.kernel}{stride}"
    if isinstance(layer, GlobalAveragePool):
        return "gap"
    if isinstance(layer, MaxPool2D | AvgPool2D):
        return f"{'p' if isinstance(layer, MaxPool2D) else 'a'}{layer.size}"
    return str(layer.fan_out)


def what_computes(backend: str, n_threads: int | None) -> dict[str, Any]:
    """Return `cnn_core.backend_info` of a backend, with as many threads as were asked for."""
    chosen = backends.get(backend)
    return {**backend_info(chosen.name), "threads": backends.threads_in_use(chosen, n_threads)}


def describe_backend(info: dict[str, Any]) -> str:
    """Return what computes in a few words, from `cnn_core.backend_info`."""
    if info["backend"] == "cython":
        threads = "1 thread" if info["threads"] == 1 else f"{info['threads']} threads"
        return f"cython {info['isa']}, {threads}"
    return f"{info['backend']} {info['versions']['numpy']}"


def weights_sha256(model: Model) -> str:
    """Return the SHA-256 of all arrays that predictions depend on.

    For each layer these are the weights, (fan_out, fan_in), the bias, the gain, and the running
    mean and variance, if it has them, in C order and little-endian.
    """
    digest = hashlib.sha256()
    statistics = model.network.unflatten_statistics(model.statistics)
    for layer, pair in zip(model.predicting_layers, statistics, strict=True):
        for values in (*layer, *(pair or ())):
            if values is not None:
                array = np.asarray(values.T, model.dtype.newbyteorder("<"))
                digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
