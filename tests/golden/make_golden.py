"""Make `autograd.json`: losses, gradients and trajectories that PyTorch's autograd gives.

"cases" are sigmoid networks with the squared error and plain gradient descent; "networks" holds one
small network's gradient for every hidden activation, output activation and loss, and its way under
each of PyTorch's optimizers.

Run it with PyTorch and NumPy installed (the test suite itself needs no PyTorch):

    python tests/golden/make_golden.py

Everything is float64 and drawn from a fixed legacy generator, whose stream NumPy never changes.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

# (units of each layer, samples, batch size, learning rate, epochs)
CASES = {
    "one hidden layer": ([5, 4, 3], 7, 3, 0.5, 4),
    "as wide as a vector": ([18, 16, 10], 20, 8, 1.0, 3),
    "three layers": ([6, 9, 5, 2], 11, 4, 0.8, 3),
    "saturated": ([4, 6, 2], 5, 5, 3.0, 5),
}

# The activation of the last layer and the loss, as far as they go together.
HEADS = [
    ("identity", "squared_error"),
    ("sigmoid", "squared_error"),
    ("tanh", "squared_error"),
    ("relu", "squared_error"),
    ("softmax", "squared_error"),
    ("sigmoid", "binary_cross_entropy"),
    ("softmax", "cross_entropy"),
]
ACTIVATIONS = {
    "identity": lambda z: z,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "softmax": lambda z: torch.softmax(z, dim=1),
}
LOSSES = {
    "squared_error": lambda z, y, t: ((y - t) ** 2).sum() / 2,
    "binary_cross_entropy": lambda z, y, t: binary_cross_entropy_with_logits(z, t, reduction="sum"),
    "cross_entropy": lambda z, y, t: -(t * torch.log_softmax(z, dim=1)).sum(),
}
# Our name and settings beside PyTorch's.
OPTIMIZERS = [
    ("SGD", {}, torch.optim.SGD, {}),
    ("SGD", {"momentum": 0.9}, torch.optim.SGD, {"momentum": 0.9}),
    (
        "SGD",
        {"momentum": 0.8, "nesterov": True},
        torch.optim.SGD,
        {"momentum": 0.8, "nesterov": True},
    ),
    ("Adam", {}, torch.optim.Adam, {}),
    (
        "Adam",
        {"beta_1": 0.7, "beta_2": 0.95, "epsilon": 1e-3, "weight_decay": 0.1},
        torch.optim.AdamW,
        {"betas": (0.7, 0.95), "eps": 1e-3, "weight_decay": 0.1},
    ),
]
TRAJECTORIES = [
    ("relu", "softmax", "cross_entropy"),
    ("tanh", "sigmoid", "binary_cross_entropy"),
    ("sigmoid", "identity", "squared_error"),
]


def networks():
    rng = np.random.RandomState(13)
    units, batch_size, learning_rate, epochs = [3, 4, 3, 2], 3, 0.05, 4
    x = rng.normal(size=(8, units[0]))
    t = rng.uniform(size=(8, units[-1]))
    start = [(rng.normal(size=(m, n)), rng.normal(size=n)) for m, n in itertools.pairwise(units)]
    gradients = []
    for hidden, (output, loss) in itertools.product(("identity", "sigmoid", "tanh", "relu"), HEADS):
        layers = as_tensors(start)
        value = loss_of(layers, hidden, output, loss, x, t)
        value.backward()
        gradients.append(
            {
                "hidden": hidden,
                "output": output,
                "loss": loss,
                "value": value.item(),
                "gradient": flat([[p.grad.numpy() for p in layer] for layer in layers]),
            }
        )
    trajectories = []
    for (hidden, output, loss), (name, settings, torchs, its_settings) in itertools.product(
        TRAJECTORIES, OPTIMIZERS
    ):
        layers = as_tensors(start)
        optimizer = torchs(
            [tensor for layer in layers for tensor in layer], lr=learning_rate, **its_settings
        )
        for _ in range(epochs):
            for first in range(0, len(x), batch_size):
                rows = slice(first, first + batch_size)
                optimizer.zero_grad()
                loss_of(layers, hidden, output, loss, x[rows], t[rows]).backward()
                optimizer.step()
        trajectories.append(
            {
                "hidden": hidden,
                "output": output,
                "loss": loss,
                "optimizer": name,
                "settings": settings,
                "trained_parameters": flat([[p.detach().numpy() for p in la] for la in layers]),
            }
        )
    return {
        "units": units,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "epochs": epochs,
        "x": x.tolist(),
        "t": t.tolist(),
        "parameters": flat(start),
        "gradients": gradients,
        "trajectories": trajectories,
    }


def as_tensors(layers):
    return [tuple(torch.tensor(array, requires_grad=True) for array in layer) for layer in layers]


def loss_of(layers, hidden, output, loss, x, t):
    a = torch.tensor(x)
    for weights, bias in layers[:-1]:
        a = ACTIVATIONS[hidden](a @ weights + bias)
    weights, bias = layers[-1]
    z = a @ weights + bias
    return LOSSES[loss](z, ACTIVATIONS[output](z), torch.tensor(t)) / len(x)


def case(units: list[int], samples: int, batch_size: int, learning_rate: float, epochs: int):
    rng = np.random.RandomState(sum(units) + samples)
    x = rng.normal(size=(samples, units[0]))
    t = rng.uniform(size=(samples, units[-1]))
    scale = 6.0 if learning_rate == 3.0 else 1.0
    layers = [
        (rng.normal(size=(m, n)) * scale, rng.normal(size=n)) for m, n in itertools.pairwise(units)
    ]
    orders = [rng.permutation(samples).tolist() for _ in range(epochs)]
    start = flat(layers)
    tensors = as_tensors(layers)
    loss, gradient = loss_and_gradient(tensors, x, t)
    losses = []
    for order in orders:
        total = 0.0
        for first in range(0, samples, batch_size):
            rows = order[first : first + batch_size]
            batch_loss, _ = loss_and_gradient(tensors, x[rows], t[rows])
            total += batch_loss * len(rows)
            with torch.no_grad():
                for layer in tensors:
                    for tensor in layer:
                        tensor -= learning_rate * tensor.grad
        losses.append(total / samples)
    return {
        "units": units,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "x": x.tolist(),
        "t": t.tolist(),
        "parameters": start,
        "loss": loss,
        "gradient": gradient,
        "orders": orders,
        "epoch_losses": losses,
        "trained_parameters": flat([[p.detach().numpy() for p in layer] for layer in tensors]),
    }


def loss_and_gradient(tensors, x, t):
    for layer in tensors:
        for tensor in layer:
            tensor.grad = None
    a = torch.tensor(x)
    for weights, bias in tensors:
        a = torch.sigmoid(a @ weights + bias)
    loss = ((a - torch.tensor(t)) ** 2).sum() / (2 * len(x))
    loss.backward()
    return loss.item(), flat([[p.grad.numpy() for p in layer] for layer in tensors])


def flat(layers) -> list[float]:
    return np.concatenate([np.ravel(array) for layer in layers for array in layer]).tolist()


if __name__ == "__main__":
    made = {
        "made_with": f"PyTorch {torch.__version__.partition('+')[0]}, tests/golden/make_golden.py",
        "cases": {name: case(*settings) for name, settings in CASES.items()},
        "networks": networks(),
    }
    Path(__file__).with_name("autograd.json").write_text(json.dumps(made, indent=1) + "\n")
