"""The description of an augmentation: random changes of the images that a network trains on."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from cnn_core.layers.base import Activation, LayerBase, Normalization
from cnn_core.layers.images import ImageShape, image_shape
from cnn_core.validation import flag, set_checked, whole


def _at_least_0(name: str, value: Any) -> int:
    return whole(name, value, 0)


@dataclass(frozen=True)
class Augmentation(LayerBase):
    """Random changes of each image in each training step; predictions use images unchanged.

    It is the first layer of a network, has no parameters, and is applied while the samples of a
    batch are gathered. As for dropout, the changes depend only on the network's seed, the step, and
    the image's position in the batch. So both backends and any number of threads see the same
    images, and a resumed training continues with them.

    An image is cropped first, then shifted, mirrored and erased. Positions are drawn from uniform
    distributions.

    Attributes
    ----------
    input_shape : (height, width, channels)
    mirror : bool
        Whether every second image, on average, is mirrored, left for right.
    shift : int
        Largest shift in pixels, vertically and horizontally. New pixels are 0.
    crop : int
        Largest number of rows, and of columns, that are cut off, shared between both sides. The
        rest is enlarged to the size of the image, with bilinear interpolation.
    erase : int
        Side of a square that is set to 0, where it overlaps the image (DeVries and Taylor,
        "Improved regularization of convolutional neural networks with cutout", 2017).

    Raises
    ------
    TypeError
        For a size that is not a whole number, and a `mirror` that is not True or False.
    ValueError
        For a size below 0, or as large as the image.

    Examples
    --------
    >>> from cnn_core import Augmentation, Conv2D, Dense, MaxPool2D, Stack
    >>> stack = Stack((28, 28, 1)).add(Augmentation, mirror=True, shift=2)
    >>> stack = stack.add(Conv2D, 16).add(MaxPool2D).add(Dense, 10, "softmax")
    >>> stack.layers[0].fan_out
    784
    """

    input_shape: ImageShape
    _: KW_ONLY
    mirror: bool = False
    shift: int = 0
    crop: int = 0
    erase: int = 0
    activation: ClassVar[Activation] = "identity"
    dropout: ClassVar[float] = 0.0
    normalization: ClassVar[Normalization | None] = None
    must_be_first: ClassVar[bool] = True
    may_be_last: ClassVar[bool] = False
    units: ClassVar[int] = 0
    fans: ClassVar[None] = None

    def __post_init__(self) -> None:
        set_checked(self, image_shape, "input_shape")
        set_checked(self, flag, "mirror")
        set_checked(self, _at_least_0, "shift", "crop", "erase")
        height, width, _ = self.input_shape
        for name in ("shift", "crop"):
            value = getattr(self, name)
            if value and value >= min(height, width):
                raise ValueError(
                    f"{name}: expected fewer pixels than the image has rows and columns, {height} "
                    f"and {width}, found {value}"
                )
        if self.erase and self.erase >= max(height, width):
            raise ValueError(
                f"erase: expected a square smaller than the image, {height} x {width}, "
                f"found {self.erase}"
            )

    @property
    def changes_images(self) -> bool:
        """Whether any change is enabled."""
        return self.mirror or self.shift > 0 or self.crop > 0 or self.erase > 0

    @property
    def output_shape(self) -> ImageShape:
        """Height, width and channels of the image, unchanged."""
        return self.input_shape

    @property
    def weights_shape(self) -> tuple[int, int]:
        """Shape of the weights: no rows, since there are none."""
        return 0, self.input_shape[2]

    @property
    def fan_in(self) -> int:
        """Number of values of a sample that come in."""
        return math.prod(self.input_shape)

    @property
    def fan_out(self) -> int:
        """Number of values of a sample that go out, the same number."""
        return self.fan_in
