"""Descriptions of layers for images: convolution and pooling.

An image of the shape (height, width, channels) is stored as a flat row in C order: rows from the
top, pixels from the left, then the channels of a pixel. So the output of a layer for images can go
into a `Dense` layer without a flatten layer.
"""

from __future__ import annotations

import math
import sys
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from cnn_core.layers.base import (
    Activation,
    LayerBase,
    Normalization,
)
from cnn_core.validation import flag, require_known, set_checked, shown, whole

ImageShape: TypeAlias = tuple[int, int, int]
Padding: TypeAlias = Literal["same", "valid"]
PADDINGS: tuple[Padding, ...] = get_args(Padding)


def _at_least_1(name: str, value: Any) -> int:
    return whole(name, value, 1)


def image_shape(name: str, value: Any) -> ImageShape:
    """Return the shape of an image.

    Raises
    ------
    TypeError
        For a size that is no whole number.
    ValueError
        For anything but (height, width, channels), each at least 1.
    """
    if not isinstance(value, tuple | list) or len(value) != 3:
        raise ValueError(f"{name}: expected (height, width, channels), found {shown(value)}")
    height, width, channels = (whole(name, size, 1) for size in value)
    if height * width * channels > sys.maxsize:
        raise ValueError(f"{name}: expected at most {sys.maxsize} values, found {shown(value)}")
    return height, width, channels


