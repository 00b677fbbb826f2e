"""``cnn-core bench``: a short race of the backends on this machine.

Each batch size is checked before it is timed: the backends must reach the same loss from the same
start. Then they take turns, and the best epoch of each counts, since what disturbs a measurement
only ever makes it slower.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from cnn_core import NN, backend_info, backends
from cnn_core.cli import arguments as args
from cnn_core.cli.console import CommandError, note
from cnn_core.cli.train import describe_backend
from cnn_core.data import load_fashion_mnist

__all__ = ["add_parser", "run"]

FEATURES, HIDDEN, CLASSES = 784, 128, 10
LEARNING_RATE = 0.1
BATCH_SIZES = (1, 32, 256)

_LOSS_TOLERANCE = 1e-3
_PREDICT_CALLS = 2_000

DESCRIPTION = """\
Races the backends on this machine: training a 784-128-10 network in float32 with batches of 1, 32
and 256, and predicting one row. The backends first have to reach the same loss.
"""

EPOCH_NOTE = """\
An epoch is one call of fit, the checks of its arguments included; one row is the median of 2,000
calls of predict."""

OTHER_NOTE = """\
scikit-learn is its MLPRegressor, an epoch one call of partial_fit: the same layers, batches and
plain gradient descent on the squared error, but linear outputs. That is nearly the same work and
not the same result, so its loss is not compared."""


class _Contestant(Protocol):
    """Something that can be timed."""

    name: str

    def epoch(self) -> None: ...

    def predict_row(self) -> None: ...


@dataclass(frozen=True)
class _Time:
    """The best epoch of a contestant, and its median time for predicting one row."""

    name: str
    seconds: float
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
        default=3,
        help="epochs of which the best counts (default: 3)",
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
    course = _course(arguments)
    names = backends.available()
    if "cython" not in names:
        note("the compiled backend is not part of this installation; there is no race")
    print(
        f"{FEATURES}-{HIDDEN}-{CLASSES}, float32, {len(course.x):,} samples "
        f"({arguments.data}), best of {arguments.epochs} epochs\n"
    )
    agreed = True
    lost: list[str] = []
    for batch_size in BATCH_SIZES:
        losses = _losses(course, names, batch_size)
        same = max(losses) - min(losses) <= _LOSS_TOLERANCE * max(losses)
        agreed = agreed and same
        print(f"batch {batch_size}: {_checked(names, losses, same)}", flush=True)
        times = _race(course, names, batch_size, arguments.epochs)
        lost += _losses_of_first(times, batch_size)
        print(f"{_table(times, len(course.x))}\n", flush=True)
    print("\n".join(lost) if lost else f"{times[0].name} is the fastest in every case.")
    print(EPOCH_NOTE)
    if importlib.util.find_spec("sklearn") is not None:
        print(f"\n{OTHER_NOTE}")
    return 0 if agreed else 1


def _course(arguments: argparse.Namespace) -> _Course:
    if arguments.data == "fashion-mnist":
        dataset = load_fashion_mnist(arguments.data_folder, report=note)
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
            learning_rate_init=0.01,
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
    best = [float("inf")] * len(contestants)
    for _ in range(epochs):
        for number, contestant in enumerate(contestants):
            best[number] = min(best[number], _seconds(contestant.epoch))
    return [
        _Time(contestant.name, seconds, _median_microseconds(contestant.predict_row))
        for contestant, seconds in zip(contestants, best, strict=True)
    ]


def _table(times: list[_Time], samples: int) -> str:
    """Return the times as text; each row but the first tells how it compares with the first."""
    first = times[0]
    lines = [f"  {'':<22} {'s/epoch':>8} {'samples/s':>10} {'':<13} {'one row':>9}"]
    for time_ in times:
        training = predicting = ""
        if time_ is not first:
            training = _compared(time_.seconds / first.seconds)
            predicting = _compared(time_.microseconds / first.microseconds)
        lines.append(
            f"  {time_.name:<22} {time_.seconds:>8.4f} {samples / time_.seconds:>10,.0f} "
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
