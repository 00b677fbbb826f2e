"""The compiled loops live with a small stack: work arrays belong to the workspace."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest

from cnn_core import backends
from cnn_core.backends.alignment import aligned
from cnn_core.network import Dense, EncodedDense, Network
from cnn_core.optimizers import SGD, Adam, Lion, Nadam, RMSprop, Rprop
from installation import SANITIZED

# Bytes of the largest frame: some tiles of registers, lists of small groups, no panels.
LARGEST_FRAME = 4 * 1024
# The least that threading.stack_size allows is 32 KB; musl gives 128 KB by default.
STACK = 64 * 1024
FRAME = re.compile(r"\bsub +\$0x([0-9a-f]+),%[re]sp")

NETWORKS = {
    "sgd": Network((Dense(70, 33, "tanh"), Dense(33, 3, "sigmoid")), optimizer=SGD()),
    "wide": Network(
        (Dense(500, 600, "relu"), Dense(600, 1100, "gelu"), Dense(1100, 10, "softmax")),
        "cross_entropy",
        Adam(),
    ),
    "batch": Network((Dense(300, 260, "relu", 0.5, "batch"), Dense(260, 5, "sigmoid")), l2=0.1),
    "layer": Network(
        (Dense(300, 260, "silu", 0.5, "layer"), Dense(260, 5, "sigmoid")),
        optimizer=Adam(),
        clip_norm=0.1,
        averaging=0.9,
    ),
    "momentum": Network((Dense(300, 130), Dense(130, 5)), optimizer=SGD(momentum=0.9)),
    "nadam": Network((Dense(300, 130), Dense(130, 5)), optimizer=Nadam()),
    "lion": Network((Dense(300, 130), Dense(130, 5)), optimizer=Lion()),
    "rmsprop": Network((Dense(300, 130), Dense(130, 5)), optimizer=RMSprop()),
    "rprop": Network((Dense(300, 130), Dense(130, 5)), optimizer=Rprop()),
    # The samples are 0 in the first half of their columns: a valid code.
    "encoded": Network(
        (EncodedDense(("codes",) * 70 + ("pieces",) * 70, (4,) * 140, 130), Dense(130, 5))
    ),
}


def train_and_predict(network, dtype, threads):
    rng = np.random.default_rng(3)
    x = rng.random((300, network.n_inputs)).astype(dtype)
    x[:, ::3] = 0
    x[:, : network.n_inputs // 2] = 0
    t = np.eye(network.n_outputs, dtype=dtype)[rng.integers(0, network.n_outputs, len(x))]
    values = 0.1 * rng.standard_normal(network.n_parameters())
    parameters = aligned(values.astype(dtype))
    engine = backends.get("cython").engine(network, parameters, seed=1, threads=threads)
    for samples, batch_size in ((12, 1), (40, 7), (300, 300)):
        engine.train_epoch(x[:samples], t[:samples], None, batch_size, 0.01)
    engine.gradient(x, t, np.empty_like(parameters))
    out = np.empty((len(x), network.n_outputs), dtype)
    engine.predict(x, out)
    return parameters.tobytes() + out.tobytes()


def in_a_small_thread(work):
    found = []
    before = threading.stack_size(STACK)
    try:
        thread = threading.Thread(target=lambda: found.append(work()))
        thread.start()
    finally:
        threading.stack_size(before)
    thread.join()
    return found[0]


@pytest.mark.compiled
@pytest.mark.skipif(SANITIZED, reason="a sanitizer's frames are larger")
class TestSmallStacks:
    @pytest.mark.parametrize("threads", [1, 2])
    @pytest.mark.parametrize("name", NETWORKS)
    def test_a_thread_with_a_small_stack_trains_to_the_same_bits(self, name, threads, dtype):
        def work():
            return train_and_predict(NETWORKS[name], dtype, threads)

        assert in_a_small_thread(work) == work()

    @pytest.mark.slow
    def test_no_frame_of_the_compiled_loops_is_large(self):
        if shutil.which("objdump") is None:
            pytest.skip("needs objdump")
        for name, path in backends.get("cython").module_paths().items():
            command = ["objdump", "--disassemble", "--no-show-raw-insn", str(Path(path))]
            text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            # A subtraction of a negative number gives memory back.
            sizes = [int(size, 16) for size in FRAME.findall(text)]
            largest = max((size for size in sizes if size < 2**63), default=0)
            assert largest <= LARGEST_FRAME, f"{name}: a frame of {largest} bytes"