@dataclass(frozen=True)
class ImageLayer(LayerBase):
    """Base class of layers for images; see `Conv2D`.

    Normalization, activation and dropout follow in this order, each if set.

    Attributes
    ----------
    input_shape : (height, width, channels)
    activation : str
        One of `ACTIVATIONS`; ``"softmax"`` and ``"exp"`` in the last layer only.
    normalization : {"batch", "layer"}, optional
        As for `Dense`, but for each channel: ``"batch"`` over the pixels of all samples of a batch,
        ``"layer"`` over the channels of each pixel. Not in the last layer.
    dropout : float
        As for `Dense`; 0 in the last layer.
    spatial_dropout : bool
        Whether whole channels of a sample are dropped instead of single values (Tompson et al.,
        "Efficient object localization using convolutional networks", 2015).
    """

    input_shape: ImageShape
    _: KW_ONLY
    activation: Activation = "identity"
    normalization: Normalization | None = None
    dropout: float = 0.0
    spatial_dropout: bool = False

    def __post_init__(self) -> None:
        set_checked(self, image_shape, "input_shape")
        self._check_settings()
        set_checked(self, flag, "spatial_dropout")

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of the window of an output."""
        raise NotImplementedError

    @property
    def step(self) -> int:
        """Pixels from one window to the next, down and to the right."""
        raise NotImplementedError

    @property
    def margin(self) -> int:
        """Pixels of zeros on each side of the image."""
        return 0

    @property
    def output_channels(self) -> int:
        """Number of channels of the output."""
        return self.input_shape[2]

    @property
    def weights_shape(self) -> tuple[int, int]:
        """Shape of the weights; no rows if there are none."""
        return 0, self.output_channels

    @property
    def units(self) -> int:
        """Number of biases, and of gains if it has them: the channels, or none."""
        return self.output_channels if self.has_gain else 0

    @property
    def fans(self) -> tuple[float, int] | None:
        """Fan-in and fan-out for the first weights; None without weights."""
        return None

    @property
    def output_shape(self) -> ImageShape:
        """Height, width and channels of the output."""
        height, width = (
            (size + 2 * self.margin - window) // self.step + 1
            for size, window in zip(self.input_shape[:2], self.window, strict=True)
        )
        return height, width, self.output_channels

    @property
    def fan_in(self) -> int:
        """Number of values of a sample that come in."""
        return math.prod(self.input_shape)

    @property
    def fan_out(self) -> int:
        """Number of values of a sample that go out."""
        return math.prod(self.output_shape)

    def _require_room(self, name: str) -> None:
        """Refuse a window that is larger than the image."""
        height, width = (size + 2 * self.margin for size in self.input_shape[:2])
        if self.window[0] > height or self.window[1] > width:
            raise ValueError(
                f"{name}: expected at most the height and width of the image, "
                f"{self.input_shape[0]} and {self.input_shape[1]}, found {max(self.window)}"
            )


@dataclass(frozen=True)
class Conv2D(ImageLayer):
    """A convolution: each pixel of the output is a dense layer of the pixels around it.

    It is the sum over rows ``i``, columns ``j`` and channels ``c`` of the kernel; pixels outside
    the image are 0 (LeCun et al., "Gradient-based learning applied to document recognition",
    1998)::

        u[y, x, o] = sum of weights[i, j, c, o] * image[s * y + i - m, s * x + j - m, c]

    with the stride ``s`` and the margin ``m``. Then ``a = activation(u + bias)``, or with
    normalization ``a = activation(gain * normalized(u) + bias)``.

    Attributes
    ----------
    input_shape : (height, width, channels)
    channels : int
        Channels of the output.
    kernel : int
        Height and width of the kernel.
    stride : int
        Pixels from one place of the kernel to the next.
    padding : {"same", "valid"}
        ``"same"``: a margin of ``kernel // 2`` pixels of zeros on each side, so that the output
        has ``ceil(size / stride)`` rows and columns; the kernel is odd then. ``"valid"``: no
        margin, and ``(size - kernel) // stride + 1`` of them.
    groups : int
        Number of groups into which the channels of input and output are divided. The outputs of a
        group depend only on its own inputs (Krizhevsky et al., 2012).
    activation, normalization, dropout, spatial_dropout
        See `ImageLayer`.

    Raises
    ------
    TypeError
        For a size that is not a whole number, or a share that is not a number.
    ValueError
        For a size below 1 or too large for the image, a name that is not known, channels that
        cannot be divided into the groups.

    Examples
    --------
    >>> layer = Conv2D((28, 28, 1), 16, stride=2)
    >>> layer.output_shape
    (14, 14, 16)
    >>> layer.n_parameters()  # 3 * 3 * 1 * 16 weights and 16 biases
    160
    """

    channels: int
    kernel: int = 3
    stride: int = 1
    padding: Padding = "same"
    groups: int = 1
    activation: Activation = field(default="relu", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        set_checked(self, _at_least_1, "channels", "kernel", "stride", "groups")
        require_known("padding", self.padding, PADDINGS)
        if self.padding == "same" and self.kernel % 2 == 0:
            raise ValueError(
                f"kernel: expected an odd number with the padding 'same', found {self.kernel}"
            )
        for channels in (self.input_shape[2], self.channels):
            if channels % self.groups:
                raise ValueError(
                    f"groups: expected a divisor of the channels, {self.input_shape[2]} and "
                    f"{self.channels}, found {self.groups}"
                )
        self._require_room("kernel")

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of the kernel."""
        return self.kernel, self.kernel

    @property
    def step(self) -> int:
        """Pixels from one place of the kernel to the next."""
        return self.stride

    @property
    def margin(self) -> int:
        """Pixels of zeros on each side of the image."""
        return self.kernel // 2 if self.padding == "same" else 0

    @property
    def output_channels(self) -> int:
        """Number of channels of the output."""
        return self.channels

    @property
    def weights_shape(self) -> tuple[int, int]:
        """A row for each value of a patch, by row, column, channel; a column for each channel."""
        return self.kernel**2 * (self.input_shape[2] // self.groups), self.channels

    @property
    def units(self) -> int:
        """Number of biases, and of gains if it has them: the channels."""
        return self.channels

    @property
    def fans(self) -> tuple[float, int]:
        """Inputs of a unit, and units that use an input."""
        rows, channels = self.weights_shape
        return rows, self.kernel**2 * channels // self.groups


@dataclass(frozen=True)
class _Pool(ImageLayer):
    """A pool over windows of `size` by `size` pixels."""

    size: int = 2
    stride: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        set_checked(self, _at_least_1, "size")
        if self.stride is not None:
            set_checked(self, _at_least_1, "stride")
        self._require_room("size")

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of a window."""
        return self.size, self.size

    @property
    def step(self) -> int:
        """Pixels from one window to the next."""
        return self.size if self.stride is None else self.stride


@dataclass(frozen=True)
class MaxPool2D(_Pool):
    """The largest value of each window, channel by channel.

    If it occurs several times, the first one gets the gradient.

    Attributes
    ----------
    input_shape : (height, width, channels)
    size : int
        Height and width of a window; rows and columns that do not fill a window are ignored.
    stride : int, optional
        Pixels from one window to the next; by default `size`.
    activation, normalization, dropout, spatial_dropout
        See `ImageLayer`. With normalization there are a gain and a bias for each channel.

    Raises
    ------
    TypeError, ValueError
        As for `Conv2D`.

    Examples
    --------
    >>> MaxPool2D((7, 7, 64)).output_shape
    (3, 3, 64)
    """


@dataclass(frozen=True)
class AvgPool2D(_Pool):
    """The mean of each window, channel by channel; attributes and errors as for `MaxPool2D`."""


@dataclass(frozen=True)
class GlobalAveragePool(ImageLayer):
    """The mean of each channel over all pixels (Lin et al., "Network in network", 2014).

    Attributes and errors as for `ImageLayer`. The output has the shape (1, 1, channels).
    """

    @property
    def window(self) -> tuple[int, int]:
        """Height and width of the image."""
        return self.input_shape[:2]

    @property
    def step(self) -> int:
        """Pixels from one window to the next; there is only one window."""
        return 1
