"""Which ISA level computes, and that every level learns the same."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np
import pytest

from cnn_core import backends
from fresh_process import INFO, answer, info, levels, refusal
from tolerances import TRAJECTORY_EPS, assert_product_close

# Short trainings from a fixed start; `target` is the file for what they learned.
TRAIN = """
import numpy as np
from cnn_core import NN, Conv2D, Dense, EncodedDense, MaxPool2D, Model, Network, Recipe, Stack
rng = np.random.default_rng(5)
X, labels = rng.normal(size=(203, 37)), rng.integers(0, 11, 203)
columns = np.column_stack([rng.uniform(0, 9, 203), X[:, 0], rng.integers(-1, 4, 203)])
network = Network((
    EncodedDense(("pieces", "number", "codes"), (9, 1, 4), 45, "tanh"), Dense(45, 11, "identity")
))
images = rng.normal(size=(203, 9 * 7 * 2))
seeing = Network(
    Stack((9, 7, 2))
    .add(Conv2D, 8, normalization="batch")
    .add(MaxPool2D)
    .add(Conv2D, 20, activation="tanh")
    .add(Conv2D, 8, activation="tanh")
    .add(Conv2D, 6, stride=2, activation="tanh")
    .add(Dense, 11, "identity")
    .layers
)
learned = {}
for dtype in (np.float32, np.float64):
    net = NN(37, 45, 11, 0.5, 3, batch_size=16, dtype=dtype, seed=2)
    net.fit(X, labels)
    weights = [net.wih.ravel(), net.who.ravel(), net.bih]
    for described, samples in ((network, columns), (seeing, images)):
        model = Model(described, dtype=dtype).initialize("he_normal", np.random.RandomState(2))
        model.train(np.ascontiguousarray(samples, dtype), labels, Recipe(3, 16, 0.05))
        weights.append(model.parameters)
    learned[np.dtype(dtype).name] = np.concatenate(weights)
np.savez(target, **learned)
"""

# Products whose sizes are multiples of no vector's length.
PRODUCTS = """
import numpy as np
from cnn_core import backends
arrays = np.load(source)
results = {}
for dtype in ("float32", "float64"):
    x, weights, bias = (arrays[name].astype(dtype) for name in ("x", "weights", "bias"))
    out = np.empty((len(x), weights.shape[1]), dtype)
    backends.get().kernels(dtype).dense_forward(x, weights, bias, out)
    results[dtype] = out
np.savez(target, **results)
"""


# --- ISA levels


@pytest.mark.compiled
def test_the_highest_level_of_the_processor_is_chosen():
    found = backends.backend_info("cython")
    assert found["isa_detected"]
    assert info(CNN_CORE_ISA="")["isa"] == info()["isa"] == levels()[-1]
    assert info()["isa_built"] == found["isa_built"]


@pytest.mark.compiled
def test_every_level_of_the_processor_loads_its_own_modules():
    seen = []
    for level in levels():
        found = info(CNN_CORE_ISA=level)
        assert found["isa"] == level
        parts = ("kernels", "engine")
        paths = [path for name, path in found["modules"].items() if name.endswith(parts)]
        assert len(paths) == 4
        for path in paths:
            assert Path(path).is_file()
            assert Path(path).parent.name.rpartition("_")[0] == level.replace("-", "_")
        seen += paths
    assert len(seen) == len(set(seen)) == 4 * len(levels())


@pytest.mark.compiled
def test_every_level_computes_the_product(tmp_path: Path):
    rng = np.random.default_rng(11)
    arrays = {"x": rng.normal(size=(23, 301)), "weights": rng.normal(size=(301, 77))}
    arrays["bias"] = rng.normal(size=77)
    arrays = {name: values.astype(np.float32) for name, values in arrays.items()}
    source, target = tmp_path / "arrays.npz", tmp_path / "results.npz"
    np.savez(source, **arrays)
    for level in levels():
        target.unlink(missing_ok=True)
        paths = f"source, target = {str(source)!r}, {str(target)!r}"
        answer(f"{paths}\n{PRODUCTS}", CNN_CORE_BACKEND="cython", CNN_CORE_ISA=level)
        results = np.load(target)
        for dtype in ("float32", "float64"):
            assert results[dtype].dtype == dtype
            assert_product_close(results[dtype], arrays["x"], arrays["weights"], arrays["bias"])


def learned(folder: Path, **environment: str) -> dict[str, np.ndarray]:
    """Return what the short training learns in a process with these switches."""
    target = folder / "learned.npz"
    target.unlink(missing_ok=True)
    answer(f"target = {str(target)!r}\n{TRAIN}", **environment)
    with np.load(target) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def learned_at(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, np.ndarray]]:
    """What it learns at each level."""
    folder = tmp_path_factory.mktemp("levels")
    return {level: learned(folder, CNN_CORE_ISA=level) for level in levels()}


@pytest.mark.compiled
def test_the_levels_learn_what_the_reference_learns(tmp_path: Path, learned_at):
    reference = learned(tmp_path, CNN_CORE_BACKEND="numpy")
    for found in learned_at.values():
        for dtype, expected in reference.items():
            allowed = TRAJECTORY_EPS * np.finfo(dtype).eps * np.abs(expected).max()
            assert np.abs(found[dtype] - expected).max() <= allowed


@pytest.mark.compiled
def test_levels_with_a_fused_multiply_add_learn_the_same_bits(tmp_path: Path, learned_at):
    best = learned(tmp_path)
    # x86-64-v2 alone has none, and rounds the product as well as the sum.
    fused = [level for level in levels() if level != "x86-64-v2"] or levels()
    for level in fused:
        found = learned_at[level]
        for dtype, expected in best.items():
            assert found[dtype].tobytes() == expected.tobytes()


@pytest.mark.compiled
@pytest.mark.parametrize("level", ["x86-64-v9", "avx2", "X86-64-V3", "armv7"])
def test_a_level_that_the_processor_does_not_have_is_refused_with_those_that_it_has(level):
    message = refusal(INFO, "ValueError", CNN_CORE_ISA=level)
    assert f"CNN_CORE_ISA={level}" in message
    for detected in backends.backend_info("cython")["isa_detected"]:
        assert detected in message


def test_a_processor_below_every_level_that_was_built_is_an_error_and_no_fallback():
    code = """
import sys, types, cnn_core
cpu = types.ModuleType("cnn_core._native.cpu")
cpu.built_levels = lambda: ("x86-64-v3", "x86-64-v4")
cpu.detected_levels = lambda: ("x86-64-v2",)
sys.modules[cpu.__name__] = cpu
cnn_core.backend_info()
"""
    message = refusal(code, "ImportError")
    for part in ("x86-64-v3, x86-64-v4", "x86-64-v2", "CNN_CORE_BACKEND=numpy"):
        assert part in message


@pytest.mark.compiled
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the kernel lists x86-64's features")
@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="only Linux has /proc/cpuinfo")
def test_the_detected_levels_are_those_that_the_kernel_reports():
    # What each level adds, by the kernel's names: System V psABI, x86-64 supplement, 3.1.1.
    added = {
        "x86-64-v2": "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3",
        "x86-64-v3": "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave",
        "x86-64-v4": "avx512f avx512bw avx512cd avx512dq avx512vl",
    }
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    flags = set(next(line for line in lines if line.startswith("flags")).split())
    expected = []
    for level, features in added.items():
        if not flags.issuperset(features.split()):
            break
        expected.append(level)
    assert backends.backend_info("cython")["isa_detected"] == expected
