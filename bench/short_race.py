"""The race of ``cnn-core bench``, on this machine, of everything that is installed.

The contenders are cnn_core's own backends and the libraries that a user may have: see the package
`contenders`. Each measurement has a process of its own. Everyone is checked before it
is timed; then they take turns, and the best of each counts, since what disturbs a measurement only
ever makes it slower.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cnn_core.cli.console import note
from cnn_core.cli.output import introduce, print_result
from cnn_core.cli.sources import find_fashion_mnist
from contenders import CONTENDERS, is_installed
from contenders.process import (
    BLAS_OVERRIDES,
    ContenderError,
    Job,
    Outcome,
    measure,
    usable_cores,
)
from contenders.work import Samples, Work

__all__ = ["run"]

FEATURES, CLASSES = 784, 10
NAN = float("nan")
RACERS = (
    "cython",
    "numpy-backend",
    "NN.predict",
    "NN.predictor",
    "numpy",
    "scikit-learn",
    "pytorch",
    "jax",
    "onnxruntime",
)

EXPLANATION = """\
An epoch is shuffled; one row is the median of many calls, its input ready in the library's own
form. Everyone takes a turn in each round, in a process of its own, and the best counts; "slowest"
is the longest epoch of all: where it is far from the best, the machine had other work to do."""

OTHER_NOTE = """\
scikit-learn's regressor has linear outputs: nearly the same work, checked as what it is."""


@dataclass(frozen=True)
class _Time:
    """What was measured of one contender in all rounds.

    A contender that does not train has no epochs, one that failed has nothing but the reason.
    """

    title: str
    epochs: tuple[float, ...] = ()
    row: float = NAN
    failure: str = ""
    is_wrong: bool = False

    @property
    def seconds(self) -> float:
        """The best epoch."""
        return min(self.epochs, default=NAN)


def run(arguments: argparse.Namespace) -> int:
    """Let the contenders take turns, and print what was measured.

    Returns
    -------
    int
        0, or 1 if a contender does not compute the same, or cnn_core could not be measured.
    """
    overrides = [name for name in BLAS_OVERRIDES if name in os.environ]
    if overrides:
        note(f"measured without {' and '.join(overrides)}, which would slow NumPy down")
    cores = usable_cores()[: arguments.threads]
    racers = [name for name in RACERS if is_installed(name)]
    if "cython" not in racers:
        note("the compiled backend is not part of this installation")
    absent = [name for name in RACERS if name not in racers and name != "cython"]
    if absent:
        note(f"not installed, and so not in the race: {', '.join(absent)}")
    samples = _samples(arguments)
    introduce(
        arguments,
        f"784-128-10, float32, {len(samples):,} samples ({arguments.data}), "
        f"{len(cores)} {'core' if len(cores) == 1 else 'cores'}\n",
    )
    lost: list[str] = []
    measured: list[dict[str, Any]] = []
    ended_well = True
    with tempfile.TemporaryDirectory(prefix="cnn-core-") as folder:
        data = Path(folder) / "samples.npz"
        samples.save(data)
        for batch_size in arguments.batch_size:
            job = Job(racers[0], Work(batch_size=batch_size), str(data), len(samples), len(cores))
            times = _race(job, racers, cores, arguments.rounds)
            introduce(arguments, f"batch {batch_size}\n{_table(times, len(samples))}\n")
            measured.append({"batch_size": batch_size, "contenders": [asdict(t) for t in times]})
            lost += _losses(times, batch_size)
            ended_well &= not (times[0].failure or any(time.is_wrong for time in times))
    text = (
        "\n".join(dict.fromkeys(lost))
        if lost
        else f"{times[0].title} is the fastest in every case."
    )
    notes = [EXPLANATION, *([OTHER_NOTE] if "scikit-learn" in racers else [])]
    values = {"samples": len(samples), "data": arguments.data, "cores": len(cores)}
    print_result(
        arguments,
        "\n".join([text, *notes]),
        {**values, "batches": measured, "lost": list(dict.fromkeys(lost))},
    )
    return 0 if ended_well else 1


