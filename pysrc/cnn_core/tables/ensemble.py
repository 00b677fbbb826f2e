"""Ensembles of networks: a bag for each view of a table, with a network for each fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.layers import Dense, EncodedDense, LayerDescription
from cnn_core.model import Model
from cnn_core.network import Network
from cnn_core.optimizers import SGD, Adam
from cnn_core.tables.columns import Feature
from cnn_core.tables.encoder import Encoder
from cnn_core.tables.tasks import Predictions, TableTask
from cnn_core.tables.views import View

# Rows that are encoded and predicted at a time, to limit the memory of the matrix.
_ROWS_AT_ONCE = 2**14


def network_of(view: View, encoder: Encoder, task: TableTask) -> Network:
    """Return the network of a view."""
    sizes = [*view.hidden, task.network.n_outputs]
    last = len(sizes) - 1
    layers: list[LayerDescription] = []
    for number, units in enumerate(sizes):
        settings: dict[str, Any] = {"activation": task.network.activation}
        if number < last:
            settings = {
                "activation": view.activation,
                "dropout": view.dropout,
                "normalization": view.normalization,
            }
        if number == 0:
            layers.append(EncodedDense(encoder.encodings, encoder.sizes, units, **settings))
        else:
            layers.append(Dense(sizes[number - 1], units, **settings))
    return Network(
        tuple(layers),
        task.network.loss,
        Adam(weight_decay=view.weight_decay),
        averaging=view.averaging,
    )


@dataclass(frozen=True, eq=False)
class Bag:
    """The networks of a view.

    Attributes
    ----------
    view : View
    encoder : Encoder
    models : tuple of Model
        Without optimizer state.
    """

    view: View
    encoder: Encoder
    models: tuple[Model, ...]

    @classmethod
    def of_weights(
        cls,
        view: View,
        encoder: Encoder,
        network: Network,
        weights: list[dict[str, npt.NDArray[Any]]],
        **machine: Any,
    ) -> Bag:
        """Return the bag of trained networks.

        Parameters
        ----------
        weights : list of dict of str to array
            ``"parameters"``, and ``"statistics"`` for batch normalization. An ``"average"`` of the
            parameters replaces them.
        **machine
            `backend` and `n_threads` of the models.
        """
        bare = replace(network, optimizer=SGD(), averaging=0.0)
        models = []
        for arrays in weights:
            model = Model(bare, **machine)
            own = model.arrays()
            own["parameters"][...] = arrays.get("average", arrays["parameters"])
            if "statistics" in arrays:
                own["statistics"][...] = arrays["statistics"]
            models.append(model)
        return cls(view, encoder, tuple(models))

    def mean(self, matrix: npt.NDArray[np.float32], task: TableTask) -> Predictions:
        """Return the mean of the networks' addends for the rows of an encoded table."""
        total = task.addends(self.models[0].predict(matrix))
        for model in self.models[1:]:
            total += task.addends(model.predict(matrix))
        total /= len(self.models)
        return total


def encoded(bags: Sequence[Bag], features: list[Feature]) -> list[npt.NDArray[np.float32]]:
    """Return the encoded table for each bag; bags with the same encoder share one matrix."""
    encoders = {bag.encoder for bag in bags}
    matrices = {encoder: encoder.encode(features) for encoder in encoders}
    return [matrices[bag.encoder] for bag in bags]


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Bags whose predictions are blended.

    Attributes
    ----------
    task : TableTask
    bags : tuple of Bag
    shares : (n_bags,) array
        With the sum 1.
    """

    task: TableTask
    bags: tuple[Bag, ...]
    shares: npt.NDArray[np.float64]

    def predictions(self, features: list[Feature]) -> Predictions:
        """Return the final predictions for rows."""
        n_rows = len(features[0].values)
        blocks = [
            self._of_block([one._replace(values=one.values[begin:end]) for one in features])
            for begin, end in (
                (begin, begin + _ROWS_AT_ONCE) for begin in range(0, n_rows, _ROWS_AT_ONCE)
            )
        ]
        return np.concatenate(blocks)

    def _of_block(self, features: list[Feature]) -> Predictions:
        used = [number for number, share in enumerate(self.shares.tolist()) if share]
        bags = [self.bags[number] for number in used]
        parts = [
            share * bag.mean(matrix, self.task)
            for share, bag, matrix in zip(
                self.shares[used].tolist(), bags, encoded(bags, features), strict=True
            )
        ]
        return self.task.predictions(sum(parts[1:], parts[0]))
