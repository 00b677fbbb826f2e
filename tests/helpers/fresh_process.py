"""Questions that are put to a fresh process, with switches in its environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cnn_core
from cnn_core import backends

PACKAGE = Path(cnn_core.__file__).resolve().parent

INFO = "import json, cnn_core; print(json.dumps(cnn_core.backend_info()))"


def run(
    code: str, *options: str, package: Path = PACKAGE, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `code` in a fresh process that imports `package`, with `environment` as its switches."""
    inherited = {name: v for name, v in os.environ.items() if not name.startswith("CNN_CORE_")}
    inherited["PYTHONPATH"] = str(package.parent)
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        env=inherited | environment,
        cwd=package.parent,
        capture_output=True,
        text=True,
        timeout=120,
    )


def answer(code: str, **arguments) -> str:
    """Return what `code` prints; it must end well and have nothing to complain about."""
    process = run(code, **arguments)
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    return process.stdout.strip()


def refusal(code: str, expected: str, **arguments) -> str:
    """Return the message of the exception `expected` with which `code` must end."""
    process = run(code, **arguments)
    assert process.returncode == 1, process.stdout
    kind, _, message = process.stderr.strip().splitlines()[-1].partition(": ")
    assert kind == expected, process.stderr
    return message


def info(**arguments) -> dict:
    return json.loads(answer(INFO, **arguments))


def levels() -> list[str]:
    """Return the ISA levels that this processor has and that were built, in rising order."""
    found = backends.backend_info("cython")
    return [level for level in found["isa_built"] if level in found["isa_detected"]]
