"""Descriptions of optimizers: settings and formulas. The backends hold the arithmetic.

A new optimizer needs a class here and a line in `SOLVERS`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cnn_core.validation import above_0, at_least_0, between, flag, number, set_checked, share


@dataclass(frozen=True)
class Optimizer(ABC):
    """Base class of optimizers."""

    @property
    @abstractmethod
    def n_moments(self) -> int:
        """Values kept for each parameter from step to step."""


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent, optionally with momentum.

    ``velocity = momentum * velocity + gradient``, then ``parameters -= learning_rate * velocity``;
    Nesterov's form takes ``gradient + momentum * velocity`` in place of the velocity (Sutskever et
    al., "On the importance of initialization and momentum in deep learning", 2013).

    Attributes
    ----------
    momentum : float
        From 0 to below 1.
    nesterov : bool
        Needs a momentum above 0.

    Raises
    ------
    TypeError
        For a value that is no number.
    ValueError
        For a value outside its range.

    Examples
    --------
    >>> SGD().n_moments, SGD(momentum=0.9, nesterov=True).n_moments
    (0, 1)
    """

    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        set_checked(self, share, "momentum")
        set_checked(self, flag, "nesterov")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov: expected a momentum above 0 with it, found 0")

    @property
    def n_moments(self) -> int:
        """Values kept for each parameter from step to step: the velocity, if there is momentum."""
        return 1 if self.momentum else 0


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma and Ba, 2015, algorithm 1), and AdamW if there is weight decay.

    With ``m = beta_1 * m + (1 - beta_1) * gradient``, ``v = beta_2 * v + (1 - beta_2) *
    gradient**2`` and ``t`` the number of the step, from 1::

        parameters *= 1 - learning_rate * weight_decay
        parameters -= learning_rate * m / (1 - beta_1**t) / (sqrt(v / (1 - beta_2**t)) + epsilon)

    The decay is decoupled (Loshchilov and Hutter, "Decoupled weight decay regularization", 2019)
    and applies to the biases too. In this and all other optimizers, averages below the smallest
    normal number of the dtype are set to 0.

    Attributes
    ----------
    beta_1, beta_2 : float
        From 0 to below 1.
    epsilon : float
        Above 0.
    weight_decay : float
        At least 0.

    Raises
    ------
    TypeError
        For a value that is no number.
    ValueError
        For a value outside its range.

    Examples
    --------
    One step from 1 with the gradient 0.1, and a second one: each is as long as the learning rate,
    however small the gradient is.

    >>> import numpy as np
    >>> from cnn_core import backends
    >>> kernels = backends.get().kernels(np.float64)
    >>> parameters, moments = np.ones(1), np.zeros((2, 1))
    >>> for step in (1, 2):
    ...     kernels.update(Adam(), parameters, np.array([0.1]), moments, 0.01, step)
    ...     print(parameters.round(4))
    [0.99]
    [0.98]
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        set_checked(self, share, "beta_1", "beta_2")
        set_checked(self, above_0, "epsilon")
        set_checked(self, at_least_0, "weight_decay")

    @property
    def n_moments(self) -> int:
        """Values kept for each parameter from step to step: ``m`` and ``v``, in this order."""
        return 2


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop (Hinton, "Neural networks for machine learning", lecture 6e, 2012), with momentum.

    With ``v = rho * v + (1 - rho) * gradient**2``::

        velocity = momentum * velocity + gradient / (sqrt(v) + epsilon)
        parameters -= learning_rate * velocity

    Attributes
    ----------
    rho : float
        From 0 to below 1.
    momentum : float
        From 0 to below 1.
    epsilon : float
        Above 0.

    Raises
    ------
    TypeError
        For a value that is no number.
    ValueError
        For a value outside its range.
    """

    rho: float = 0.99
    momentum: float = 0.0
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        set_checked(self, share, "rho", "momentum")
        set_checked(self, above_0, "epsilon")

    @property
    def n_moments(self) -> int:
        """Values kept for each parameter from step to step: ``v``, then the velocity if any."""
        return 2 if self.momentum else 1


@dataclass(frozen=True)
class Nadam(Optimizer):
    """Adam with Nesterov's momentum (Dozat, "Incorporating Nesterov momentum into Adam", 2016).

    With ``m`` and ``v`` as in `Adam`, ``mu(t) = beta_1 * (1 - 0.96**(t * momentum_decay) / 2)`` and
    ``product(t) = mu(1) * ... * mu(t)``::

        mean = mu(t + 1) * m / (1 - product(t + 1)) + (1 - mu(t)) * gradient / (1 - product(t))
        parameters -= learning_rate * mean / (sqrt(v / (1 - beta_2**t)) + epsilon)

    Attributes
    ----------
    beta_1, beta_2 : float
        From 0 to below 1.
    epsilon : float
        Above 0.
    momentum_decay : float
        At least 0.

    Raises
    ------
    TypeError
        For a value that is no number.
    ValueError
        For a value outside its range.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    momentum_decay: float = 0.004

    def __post_init__(self) -> None:
        set_checked(self, share, "beta_1", "beta_2")
        set_checked(self, above_0, "epsilon")
        set_checked(self, at_least_0, "momentum_decay")

    @property
    def n_moments(self) -> int:
        """Values kept for each parameter from step to step: ``m`` and ``v``, in this order."""
        return 2


