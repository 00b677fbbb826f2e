"""The object that every loader of an image data set returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

__all__ = ["Dataset"]


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images with labels, split into a training and a test part.

    Attributes
    ----------
    name : str
        Short name of the data set, as the command line writes it.
    x_train : numpy.ndarray, shape (n_train, height, width), uint8
        Training images, pixels from 0 to ``scale``.
    y_train : numpy.ndarray, shape (n_train,), uint8
        Their classes, as positions in ``class_names``.
    x_test : numpy.ndarray, shape (n_test, height, width), uint8
        Test images.
    y_test : numpy.ndarray, shape (n_test,), uint8
        Their classes.
    class_names : tuple of str
        One name per class.
    scale : float
        The largest possible pixel; divide by it to get values from 0 to 1.
    source : str
        Where the data were found.
    """

    name: str
    x_train: npt.NDArray[Any]
    y_train: npt.NDArray[Any]
    x_test: npt.NDArray[Any]
    y_test: npt.NDArray[Any]
    class_names: tuple[str, ...]
    scale: float
    source: str

    def __repr__(self) -> str:
        """Return name, shapes and source; the pixels themselves would fill pages."""
        return (
            f"Dataset({self.name!r}, x_train {self.x_train.shape}, x_test {self.x_test.shape}, "
            f"{self.x_train.dtype}, {len(self.class_names)} classes, from {self.source!r})"
        )
