"""Descriptions of layers: frozen, without parameters and without arithmetic.

A kind of layer is a subclass of `LayerBase` that is listed in `LayerDescription`. This puts it into
`LAYERS`, the registry of networks and files. The backends hold the arithmetic: a class in
``backends/numpy/layers.py``, and a branch in ``backends/compiled_layers.py``.
"""

from __future__ import annotations

from typing import TypeAlias, get_args

from cnn_core.layers.augmentation import Augmentation
from cnn_core.layers.base import (
    ACTIVATIONS,
    EPSILON,
    HIDDEN_ACTIVATIONS,
    LAST_LAYER_ACTIVATIONS,
    NORMALIZATIONS,
    STATISTICS_MOMENTUM,
    Activation,
    LayerArrays,
    LayerBase,
    Normalization,
)
from cnn_core.layers.dense import Dense
from cnn_core.layers.embedding import MOST_CODES, Embedding
from cnn_core.layers.encoded import ENCODINGS, EncodedDense, Encoding
from cnn_core.layers.images import (
    AvgPool2D,
    Conv2D,
    GlobalAveragePool,
    ImageLayer,
    MaxPool2D,
)

__all__ = [
    "ACTIVATIONS",
    "ENCODINGS",
    "EPSILON",
    "HIDDEN_ACTIVATIONS",
    "LAST_LAYER_ACTIVATIONS",
    "LAYERS",
    "MOST_CODES",
    "NORMALIZATIONS",
    "STATISTICS_MOMENTUM",
    "Activation",
    "Augmentation",
    "AvgPool2D",
    "Conv2D",
    "Dense",
    "Embedding",
    "EncodedDense",
    "Encoding",
    "GlobalAveragePool",
    "ImageLayer",
    "LayerArrays",
    "LayerBase",
    "LayerDescription",
    "MaxPool2D",
    "Normalization",
]

LayerDescription: TypeAlias = (
    Dense
    | Embedding
    | EncodedDense
    | Augmentation
    | Conv2D
    | MaxPool2D
    | AvgPool2D
    | GlobalAveragePool
)
# The registry of kinds of layers, by their names in files.
LAYERS: dict[str, type[LayerDescription]] = {
    kind.__name__: kind for kind in get_args(LayerDescription)
}
