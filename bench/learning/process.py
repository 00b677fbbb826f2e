"""One job at a time, in a process of its own.

So none finds the memory, the threads and the libraries of the one before, and a training takes as
long as it does for a user who starts one.
"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from contenders.process import environment, pinned

SCRIPT = Path(__file__).parents[1] / "learn.py"
# The slowest job, scikit-learn's of the preset "best", takes two to five minutes.
TIME_LIMIT = 1800.0


class FailedError(RuntimeError):
    """A job that came to nothing; the message is the last line that it printed."""


class Job(Protocol):
    """What a process is to do; it is pickled on its way there."""

    def run(self) -> dict[str, Any]:
        """Do it, and return what JSON can hold."""


def carry_out(job: Job, cores: Sequence[int]) -> dict[str, Any]:
    """Carry a job out on these cores, with as many threads, in a process of its own.

    Raises
    ------
    FailedError
        If the process fails, or does not end in time.
    """
    with pinned(cores):
        try:
            ended = subprocess.run(
                [sys.executable, str(SCRIPT)],
                input=pickle.dumps(job),
                env=environment(len(cores)),
                capture_output=True,
                timeout=TIME_LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise FailedError(f"no result within {TIME_LIMIT:.0f} seconds") from error
    if ended.returncode < 0:
        raise FailedError(f"ended by signal {-ended.returncode}")
    if ended.returncode:
        raise FailedError(ended.stderr.decode(errors="replace").strip().splitlines()[-1])
    result: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return result
