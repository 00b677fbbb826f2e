"""TensorFlow on the CPU: its own operations in one graph, a whole epoch to a call."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from cnn_core.layers import Conv2D, Dense, MaxPool2D
from images.work import LEARNING_RATE, Floats, Job, first_parameters, network


class TensorFlow:
    """A ``keras.Sequential``, trained by a ``tf.function``."""

    def __init__(self, job: Job, x: Floats, labels: Any) -> None:
        tf.config.threading.set_intra_op_parallelism_threads(job.threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        self.title = f"TensorFlow {tf.__version__}"
        self._x, self._labels = tf.constant(x), tf.constant(labels)
        self._net = _net(job)
        optimizer = tf.keras.optimizers.Adam(LEARNING_RATE, epsilon=1e-8)
        optimizer.build(self._net.trainable_variables)
        size, count = job.batch_size, len(x)

        @tf.function  # type: ignore[untyped-decorator,unused-ignore]
        def train() -> None:
            for start in tf.range(0, count, size):
                rows = slice(start, start + size)
                with tf.GradientTape() as tape:
                    loss = tf.reduce_mean(
                        tf.nn.sparse_softmax_cross_entropy_with_logits(
                            self._labels[rows], self._net(self._x[rows], training=True)
                        )
                    )
                variables = self._net.trainable_variables
                optimizer.apply_gradients(
                    zip(tape.gradient(loss, variables), variables, strict=True)
                )

        @tf.function  # type: ignore[untyped-decorator,unused-ignore]
        def predict(images: Any) -> Any:
            return tf.nn.softmax(self._net(images, training=False))

        self._train, self._predict = train, predict

    def train_epoch(self) -> None:
        """Train on every image once."""
        self._train()

    def predict(self) -> Any:
        """Predict all images."""
        return self._predict(self._x)

    def outputs(self) -> Floats:
        """Return the outputs."""
        found: Floats = self.predict().numpy()
        return found


def _net(job: Job) -> Any:
    described = network(job.order)
    keras = tf.keras.layers
    layers: list[Any] = [tf.keras.Input((28, 28, 1))]
    values: list[list[Floats]] = []
    for layer, arrays in zip(
        described.layers, described.unflatten(first_parameters(described)), strict=True
    ):
        own: list[Any] = []
        if isinstance(layer, Dense):
            # Above another dense layer it changes nothing.
            own.append(keras.Flatten())
            own.append(keras.Dense(layer.fan_out))
            values.append([arrays.weights, np.zeros(layer.fan_out, np.float32)])
        elif isinstance(layer, Conv2D):
            has_bias = layer.normalization is None
            own.append(keras.Conv2D(layer.channels, 3, padding="same", use_bias=has_bias))
            kernel = arrays.weights.reshape(3, 3, layer.input_shape[2], layer.channels)
            values.append([kernel, *[np.zeros(layer.channels, np.float32)] * has_bias])
        elif isinstance(layer, MaxPool2D):
            own.append(keras.MaxPool2D(2))
        if layer.normalization is not None:
            own.append(keras.BatchNormalization(epsilon=1e-5, momentum=0.9))
        if layer.activation == "relu":
            own.append(keras.ReLU())
        layers += own
    net = tf.keras.Sequential(layers)
    learned = [layer for layer in net.layers if isinstance(layer, keras.Dense | keras.Conv2D)]
    for layer, found in zip(learned, values, strict=True):
        layer.set_weights(found)
    return net
