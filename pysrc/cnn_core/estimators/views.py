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
        write(self[index], value, "layers")

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
    # All of them are read before the first is written: a refusal leaves the network as it was, and
    # views of one layer may be given for another.
    copies = [view.copy() for view in views]
    for number, (copy, value) in enumerate(zip(copies, values, strict=True)):
        copy_into(copy, value, f"{name}[{number}]")
    for view, copy in zip(views, copies, strict=True):
        view[...] = copy
