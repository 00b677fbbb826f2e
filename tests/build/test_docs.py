"""What the documents show works as it is shown."""

from __future__ import annotations

import contextlib
import doctest
import importlib
import io
import os
import pkgutil
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import cnn_core
from installation import BACKENDS, PURE

NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]?\d+)?")
# What there is nothing to show of without the compiled backend.
OF_THE_COMPILED_BACKEND = "cnn_core.integrations.thread_limits"
# In units of the last place shown: what another BLAS or backend may round in another way.
NUMBERS_AGREE_TO = 5


class Block(NamedTuple):
    """A fenced block of a page: its language, its lines and where the first of them stands."""

    language: str
    code: str
    line: int

    @property
    def quoted_file(self) -> str | None:
        """The file that the block quotes, which its first line names."""
        found = re.match(r"# (\S+/\S+\.(?:py|pyx))\n", self.code)
        return found[1] if found else None


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(found[1], found[2], text.count("\n", 0, found.start(2)) + 1)
        for found in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.S | re.M)
    ]


def modules_with_examples() -> Iterator[str]:
    """Yield the names of the modules of the library, the command line excluded."""
    for module in pkgutil.walk_packages(cnn_core.__path__, "cnn_core."):
        others = ("cnn_core.cli", "cnn_core._native", "cnn_core.__main__")
        if not module.name.startswith((*others, OF_THE_COMPILED_BACKEND) if PURE else others):
            spec = importlib.util.find_spec(module.name)
            if ">>> " in Path(spec.origin).read_text():
                yield module.name


def shown_alike(found: str, shown: str) -> bool:
    """Tell whether two outputs are the same but for roundings in their decimals."""
    if NUMBER.sub("#", found).split() != NUMBER.sub("#", shown).split():
        return False
    return all(
        abs(float(ours) - float(theirs)) <= NUMBERS_AGREE_TO * last_place(theirs)
        for ours, theirs in zip(NUMBER.findall(found), NUMBER.findall(shown), strict=True)
    )


def last_place(number: str) -> float:
    digits, _, exponent = number.partition("e")
    return 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))


def end_of(passage: str, source: list[str], start: int) -> int | None:
    """Return where the passage ends in the source, from line `start` on, however it is indented."""
    count = len(passage.splitlines())
    for first in range(start, len(source)):
        if textwrap.dedent("\n".join(source[first : first + count])) == passage:
            return first + count
    return None


# Of the backends the one that is the default; `make test-all` takes the other as well.
@pytest.mark.parametrize(
    "backend_name",
    [BACKENDS[0], *(pytest.param(name, marks=pytest.mark.slow) for name in BACKENDS[1:])],
)
@pytest.mark.parametrize("module", ["cnn_core", *modules_with_examples()])
def test_the_examples_in_the_docstrings(module, backend_name, monkeypatch):
    monkeypatch.setenv("CNN_CORE_BACKEND", backend_name)
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.slow
@pytest.mark.parametrize("backend_name", BACKENDS)
def test_the_python_in_the_readme(source_tree, tmp_path, backend_name):
    blocks = [block for block in blocks_of(source_tree / "README.md") if block.language == "python"]
    code = "\nprint('the next block')\n".join(block.code for block in blocks)
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "CNN_CORE_BACKEND": backend_name},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    ten_lines, of_a_table = result.stdout.split("the next block\n")
    accuracy, predicted = ten_lines.splitlines()
    assert float(accuracy.removeprefix("accuracy ")) >= 0.95
    assert re.fullmatch(r"\[(\d ){7}\d\]", predicted)
    assert (tmp_path / "digits.safetensors").exists()
    score, interval = of_a_table.splitlines()
    assert float(score) > 0.95
    # Three times 90, in a town that adds nothing.
    low, high = map(float, interval.strip("[] ").split())
    assert low < 270 < high


@pytest.mark.slow
@pytest.mark.compiled
def test_the_four_lines_of_installing(source_tree, tmp_path):
    section = (source_tree / "README.md").read_text().split("Without `make`:\n\n")[1]
    commands = [line.split("  # ")[0].strip() for line in section.split("\n\n")[0].splitlines()]
    install, *checks, bench = commands
    assert install == "pip install '.[app]'"
    for command, shown in zip(checks, ["cython", "Both backends agree."], strict=True):
        words = shlex.split(command.replace("python", sys.executable, 1))
        result = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
        assert shown in result.stdout
    assert bench == "cnn-core bench"


@pytest.mark.parametrize("backend_name", BACKENDS)
def test_the_python_in_the_tutorial_prints_what_stands_below_it(
    source_tree, backend_name, monkeypatch
):
    monkeypatch.setenv("CNN_CORE_BACKEND", backend_name)
    page = source_tree / "docs" / "from-scratch.md"
    blocks = [block for block in blocks_of(page) if not block.quoted_file]
    namespace = {"__name__": "from_scratch"}
    with np.printoptions():
        for block, below in zip(blocks, [*blocks[1:], Block("", "", 0)], strict=True):
            if block.language == "text" or (PURE and 'get("cython")' in block.code):
                continue
            assert block.language == "python", f"{page.name}:{block.line}"
            printed = io.StringIO()
            # The empty lines before it make tracebacks name the lines of the page.
            code = compile("\n" * (block.line - 1) + block.code, str(page), "exec")
            with contextlib.redirect_stdout(printed):
                exec(code, namespace)
            shown = below.code if below.language == "text" else ""
            assert shown_alike(printed.getvalue(), shown), (
                f"{page.name}:{block.line} printed\n{printed.getvalue()}"
            )


def test_what_the_tutorial_quotes_stands_in_the_sources(source_tree):
    quotations = [
        block for block in blocks_of(source_tree / "docs" / "from-scratch.md") if block.quoted_file
    ]
    assert len(quotations) > 10
    for block in quotations:
        source = (source_tree / block.quoted_file).read_text().splitlines()
        done = 0
        # An empty line in a quotation stands for lines that were left out.
        for passage in block.code.partition("\n")[2].strip().split("\n\n"):
            done = end_of(passage, source, done)
            assert done, f"from-scratch.md:{block.line}: not in {block.quoted_file}:\n{passage}"


def test_every_file_that_the_documents_link_to_is_there(source_tree):
    documents = [source_tree / "README.md", source_tree / "CONTRIBUTING.md"]
    for document in (*documents, *sorted((source_tree / "docs").rglob("*.md"))):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


PROMISE = re.compile(r"`(test_\w+\.py)::(test_\w+)`")


def test_every_promise_is_held_by_tests_that_are_there(source_tree):
    rows = [
        line
        for line in (source_tree / "docs" / "guarantees.md").read_text().splitlines()
        if line.startswith("| ") and not line.startswith("| Promise")
    ]
    assert len(rows) > 20
    for row in rows:
        held_by = PROMISE.findall(row)
        assert held_by, row
        for file, test in held_by:
            (path,) = (source_tree / "tests").rglob(file)
            source = path.read_text()
            assert re.search(rf"def {test}\(", source), f"{file}::{test}"
