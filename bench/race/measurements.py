"""Rows of the race: one measurement of one contender at a time."""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import files
from pathlib import Path
from typing import Any

from contenders.process import (
    ContenderError,
    Job,
    Outcome,
    environment,
    measure,
    pinned,
)
from contenders.work import Work
from race.bars import AT, PEAK, Bar
from race.machine import NoCompilerError, fma_peak

EPOCH = 60_000
QUICK_SHARE = 5


class LeftOutError(RuntimeError):
    """A contender that has no place in a row; the message says why."""


@dataclass(frozen=True)
class Course:
    """What all rows share: the file of the samples, the cores, and whether there is little time.

    Also what cnn_core is confined to, an ISA level or ``numpy``, and whose kernels NumPy's OpenBLAS
    takes; empty: the best ones.
    """

    data: str
    cores: tuple[int, ...]
    is_quick: bool = False
    level: str = ""
    blas: str = ""

    @property
    def variables(self) -> dict[str, str]:
        """The environment that makes processes do so."""
        name = "CNN_CORE_BACKEND" if self.level == "numpy" else "CNN_CORE_ISA"
        chosen = {name: self.level, "OPENBLAS_CORETYPE": self.blas}
        return {key: value for key, value in chosen.items() if value}


@dataclass(frozen=True)
class Measurement:
    """A value in the unit of its row, and all that was measured for it."""

    title: str
    value: float
    raw: Any


@dataclass(frozen=True)
class Row:
    """Something that contenders do in turns; the least value of each counts.

    A contender may be confined to what computes in cnn_core: ``cython@x86-64-v3``,
    ``NN.predict@numpy``; the peak to the vectors of a level: ``peak@x86-64-v3``.

    Attributes
    ----------
    name : str
    title : str
    contenders : tuple of str
    bars : tuple of Bar
    unit : str
    n_cores : int
    turns : int, optional
        How many turns each contender takes, if not as many as there are rounds.
    """

    name: str
    title: str
    contenders: tuple[str, ...]
    bars: tuple[Bar, ...]
    unit: str = "s"
    n_cores: int = 1
    turns: int | None = None

    def measure(self, contender: str, course: Course, is_first: bool) -> Measurement:
        """Measure a contender once.

        Raises
        ------
        LeftOutError
            If it cannot be, or computes something else.
        """
        name, _, level = contender.partition(AT)
        return self._measure(name, replace(course, level=level), is_first)

    def _measure(self, contender: str, course: Course, is_first: bool) -> Measurement:
        raise NotImplementedError

    def cores(self, course: Course) -> tuple[int, ...]:
        """Return the cores that the row uses."""
        return course.cores[: self.n_cores]


