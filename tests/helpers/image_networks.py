"""Small networks for images, as the tests of the engine want them."""

from __future__ import annotations

from cnn_core import AvgPool2D, Conv2D, Dense, GlobalAveragePool, MaxPool2D, Network, Stack

# Odd sizes, grey and colour, every padding, strides and kernels; every way of normalizing.
STACKS = {
    "grey, same": Stack((7, 6, 1)).add(Conv2D, 5, activation="tanh"),
    "colour, kernel 5": Stack((9, 7, 3)).add(Conv2D, 17, 5, activation="silu"),
    "valid, stride 2": Stack((8, 9, 2))
    .add(Conv2D, 4, 1, activation="tanh")
    .add(Conv2D, 6, 3, 2, "valid", activation="tanh"),
    "same, stride 2": Stack((7, 8, 2))
    .add(Conv2D, 4, activation="tanh")
    .add(Conv2D, 6, 5, 2, activation="gelu"),
    "stride 3, groups": Stack((7, 8, 2))
    .add(Conv2D, 6, activation="tanh")
    .add(Conv2D, 9, 3, 3, groups=3, activation="tanh"),
    "each channel by itself": Stack((5, 5, 3))
    .add(Conv2D, 6, 1, activation="tanh")
    .add(Conv2D, 6, 3, groups=6, activation="tanh"),
    "pools": Stack((9, 9, 2))
    .add(Conv2D, 18, activation="tanh")
    .add(MaxPool2D, 3, 2, activation="silu")
    .add(AvgPool2D, 2, 1),
    # The last row and column of the convolution are in no window.
    "pool first": Stack((7, 9, 2))
    .add(Conv2D, 18, activation="identity")
    .add(MaxPool2D, normalization="batch", activation="tanh")
    .add(Conv2D, 4, 3, 2, activation="identity", groups=2)
    .add(AvgPool2D, 1, 2, activation="silu"),
    # Pools that the compiled backend makes a part of what is below them, windows of 3 and 2 pixels.
    "pool within": Stack((8, 9, 3))
    .add(Conv2D, 20, 5, activation="tanh")
    .add(MaxPool2D, 2, dropout=0.2)
    .add(Conv2D, 16, activation="identity")
    .add(MaxPool2D, 2, normalization="layer", activation="tanh")
    .add(Conv2D, 34, activation="sigmoid", normalization="batch")
    .add(MaxPool2D, 2, normalization="batch"),
    "pools of 3 within": Stack((7, 9, 2))
    .add(Conv2D, 9, activation="sigmoid")
    .add(MaxPool2D, 3, normalization="batch")
    # Two activations in place: this one stands by itself.
    .add(Conv2D, 5, activation="elu")
    .add(MaxPool2D, 2, activation="tanh"),
    # 3 x 3 kernels with channels enough for Winograd's algorithm; tiles lack rows and columns.
    "many channels": Stack((9, 7, 8))
    .add(Conv2D, 19, activation="identity")
    .add(MaxPool2D, normalization="batch", activation="tanh")
    .add(Conv2D, 40, activation="tanh", normalization="batch")
    .add(Conv2D, 8, padding="valid", activation="silu"),
    "many channels, pools of 3": Stack((9, 16, 9))
    .add(Conv2D, 17, activation="sigmoid")
    .add(MaxPool2D, 3)
    .add(Conv2D, 33, activation="tanh", dropout=0.2),
    "batch": Stack((7, 6, 2))
    .add(Conv2D, 18, activation="tanh", normalization="batch")
    .add(MaxPool2D, normalization="batch", activation="silu", dropout=0.2)
    .add(Conv2D, 3, activation="tanh", normalization="batch", dropout=0.3, spatial_dropout=True),
    "layer": Stack((7, 6, 2))
    .add(Conv2D, 18, activation="gelu", normalization="layer")
    .add(AvgPool2D, normalization="layer", dropout=0.2)
    .add(Conv2D, 4, normalization="layer", activation="tanh", dropout=0.3, spatial_dropout=True)
    .add(GlobalAveragePool),
    "above a dense layer": Stack(5).add(Dense, 24, "tanh"),
}
# A dense layer's outputs become an image.
ABOVE_DENSE = (Conv2D((3, 4, 2), 5, activation="tanh"), Dense(60, 3, "identity"))


def image_network(name, **settings):
    """Return a network with three outputs."""
    stack = STACKS[name]
    if name == "above a dense layer":
        return Network((*stack.layers, *ABOVE_DENSE), **settings)
    below = stack.layers[-1].fan_out
    return Network((*stack.layers, Dense(below, 3, "identity")), **settings)


def samples_for(rng, network, n, dtype):
    x = rng.normal(size=(n, network.n_inputs)).astype(dtype)
    t = rng.random((n, network.n_outputs)).astype(dtype)
    return x, t
