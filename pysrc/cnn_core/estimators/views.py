"""``coefs_`` and ``intercepts_``: lists of arrays, one for each layer of a model."""

from __future__ import annotations

from typing import Any

import numpy as np

from cnn_core.arrays import copy_into
from cnn_core.estimators.folding import folds_of
from cnn_core.model import Model
from cnn_core.network import FloatArray


class LayerList(list[FloatArray]):
    """A list of views, one for each layer: assigning to an item writes into the network."""

    def __setitem__(self, index: Any, value: Any) -> None:
        """Write values into the view or views at `index`."""
        if not isinstance(index, slice):
            _require_writeable([self[index]], f"layer {index}")
            copy_into(self[index], value, f"layer {index}")
            return
        write(self[index], value, "layers")

    def __reduce__(self) -> Any:
        """Pickle and copy as a plain list of copies."""
        return (list, ([view.copy() for view in self],))


def weights_of(model: Model) -> LayerList:
    """Return the weights of each layer, (fan_in, fan_out), folded as in `folding`."""
    layers, folds = model.predicting_layers, folds_of(model)
    if folds is None:
        return LayerList(layer.weights for layer in layers)
    return LayerList(fold.folded(layer)[0] for fold, layer in zip(folds, layers, strict=True))


def biases_of(model: Model) -> LayerList:
    """Return the biases of each layer, (fan_out,), likewise."""
    layers, folds = model.predicting_layers, folds_of(model)
    if folds is None:
        return LayerList(layer.bias for layer in layers)
    return LayerList(fold.folded(layer)[1] for fold, layer in zip(folds, layers, strict=True))


def set_weights(model: Model, values: Any, name: str) -> None:
    """Set the weights of the layers, given as `weights_of` returns them.

    Raises
    ------
    TypeError, ValueError
        As for `write`, and if no weights of the layers give these values.
    """
    layers, folds = model.predicting_layers, folds_of(model)
    copies = _read([layer.weights for layer in layers], values, name)
    if folds is not None:
        copies = [
            fold.unfolded_weights(copy.astype(np.float64), name)
            for fold, copy in zip(folds, copies, strict=True)
        ]
    for layer, copy in zip(layers, copies, strict=True):
        layer.weights[...] = copy


def set_biases(model: Model, values: Any, name: str) -> None:
    """Set the biases of the layers, given as `biases_of` returns them.

    Raises
    ------
    TypeError, ValueError
        As `write`.
    """
    layers, folds = model.predicting_layers, folds_of(model)
    copies = _read([layer.bias for layer in layers], values, name)
    for number, (layer, copy) in enumerate(zip(layers, copies, strict=True)):
        layer.bias[...] = copy if folds is None else copy - folds[number].shift


def write(views: list[FloatArray], values: Any, name: str) -> None:
    """Write values, one array for each view, into the views.

    Raises
    ------
    TypeError, ValueError
        For another number of arrays, another shape, or values that are not finite numbers; if the
        views are folded copies.
    """
    _require_writeable(views, name)
    for view, copy in zip(views, _read(views, values, name), strict=True):
        view[...] = copy


def _read(views: list[FloatArray], values: Any, name: str) -> list[FloatArray]:
    """Return copies of `values`, one array in the shape of each view.

    All values are copied before the first is written. So an error leaves the network unchanged, and
    the values may be views of the same network.
    """
    values = list(values)
    if len(values) != len(views):
        raise ValueError(f"{name}: expected {len(views)} arrays, found {len(values)}")
    copies = [np.empty_like(view) for view in views]
    for number, (copy, value) in enumerate(zip(copies, values, strict=True)):
        copy_into(copy, value, f"{name}[{number}]")
    return copies


def _require_writeable(views: list[FloatArray], name: str) -> None:
    if not all(view.flags.writeable for view in views):
        raise ValueError(
            f"{name}: expected views to write to, found copies with input_scale and batch "
            "normalization folded in; assign all layers at once, or write to model_.layers"
        )
