"""What a training is called with, checked once a call, for the engines of both backends.

Labels and orders, of which each value counts, are left to the engines.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cnn_core.backends.checks import require, require_vector
from cnn_core.class_targets import ClassTargets, Targets
from cnn_core.network import Network
from cnn_core.types import FloatArray


def require_targets(
    network: Network,
    like: FloatArray,
    n_samples: int,
    targets: Targets,
    weights: FloatArray | None,
) -> None:
    """Refuse targets and weights of another number of samples, shape, dtype or layout.

    Parameters
    ----------
    network : Network
    like : numpy.ndarray
        The parameters, whose dtype targets and weights have to have.
    n_samples : int
    targets : (n_samples, n_outputs) array or ClassTargets
    weights : (n_samples,) array, optional

    Raises
    ------
    TypeError, ValueError
        As `Engine.train_epoch` does.
    """
    shape = (n_samples, network.n_outputs)
    if not isinstance(targets, ClassTargets):
        require("targets", targets, shape, like)
    elif targets.shape != shape:
        raise ValueError(f"targets: expected the shape {shape}, found {targets.shape}")
    if weights is not None:
        if network.rule == "article":
            raise ValueError("weights: expected none, since the article's rule takes none")
        require("weights", weights, (n_samples,), like)


def require_steps(
    network: Network,
    n_samples: int,
    is_ordered: bool,
    batch_size: int,
    learning_rate: float | npt.NDArray[np.float64],
) -> None:
    """Refuse what is no way of taking steps on so many samples, as they stand or in an order.

    Raises
    ------
    TypeError, ValueError
        As `Engine.train_epoch` does.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size: expected at least 1, found {batch_size}")
    if network.rule == "article" and (is_ordered or batch_size < n_samples):
        raise ValueError("the article's rule takes all samples in one step, as they stand")
    if isinstance(learning_rate, np.ndarray):
        require_vector("learning_rate", learning_rate, np.float64)
        steps, found = -(-n_samples // batch_size), len(learning_rate)
        if found != steps:
            raise ValueError(f"learning_rate: expected {steps}, one for each step, found {found}")