def _samples(arguments: argparse.Namespace) -> Samples:
    if arguments.data == "fashion-mnist":
        dataset = find_fashion_mnist(arguments.data_folder, note)
        images = dataset.x_train[: arguments.samples]
        labels = dataset.y_train[: arguments.samples].astype(np.intp)
        return Samples(images.reshape(len(images), -1), labels, CLASSES)
    generator = np.random.RandomState(0)
    random = generator.randint(0, 256, (arguments.samples, FEATURES))
    # Half of all pixels are 0, as they are in Fashion-MNIST.
    images = (random * generator.randint(0, 2, random.shape)).astype(np.uint8)
    # Classes that depend on the samples, so that there is something to learn.
    labels = (images @ generator.normal(size=(FEATURES, CLASSES))).argmax(axis=1)
    return Samples(images, labels, CLASSES)


def _race(job: Job, racers: list[str], cores: Sequence[int], rounds: int) -> list[_Time]:
    """Let the contenders take turns; one that fails in the first takes no other."""
    outcomes: dict[str, list[Outcome]] = {name: [] for name in racers}
    failures: dict[str, str] = {}
    for number in range(rounds):
        for name in (name for name in racers if name not in failures):
            entry = CONTENDERS[name]
            turn = replace(
                job,
                contender=name,
                trains=entry.trains,
                rows=int(entry.predicts),
                checks=number == 0,
            )
            try:
                outcomes[name].append(measure(turn, cores))
            except ContenderError as error:
                failures[name] = str(error)
    return [_time(name, outcomes[name], failures.get(name, "")) for name in racers]


def _time(name: str, outcomes: list[Outcome], failure: str) -> _Time:
    if not outcomes:
        return _Time(name, failure=f"failed: {failure}")
    first = outcomes[0]
    if not first.is_valid:
        return _Time(first.title, failure=f"WRONG, not timed: {first.check}", is_wrong=True)
    return _Time(
        first.title,
        tuple(seconds for outcome in outcomes for seconds in outcome.epochs),
        min((statistics.median(o.predictions) for o in outcomes if o.predictions), default=NAN),
        f"failed later: {failure}" if failure else "",
    )


def _table(times: list[_Time], samples: int) -> str:
    """Return the times as text, each but the first of its column compared with that one."""
    lines = [f"  {'':<40} {'s/epoch':>8} {'slowest':>8} {'samples/s':>10} {'':<13} {'one row':>9}"]
    trained, predicted = times[0].seconds, next((t.row for t in times if t.row == t.row), NAN)
    for time in times:
        cells = [""] * 6
        if time.epochs:
            cells[:4] = (
                f"{time.seconds:.4f}",
                f"{max(time.epochs):.4f}",
                f"{samples / time.seconds:,.0f}",
                _compared(time.seconds / trained),
            )
        if time.row == time.row:
            cells[4:] = f"{time.row * 1e6:.1f} us", _compared(time.row / predicted)
        line = "{:>8} {:>8} {:>10} {:<13} {:>9} {}".format(*cells)
        lines.append(f"  {time.title:<40} {line} {time.failure}".rstrip())
    return "\n".join(lines)


def _compared(ratio: float) -> str:
    if ratio == 1 or ratio != ratio:
        return ""
    return f"{ratio:.1f}x slower" if ratio > 1 else f"{1 / ratio:.1f}x FASTER"


def _losses(times: list[_Time], batch_size: int) -> list[str]:
    """Return where cnn_core is beaten by others, or why that is unknown, should it have failed.

    The best of its own ways to predict counts.
    """
    ours = times[0]
    own = [time for time in times if time.title.startswith("cnn_core")]
    others = [time for time in times if time not in own]
    row = min((time.row for time in own if time.row == time.row), default=NAN)
    lost = [f"{ours.title}, batch {batch_size}: {ours.failure}"] if ours.failure else []
    for other in others:
        if other.seconds < ours.seconds:
            lost.append(f"{ours.title} loses to {other.title} in training, batch {batch_size}")
        if other.row < row:
            lost.append(f"cnn_core loses to {other.title} in predicting one row")
    return lost
