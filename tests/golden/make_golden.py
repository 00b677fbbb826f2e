"""Make `autograd.json`: losses, gradients and trajectories that PyTorch's autograd gives.

"cases" are sigmoid networks with the squared error and plain gradient descent; "networks" holds one
small network's gradient for every hidden activation, output activation and loss, and its way under
each of PyTorch's optimizers; "recipes" are trainings with normalization, weights of samples, the
L2 term, clipping and an average of the parameters.

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
from torch.nn import functional

# (units of each layer, samples, batch size, learning rate, epochs)
CASES = {
    "one hidden layer": ([5, 4, 3], 7, 3, 0.5, 4),
    "as wide as a vector": ([18, 16, 10], 20, 8, 1.0, 3),
    "three layers": ([6, 9, 5, 2], 11, 4, 0.8, 3),
    "saturated": ([4, 6, 2], 5, 5, 3.0, 5),
}

ACTIVATIONS = {
    "identity": lambda z: z,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "leaky_relu": functional.leaky_relu,
    "elu": functional.elu,
    "selu": functional.selu,
    "gelu": lambda z: functional.gelu(z, approximate="tanh"),
    "silu": functional.silu,
    "softplus": functional.softplus,
    "exp": torch.exp,
    "softmax": lambda z: torch.softmax(z, dim=1),
}
# Of each output, or of each sample.
LOSSES = {
    "squared_error": lambda z, y, t: (y - t) ** 2 / 2,
    "absolute_error": lambda z, y, t: functional.l1_loss(y, t, reduction="none"),
    "Huber(0.4)": lambda z, y, t: functional.huber_loss(y, t, reduction="none", delta=0.4),
    "Pinball(0.8)": lambda z, y, t: torch.maximum(0.8 * (t - y), 0.2 * (y - t)),
    # PyTorch leaves out what does not depend on the outputs.
    "poisson": lambda z, y, t: (
        functional.poisson_nll_loss(z, t, log_input=True, reduction="none") + torch.xlogy(t, t) - t
    ),
    "binary_cross_entropy": lambda z, y, t: functional.binary_cross_entropy_with_logits(
        z, t, reduction="none"
    ),
    "cross_entropy": lambda z, y, t: functional.cross_entropy(z, t, reduction="none"),
}
# Hidden activations with the activation and the loss of the last layer.
HEADS = [
    ("identity", "squared_error"),
    ("sigmoid", "squared_error"),
    ("tanh", "squared_error"),
    ("relu", "squared_error"),
    ("softmax", "squared_error"),
    ("sigmoid", "binary_cross_entropy"),
    ("softmax", "cross_entropy"),
]
GRADIENTS = [
    *itertools.product(("identity", "sigmoid", "tanh", "relu"), HEADS),
    *itertools.product(
        ("leaky_relu", "elu", "selu", "gelu", "silu", "softplus"),
        [("identity", "squared_error"), ("softmax", "cross_entropy")],
    ),
    *itertools.product(
        ("tanh", "gelu"),
        [
            ("identity", "absolute_error"),
            ("identity", "Huber(0.4)"),
            ("softplus", "Pinball(0.8)"),
            ("exp", "poisson"),
            ("silu", "squared_error"),
            ("selu", "Huber(0.4)"),
        ],
    ),
]
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
    ("RMSprop", {}, torch.optim.RMSprop, {}),
    (
        "RMSprop",
        {"rho": 0.9, "momentum": 0.7, "epsilon": 1e-3},
        torch.optim.RMSprop,
        {"alpha": 0.9, "momentum": 0.7, "eps": 1e-3},
    ),
    ("Nadam", {}, torch.optim.NAdam, {}),
    (
        "Nadam",
        {"beta_1": 0.7, "beta_2": 0.95, "epsilon": 1e-3, "momentum_decay": 2.0},
        torch.optim.NAdam,
        {"betas": (0.7, 0.95), "eps": 1e-3, "momentum_decay": 2.0},
    ),
    ("Rprop", {}, torch.optim.Rprop, {}),
    (
        "Rprop",
        {"decrease": 0.3, "increase": 1.5, "least_step": 0.03, "largest_step": 0.1},
        torch.optim.Rprop,
        {"etas": (0.3, 1.5), "step_sizes": (0.03, 0.1)},
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
    for hidden, (output, loss) in GRADIENTS:
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


# What each recipe adds to a network of these units; "rates" are those of the steps of an epoch.
UNITS, SAMPLES, BATCH_SIZE, EPOCHS = [4, 6, 5, 3], 11, 4, 3
RECIPES = {
    "batch": {"normalization": "batch"},
    "layer": {"normalization": "layer"},
    "weights": {"normalization": "batch", "weighted": True, "l2": 0.3},
    "clip_value": {"clip_value": 0.05, "l2": 0.1},
    "clip_norm": {"normalization": "layer", "clip_norm": 0.2, "weighted": True},
    "averaging": {"normalization": "batch", "averaging": 0.6, "rates": [0.3, 0.1, 0.2]},
    "rates": {"rates": [0.05, 0.5, 0.2], "l2": 0.2},
}


def recipe(
    normalization=None, weighted=False, l2=0.0, rates=(0.2, 0.2, 0.2), averaging=0.0, **clip
):
    """Gradient, and a training by plain descent, of a GELU network with the cross-entropy."""
    rng = np.random.RandomState(29)
    x = rng.normal(size=(SAMPLES, UNITS[0]))
    t = rng.dirichlet(np.ones(UNITS[-1]), SAMPLES)
    weights = rng.uniform(0.1, 2, SAMPLES)
    layers = []
    for number, (m, n) in enumerate(itertools.pairwise(UNITS)):
        layer = [rng.normal(size=(m, n)), rng.normal(size=n), rng.uniform(0.5, 2, n)]
        is_normalized = normalization and number + 2 < len(UNITS)
        layers.append(layer if is_normalized else layer[:2])
    start = flat(layers)
    layers = as_tensors(layers)
    tensors = [tensor for layer in layers for tensor in layer]
    statistics = [
        (torch.zeros(n, dtype=torch.float64), torch.ones(n, dtype=torch.float64))
        for n in UNITS[1:-1]
        if normalization == "batch"
    ]

    def outputs(x, training):
        a = torch.tensor(x)
        for number, layer in enumerate(layers):
            u = a @ layer[0]
            if len(layer) == 2:
                z = u + layer[1]
            elif normalization == "layer":
                z = functional.layer_norm(u, u.shape[1:], layer[2], layer[1])
            else:
                mean, variance = statistics[number]
                if training is None:
                    mean, variance = mean.clone(), variance.clone()
                z = functional.batch_norm(
                    u, mean, variance, layer[2], layer[1], training is not False
                )
            a = functional.gelu(z, approximate="tanh")
        return z

    def loss_of_rows(rows, training=True):
        """The loss with the term of L2, and without it."""
        w = torch.tensor(weights[rows]) if weighted else torch.ones(len(x[rows])).double()
        losses = functional.cross_entropy(
            outputs(x[rows], training), torch.tensor(t[rows]), reduction="none"
        )
        loss = (w * losses).sum() / w.sum()
        squares = sum((layer[0] ** 2).sum() for layer in layers)
        return loss + l2 / (2 * w.sum()) * squares, loss, w.sum()

    whole, _, _ = loss_of_rows(slice(None), training=None)
    whole.backward()
    gradient = flat([[tensor.grad.numpy() for tensor in layer] for layer in layers])
    average = [tensor.detach().clone() for tensor in tensors]
    losses, step = [], 0
    for _ in range(EPOCHS):
        cost, total = 0.0, 0.0
        for first, rate in zip(range(0, SAMPLES, BATCH_SIZE), rates, strict=True):
            for tensor in tensors:
                tensor.grad = None
            with_term, loss, weight = loss_of_rows(slice(first, first + BATCH_SIZE))
            with_term.backward()
            cost += (loss * weight).item()
            total += weight.item()
            if "clip_value" in clip:
                torch.nn.utils.clip_grad_value_(tensors, clip["clip_value"])
            norm = torch.sqrt(sum((tensor.grad**2).sum() for tensor in tensors))
            scale = min(1.0, clip.get("clip_norm", torch.inf) / norm.item())
            step += 1
            decay = min(averaging, (1 + step) / (10 + step))
            with torch.no_grad():
                for tensor, mean in zip(tensors, average, strict=True):
                    tensor -= rate * scale * tensor.grad
                    mean += (1 - decay) * (tensor - mean)
        losses.append(cost / total)
    with torch.no_grad():
        predicted = torch.softmax(outputs(x, training=False), dim=1)
    return {
        "normalization": normalization,
        "settings": {"l2": l2, "averaging": averaging, **clip},
        "rates": list(rates),
        "weights": weights.tolist() if weighted else None,
        "x": x.tolist(),
        "t": t.tolist(),
        "parameters": start,
        "loss": whole.item(),
        "gradient": gradient,
        "epoch_losses": losses,
        "trained_parameters": flat([[p.detach().numpy() for p in layer] for layer in layers]),
        "average": flat([[p.numpy() for p in average]]),
        "statistics": flat([[p.numpy() for p in pair] for pair in statistics])
        if statistics
        else [],
        "outputs": predicted.tolist(),
    }


def as_tensors(layers):
    return [tuple(torch.tensor(array, requires_grad=True) for array in layer) for layer in layers]


def loss_of(layers, hidden, output, loss, x, t):
    a = torch.tensor(x)
    for weights, bias in layers[:-1]:
        a = ACTIVATIONS[hidden](a @ weights + bias)
    weights, bias = layers[-1]
    z = a @ weights + bias
    return LOSSES[loss](z, ACTIVATIONS[output](z), torch.tensor(t)).sum() / len(x)


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
    # Else NAdam's product of momenta would be a float32.
    torch.set_default_dtype(torch.float64)
    made = {
        "made_with": f"PyTorch {torch.__version__.partition('+')[0]}, tests/golden/make_golden.py",
        "cases": {name: case(*settings) for name, settings in CASES.items()},
        "networks": networks(),
        "recipes": {
            "units": UNITS,
            "batch_size": BATCH_SIZE,
            "cases": {name: recipe(**settings) for name, settings in RECIPES.items()},
        },
    }
    Path(__file__).with_name("autograd.json").write_text(json.dumps(made, indent=1) + "\n")
