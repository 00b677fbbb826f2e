"""The arrays that an engine changes at each step: the caller's, checked, or its own."""

from __future__ import annotations

import numpy as np

from cnn_core.backends.alignment import aligned
from cnn_core.backends.backend import EngineSpec
from cnn_core.backends.checks import require, require_rows
from cnn_core.types import FloatArray


def bound_state(spec: EngineSpec) -> tuple[FloatArray, FloatArray, FloatArray | None]:
    """Return moments, statistics and average of an engine; see `EngineSpec`.

    Raises
    ------
    TypeError
        For what is not an array.
    ValueError
        For another dtype, shape or layout, one that is read-only, and for an average that the
        network does not keep.
    """
    network, parameters = spec.network, spec.parameters
    moments, statistics, average = spec.moments, spec.statistics, spec.average
    require("parameters", parameters, (np.size(parameters),), parameters, written=True)
    shape = (network.optimizer.n_moments, parameters.size)
    if moments is None:
        moments = aligned(np.zeros(shape, parameters.dtype))
    require_rows("moments", moments, shape, parameters)
    if statistics is None:
        statistics = network.first_statistics(parameters.dtype)
    require("statistics", statistics, (network.n_statistics,), parameters, written=True)
    if network.averaging:
        average = aligned(np.array(parameters)) if average is None else average
        require("average", average, parameters.shape, parameters, written=True)
    elif average is not None:
        raise ValueError("average: expected none, since the network's averaging is 0")
    return moments, statistics, average
