"""How features are scaled, before the network or by it: ``(x - offset) / scale``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.network import ByteArray, FloatArray
from cnn_core.standardization import offset_and_scale

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
    in_network : bool
        Whether the network does it, as its `input_scale`, so that bytes stay bytes. There is no
        offset then, and one scale for all features.
    """

    description: str
    offset: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]
    dtype: str
    in_network: bool = False

    def __post_init__(self) -> None:
        if self.in_network and (self.scale.ndim or self.offset.any()):
            raise ValueError("a network scales all features alike, and moves none")

    @classmethod
    def divide_by(cls, largest: float, dtype: str) -> Scaling:
        """Return the scaling of pixels from 0 to `largest`; bytes are left to the network."""
        return cls(
            f"divided by {largest:g}",
            np.asarray(0.0),
            np.asarray(float(largest)),
            dtype,
            in_network=dtype == "uint8",
        )

    @property
    def input_scale(self) -> float:
        """The `input_scale` of the network that goes with it."""
        return 1.0 / float(self.scale) if self.in_network else 1.0

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
            nothing = np.asarray(0.0), np.asarray(1.0)
            return cls("as they are", *nothing, dtype, in_network=dtype == "uint8")
        if least >= 0 and (x.ndim == 3 or x.dtype == np.uint8):
            return cls.divide_by(largest, dtype)
        offset, scale = offset_and_scale(x.reshape(len(x), -1))
        return cls("standardised feature by feature", offset, scale, dtype)

    def apply(self, x: npt.NDArray[Any], dtype: npt.DTypeLike) -> FloatArray | ByteArray:
        """Return samples as rows that are scaled, or that the network will scale.

        Parameters
        ----------
        x : numpy.ndarray, (n, features) or (n, height, width)
            Of as many features as those that the scaling was fixed on.
        dtype : numpy.float32 or numpy.float64

        Returns
        -------
        (n, features) array
            Of `dtype`; bytes stay bytes where the network scales them.
        """
        rows = x.reshape(len(x), -1)
        if self.in_network:
            return rows if rows.dtype == np.uint8 else rows.astype(dtype, copy=False)
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
            "in_network": self.in_network,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Scaling:
        """Return the scaling that `to_json` described.

        Raises
        ------
        KeyError, TypeError, ValueError
            For anything else.
        """
        # Records of the first version say nothing about it.
        in_network = values.get("in_network", False)
        if not isinstance(in_network, bool):
            raise TypeError(f"in_network: expected true or false, found {in_network!r}")
        offset = np.asarray(values["offset"], np.float64)
        scale = np.asarray(values["scale"], np.float64)
        if offset.shape != scale.shape or offset.ndim > 1 or not (scale > 0).all():
            raise ValueError("offset and scale of the preprocessing do not go together")
        return cls(str(values["description"]), offset, scale, str(values["dtype"]), in_network)