@dataclass(frozen=True)
class Training(Row):
    """One epoch of all samples; `slow` ones get a tenth of them, and `samples` may be fewer."""

    work: Work = field(default_factory=Work)
    samples: int = EPOCH
    slow: tuple[str, ...] = ()

    def _measure(self, contender: str, course: Course, is_first: bool) -> Measurement:
        """Train for an epoch, or measure how long it would take at the peak."""
        if contender == PEAK:
            return self._peak(course)
        samples = self.samples_of(contender, course)
        job = Job(
            contender, self.work, course.data, samples, len(self.cores(course)), checks=is_first
        )
        outcome = _measured(job, course, self.cores(course))
        seconds = min(outcome.epochs) * EPOCH / samples
        return Measurement(outcome.title, seconds, asdict(outcome))

    def samples_of(self, contender: str, course: Course) -> int:
        """Return how many samples a contender is timed on."""
        samples = self.samples // 10 if contender in self.slow else self.samples
        # Fewer would make a step of a full batch something else.
        if course.is_quick and self.work.batch_size < EPOCH:
            samples = max(samples // QUICK_SHARE, min(samples, 2 * self.work.batch_size))
        return samples

    def _peak(self, course: Course) -> Measurement:
        try:
            rate = fma_peak(self.cores(course)[0], course.level)
        except NoCompilerError as error:
            raise LeftOutError(str(error)) from error
        seconds = self.work.operations_per_sample * EPOCH / rate
        return Measurement(f"at the FMA peak, {rate / 1e9:.0f} GFLOP/s", seconds, rate)


@dataclass(frozen=True)
class Predicting(Row):
    """The median of many calls that predict the same rows, in microseconds."""

    rows: int = 1
    work: Work = field(default_factory=Work)

    def _measure(self, contender: str, course: Course, is_first: bool) -> Measurement:
        """Predict, again and again."""
        job = Job(
            contender,
            self.work,
            course.data,
            max(self.rows, 1000),
            len(self.cores(course)),
            trains=False,
            rows=self.rows,
            checks=is_first,
        )
        outcome = _measured(job, course, self.cores(course))
        median = statistics.median(outcome.predictions) * 1e6
        quantiles = [outcome.predictions[round(q * (len(outcome.predictions) - 1))] for q in QS]
        raw = {**asdict(outcome), "predictions": dict(zip(QS, quantiles, strict=True))}
        return Measurement(outcome.title, median, raw)


QS = (0.0, 0.1, 0.5, 0.9, 0.99, 1.0)
ALONE, BUSY = "alone", "beside busy processes"


@dataclass(frozen=True)
class Disturbed(Row):
    """One epoch of ours while every core has something else to do as well."""

    work: Work = field(default_factory=Work)

    def _measure(self, contender: str, course: Course, is_first: bool) -> Measurement:
        """Train for an epoch, alone or not."""
        cores = self.cores(course)
        samples = EPOCH // (QUICK_SHARE if course.is_quick else 1)
        job = Job("cython", self.work, course.data, samples, len(cores), checks=is_first)
        if contender == ALONE:
            outcome = _measured(job, course, cores)
        else:
            with _busy(cores):
                outcome = _measured(job, course, cores)
        return Measurement(
            f"{outcome.title}, {contender}",
            min(outcome.epochs) * EPOCH / samples,
            asdict(outcome),
        )


@dataclass(frozen=True)
class Memory(Row):
    """The peak of a process that loads Fashion-MNIST and trains on its bytes for an epoch."""

    def _measure(self, contender: str, course: Course, is_first: bool) -> Measurement:
        """Load and train."""
        megabytes = float(_script(TRAIN_ON_BYTES, course, self.cores(course)))
        return Measurement(contender, megabytes, megabytes)


@dataclass(frozen=True)
class Import(Row):
    """The seconds of an import statement in a fresh process."""

    def _measure(self, contender: str, course: Course, is_first: bool) -> Measurement:
        """Import once."""
        seconds = float(_script(IMPORT.format(contender), course, self.cores(course)))
        return Measurement(f"import {contender}", seconds, seconds)


@dataclass(frozen=True)
class Size(Row):
    """What the installed distribution takes on the disk."""

    def _measure(self, contender: str, course: Course, is_first: bool) -> Measurement:
        """Add up the files."""
        paths = [Path(str(path.locate())) for path in files(contender) or []]
        megabytes = sum(path.stat().st_size for path in paths if path.exists()) / 1e6
        return Measurement(contender, megabytes, megabytes)


TRAIN_ON_BYTES = """
import pathlib, re, resource, sys
import cnn_core
data = cnn_core.load_fashion_mnist()
images = data.x_train.reshape(len(data.x_train), -1)
net = cnn_core.NN(784, 128, 10, learning_rate=0.5, epochs=1, batch_size=64, input_scale=1 / 255)
net.fit(images, data.y_train)
status = pathlib.Path("/proc/self/status")
if status.exists():
    # What getrusage returns includes the peak of the process that started this one.
    kilobytes = int(re.search(r"VmHWM:\\s+(\\d+)", status.read_text())[1])
else:
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kilobytes //= 1024 if sys.platform == "darwin" else 1
print(kilobytes * 1024 / 1e6)
"""
IMPORT = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def _measured(job: Job, course: Course, cores: tuple[int, ...]) -> Outcome:
    try:
        outcome = measure(job, cores, course.variables)
    except ContenderError as error:
        raise LeftOutError(str(error)) from error
    if not outcome.is_valid:
        raise LeftOutError(f"INVALID, not timed: {outcome.check}")
    return outcome


def _script(text: str, course: Course, cores: tuple[int, ...]) -> str:
    with pinned(cores):
        ended = subprocess.run(
            [sys.executable, "-c", text],
            env=environment(len(cores), course.variables),
            capture_output=True,
            text=True,
            check=False,
        )
    if ended.returncode:
        raise LeftOutError(ended.stderr.strip().splitlines()[-1])
    return ended.stdout


@contextmanager
def _busy(cores: tuple[int, ...]) -> Iterator[None]:
    """Keep each core busy with a process of its own."""
    processes = []
    try:
        for core in cores:
            with pinned([core]):
                processes.append(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()
