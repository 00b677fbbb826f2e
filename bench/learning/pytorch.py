"""PyTorch by the recipe of one of our classifiers: a plain loop over batches of indices.

It has the same first weights, the same rate at each step and the same formulas; the order of the
samples and the dropout are drawn by its own generator. Everything is made, and one step of a small
network done, before the clock starts, so that nothing of what PyTorch loads only once is timed.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from cnn_core import MLPClassifier
from cnn_core.estimators.labels import Classification
from cnn_core.estimators.parameters import batch_size_of, network_of, rate_of, schedule_of
from cnn_core.initializers import initialize
from cnn_core.network import EPSILON, STATISTICS_MOMENTUM, Dense, FloatArray, IndexArray, Network
from cnn_core.optimizers import SGD, Adam, Nadam, RMSprop
from cnn_core.schedules import Plateau, Schedule, Steps
from contenders.process import usable_cores
from learning.result import Learned

ACTIVATIONS: dict[str, Callable[[], torch.nn.Module]] = {
    "identity": torch.nn.Identity,
    "sigmoid": torch.nn.Sigmoid,
    "tanh": torch.nn.Tanh,
    "relu": torch.nn.ReLU,
    "leaky_relu": torch.nn.LeakyReLU,
    "elu": torch.nn.ELU,
    "selu": torch.nn.SELU,
    "gelu": functools.partial(torch.nn.GELU, approximate="tanh"),
    "silu": torch.nn.SiLU,
    "softplus": torch.nn.Softplus,
}
# Parameters that `train` follows, or that have no meaning in what it does.
FOLLOWED = {
    *("hidden_layer_sizes", "activation", "solver", "batch_size", "learning_rate_init", "max_iter"),
    *("shuffle", "random_state", "momentum", "nesterovs_momentum", "beta_1", "beta_2", "epsilon"),
    *("label_smoothing", "dropout", "normalization", "initializer", "weight_decay", "clip_norm"),
    *("averaging", "schedule", "input_scale", "dtype", "backend", "n_threads", "verbose"),
    *("n_iter_no_change", "tol"),
}


class NotFollowedError(ValueError):
    """A recipe that has something which is not written down for PyTorch here."""


def train(
    estimator: MLPClassifier, x: FloatArray, y: IndexArray, x_test: FloatArray, n_classes: int
) -> Learned:
    """Train as `estimator` would.

    Parameters
    ----------
    estimator : MLPClassifier
        Its `random_state` is a whole number.
    x, x_test : (n, features) float32 array
        Scaled as the recipe scales them.
    y : (n,) array of int
    n_classes : int

    Raises
    ------
    NotFollowedError
        For a recipe with something else.
    """
    _require_followed(estimator)
    torch.set_num_threads(len(usable_cores()))
    seed = int(estimator.get_params()["random_state"])
    torch.manual_seed(seed)
    task = Classification(np.arange(n_classes), "multiclass")
    network = network_of(estimator, x.shape[1], task)
    layers = network_as_modules(network, estimator, seed)
    optimizer = optimizer_of(network, layers)
    averaged = Average(layers, network.averaging) if network.averaging else None
    rates = rates_of(schedule_of(estimator), rate_of(estimator), len(x), estimator)
    inputs, labels = torch.from_numpy(x), torch.from_numpy(y)
    batch_size = batch_size_of(estimator, len(x))
    loss = functools.partial(
        functional.cross_entropy, label_smoothing=float(estimator.label_smoothing)
    )
    _load_everything()

    begun = time.perf_counter()
    layers.train()
    for _ in range(estimator.max_iter):
        for rows in torch.randperm(len(inputs)).split(batch_size):
            for group in optimizer.param_groups:
                group["lr"] = next(rates)
            optimizer.zero_grad()
            loss(layers(inputs.index_select(0, rows)), labels.index_select(0, rows)).backward()
            if network.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(layers.parameters(), network.clip_norm)
            optimizer.step()
            if averaged:
                averaged.take_in()
    if averaged:
        averaged.put_in_place()
    seconds = time.perf_counter() - begun

    layers.eval()
    with torch.inference_mode():
        predicted = layers(torch.from_numpy(x_test)).argmax(dim=1).numpy()
    return Learned(f"PyTorch {torch.__version__}", seconds, predicted)


def network_as_modules(
    network: Network, estimator: MLPClassifier, seed: int
) -> torch.nn.Sequential:
    """Return the network with the first weights that it has in cnn_core for the same seed.

    Without the softmax, which PyTorch's cross-entropy contains.
    """
    parameters = np.zeros(network.n_parameters(), np.float32)
    initialize(network, parameters, estimator.initializer, np.random.RandomState(seed))
    modules: list[torch.nn.Module] = []
    for layer, arrays in zip(network.layers, network.unflatten(parameters), strict=True):
        modules.append(_linear(layer, arrays.weights, arrays.bias))
        if layer.normalization == "batch":
            modules.append(torch.nn.BatchNorm1d(layer.fan_out, EPSILON, STATISTICS_MOMENTUM))
        elif layer.normalization == "layer":
            modules.append(torch.nn.LayerNorm(layer.fan_out, EPSILON))
        if layer.normalization:
            with torch.no_grad():
                modules[-1].bias.copy_(torch.from_numpy(arrays.bias))
        if layer.activation != "softmax":
            modules.append(_activation(layer))
        if layer.dropout:
            modules.append(torch.nn.Dropout(layer.dropout))
    return torch.nn.Sequential(*modules)


def optimizer_of(network: Network, layers: torch.nn.Module) -> torch.optim.Optimizer:
    """Return the optimizer of the network in its fastest form; each step gets its rate.

    Raises
    ------
    NotFollowedError
        For one that PyTorch has not got.
    """
    parameters, wanted = layers.parameters(), network.optimizer
    if isinstance(wanted, Adam):
        betas = (wanted.beta_1, wanted.beta_2)
        return torch.optim.AdamW(
            parameters,
            betas=betas,
            eps=wanted.epsilon,
            weight_decay=wanted.weight_decay,
            fused=True,
        )
    if isinstance(wanted, SGD):
        return torch.optim.SGD(parameters, momentum=wanted.momentum, nesterov=wanted.nesterov)
    if isinstance(wanted, RMSprop):
        return torch.optim.RMSprop(
            parameters, alpha=wanted.rho, eps=wanted.epsilon, momentum=wanted.momentum
        )
    if isinstance(wanted, Nadam):
        betas = (wanted.beta_1, wanted.beta_2)
        return torch.optim.NAdam(
            parameters, betas=betas, eps=wanted.epsilon, momentum_decay=wanted.momentum_decay
        )
    raise NotFollowedError(f"not followed: {wanted}")


def rates_of(
    schedule: Schedule, base: float, n_samples: int, estimator: MLPClassifier
) -> Iterator[float]:
    """Return the rate of each step of the whole training.

    Raises
    ------
    NotFollowedError
        For a schedule that goes by what is monitored.
    """
    if isinstance(schedule, Plateau):
        raise NotFollowedError(f"not followed: {schedule}")
    per_epoch = -(-n_samples // batch_size_of(estimator, n_samples))
    total = per_epoch * estimator.max_iter
    epochs = [
        np.broadcast_to(
            schedule.rates(
                base, Steps(epoch * per_epoch, per_epoch, per_epoch, total, epoch * n_samples)
            ),
            per_epoch,
        ).tolist()
        for epoch in range(estimator.max_iter)
    ]
    return itertools.chain.from_iterable(epochs)


class Average:
    """The running average of the parameters that `Network` describes, with its formula."""

    def __init__(self, layers: torch.nn.Module, decay: float) -> None:
        self._parameters = list(layers.parameters())
        self._average = [parameter.detach().clone() for parameter in self._parameters]
        self._decay = decay
        self._steps = 0

    def take_in(self) -> None:
        """Follow the parameters after a step."""
        self._steps += 1
        decay = min(self._decay, (1 + self._steps) / (10 + self._steps))
        now = [parameter.detach() for parameter in self._parameters]
        torch._foreach_lerp_(self._average, now, 1 - decay)

    def put_in_place(self) -> None:
        """Let the average be what predicts."""
        for parameter, average in zip(self._parameters, self._average, strict=True):
            parameter.detach().copy_(average)


def _linear(layer: Dense, weights: FloatArray, bias: FloatArray) -> torch.nn.Linear:
    linear = torch.nn.Linear(*weights.shape, bias=layer.normalization is None)
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(weights.T))
        if linear.bias is not None:
            linear.bias.copy_(torch.from_numpy(bias))
    return linear


def _activation(layer: Dense) -> torch.nn.Module:
    if layer.activation not in ACTIVATIONS:
        raise NotFollowedError(f"not followed: {layer.activation}")
    return ACTIVATIONS[layer.activation]()


def _require_followed(estimator: MLPClassifier) -> None:
    usual: dict[str, Any] = type(estimator)().get_params()
    # The L2 term is no default of a recipe for images, so that 0 is what it has to be.
    usual["alpha"] = 0.0
    others = [
        f"{name}={value!r}"
        for name, value in estimator.get_params().items()
        if name not in FOLLOWED and value != usual[name]
    ]
    if others or not estimator.shuffle:
        raise NotFollowedError(f"not followed: {', '.join(others) or 'shuffle=False'}")


def _load_everything() -> None:
    net = torch.nn.Linear(8, 2)
    optimizer = torch.optim.AdamW(net.parameters(), fused=True)
    functional.cross_entropy(net(torch.zeros(4, 8)), torch.zeros(4, dtype=torch.long)).backward()
    optimizer.step()
