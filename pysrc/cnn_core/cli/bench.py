"""``cnn-core bench``: a short race of the backends on this machine.

Each batch size is checked before it is timed: the backends must reach the same loss from the same
start. Then they take turns, and the best epoch of each counts, since what disturbs a measurement
only ever makes it slower.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cnn_core import NN, backend_info, backends
from cnn_core.cli import arguments as args
from cnn_core.cli.console import CommandError, note, show
from cnn_core.cli.sources import find_fashion_mnist
from cnn_core.cli.train import describe_backend

__all__ = ["add_parser", "run"]

FEATURES, HIDDEN, CLASSES = 784, 128, 10
LEARNING_RATE = 0.1
BATCH_SIZES = (1, 32, 256)

BLAS_OVERRIDES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
"""Variables that make NumPy's OpenBLAS compute as on another processor, usually slower."""

_LOSS_TOLERANCE = 1e-3
_PREDICT_CALLS = 500

DESCRIPTION = """\
Races the backends on this machine: training a 784-128-10 network in float32 with batches of 1, 32
and 256, and predicting one row. The backends first have to reach the same loss.
"""

EPOCH_NOTE = """\
An epoch is one call of fit, the checks of its arguments included; one row is the median of 500
calls of predict. Everyone takes a turn in each round, and the best round counts; "slowest" is the
longest epoch of all rounds: where it is far from the best, the machine had other work to do."""

OTHER_NOTE = """\
scikit-learn is its MLPRegressor, an epoch one call of partial_fit: the same layers, batches,
learning rate and plain gradient descent on the squared error, but linear outputs. That is nearly
the same work and not the same result, so its loss is not compared."""


class _Contestant(Protocol):
    """Something that can be timed."""

    name: str

    def epoch(self) -> None: ...

    def predict_row(self) -> None: ...


@dataclass(frozen=True)
class _Time:
    """The best and the slowest epoch of a contestant, and its best time for predicting one row."""

    name: str
    seconds: float
    slowest: float
    microseconds: float


@dataclass(frozen=True, eq=False)
class _Course:
    """The samples that everyone is timed on."""

    x: npt.NDArray[np.float32]
    labels: npt.NDArray[np.intp]
    targets: npt.NDArray[np.float32]


