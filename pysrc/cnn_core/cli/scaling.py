"""Scale features, before the network or in it: ``(x - offset) / scale``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.data import DataError
from cnn_core.io.fields import Fields
from cnn_core.network import ByteArray, FloatArray
from cnn_core.standardization import offset_and_scale

__all__ = ["Scaling"]

# Values further away than this many scales are refused; a float32 network takes this many without
# overflow.
_FARTHEST = 1e18
# For scales below it, an overflow of the difference also means too far away.
_LARGE = 2.0**960
# Names of the dtypes that samples may have.
_DTYPES = frozenset(np.dtype(code).name for code in "?" + np.typecodes["AllInteger"] + "efdg")


@dataclass(frozen=True, eq=False)
class Scaling:
    """A scaling that is computed from training samples and applied to all samples.

    Attributes
    ----------
    description : str
        Description as text.
    offset, scale : numpy.ndarray, float64, () or (features,)
    dtype : str
        Dtype of the training samples.
    in_network : bool
        Whether the network applies it as `input_scale`, so that bytes stay bytes. Then there is no
        offset, and one scale for all features.
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
        """Compute the scaling from the training samples `x`.

        The kind of scaling depends on the kind of samples, never on the range of their values.
        Bytes and images are divided by their largest magnitude. A table is standardised (see
        `cnn_core.standardization`).

        Parameters
        ----------
        x : numpy.ndarray, (n, features) or images
        """
        dtype = x.dtype.name
        if x.ndim > 2 or x.dtype == np.uint8:
            largest = max(abs(float(x.min())), abs(float(x.max())))
            return cls.divide_by(largest or 1.0, dtype)
        offset, scale = offset_and_scale(x.reshape(len(x), -1))
        return cls("standardised feature by feature", offset, scale, dtype)

    def apply(self, x: npt.NDArray[Any], dtype: npt.DTypeLike) -> FloatArray | ByteArray:
        """Return samples as rows, scaled here or later by the network.

        Parameters
        ----------
        x : numpy.ndarray, (n, features) or images
            Of as many features as those that the scaling was fixed on.
        dtype : numpy.float32 or numpy.float64

        Returns
        -------
        (n, features) array
            Of `dtype`; bytes stay bytes if the network scales them.
        """
        rows = x.reshape(len(x), -1)
        if not self.in_network:
            return self._scaled(rows, dtype)
        return rows if rows.dtype == np.uint8 else rows.astype(dtype, copy=False)

    def of_feature(self, number: int) -> Scaling:
        """Return the scaling of one feature of several."""
        own = slice(number, number + 1)
        return replace(self, offset=self.offset[own], scale=self.scale[own])

    def require_near(
        self, x: npt.NDArray[Any], names: Sequence[str] | None, source: str | Path
    ) -> None:
        """Refuse a value that would overflow in a network.

        Parameters
        ----------
        x : numpy.ndarray, (n, features) or images
        names : sequence of str or None
            The names of the features.
        source : str or path-like
            Origin of the samples, for the message.

        Raises
        ------
        DataError
            For a value that is 1e18 scales away from the training samples; it names the column and
            the sample.
        """
        if x.dtype == np.uint8:
            return
        rows = x.reshape(len(x), -1)
        extremes = np.stack([rows.min(axis=0), rows.max(axis=0)])
        distance = np.abs(self._scaled(extremes, np.float64))
        if distance.max() <= _FARTHEST:
            return
        side, column = np.unravel_index(int(np.argmax(distance)), distance.shape)
        value = extremes[side, column]
        row = int(np.argmax(rows[:, column] == value))
        name = f"feature {column}" if names is None else f"column {names[int(column)]!r}"
        raise DataError(
            source,
            f"numbers less than {_FARTHEST:g} times as far away as those of training",
            f"{value:g} in {name} of sample {row}, counted from 0",
            "a mark for a missing value? Leave the sample out",
        )

    def _scaled(self, rows: npt.NDArray[Any], dtype: npt.DTypeLike) -> FloatArray:
        # A mean may be much larger than the deviation; the many pixels need no such check.
        is_pixels = not self.scale.ndim and self.scale <= _FARTHEST
        precision = dtype if is_pixels else np.float64
        # Values that overflow are too far away: see `require_near`.
        with np.errstate(over="ignore"):
            if max(np.abs(self.offset).max(), self.scale.max()) > _LARGE:
                # Halves, because the difference of two finite numbers can overflow.
                scaled = rows / np.float64(2) - self.offset / 2
                scaled /= self.scale / 2
            else:
                scaled = np.subtract(rows, self.offset, dtype=precision)
                np.divide(scaled, self.scale, out=scaled, dtype=precision)
            result: FloatArray = scaled.astype(dtype, copy=False)
        return result

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
    def from_json(cls, fields: Fields, n_features: int | None = None) -> Scaling:
        """Return the scaling from the result of `to_json`.

        Parameters
        ----------
        fields : Fields
        n_features : int, optional
            Features of a sample, if they are known.

        Raises
        ------
        OverflowError, TypeError, ValueError
            For anything else.
        """
        offset = np.asarray(fields.numbers("offset"), np.float64)
        scale = np.asarray(fields.numbers("scale"), np.float64)
        is_known = n_features is None or offset.shape in ((), (n_features,))
        if offset.shape != scale.shape or not is_known:
            raise ValueError(
                f"{fields.name('offset')}, {fields.name('scale')}: expected a number each, or one "
                f"for each feature, found {offset.size} and {scale.size}"
            )
        if not (scale > 0).all():
            raise ValueError(f"{fields.name('scale')}: expected numbers above 0")
        dtype = fields.text("dtype")
        if dtype not in _DTYPES:
            raise ValueError(
                f"{fields.name('dtype')}: expected that of numbers, found {dtype!r:.80}"
            )
        # Missing in records of the first version.
        in_network = "in_network" in fields and fields.flag("in_network")
        return cls(fields.text("description"), offset, scale, dtype, in_network)
