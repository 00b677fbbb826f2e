"""CNN_CORE_LEVELS: a build holds the levels that were asked for."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from built_trees import build_in, copied_tree, run
from cnn_core import backend_info

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the levels of x86-64"),
]

CHOSEN = "import setup; print(*setup.chosen_levels())"


def chosen(source_tree: Path, levels: str) -> list[str]:
    return run(sys.executable, "-c", CHOSEN, cwd=source_tree, CNN_CORE_LEVELS=levels).split()


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("", ["x86-64-v2", "x86-64-v3", "x86-64-v4"]),
        ("x86-64-v3", ["x86-64-v3"]),
        ("x86-64-v4  x86-64-v2", ["x86-64-v2", "x86-64-v4"]),
    ],
)
def test_the_levels_that_are_named_are_built_the_lowest_first(source_tree, asked, expected):
    assert chosen(source_tree, asked) == expected


def test_native_is_the_highest_level_of_this_processor(source_tree):
    assert chosen(source_tree, "native") == [backend_info("cython")["isa_detected"][-1]]


@pytest.mark.parametrize("asked", ["avx2", "x86-64-v4 native", "v3"])
def test_a_level_that_is_none_is_refused_with_those_that_there_are(source_tree, asked):
    process = subprocess.run(
        [sys.executable, "-c", CHOSEN],
        cwd=source_tree,
        env=os.environ | {"CNN_CORE_LEVELS": asked},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 1
    expected = "expected native or some of x86-64-v2, x86-64-v3, x86-64-v4"
    assert process.stderr.startswith(f"CNN_CORE_LEVELS: {expected}, found ")


@pytest.mark.slow
def test_a_build_of_other_levels_than_the_one_before_says_so(source_tree, tmp_path):
    tree = copied_tree(source_tree, tmp_path / "tree")
    built = "from cnn_core._native import cpu; print(*cpu.built_levels())"
    for levels in ("x86-64-v2", "x86-64-v2 x86-64-v3"):
        build_in(tree, "gcc", r"\.(cpu|_cnn_core_shared)$", levels)
        assert run(sys.executable, "-c", built, cwd=tree / "pysrc") == f"{levels}\n"
