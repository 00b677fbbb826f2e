import numpy as np
import numpy.typing as npt

from cnn_core.layers import Conv2D, ImageLayer
from cnn_core.network import Activation, FloatArray, Loss, Normalization
from cnn_core.optimizers import Optimizer

def dense_forward(
    x: FloatArray, weights: FloatArray, bias: FloatArray, out: FloatArray
) -> None: ...
def dense_backward(
    x: FloatArray,
    weights: FloatArray,
    delta: FloatArray,
    grad_weights: FloatArray | None = None,
    grad_bias: FloatArray | None = None,
    grad_x: FloatArray | None = None,
) -> None: ...
def convolve(layer: Conv2D, x: FloatArray, weights: FloatArray, out: FloatArray) -> None: ...
def convolve_backward(
    layer: Conv2D,
    x: FloatArray,
    weights: FloatArray,
    delta: FloatArray,
    grad_weights: FloatArray | None = None,
    grad_x: FloatArray | None = None,
) -> None: ...
def pool(layer: ImageLayer, x: FloatArray, out: FloatArray) -> None: ...
def pool_backward(
    layer: ImageLayer, x: FloatArray, grad_out: FloatArray, grad_x: FloatArray
) -> None: ...
def activate(activation: Activation, z: FloatArray, out: FloatArray) -> None: ...
def activation_backward(
    activation: Activation, z: FloatArray, a: FloatArray, grad_a: FloatArray, out: FloatArray
) -> None: ...
def loss(
    loss: Loss, z: FloatArray, y: FloatArray, t: FloatArray, weights: FloatArray | None = None
) -> float: ...
def output_delta(
    loss: Loss,
    activation: Activation,
    z: FloatArray,
    y: FloatArray,
    t: FloatArray,
    out: FloatArray,
    weights: FloatArray | None = None,
) -> None: ...
def normalize(
    normalization: Normalization,
    u: FloatArray,
    gain: FloatArray,
    bias: FloatArray,
    normal: FloatArray,
    spread: FloatArray,
    z: FloatArray,
) -> None: ...
def normalize_backward(
    normalization: Normalization,
    normal: FloatArray,
    spread: FloatArray,
    gain: FloatArray,
    delta: FloatArray,
    grad_gain: FloatArray,
    grad_bias: FloatArray,
    out: FloatArray,
) -> None: ...
def normalize_by(
    mean: FloatArray,
    variance: FloatArray,
    gain: FloatArray,
    bias: FloatArray,
    u: FloatArray,
    z: FloatArray,
) -> None: ...
def update(
    optimizer: Optimizer,
    parameters: FloatArray,
    gradient: FloatArray,
    moments: FloatArray,
    learning_rate: float,
    step: int,
) -> None: ...
def random_bits(
    key: int, counter: tuple[int, int, int, int], out: npt.NDArray[np.uint32]
) -> None: ...
def dropout(
    rate: float, key: int, step: int, layer: int, a: FloatArray, out: FloatArray
) -> None: ...