def add_parser(commands: args.Subcommands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "bench",
        help="race the backends on this machine",
        description=DESCRIPTION,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--data",
        choices=("synthetic", "fashion-mnist"),
        default="synthetic",
        help="random samples (the default) or the first training images of Fashion-MNIST; the time "
        "hardly depends on it",
    )
    parser.add_argument(
        "--data-folder", metavar="DIR", type=Path, help="where the files of Fashion-MNIST are"
    )
    parser.add_argument(
        "--samples",
        metavar="N",
        type=args.Whole(1, 60_000),
        default=6_000,
        help="samples of an epoch (default: 6000)",
    )
    parser.add_argument(
        "--epochs",
        metavar="N",
        type=args.Whole(1),
        default=5,
        help="rounds, of an epoch for each, of which the best counts (default: 5)",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry the command out.

    Returns
    -------
    int
        0, or 1 if the backends do not reach the same loss.
    """
    if arguments.data_folder is not None and arguments.data != "fashion-mnist":
        raise CommandError("--data-folder belongs to --data fashion-mnist")
    overrides = [name for name in BLAS_OVERRIDES if name in os.environ]
    if overrides:
        note(f"measured without {' and '.join(overrides)}, which would slow NumPy down")
        return _again_without(overrides, arguments.argv)
    course = _course(arguments)
    names = backends.available()
    if "cython" not in names:
        note("the compiled backend is not part of this installation; there is no race")
    rounds = "1 round" if arguments.epochs == 1 else f"{arguments.epochs} rounds"
    show(
        f"{FEATURES}-{HIDDEN}-{CLASSES}, float32, {len(course.x):,} samples "
        f"({arguments.data}), best of {rounds}\n"
    )
    agreed = True
    lost: list[str] = []
    for batch_size in BATCH_SIZES:
        losses = _losses(course, names, batch_size)
        same = max(losses) - min(losses) <= _LOSS_TOLERANCE * max(losses)
        agreed = agreed and same
        show(f"batch {batch_size}: {_checked(names, losses, same)}")
        times = _race(course, names, batch_size, arguments.epochs)
        lost += _losses_of_first(times, batch_size)
        show(f"{_table(times, len(course.x))}\n")
    show("\n".join(lost) if lost else f"{times[0].name} is the fastest in every case.")
    show(EPOCH_NOTE)
    if importlib.util.find_spec("sklearn") is not None:
        show(f"\n{OTHER_NOTE}")
    return 0 if agreed else 1


def _again_without(variables: list[str], argv: list[str]) -> int:
    """Carry the command out in a process of its own: OpenBLAS reads its variables at the start."""
    environment = {key: value for key, value in os.environ.items() if key not in variables}
    command = [sys.executable, "-m", "cnn_core", *argv]
    return subprocess.run(command, env=environment, check=False).returncode


def _course(arguments: argparse.Namespace) -> _Course:
    if arguments.data == "fashion-mnist":
        dataset = find_fashion_mnist(arguments.data_folder, note)
        images = dataset.x_train[: arguments.samples]
        x = images.reshape(len(images), -1) / np.float32(255)
        labels = dataset.y_train[: arguments.samples].astype(np.intp)
    else:
        generator = np.random.RandomState(0)
        x = generator.random_sample((arguments.samples, FEATURES)).astype(np.float32)
        # Classes that depend on the samples, so that there is something to learn.
        labels = (x @ generator.normal(size=(FEATURES, CLASSES))).argmax(axis=1)
    return _Course(x, labels, np.eye(CLASSES, dtype=np.float32)[labels])


def _net(backend: str, batch_size: int) -> NN:
    return NN(
        FEATURES,
        HIDDEN,
        CLASSES,
        learning_rate=LEARNING_RATE,
        epochs=1,
        batch_size=batch_size,
        seed=0,
        backend=backend,
    )


# The check


def _losses(course: _Course, names: tuple[str, ...], batch_size: int) -> list[float]:
    """Return the loss that each backend reports for its second epoch."""
    losses = []
    for name in names:
        net = _net(name, batch_size)
        net.epochs = 2
        losses.append(net.fit(course.x, course.labels).history["loss"][-1])
    return losses


def _checked(names: tuple[str, ...], losses: list[float], same: bool) -> str:
    if same:
        return f"loss {losses[0]:.5f} after two epochs" + (", the same" if len(names) > 1 else "")
    found = ", ".join(f"{name} {loss:.5f}" for name, loss in zip(names, losses, strict=True))
    return f"THE BACKENDS DISAGREE, loss after two epochs: {found}"


# The race


class _Backend:
    """One of our own backends."""

    def __init__(self, course: _Course, backend: str, batch_size: int) -> None:
        self.name = describe_backend(backend_info(backend))
        self._course = course
        self._net = _net(backend, batch_size)

    def epoch(self) -> None:
        self._net.fit(self._course.x, self._course.labels)

    def predict_row(self) -> None:
        self._net.predict(self._course.x[:1])


class _ScikitLearn:
    """The regressor of scikit-learn that does nearly the same; see `OTHER_NOTE`."""

    def __init__(self, course: _Course, batch_size: int) -> None:
        import sklearn
        from sklearn.neural_network import MLPRegressor

        self.name = f"scikit-learn {sklearn.__version__}"
        self._course = course
        self._net = MLPRegressor(
            hidden_layer_sizes=(HIDDEN,),
            activation="logistic",
            solver="sgd",
            alpha=0.0,
            batch_size=min(batch_size, len(course.x)),
            learning_rate_init=LEARNING_RATE,
            momentum=0.0,
            nesterovs_momentum=False,
            random_state=0,
        )

    def epoch(self) -> None:
        self._net.partial_fit(self._course.x, self._course.targets)

    def predict_row(self) -> None:
        self._net.predict(self._course.x[:1])


def _race(course: _Course, names: tuple[str, ...], batch_size: int, epochs: int) -> list[_Time]:
    """Let everyone take turns."""
    contestants: list[_Contestant] = [_Backend(course, name, batch_size) for name in names]
    if importlib.util.find_spec("sklearn") is not None:
        contestants.append(_ScikitLearn(course, batch_size))
    seconds: list[list[float]] = [[] for _ in contestants]
    microseconds: list[list[float]] = [[] for _ in contestants]
    for _ in range(epochs):
        for number, contestant in enumerate(contestants):
            seconds[number].append(_seconds(contestant.epoch))
            microseconds[number].append(_median_microseconds(contestant.predict_row))
    return [
        _Time(contestant.name, min(epochs_), max(epochs_), min(rows))
        for contestant, epochs_, rows in zip(contestants, seconds, microseconds, strict=True)
    ]


def _table(times: list[_Time], samples: int) -> str:
    """Return the times as text; each row but the first tells how it compares with the first."""
    first = times[0]
    lines = [f"  {'':<22} {'s/epoch':>8} {'slowest':>8} {'samples/s':>10} {'':<13} {'one row':>9}"]
    for time_ in times:
        training = predicting = ""
        if time_ is not first:
            training = _compared(time_.seconds / first.seconds)
            predicting = _compared(time_.microseconds / first.microseconds)
        lines.append(
            f"  {time_.name:<22} {time_.seconds:>8.4f} {time_.slowest:>8.4f} "
            f"{samples / time_.seconds:>10,.0f} "
            f"{training:<13} {time_.microseconds:>6.1f} us {predicting}".rstrip()
        )
    return "\n".join(lines)


def _compared(ratio: float) -> str:
    return f"{ratio:.1f}x slower" if ratio >= 1 else f"{1 / ratio:.1f}x FASTER"


def _losses_of_first(times: list[_Time], batch_size: int) -> list[str]:
    """Return what the first contestant is beaten in."""
    first = times[0]
    lost = []
    for other in times[1:]:
        if other.seconds < first.seconds:
            lost.append(f"{first.name} loses to {other.name} in training, batch {batch_size}")
        if other.microseconds < first.microseconds:
            lost.append(f"{first.name} loses to {other.name} in predicting one row")
    return lost


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _median_microseconds(work: Callable[[], Any]) -> float:
    return statistics.median(_seconds(work) for _ in range(_PREDICT_CALLS)) * 1e6
