"""One measurement of one contender, in a process of its own.

So each loads its own libraries and no other's threads, and starts with fresh memory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from contenders.check import Check
from contenders.work import Work

__all__ = [
    "BLAS_OVERRIDES",
    "ContenderError",
    "Job",
    "Outcome",
    "environment",
    "measure",
    "pinned",
    "usable_cores",
]

BLAS_OVERRIDES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Variables that make NumPy's OpenBLAS compute as on another processor, usually slower."""

_THREAD_VARIABLES = (
    "CNN_CORE_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
)
_TIME_LIMIT = 300.0


class ContenderError(RuntimeError):
    """A contender that could not be measured; the message is the last line that it printed."""


@dataclass(frozen=True)
class Job:
    """What a process is to do.

    Attributes
    ----------
    contender : str
        A name of `contenders.CONTENDERS`.
    work : Work
    data : str
        A file of `Samples.save`.
    samples : int
        How many of its samples an epoch takes.
    threads : int
    trains : bool
        Whether to train.
    rows : int
        Rows to predict at once; 0: do not predict.
    checks : bool
        Whether to check first; a contender that fails is not timed.
    """

    contender: str
    work: Work
    data: str
    samples: int
    threads: int
    trains: bool = True
    rows: int = 0
    checks: bool = True

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Return the job that `to_json` wrote."""
        values = json.loads(text)
        work = values.pop("work")
        return cls(work=Work(**{**work, "sizes": tuple(work["sizes"])}), **values)

    def to_json(self) -> str:
        """Return it as text."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Outcome:
    """What a process measured.

    Attributes
    ----------
    title : str
        The contender's name and version.
    work : Work
        What it computed, which may differ from what it was asked for.
    check : Check or None
        None if it was not asked for.
    epochs : list of float
        Seconds of each epoch.
    predictions : list of float
        Seconds of predicting the rows once, in rising order.
    thread_pools : list of dict
        What threadpoolctl tells, where it is installed.
    """

    title: str
    work: Work
    check: Check | None = None
    epochs: list[float] = field(default_factory=list)
    predictions: list[float] = field(default_factory=list)
    thread_pools: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def from_json(cls, text: str) -> Outcome:
        """Return the outcome that `to_json` wrote."""
        values = json.loads(text)
        work, check = values.pop("work"), values.pop("check")
        return cls(
            work=Work(**{**work, "sizes": tuple(work["sizes"])}),
            check=check and Check(**check),
            **values,
        )

    def to_json(self) -> str:
        """Return it as one line of text."""
        return json.dumps(asdict(self))

    @property
    def is_valid(self) -> bool:
        """Whether it computed what it was asked for, as far as that was checked."""
        return self.check is None or self.check.passed


def measure(job: Job, cores: Sequence[int], variables: Mapping[str, str] | None = None) -> Outcome:
    """Carry a job out on these cores, in a process of its own.

    Parameters
    ----------
    job : Job
    cores : sequence of int
        Without effect where a process cannot be bound to cores.
    variables : mapping, optional
        Of the environment, in place of what they are here.

    Raises
    ------
    ContenderError
        If the process fails, or does not end within five minutes.
    """
    with pinned(cores):
        try:
            ended = subprocess.run(
                [sys.executable, "-m", __package__],
                input=job.to_json(),
                env=environment(job.threads, variables) | {"PYTHONPATH": _module_path()},
                capture_output=True,
                text=True,
                timeout=_TIME_LIMIT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ContenderError(f"no result within {_TIME_LIMIT:.0f} seconds") from error
    if ended.returncode < 0:
        raise ContenderError(f"ended by signal {-ended.returncode}")
    if ended.returncode:
        raise ContenderError(ended.stderr.strip().splitlines()[-1])
    return Outcome.from_json(ended.stdout.splitlines()[-1])


def _module_path() -> str:
    """Return where the process finds this package, and whatever this one is told to find."""
    folders = [str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
    return os.pathsep.join(filter(None, folders))


def usable_cores() -> list[int]:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


@contextmanager
def pinned(cores: Sequence[int]) -> Iterator[None]:
    """Bind this process to cores, so that the processes it starts are bound to them as well."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def environment(threads: int, variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment in which every library uses that many threads, and these variables."""
    chosen = {key: value for key, value in os.environ.items() if key not in BLAS_OVERRIDES}
    chosen |= dict.fromkeys(_THREAD_VARIABLES, str(threads))
    # JAX has no such variable: it takes as many threads as the process has cores.
    chosen["JAX_PLATFORMS"] = "cpu"
    return {**chosen, **(variables or {})}
