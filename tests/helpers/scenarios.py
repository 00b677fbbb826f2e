"""Start a test file as a script, since what it does could hang or crash."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from paths import HELPERS


def run_alone(
    file: str, *arguments: str, longest: float, **environment: str
) -> tuple[int, str, str]:
    """Return the exit code, the output and the errors; the test fails after `longest` seconds."""
    process = subprocess.Popen(
        [sys.executable, file, *arguments],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(HELPERS), os.environ.get("PYTHONPATH", "")]),
            # Python warns of any fork next to threads.
            "PYTHONWARNINGS": "ignore::DeprecationWarning",
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        stdout, stderr = process.communicate(timeout=longest)
    except subprocess.TimeoutExpired:
        # With the processes that it has started, which hold the pipes open.
        os.killpg(process.pid, signal.SIGKILL)
        _, stderr = process.communicate()
        pytest.fail(f"{' '.join(arguments)} hangs: {stderr}")
    return process.returncode, stdout, stderr
