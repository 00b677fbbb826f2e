"""scikit-learn: its multilayer perceptrons, an epoch one call of ``partial_fit``.

Its regressor has linear outputs whatever the hidden layers are, so that in place of sigmoid
outputs it computes something a little cheaper, and its Adam adds epsilon before the second moment
is corrected; the check follows it there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import sklearn
from sklearn.neural_network import MLPClassifier, MLPRegressor

from cnn_core.network import FloatArray, IndexArray
from cnn_core.optimizers import Adam
from contenders.work import Samples, Weights, Work

__all__ = ["ScikitLearn"]

_ADAM = Adam()
_ACTIVATIONS = {"sigmoid": "logistic", "relu": "relu"}


class ScikitLearn:
    """A classifier for the cross-entropy, a regressor for the squared error."""

    shuffles_itself = True

    def __init__(self, work: Work, weights: Weights, threads: int) -> None:
        # Its documentation's advice for speed, where the data are known to be good.
        sklearn.set_config(assume_finite=True, skip_parameter_validation=True)
        self._classifies = work.loss == "cross_entropy"
        self.work = replace(work, epsilon_comes_first=True)
        if not self._classifies:
            self.work = replace(self.work, output="identity")
        self.title = f"scikit-learn {sklearn.__version__}"
        kind = MLPClassifier if self._classifies else MLPRegressor
        self._net = kind(
            hidden_layer_sizes=work.sizes[1:-1],
            activation=_ACTIVATIONS[work.hidden],
            solver=work.optimizer,
            alpha=0.0,
            learning_rate_init=work.learning_rate,
            momentum=0.0,
            nesterovs_momentum=False,
            epsilon=_ADAM.epsilon,
            random_state=0,
        )
        self._set_weights(weights)

    def load(self, samples: Samples) -> None:
        """Take the training samples."""
        self._x = samples.x(self.work.dtype)
        self._targets = samples.labels if self._classifies else samples.t(self.work.dtype)
        self._net.batch_size = min(self.work.batch_size, len(samples))

    def train_epoch(self, order: IndexArray | None) -> None:
        """Train on every sample once, in an order of its own unless `order` is None."""
        self._net.shuffle = order is not None
        self._net.partial_fit(self._x, self._targets)

    def outputs(self, samples: Samples) -> FloatArray:
        """Return the outputs."""
        y: FloatArray = self._predict(samples.x(self.work.dtype))
        return y

    def prediction(self, samples: Samples) -> Callable[[], object]:
        """Return what predicts the samples."""
        x = samples.x(self.work.dtype)
        return lambda: self._predict(x)

    @property
    def _predict(self) -> Callable[[FloatArray], FloatArray]:
        chosen: Callable[[FloatArray], FloatArray] = (
            self._net.predict_proba if self._classifies else self._net.predict
        )
        return chosen

    def _set_weights(self, weights: Weights) -> None:
        """Let it make its arrays by a first fit, then write into them and forget that fit."""
        features, *_, classes = self.work.sizes
        x = np.zeros((classes, features), self.work.dtype)
        if self._classifies:
            self._net.partial_fit(x, np.arange(classes), classes=np.arange(classes))
        else:
            self._net.partial_fit(x, np.eye(classes, dtype=self.work.dtype))
        for number, (w, b) in enumerate(weights):
            self._net.coefs_[number][:], self._net.intercepts_[number][:] = w, b
        del self._net._optimizer
