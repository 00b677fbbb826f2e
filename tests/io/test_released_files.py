"""Files of released versions are read, and trainings of theirs are resumed to the same bits."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys

import numpy as np
import pytest

import cnn_core
from hostile_checkpoints import Epochs
from paths import GOLDEN

# Levels that promise each other's bits.
WITH_MULTIPLY_ADD = ("x86-64-v3", "x86-64-v4")


# Files of released versions


@pytest.mark.parametrize("kind", ["model", "classifier", "regressor"])
def test_a_file_of_a_released_version_predicts_what_it_did(kind, name):
    expected = json.loads((GOLDEN / "models.json").read_text(encoding="utf-8"))
    loaded = cnn_core.load(GOLDEN / f"{kind}_version_1.safetensors", backend=name)
    predict = getattr(loaded, "predict_proba", loaded.predict)
    found = predict(np.array(expected["x"]))
    np.testing.assert_allclose(found, expected[kind], rtol=1e-12, atol=1e-14)


@pytest.fixture
def released_checkpoint(tmp_path):
    """A copy of the checkpoint of a released version, and what made it."""
    path = tmp_path / "checkpoint"
    shutil.copy(GOLDEN / "checkpoint_version_1.safetensors", path)
    return path, runpy.run_path(str(GOLDEN / "make_models.py"))


def check_what_it_comes_to(found, is_exact):
    expected = json.loads((GOLDEN / "models.json").read_text(encoding="utf-8"))["checkpoint"]
    assert found["counts"] == expected["counts"]
    for part in ("arrays", "history"):
        assert set(found[part]) == set(expected[part])
        for name, values in expected[part].items():
            if is_exact:
                assert found[part][name] == values, name
            else:
                np.testing.assert_allclose(found[part][name], values, rtol=2e-3, atol=2e-5)


@pytest.mark.filterwarnings("ignore:.*the last bits may differ")
def test_a_checkpoint_of_a_released_version_resumes_to_the_same_bits(released_checkpoint, name):
    path, maker = released_checkpoint
    assert cnn_core.load(path, backend=name).epochs_done == 3
    epochs = Epochs()
    model = maker["checkpointed"](path, name, [epochs])
    assert 1 <= epochs.count <= 4
    is_exact = cnn_core.backend_info(name)["isa"] in WITH_MULTIPLY_ADD
    check_what_it_comes_to(maker["comes_to"](model), is_exact)


@pytest.mark.slow
@pytest.mark.compiled
@pytest.mark.parametrize("level", WITH_MULTIPLY_ADD)
def test_every_level_with_a_fused_multiply_add_resumes_to_these_bits(released_checkpoint, level):
    if level not in cnn_core.backend_info("cython")["isa_detected"]:
        pytest.skip(f"this processor has no {level}")
    path, _ = released_checkpoint
    code = (
        "import json, runpy, sys, warnings; from pathlib import Path; "
        "warnings.filterwarnings('ignore', '.*the last bits may differ'); "
        "maker = runpy.run_path(sys.argv[1]); "
        "print(json.dumps(maker['comes_to'](maker['checkpointed'](Path(sys.argv[2])))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(GOLDEN / "make_models.py"), str(path)],
        env={**os.environ, "CNN_CORE_ISA": level},
        capture_output=True,
        text=True,
        check=True,
    )
    check_what_it_comes_to(json.loads(done.stdout), is_exact=True)


@pytest.mark.parametrize("kind", ["model", "classifier", "regressor"])
def test_what_is_loaded_and_saved_again_has_the_same_bytes(kind, tmp_path):
    path = GOLDEN / f"{kind}_version_1.safetensors"
    cnn_core.load(path, backend="numpy").save(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == path.read_bytes()
