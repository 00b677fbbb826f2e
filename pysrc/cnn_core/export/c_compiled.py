"""Compile and run an exported header: its outputs and its size."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core.export.program import Program
from cnn_core.export.selftest import ExportError

Array = npt.NDArray[Any]

# Strict flags, as for microcontrollers: any warning is an error of the header.
FLAGS = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror")
_SECONDS = 120


@dataclass(frozen=True)
class Budget:
    """Memory that a network needs on a microcontroller, in bytes.

    Attributes
    ----------
    constants, ram : int
        Weights and sizes; the work array and one sample.
    code : int or None
        Compiled for this machine with -Os; None if unknown.
    """

    constants: int
    ram: int
    code: int | None = None

    def sizes(self) -> dict[str, int]:
        """Return the sizes by name."""
        code = {} if self.code is None else {"flash, code (by -Os, here)": self.code}
        return {"flash, constants": self.constants, **code, "RAM, work and sample": self.ram}


_DRIVER = """\
#include <stdio.h>
#include "model.h"

static SAMPLE;
static float out[MACRO_OUTPUTS], work[MACRO_WORK];

int main(void)
{
    while (fread(x, sizeof x, 1, stdin) == 1) {
        int labels[MACRO_OUTPUTS] = {0};
        CALLS
        fwrite(out, sizeof out, 1, stdout);
        fwrite(labels, sizeof labels, 1, stdout);
    }
    return 0;
}
"""


def compiler_named(wish: str | None) -> list[str] | None:
    """Return the command of a C compiler, if there is one: ``CC``, cc, gcc or clang.

    Raises
    ------
    FileNotFoundError
        If the named compiler does not exist.
    """
    for name in (wish, os.environ.get("CC"), "cc", "gcc", "clang"):
        command = shlex.split(name or "")
        if command and shutil.which(command[0]):
            return command
        if wish is not None:
            raise FileNotFoundError(f"compiler: expected a C compiler, found no {wish!r}")
    return None


def outputs_in_c(
    program: Program,
    header: str,
    name: str,
    rows: Array,
    command: Sequence[str],
    budget: Budget,
    runner: Sequence[str] = (),
) -> tuple[Array, Array | None, Budget]:
    """Return the values and labels that a header computes for rows, and its memory.

    Parameters
    ----------
    program : Program
    header : str
        Its text.
    name : str
        Prefix of the names in it.
    rows : (n, n_inputs) array of float32, or (n,) array of structs
    command : sequence of str
        The compiler.
    budget : Budget
        The sizes that are known without a compiler.
    runner : sequence of str
        Command that runs the program, if it is for another machine.

    Raises
    ------
    ExportError
        If it cannot be compiled without a warning, or does not run.
    """
    answer = program.answer
    width = program.n_outputs if answer.classes is None else len(answer.classes)
    with tempfile.TemporaryDirectory(prefix="cnn_core-") as folder:
        (Path(folder) / "model.h").write_text(header, "utf-8")
        sample = "NAME_row x[1]" if program.columns else "float x[MACRO_INPUTS]"
        driver = _DRIVER.replace("SAMPLE", sample).replace("CALLS", _calls(program))
        driver = driver.replace("NAME", name)
        source = Path(folder) / "main.c"
        source.write_text(driver.replace("MACRO", name.upper()), "utf-8")
        made = Path(folder) / "main"
        _run([*command, *FLAGS, str(source), "-o", str(made)], None)
        found = _run([*runner, str(made)], rows.tobytes())
        code = _code_size(command, source, folder)
    records = np.frombuffer(found, np.dtype([("values", "<f4", width), ("labels", "<i4", width)]))
    if len(records) != len(rows):
        raise ExportError(
            f"the compiled header: expected {len(rows)} results, found {len(records)}"
        )
    labels = None
    if answer.classes is not None:
        numbers = records["labels"].reshape(len(rows), width)
        labels = numbers if answer.kind == "multilabel" else answer.classes[numbers[:, 0]]
    own = None if code is None else max(0, code - budget.constants)
    return records["values"].reshape(len(rows), width), labels, replace(budget, code=own)


def _calls(program: Program) -> str:
    if program.answer.kind == "multilabel":
        return "NAME_probabilities(x, out, work);\n        NAME_predict(x, labels, work);"
    if program.answer.is_for_classes:
        return "NAME_probabilities(x, out, work);\n        labels[0] = NAME_predict(x, work);"
    return "NAME_predict(x, out, work);"


def _code_size(command: Sequence[str], source: Path, folder: str) -> int | None:
    """Return the bytes of code and constants, minus those of an empty program."""
    if shutil.which("size") is None:
        return None
    object_file = Path(folder) / "main.o"
    try:
        _run([*command, "-std=c99", "-Os", "-c", str(source), "-o", str(object_file)], None)
        lines = _run(["size", str(object_file)], None).decode().splitlines()
        return int(lines[1].split()[0])
    except (ExportError, ValueError, IndexError):
        return None


def _run(command: Sequence[str], given: bytes | None) -> bytes:
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ExportError(f"{command[0]}: did not end within {_SECONDS} s") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace")
        raise ExportError(f"{Path(command[0]).name}: ended with {done.returncode}: {said:.2000}")
    return done.stdout
