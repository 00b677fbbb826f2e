"""How features are scaled before they reach the network: ``(x - offset) / scale``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.network import FloatArray

__all__ = ["Scaling"]


@dataclass(frozen=True, eq=False)
class Scaling:
    """A scaling that was fixed on training samples and is applied to all others alike.

    Attributes
    ----------
    description : str
        In words, for people.
    offset, scale : numpy.ndarray, float64, () or (features,)
    dtype : str
        Type of the samples that it was fixed on.
    """

    description: str
    offset: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]
    dtype: str

    @classmethod
    def divide_by(cls, largest: float, dtype: str) -> Scaling:
        """Return the scaling of pixels from 0 to `largest`."""
        return cls(f"divided by {largest:g}", np.asarray(0.0), np.asarray(float(largest)), dtype)

    @classmethod
    def fixed_on(cls, x: npt.NDArray[Any]) -> Scaling:
        """Return the scaling that suits the training samples `x`.

        Values that all lie in [0, 1] stay as they are. Images, and bytes, are divided by their
        largest value. Anything else is standardised: each feature less its mean, over its standard
        deviation (a feature that is the same in all samples becomes 0).

        Parameters
        ----------
        x : numpy.ndarray, (n, features) or (n, height, width)
        """
        dtype = x.dtype.name
        least, largest = float(x.min()), float(x.max())
        if least >= 0 and largest <= 1:
            return cls("as they are", np.asarray(0.0), np.asarray(1.0), dtype)
        if least >= 0 and (x.ndim == 3 or x.dtype == np.uint8):
            return cls.divide_by(largest, dtype)
        rows = x.reshape(len(x), -1).astype(np.float64)
        deviation = rows.std(axis=0)
        return cls(
            "standardised feature by feature",
            rows.mean(axis=0),
            np.where(deviation > 0, deviation, 1.0),
            dtype,
        )

    def apply(self, x: npt.NDArray[Any], dtype: npt.DTypeLike) -> FloatArray:
        """Return scaled samples as rows.

        Parameters
        ----------
        x : numpy.ndarray, (n, features) or (n, height, width)
            Of as many features as those that the scaling was fixed on.
        dtype : numpy.float32 or numpy.float64

        Returns
        -------
        (n, features) array of `dtype`
        """
        rows = x.reshape(len(x), -1)
        # A mean may be far larger than the deviation from it; pixels are many and need no care.
        precision = np.float64 if self.scale.ndim else dtype
        scaled = np.subtract(rows, self.offset, dtype=precision)
        np.divide(scaled, self.scale, out=scaled, dtype=precision)
        rows_scaled: FloatArray = scaled.astype(dtype, copy=False)
        return rows_scaled

    def to_json(self) -> dict[str, Any]:
        """Return the scaling as numbers, lists and text."""
        return {
            "description": self.description,
            "offset": self.offset.tolist(),
            "scale": self.scale.tolist(),
            "dtype": self.dtype,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Scaling:
        """Return the scaling that `to_json` described.

        Raises
        ------
        KeyError, TypeError, ValueError
            For anything else.
        """
        offset = np.asarray(values["offset"], np.float64)
        scale = np.asarray(values["scale"], np.float64)
        if offset.shape != scale.shape or offset.ndim > 1 or not (scale > 0).all():
            raise ValueError("offset and scale of the preprocessing do not go together")
        return cls(str(values["description"]), offset, scale, str(values["dtype"]))
