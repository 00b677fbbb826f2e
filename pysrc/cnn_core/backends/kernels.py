"""Check all arguments of kernels, for both backends.

So a compiled loop never accesses memory outside an array, and both backends refuse the same
arguments with the same messages.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from cnn_core.backends.checks import (
    require,
    require_known,
    require_loss,
    require_optimizer,
    require_vector,
    require_whole,
)
from cnn_core.backends.interface import Kernels
from cnn_core.layers import (
    ACTIVATIONS,
    NORMALIZATIONS,
    AvgPool2D,
    Conv2D,
    GlobalAveragePool,
    MaxPool2D,
)
from cnn_core.types import FloatArray

# The arrays of each operation with their sizes; a star means that it is written. In one call a name
# stands for one size.
SHAPES = {
    "dense_forward": "x n,fan_in  weights fan_in,fan_out  bias fan_out  out* n,fan_out",
    "dense_backward": (
        "x n,fan_in  weights fan_in,fan_out  delta n,fan_out  "
        "grad_weights* fan_in,fan_out  grad_bias* fan_out  grad_x* n,fan_in"
    ),
    "convolve": "x n,fan_in  weights patch,channels  out* n,fan_out",
    "convolve_backward": (
        "x n,fan_in  weights patch,channels  delta n,fan_out  "
        "grad_weights* patch,channels  grad_x* n,fan_in"
    ),
    "pool": "x n,fan_in  out* n,fan_out",
    "pool_backward": "x n,fan_in  grad_out n,fan_out  grad_x* n,fan_in",
    "activate": "z n,units  out* n,units",
    "activation_backward": "z n,units  a n,units  grad_a n,units  out* n,units",
    "loss": "z n,units  y n,units  t n,units  weights n",
    "output_delta": "z n,units  y n,units  t n,units  out* n,units  weights n",
    "normalize": "u n,units  gain units  bias units  normal* n,units  spread* spreads  z* n,units",
    "normalize_backward": (
        "normal n,units  spread spreads  gain units  delta n,units  "
        "grad_gain* units  grad_bias* units  out* n,units"
    ),
    "normalize_by": "u n,units  mean units  variance units  gain units  bias units  z* n,units",
    "update": "parameters* p  gradient p  moments* n_moments,p",
    "random_bits": "",
    "dropout": "a n,units  out* n,units",
}


class CheckedKernels:
    """Operations of a backend, with checks; see `cnn_core.backends.interface.Kernels`.

    Attributes
    ----------
    operations : Kernels
        The same operations, of arguments that fit.
    """

    def __init__(self, operations: Kernels, dtype: npt.DTypeLike) -> None:
        self.operations = operations
        self._like: FloatArray = np.empty(0, dtype)

    def _check(self, operation: str, arguments: dict[str, Any], optional: set[str]) -> None:
        """Refuse arguments that do not fit; make whole numbers of those that stand for one."""
        sizes: dict[str, int] = {}
        _check_settings(operation, arguments, sizes)
        declared = SHAPES[operation].split()
        for name, shape in zip(declared[::2], declared[1::2], strict=True):
            argument, star, _ = name.partition("*")
            array = arguments[argument]
            if array is None and argument in optional:
                continue
            names = shape.split(",")
            wanted = tuple(sizes.get(size) for size in names)
            require(argument, array, wanted, self._like, written=bool(star))
            sizes.update(zip(names, array.shape, strict=True))
            if "normalization" in arguments:
                sizes["spreads"] = sizes["units" if arguments["normalization"] == "batch" else "n"]
        if "loss" in arguments:
            require_loss(arguments["loss"], sizes["units"])


def _check_settings(operation: str, arguments: dict[str, Any], sizes: dict[str, int]) -> None:
    """Check what is no array of floats, and fill in the sizes that it tells."""
    if "activation" in arguments:
        require_known("activation", arguments["activation"], ACTIVATIONS)
    if "normalization" in arguments:
        require_known("normalization", arguments["normalization"], NORMALIZATIONS)
    if operation in ("convolve", "convolve_backward", "pool", "pool_backward"):
        layer = arguments["layer"]
        kinds = (Conv2D,) if "weights" in arguments else (MaxPool2D, AvgPool2D, GlobalAveragePool)
        if not isinstance(layer, kinds):
            known = " or ".join(kind.__name__ for kind in kinds)
            raise TypeError(f"layer: expected {known}, found {layer!r}")
        sizes.update(fan_in=layer.fan_in, fan_out=layer.fan_out)
        sizes.update(zip(("patch", "channels"), layer.weights_shape, strict=False))
    elif operation == "update":
        require_optimizer(arguments["optimizer"])
        sizes["n_moments"] = arguments["optimizer"].n_moments
        arguments["step"] = require_whole("step", arguments["step"], 1, 2**63)
    elif operation == "random_bits":
        counter = arguments["counter"]
        if len(counter) != 4:
            raise ValueError(f"counter: expected four words, found {len(counter)}")
        arguments["counter"] = tuple(require_whole("counter", word, 0, 2**32) for word in counter)
        require_vector("out", arguments["out"], np.uint32, written=True)
    elif operation == "dropout" and not 0 <= arguments["rate"] < 1:
        raise ValueError(f"rate: expected 0 up to below 1, found {arguments['rate']!r}")
    if "key" in arguments:
        arguments["key"] = require_whole("key", arguments["key"], 0, 2**64)


def _checked(operation: str) -> Callable[..., Any]:
    """Return the method of `CheckedKernels` for an operation of the contract."""
    contract = getattr(Kernels, operation)
    signature = inspect.signature(contract)
    parameters = signature.parameters.values()
    optional = {parameter.name for parameter in parameters if parameter.default is None}

    @functools.wraps(contract)
    def method(self: CheckedKernels, *args: Any, **named: Any) -> Any:
        bound = signature.bind(self, *args, **named)
        bound.apply_defaults()
        arguments = bound.arguments
        self._check(operation, arguments, optional)
        return getattr(self.operations, operation)(*bound.args[1:])

    return method


for _operation in SHAPES:
    setattr(CheckedKernels, _operation, _checked(_operation))


def checked(operations: Kernels, dtype: npt.DTypeLike) -> Kernels:
    """Return operations with checks, for arrays of `dtype`."""
    return cast(Kernels, CheckedKernels(operations, dtype))
