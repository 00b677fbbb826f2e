"""Make `autograd.json`: losses, gradients and trajectories that PyTorch's autograd gives.

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

# (units of each layer, samples, batch size, learning rate, epochs)
CASES = {
    "one hidden layer": ([5, 4, 3], 7, 3, 0.5, 4),
    "as wide as a vector": ([18, 16, 10], 20, 8, 1.0, 3),
    "three layers": ([6, 9, 5, 2], 11, 4, 0.8, 3),
    "saturated": ([4, 6, 2], 5, 5, 3.0, 5),
}


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
    tensors = [
        tuple(torch.tensor(array, requires_grad=True) for array in layer) for layer in layers
    ]
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
    }
    Path(__file__).with_name("autograd.json").write_text(json.dumps(made, indent=1) + "\n")
