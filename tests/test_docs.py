"""What the documents show works as it is shown."""

from __future__ import annotations

import doctest
import importlib
import re
import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["cnn_core", "cnn_core.arrays", "cnn_core.nn"])
def test_the_examples_in_the_docstrings(module):
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0


def test_the_python_in_the_readme(source_tree, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (source_tree / "README.md").read_text(), re.S)
    assert len(blocks) == 1
    result = subprocess.run(
        [sys.executable, "-c", blocks[0]], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    accuracy, predicted = result.stdout.splitlines()[-2:]
    assert float(accuracy) >= 0.875
    assert predicted == "Ankle boot"
    assert (tmp_path / "fashion.safetensors").exists()


def test_every_file_that_the_documents_link_to_is_there(source_tree):
    for document in ("README.md", "CONTRIBUTING.md", "docs/architecture.md"):
        text = (source_tree / document).read_text()
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
            assert ((source_tree / document).parent / target).exists(), f"{document}: {target}"
