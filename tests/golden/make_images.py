"""Make `images.json`: what PyTorch's autograd gives for small networks with convolutions.

Run it with PyTorch and NumPy installed (the test suite itself needs no PyTorch):

    python tests/golden/make_images.py

Everything is float64 and drawn from a fixed legacy generator, whose stream NumPy never changes. A
layer is written as cnn_core writes it: kind and settings. Its weights are ordered by row, column,
input and output; they become PyTorch's, (output, input, row, column), and autograd's gradients come
back the same way.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

SAMPLES, BATCH_SIZE, EPOCHS, RATE = 7, 3, 3, 0.1
ACTIVATIONS = {
    "identity": lambda z: z,
    "relu": torch.relu,
    "tanh": torch.tanh,
    "silu": functional.silu,
    "softmax": lambda z: torch.softmax(z.flatten(1), dim=1),
}
# Shape of an image, and the layers.
CASES = {
    "same, strides 1 and 2": (
        (6, 5, 2),
        [
            ["Conv2D", {"channels": 3, "activation": "tanh"}],
            ["Conv2D", {"channels": 4, "kernel": 3, "stride": 2, "activation": "silu"}],
        ],
    ),
    "valid, kernels 5 and 1": (
        (7, 8, 1),
        [
            ["Conv2D", {"channels": 3, "kernel": 5, "padding": "valid", "activation": "tanh"}],
            ["Conv2D", {"channels": 5, "kernel": 1, "stride": 2, "padding": "valid"}],
        ],
    ),
    "groups": (
        (5, 4, 4),
        [
            ["Conv2D", {"channels": 6, "groups": 2, "activation": "tanh"}],
            ["Conv2D", {"channels": 6, "kernel": 5, "groups": 6, "activation": "tanh"}],
        ],
    ),
    "pools": (
        (7, 6, 3),
        [
            ["MaxPool2D", {"size": 3, "stride": 2, "activation": "tanh"}],
            ["Conv2D", {"channels": 4, "activation": "identity"}],
            ["AvgPool2D", {"activation": "silu"}],
        ],
    ),
    "many channels": (
        (5, 6, 1),
        [
            ["Conv2D", {"channels": 8, "activation": "tanh"}],
            ["Conv2D", {"channels": 8, "padding": "valid", "activation": "silu"}],
        ],
    ),
    "batch normalization": (
        (6, 6, 1),
        [
            ["Conv2D", {"channels": 4, "normalization": "batch", "activation": "silu"}],
            ["MaxPool2D", {"normalization": "batch", "activation": "tanh"}],
        ],
    ),
    "layer normalization": (
        (5, 5, 2),
        [
            ["Conv2D", {"channels": 4, "normalization": "layer", "activation": "silu"}],
            ["GlobalAveragePool", {"normalization": "layer", "activation": "identity"}],
        ],
    ),
}
CLASSES = 3


def numbers_of(case: str) -> list[dict[str, object]]:
    """Return kind, settings, weights, bias and gain of each layer, the last one dense."""
    shape, specs = CASES[case]
    rng = np.random.RandomState(len(case))
    channels, layers = shape[2], []
    for kind, settings in specs:
        layer: dict[str, object] = {"kind": kind, **settings}
        if kind == "Conv2D":
            rows = settings.get("kernel", 3) ** 2 * channels // settings.get("groups", 1)
            channels = settings["channels"]
            layer["weights"] = rng.normal(size=(rows, channels)) * 0.5
        if kind == "Conv2D" or "normalization" in settings:
            layer["bias"] = rng.normal(size=channels) * 0.3
        if "normalization" in settings:
            layer["gain"] = rng.uniform(0.5, 1.5, channels)
        layers.append(layer)
    features = outputs_of(layers, torch.zeros(1, *shape)).numel()
    last = {"kind": "Dense", "activation": "softmax"}
    last["weights"], last["bias"] = rng.normal(size=(features, CLASSES)), rng.normal(size=CLASSES)
    return [*layers, last]


def outputs_of(layers, x, statistics=None, training=True):
    """Return the pre-activations of the last layer, or what the last layer for images gives."""
    images = torch.as_tensor(x).permute(0, 3, 1, 2)
    z = images
    for number, layer in enumerate(layers):
        tensors = {
            name: torch.as_tensor(layer[name])
            for name in ("weights", "bias", "gain")
            if name in layer
        }
        z = computed(layer, tensors, z)
        if "gain" in layer:
            z = normalized(
                layer, tensors, z, None if statistics is None else statistics[number], training
            )
        elif layer["kind"] == "Conv2D":
            z = z + tensors["bias"][:, None, None]
        if layer["kind"] != "Dense":
            z = ACTIVATIONS[layer.get("activation", "relu")](z)
    return z


def computed(layer, tensors, z):
    kind = layer["kind"]
    if kind == "Conv2D":
        kernel, groups = layer.get("kernel", 3), layer.get("groups", 1)
        weights = tensors["weights"].reshape(kernel, kernel, -1, layer["channels"])
        padding = kernel // 2 if layer.get("padding", "same") == "same" else 0
        return functional.conv2d(
            z, weights.permute(3, 2, 0, 1), None, layer.get("stride", 1), padding, groups=groups
        )
    if kind == "Dense":
        return z.permute(0, 2, 3, 1).flatten(1) @ tensors["weights"] + tensors["bias"]
    if kind == "GlobalAveragePool":
        return z.mean(dim=(2, 3), keepdim=True)
    size = layer.get("size", 2)
    pool = functional.max_pool2d if kind == "MaxPool2D" else functional.avg_pool2d
    return pool(z, size, layer.get("stride", size))


def normalized(layer, tensors, z, statistics, training):
    if layer["normalization"] == "batch":
        mean, variance = statistics or (None, None)
        return functional.batch_norm(
            z, mean, variance, tensors["gain"], tensors["bias"], training, 0.1
        )
    pixels = z.permute(0, 2, 3, 1)
    found = functional.layer_norm(pixels, pixels.shape[3:], tensors["gain"], tensors["bias"])
    return found.permute(0, 3, 1, 2)


def case(name: str) -> dict[str, object]:
    """Return the network, its gradient, and what a training by plain descent makes of it."""
    shape, specs = CASES[name]
    layers = numbers_of(name)
    rng = np.random.RandomState(5)
    x = rng.normal(size=(SAMPLES, *shape))
    t = rng.dirichlet(np.ones(CLASSES), SAMPLES)
    order = ("weights", "bias", "gain")
    start = flat([layer[key] for layer in layers for key in order if key in layer])
    for layer in layers:
        for key in order:
            if key in layer:
                layer[key] = torch.tensor(layer[key], requires_grad=True)
    tensors = [layer[key] for layer in layers for key in order if key in layer]
    statistics = [
        (torch.zeros(len(layer["gain"])), torch.ones(len(layer["gain"])))
        if layer.get("normalization") == "batch"
        else None
        for layer in layers
    ]

    def loss_of(rows, kept):
        z = outputs_of(layers, x[rows], kept)
        return functional.cross_entropy(z, torch.tensor(t[rows]))

    loss = loss_of(slice(None), [None] * len(layers))
    loss.backward()
    gradient = flat([tensor.grad.numpy() for tensor in tensors])
    for _ in range(EPOCHS):
        for first in range(0, SAMPLES, BATCH_SIZE):
            for tensor in tensors:
                tensor.grad = None
            loss_of(slice(first, first + BATCH_SIZE), statistics).backward()
            with torch.no_grad():
                for tensor in tensors:
                    tensor -= RATE * tensor.grad
    with torch.no_grad():
        outputs = torch.softmax(outputs_of(layers, x, statistics, training=False), dim=1)
    return {
        "input_shape": shape,
        "layers": [*specs, ["Dense", {"fan_out": CLASSES, "activation": "softmax"}]],
        "x": x.reshape(SAMPLES, -1).tolist(),
        "t": t.tolist(),
        "parameters": start,
        "loss": loss.item(),
        "gradient": gradient,
        "trained_parameters": flat([tensor.detach().numpy() for tensor in tensors]),
        "statistics": flat([values.numpy() for pair in statistics if pair for values in pair]),
        "outputs": outputs.tolist(),
    }


def flat(arrays) -> list[float]:
    return np.concatenate([*(np.ravel(array) for array in arrays), np.empty(0)]).tolist()


if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    made = {
        "made_with": f"PyTorch {torch.__version__.partition('+')[0]}, tests/golden/make_images.py",
        "batch_size": BATCH_SIZE,
        "epochs": EPOCHS,
        "learning_rate": RATE,
        "cases": {name: case(name) for name in CASES},
    }
    Path(__file__).with_name("images.json").write_text(json.dumps(made, indent=1) + "\n")
