"""``coefs_`` and ``intercepts_``: lists of arrays whose items are views of a model."""

from __future__ import annotations

from typing import Any

from cnn_core.arrays import copy_into
from cnn_core.network import FloatArray


class LayerList(list[FloatArray]):
    """A list of views, one for each layer: what is assigned to an item goes into the network."""

    def __setitem__(self, index: Any, value: Any) -> None:
        """Write values into the view or views at `index`."""
        if not isinstance(index, slice):
            copy_into(self[index], value, f"layer {index}")
            return
        for position, item in zip(range(*index.indices(len(self))), value, strict=True):
            self[position] = item

    def __reduce__(self) -> Any:
        """Become a plain list of copies where it is pickled or copied on its own."""
        return (list, ([view.copy() for view in self],))


def write(views: list[FloatArray], values: Any, name: str) -> None:
    """Write values, one array for each view, into the views.

    Raises
    ------
    TypeError, ValueError
        For another number of arrays, another shape, or values that are no finite numbers.
    """
    values = list(values)
    if len(values) != len(views):
        raise ValueError(f"{name}: expected {len(views)} arrays, found {len(values)}")
    for number, (view, value) in enumerate(zip(views, values, strict=True)):
        copy_into(view, value, f"{name}[{number}]")
