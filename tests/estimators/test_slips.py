"""A slip in a parameter is answered with what was likely meant."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_core import MLPRegressor


def test_layers_in_the_place_of_the_loss():
    with pytest.raises(ValueError, match=r"found \(8,\); did you mean hidden_layer_sizes=\(8,\)"):
        MLPRegressor((8,)).fit(np.eye(4), np.arange(4.0))
