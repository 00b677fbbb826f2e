"""What an optimizer is: its settings and its formula; the backends hold the arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

from cnn_core.validation import require_real


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent, with momentum if asked for.

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
        _require_share(self, "momentum")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov: expected a momentum above 0 with it, found 0")

    @property
    def n_moments(self) -> int:
        """Values kept for each parameter from step to step: the velocity, if there is momentum."""
        return 1 if self.momentum else 0


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba, 2015, algorithm 1), and AdamW if there is weight decay.

    With ``m = beta_1 * m + (1 - beta_1) * gradient``, ``v = beta_2 * v + (1 - beta_2) *
    gradient**2`` and ``t`` the number of the step, from 1::

        parameters *= 1 - learning_rate * weight_decay
        parameters -= learning_rate * m / (1 - beta_1**t) / (sqrt(v / (1 - beta_2**t)) + epsilon)

    The decay is the decoupled one of Loshchilov and Hutter, "Decoupled weight decay
    regularization", 2019; it takes in the biases. What is left of an average below the least normal
    number of the dtype counts as 0, here and in what every other optimizer keeps.

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
        _require_share(self, "beta_1", "beta_2")
        _require_positive(self, "epsilon")
        _require_at_least_0(self, "weight_decay")

    @property
    def n_moments(self) -> int:
        """Values kept for each parameter from step to step: ``m`` and ``v``, in this order."""
        return 2


@dataclass(frozen=True)
class RMSprop:
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
        _require_share(self, "rho", "momentum")
        _require_positive(self, "epsilon")

    @property
    def n_moments(self) -> int:
        """Values kept for each parameter from step to step: ``v``, then the velocity if any."""
        return 2 if self.momentum else 1


@dataclass(frozen=True)
class Nadam:
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
        _require_share(self, "beta_1", "beta_2")
        _require_positive(self, "epsilon")
        _require_at_least_0(self, "momentum_decay")

    @property
    def n_moments(self) -> int:
        """Values kept for each parameter from step to step: ``m`` and ``v``, in this order."""
        return 2


@dataclass(frozen=True)
class Lion:
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
        _require_share(self, "beta_1", "beta_2")
        _require_at_least_0(self, "weight_decay")

    @property
    def n_moments(self) -> int:
        """Values kept for each parameter from step to step: ``m``."""
        return 1


@dataclass(frozen=True)
class Rprop:
    """Resilient propagation (Riedmiller and Braun, 1993), without going back on a change of sign.

    Every parameter has a step of its own, the learning rate at first. Where the gradient has kept
    its sign the step grows ``increase`` times; where it has changed the step shrinks ``decrease``
    times, and the gradient counts as 0 this once (Igel and Hüsken's iRprop-, 2000)::

        parameters -= sign(gradient) * step

    It is made for steps on the whole data.

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
        for name in ("decrease", "increase", "least_step", "largest_step"):
            require_real(name, getattr(self, name))
        if not 0 < self.decrease < 1:
            raise ValueError(f"decrease: expected above 0 and below 1, found {self.decrease!r}")
        if not 1 < self.increase < math.inf:
            raise ValueError(f"increase: expected a number above 1, found {self.increase!r}")
        if not 0 < self.least_step <= self.largest_step < math.inf:
            raise ValueError(
                "least_step, largest_step: expected two numbers above 0 in rising order, "
                f"found {self.least_step!r}, {self.largest_step!r}"
            )

    @property
    def n_moments(self) -> int:
        """Values kept for each parameter from step to step: the gradient and the step."""
        return 2


Optimizer: TypeAlias = SGD | Adam | RMSprop | Nadam | Lion | Rprop
OPTIMIZERS: tuple[type[Optimizer], ...] = (SGD, Adam, RMSprop, Nadam, Lion, Rprop)


def _require_share(optimizer: Any, *names: str) -> None:
    for name in names:
        value = getattr(optimizer, name)
        require_real(name, value)
        if not 0 <= value < 1:
            raise ValueError(f"{name}: expected 0 up to below 1, found {value!r}")


def _require_positive(optimizer: Any, name: str) -> None:
    value = getattr(optimizer, name)
    require_real(name, value)
    if not 0 < value < math.inf:
        raise ValueError(f"{name}: expected a number above 0, found {value!r}")


def _require_at_least_0(optimizer: Any, name: str) -> None:
    value = getattr(optimizer, name)
    require_real(name, value)
    if not 0 <= value < math.inf:
        raise ValueError(f"{name}: expected at least 0, found {value!r}")