@dataclass(frozen=True)
class Lion(Optimizer):
    """Lion (Chen et al., "Symbolic discovery of optimization algorithms", 2023, algorithm 2).

    ::

        parameters *= 1 - learning_rate * weight_decay
        parameters -= learning_rate * sign(beta_1 * m + (1 - beta_1) * gradient)
        m = beta_2 * m + (1 - beta_2) * gradient

    Its steps are as long as the learning rate for every parameter: a third to a tenth of Adam's
    suits it.

    Attributes
    ----------
    beta_1, beta_2 : float
        From 0 to below 1.
    weight_decay : float
        At least 0.

    Raises
    ------
    TypeError
        For a value that is no number.
    ValueError
        For a value outside its range.
    """

    beta_1: float = 0.9
    beta_2: float = 0.99
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        set_checked(self, share, "beta_1", "beta_2")
        set_checked(self, at_least_0, "weight_decay")

    @property
    def n_moments(self) -> int:
        """Values kept for each parameter from step to step: ``m``."""
        return 1


@dataclass(frozen=True)
class Rprop(Optimizer):
    """Resilient propagation (Riedmiller and Braun, 1993), without backtracking.

    Every parameter has its own step, at first the learning rate. If the gradient keeps its sign,
    the step is multiplied by ``increase``. If the sign changes, it is multiplied by ``decrease``,
    and the gradient counts as 0 once (iRprop-, Igel and Hüsken, 2000)::

        parameters -= sign(gradient) * step

    It is made for full-batch steps.

    Attributes
    ----------
    decrease : float
        Above 0, below 1.
    increase : float
        Above 1.
    least_step, largest_step : float
        Limits of the steps, the lower one above 0.

    Raises
    ------
    TypeError
        For a value that is no number.
    ValueError
        For a value outside its range.
    """

    decrease: float = 0.5
    increase: float = 1.2
    least_step: float = 1e-6
    largest_step: float = 50.0

    def __post_init__(self) -> None:
        set_checked(self, number, "decrease", "increase", "least_step", "largest_step")
        between("decrease", self.decrease, 0, 1)
        between("increase", self.increase, 1, math.inf)
        if not 0 < self.least_step <= self.largest_step < math.inf:
            raise ValueError(
                "least_step, largest_step: expected two numbers above 0 in rising order, "
                f"found {self.least_step!r}, {self.largest_step!r}"
            )

    @property
    def n_moments(self) -> int:
        """Values kept for each parameter from step to step: the gradient and the step."""
        return 2


@dataclass(frozen=True)
class Solver:
    """An optimizer under its name in estimators and on the command line.

    Attributes
    ----------
    name : str
    kind : type
        The class of the optimizer.
    takes : tuple of str
        Its settings that are parameters of estimators.
    rate : float, optional
        Factor for the learning rate of a preset on the command line, relative to ``"adamw"``. None:
        the command line does not offer it.
    decay : float, optional
        The default weight decay. None: it has no weight decay.
    whole_data : bool
        Whether it is made for full-batch steps.
    """

    name: str
    kind: type[Optimizer]
    takes: tuple[str, ...] = ()
    rate: float | None = None
    decay: float | None = None
    whole_data: bool = False

    def optimizer(self, settings: Mapping[str, Any], weight_decay: float | None = None) -> Any:
        """Return the optimizer.

        Parameters
        ----------
        settings : dict of str to object
            A value for each name in `takes`; others are ignored.
        weight_decay : float, optional
            By default `decay`. None for an optimizer that has none.
        """
        chosen = {name: settings[name] for name in self.takes}
        if self.decay is not None:
            chosen["weight_decay"] = self.decay if weight_decay is None else weight_decay
        return self.kind(**chosen)


_OF_ADAM = ("beta_1", "beta_2", "epsilon")
# The registry of optimizers. The rates were tuned on held-out training images of Fashion-MNIST; the
# decay of AdamW is that of Loshchilov and Hutter and of PyTorch.
SOLVERS: dict[str, Solver] = {
    solver.name: solver
    for solver in (
        Solver("sgd", SGD, ("momentum", "nesterov"), rate=15.0),
        Solver("adam", Adam, _OF_ADAM, rate=1.0),
        Solver("adamw", Adam, _OF_ADAM, rate=1.0, decay=0.01),
        Solver("rmsprop", RMSprop, ("epsilon",), rate=0.5),
        Solver("nadam", Nadam, _OF_ADAM, rate=1.0),
        Solver("lion", Lion, rate=0.1, decay=0.0),
        Solver("rprop", Rprop, whole_data=True),
    )
}
WITH_DECAY = tuple(solver.name for solver in SOLVERS.values() if solver.decay is not None)
OPTIMIZERS: tuple[type[Optimizer], ...] = tuple(
    dict.fromkeys(solver.kind for solver in SOLVERS.values())
)
