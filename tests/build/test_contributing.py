"""What CONTRIBUTING says of adding an activation and an optimizer is all that it takes."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from built_trees import build_in, copied_tree, run
from cnn_core import backend_info

# Trains with what was added, by itself and as an estimator's, and saves it, on one backend.
TRAIN = """
import sys
import numpy as np
import cnn_core
from cnn_core.cli.options import OPTIMIZER_RATES
from cnn_core.network import Dense, HIDDEN_ACTIVATIONS, Network
from cnn_core.optimizers import Adagrad

name, path = sys.argv[1:]
assert "mish" in HIDDEN_ACTIVATIONS and "adagrad" in OPTIMIZER_RATES
assert all(f'"{added}"' in cnn_core.MLPRegressor.__doc__ for added in ("mish", "adagrad"))
x = np.random.RandomState(0).normal(size=(60, 3))
t = np.sin(x[:, :1]) * x[:, 1:2]
network = Network((Dense(3, 8, "mish"), Dense(8, 1, "identity")), optimizer=Adagrad())
model = cnn_core.Model(network, dtype=np.float64, backend=name)
model.initialize("auto", np.random.RandomState(1))
model.train(x, t, cnn_core.Recipe(epochs=40, batch_size=12, learning_rate=0.1))
losses = model.history["loss"]
assert model.backend == name and losses[-1] < losses[0] / 2, losses
model.save(path)
assert cnn_core.load(path).network == network

estimator = cnn_core.MLPRegressor(hidden_layer_sizes=(8,), activation="mish", solver="adagrad")
estimator.set_params(learning_rate_init=0.1, random_state=0, max_iter=300, backend=name)
estimator.fit(x, t.ravel())
assert estimator.score(x, t.ravel()) > 0.8
print(*losses)
"""


class Block(NamedTuple):
    """Lines that CONTRIBUTING wants to have in a file, and where."""

    file: str
    place: str
    line: str
    text: str


def blocks_of(page: str) -> list[Block]:
    """Return the blocks that name a file and a place in it."""
    head = (
        r"^# (?P<file>[\w/.]+), (?P<place>below|above|in place of|at the end)(?:: (?P<line>.*))?$"
    )
    blocks = []
    for match in re.finditer(r"^( *)```\w+\n(.*?)^ *```$", page, re.MULTILINE | re.DOTALL):
        indent, code = match.groups()
        first, *rest = [line.removeprefix(indent) for line in code.splitlines()]
        found = re.fullmatch(head, first)
        if found:
            text = "".join(f"{line}\n" for line in rest)
            blocks.append(Block(found["file"], found["place"], found["line"] or "", text))
    return blocks


def follow(block: Block, tree: Path) -> None:
    """Put the lines of a block where it says that they belong."""
    path = tree / block.file
    lines = path.read_text().splitlines(keepends=True)
    if block.place == "at the end":
        path.write_text(f"{''.join(lines)}\n\n{block.text}")
        return
    places = [number for number, line in enumerate(lines) if line.strip() == block.line]
    assert len(places) == 1, f"{block.file} has {len(places)} lines {block.line!r}"
    start = places[0] + (block.place == "below")
    end = places[0] + (block.place != "above")
    lines[start:end] = [block.text]
    path.write_text("".join(lines))


def test_an_addition_is_three_files(source_tree):
    blocks = blocks_of((source_tree / "CONTRIBUTING.md").read_text())
    files = {block.file for block in blocks}
    assert files == {
        "cnn_core/activations.pyx",
        "cnn_core/optimizers.pyx",
        "pysrc/cnn_core/backends/numpy/activations.py",
        "pysrc/cnn_core/backends/numpy/optimizers.py",
        "pysrc/cnn_core/layers/base.py",
        "pysrc/cnn_core/optimizers.py",
    }


@pytest.fixture(scope="module")
def followed(source_tree, tmp_path_factory):
    """A copy of the tree with all that CONTRIBUTING adds as an example."""
    tree = copied_tree(source_tree, tmp_path_factory.mktemp("contributing") / "tree")
    for block in blocks_of((source_tree / "CONTRIBUTING.md").read_text()):
        follow(block, tree)
    return tree


def losses_of(tree: Path, name: str) -> list[float]:
    """Return the losses of a training on a backend of this tree."""
    path = str(tree.parent / f"model-{name}")
    printed = run(
        *(sys.executable, "-c", TRAIN, name, path),
        cwd=tree.parent,
        PYTHONPATH=str(tree / "pysrc"),
        CNN_CORE_ISA="",
    )
    return [float(loss) for loss in printed.splitlines()[-1].split()]


@pytest.mark.slow
def test_the_reference_trains_with_what_was_added(followed):
    assert losses_of(followed, "numpy")


@pytest.mark.slow
@pytest.mark.compiled
def test_the_compiled_backend_trains_with_what_was_added(followed, tmp_path):
    compiler = tmp_path / "cc"
    compiler.write_text('#!/bin/sh\nexec gcc "$@" -O0\n')
    compiler.chmod(0o755)
    build_in(followed, str(compiler), levels=backend_info()["isa_built"][0])
    compiled, reference = (losses_of(followed, name) for name in ("cython", "numpy"))
    assert compiled == pytest.approx(reference, rel=1e-9)
