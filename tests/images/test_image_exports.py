"""Predictions that are averaged over mirror images, in the files that are exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from cnn_core import ImageClassifier
from cnn_core.export import onnx_feed

RNG = np.random.default_rng(0)
LAYERS = [{"kind": "Conv2D", "channels": 3}, {"kind": "MaxPool2D"}]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("n_classes", [2, 3])
def test_onnx_and_python_average_and_others_refuse(tmp_path: Path, n_classes: int) -> None:
    pixels = RNG.integers(0, 256, (24, 5, 6, 2)).astype(np.uint8)
    labels = np.array(["ash", "beech", "cedar"])[np.arange(24) % n_classes]
    model = ImageClassifier(LAYERS, max_iter=2, random_state=0, mirror_average=True)
    model.fit(pixels, labels)
    assert model.to_onnx(tmp_path / "m.onnx", pixels).difference <= 1e-5
    assert model.to_python(tmp_path / "m.py", pixels).difference <= 1e-5
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"))
    _, probabilities = session.run(None, onnx_feed(model, pixels))
    np.testing.assert_allclose(probabilities, model.predict_proba(pixels), atol=1e-5)
    for refused in (
        lambda: model.to_c(tmp_path / "m.h", pixels),
        lambda: model.to_safetensors(tmp_path / "m.safetensors", pixels),
        lambda: model.input_gradient(pixels),
    ):
        with pytest.raises(TypeError, match=r"set_params\(mirror_average=False\)"):
            refused()
    model.set_params(mirror_average=False)
    assert model.to_safetensors(tmp_path / "m.safetensors", pixels).difference <= 1e-5
