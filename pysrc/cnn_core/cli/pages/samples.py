"""Show samples on a page: images, or rows of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.cli.pages.contents import Shown, Table
from cnn_core.cli.pages.pictures import as_bytes, image_grid

__all__ = ["ImageSamples", "SampleViewer", "TableSamples", "number_text"]

Array = npt.NDArray[Any]
IndexArray = npt.NDArray[np.intp]

_IMAGES_IN_A_ROW = 8
_MOST_COLUMNS = 12


class SampleViewer:
    """Shows samples by index."""

    def show(self, numbers: IndexArray, most: int) -> Shown:
        """Return the first `most` of these samples for the page."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class ImageSamples(SampleViewer):
    """Images, (n, height, width) or (n, height, width, channels); grey ones are dark on white.

    If there are not three channels, their mean is shown.
    """

    images: Array

    def show(self, numbers: IndexArray, most: int) -> Shown:
        """Return the first `most` of these samples for the page."""
        chosen = self.images[numbers[:most]]
        if chosen.ndim == 4 and chosen.shape[3] != 3:
            chosen = chosen.mean(axis=3)
        whole = self._largest
        pixels = as_bytes(chosen, whole, inverted=chosen.ndim == 3)
        return Shown(len(numbers), images=image_grid(pixels, _IMAGES_IN_A_ROW))

    @property
    def _largest(self) -> float:
        if self.images.dtype == np.uint8:
            return 255.0
        return float(self.images.max()) if self.images.size else 1.0


@dataclass(frozen=True, eq=False)
class TableSamples(SampleViewer):
    """Rows of a table.

    Attributes
    ----------
    columns : list of numpy.ndarray, (n,)
        The cells, of any type.
    names : tuple of str
    first : tuple of int
        Numbers of the columns, the one to show first at the start.
    """

    columns: list[Array]
    names: tuple[str, ...]
    first: tuple[int, ...] = ()

    def show(self, numbers: IndexArray, most: int) -> Shown:
        """Return the first `most` of these samples for the page."""
        order = [*self.first, *(c for c in range(len(self.names)) if c not in set(self.first))]
        shown = order[:_MOST_COLUMNS]
        rows = tuple(
            tuple(number_text(self.columns[column][number]) for column in shown)
            for number in numbers[:most].tolist()
        )
        names = tuple(self.names[column] for column in shown)
        numeric = tuple(_are_numbers(self.columns[column]) for column in shown)
        return Shown(len(numbers), table=Table(names, rows, len(order) - len(shown), numeric))


def _are_numbers(cells: Array) -> bool:
    """Tell whether what is known of a column are numbers."""
    if cells.dtype.kind != "O":
        return cells.dtype.kind in "iuf"
    known = [cell for cell in cells.tolist() if cell is not None]
    return bool(known) and all(type(cell) in (int, float) for cell in known)


def number_text(value: Any) -> str:
    """Return a cell as text: numbers to six digits, nothing for a missing one."""
    if value is None:
        return ""
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{float(value):.6g}"
    # A date without a time of day.
    return str(value).removesuffix(" 00:00:00")
