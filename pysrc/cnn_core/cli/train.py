"""``cnn-core train``: learn a data set and leave a run folder behind.

The defaults (batches of 16, learning rate 1, 20 epochs) were chosen on Fashion-MNIST's training
images alone: 50,000 were trained on and the 10,000 others measured. Learning rates from 0.3 to 1.5
with batches of 4, 8 and 16 came within about half a percentage point of each other; batches of 16
take the least time of them, and after 20 epochs three seeds had reached 0.889 to 0.892. The command
repeats such an experiment with ``--validation-share 0.1667``.

A step moves an output's sum by an amount that grows with the number of hidden units, all of which
feed it: at learning rate 1 a network of 1,000 of them learns nothing. Beyond 128 hidden units the
default is therefore 128 / N for N of them. With it, 8 epochs of that experiment brought 128, 256,
512 and 1,000 units to 0.881, 0.864, 0.856 and 0.842: wide networks learn safely, and take more
epochs. Twice that rate brought 512 and 1,000 a percentage point further.
"""

from __future__ import annotations

import argparse
import math
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core import NN, backend_info
from cnn_core.cli import arguments as args
from cnn_core.cli import run_folder
from cnn_core.cli.console import note, require, short_path, show_result
from cnn_core.cli.plots import plot_confusion, plot_curves, plot_gallery
from cnn_core.cli.progress import epochs_shown
from cnn_core.cli.report import Evaluation, evaluate
from cnn_core.cli.sources import Samples, Source, image_shape, read_samples, split_off

__all__ = ["add_parser", "default_learning_rate", "describe_backend", "run"]

HIDDEN = 128
EPOCHS = 20
BATCH_SIZE = 16
LEARNING_RATE = 1.0
_WIDEST_AT_FULL_RATE = 128

_MOST_DEFAULT_EPOCHS = 300
_DEFAULT_SAMPLES = 320_000

GALLERY_ROWS, GALLERY_COLUMNS = 4, 8

DESCRIPTION = """\
Trains a network of one hidden layer and writes a run folder: the model, the settings, the history,
a classification report and pictures.

The test part is measured after every epoch for the curve and reported at the end; nothing is
selected on it. To choose settings, hold a part of the training samples out with
--validation-share.
"""

DATA_HELP = """\
fashion-mnist (the default), digits (8 x 8 images, part of scikit-learn), or a file of your own:
.npz (X and y, or x_train, y_train, x_test, y_test), .npy (with --labels) or .csv. A file without a
test part of its own has a random 20%% of its samples held out. Bytes and images are divided by
their largest value, values from 0 to 1 stay as they are, other features are standardised"""


def add_parser(commands: args.Subcommands) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "train",
        help="train a network, by default on Fashion-MNIST",
        description=DESCRIPTION,
        allow_abbrev=False,
    )
    args.add_data(parser, default="fashion-mnist", help=DATA_HELP)
    network = parser.add_argument_group("network and training")
    network.add_argument(
        "--hidden",
        metavar="N",
        type=args.Whole(1),
        default=HIDDEN,
        help=f"hidden units (default: {HIDDEN})",
    )
    network.add_argument(
        "--epochs",
        metavar="N",
        type=args.Whole(1),
        help=f"passes over the data (default: {EPOCHS}, more for small data)",
    )
    network.add_argument(
        "--batch-size",
        metavar="N",
        type=args.Whole(1),
        default=BATCH_SIZE,
        help=f"samples of one step (default: {BATCH_SIZE})",
    )
    network.add_argument(
        "--learning-rate",
        metavar="X",
        type=args.positive,
        help=f"length of a step (default: {LEARNING_RATE:g}, and "
        f"{_WIDEST_AT_FULL_RATE}/N for N hidden units if they are more than "
        f"{_WIDEST_AT_FULL_RATE})",
    )
    args.add_seed(network)
    network.add_argument(
        "--dtype",
        choices=("float32", "float64"),
        default="float32",
        help="precision of the arithmetic (default: float32)",
    )
    args.add_backend(network)
    args.add_threads(network)
    network.add_argument(
        "--validation-share",
        metavar="X",
        type=args.share,
        help="hold this share of the training samples out, and measure on them instead of on the "
        "test part after every epoch",
    )
    output = parser.add_argument_group("output")
    args.add_out(output, "DATA")
    output.add_argument("--no-plots", action="store_true", help="draw no pictures")
    args.add_quiet(output, "no progress and no report, one line at the end")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Carry the command out.

    Returns
    -------
    int
        0, or 130 if training was interrupted after its first epoch; the run folder is written in
        both cases.
    """
    require("train", "rich", "sklearn", *(() if arguments.no_plots else ("matplotlib",)))
    source = Source.from_arguments(arguments)
    samples = read_samples(source, None if arguments.quiet else note)
    with run_folder.new_folder(arguments.out, samples.name) as folder:
        training = _Training(arguments, source, samples)
        if not arguments.quiet:
            # Whoever does not listen to the introduction still gets the run folder.
            with suppress(OSError):
                print(training.introduction(), flush=True)
        training.learn()
        files = training.write(folder.path, plots=not arguments.no_plots)
    if arguments.quiet:
        text = f"test accuracy {training.result.accuracy:.4f}  {short_path(folder.final)}"
    else:
        text = f"\n{training.result.report}\n{training.summary(folder.final, files)}"
    show_result(text, folder.final)
    if training.has_learned_nothing:
        note(training.nothing_learned())
    return 130 if training.interrupted else 0


@dataclass(frozen=True, eq=False)
class _Part:
    """Samples, as the network takes them, with their classes."""

    x: npt.NDArray[Any]
    y: npt.NDArray[Any]


@dataclass(eq=False)
class _Training:
    """One training, from the samples to what is told about it."""

    arguments: argparse.Namespace
    source: Source
    samples: Samples
    interrupted: bool = False
    net: NN = field(init=False)
    result: Evaluation = field(init=False)

    def __post_init__(self) -> None:
        wanted, samples = self.arguments, self.samples
        x_train = samples.scaling.apply(samples.x_train, wanted.dtype)
        self.test = _Part(samples.scaling.apply(samples.x_test, wanted.dtype), samples.y_test)
        if wanted.validation_share is None:
            self.train = _Part(x_train, samples.y_train)
            self.measured, self.watched = "test", self.test
        else:
            rest, held_out = split_off(
                samples.y_train, samples.class_names, wanted.validation_share
            )
            self.train = _Part(x_train[rest], samples.y_train[rest])
            self.measured = "validation"
            self.watched = _Part(x_train[held_out], samples.y_train[held_out])
        self.epochs = wanted.epochs or _default_epochs(len(self.train.x))
        self.learning_rate = wanted.learning_rate or default_learning_rate(wanted.hidden)
        self.net = NN(
            samples.n_features,
            wanted.hidden,
            len(samples.class_names),
            learning_rate=self.learning_rate,
            epochs=self.epochs,
            batch_size=wanted.batch_size,
            dtype=wanted.dtype,
            seed=wanted.seed,
            backend=wanted.backend,
            input_scale=samples.scaling.input_scale,
            n_threads=wanted.threads,
        )
        self.backend = {**backend_info(self.net.backend), "threads": self.net.n_threads}
        if wanted.threads and self.net.n_threads is None:
            note("--threads has no effect: the NumPy backend leaves threads to NumPy's BLAS")

    # Doing it

    def learn(self) -> None:
        """Train, and evaluate what was learned, also if it was interrupted."""
        with epochs_shown(
            "training", self.epochs, quiet=self.arguments.quiet, measured=self.measured
        ) as on_epoch:
            try:
                self.net.fit(
                    self.train.x,
                    self.train.y,
                    validation=(self.watched.x, self.watched.y),
                    on_epoch=on_epoch,
                )
            except KeyboardInterrupt:
                if not self.epochs_done:
                    raise
                self.interrupted = True
        if self.interrupted:
            note(f"interrupted after epoch {self.epochs_done}; what was learned is kept")
        self.result = evaluate(self.net, self.test.x, self.test.y, self.samples.class_names)

    def write(self, folder: Path, *, plots: bool) -> list[str]:
        """Write all files of the run folder and return their names."""
        self.net.save(folder / run_folder.MODEL)
        run_folder.write_json(folder / run_folder.RECORD, self.record())
        run_folder.write_history(folder / "history.csv", self.net.history, self.measured)
        (folder / "report.txt").write_text(self._report_text(), encoding="utf-8")
        if plots:
            self._draw(folder)
        order = (run_folder.MODEL, run_folder.RECORD, "history.csv", "report.txt")
        return [*order, *sorted(path.name for path in folder.glob("*.png"))]

    def _draw(self, folder: Path) -> None:
        samples, result = self.samples, self.result
        title = f"{samples.name}: test accuracy {result.accuracy:.4f}"
        plot_curves(folder / "curves.png", self.net.history, title, self.measured)
        plot_confusion(
            folder / "confusion.png",
            result.confusion,
            samples.class_names,
            f"{title} on {len(self.test.x):,} samples",
        )
        if image_shape(samples.x_test):
            shown = min(len(samples.x_test), GALLERY_ROWS * GALLERY_COLUMNS)
            wrong = int((result.predicted[:shown] != self.test.y[:shown]).sum())
            plot_gallery(
                folder / "gallery.png",
                samples.x_test,
                self.test.y,
                result.predicted,
                samples.class_names,
                f"{samples.name}: the first {shown} test images and their predicted classes, "
                f"{wrong} wrong",
                rows=math.ceil(shown / GALLERY_COLUMNS),
                columns=GALLERY_COLUMNS,
            )

    # Telling it

    @property
    def epochs_done(self) -> int:
        """Epochs that came to their end."""
        return len(self.net.history.get("loss", ()))

    @property
    def has_learned_nothing(self) -> bool:
        """Whether answering the largest class throughout would have been as good."""
        return self._measured_hits <= self._largest_class_size

    @property
    def _measured_hits(self) -> int:
        return round(self.net.history["validation_accuracy"][-1] * len(self.watched.y))

    @property
    def _largest_class_size(self) -> int:
        return int(np.bincount(self.watched.y).max())

    def nothing_learned(self) -> str:
        """Return what to tell of a training that came to nothing."""
        count = len(self.watched.y)
        return (
            "the network has learned nothing that tells the classes apart: its accuracy on the "
            f"{self.measured} samples, {self._measured_hits / count:.4f}, is no better than always "
            f"answering the largest class, {self._largest_class_size / count:.4f}; try a "
            f"--learning-rate below {self.learning_rate:g}, or more --epochs"
        )

    @property
    def seconds(self) -> float:
        """Time spent training, without the measuring after each epoch."""
        return math.fsum(self.net.history["seconds"])

    @property
    def _rate(self) -> float:
        return self.epochs_done * len(self.train.x) / max(self.seconds, 1e-9)

    @property
    def _shape(self) -> str:
        net = self.net
        return f"{net.input_neurons}-{net.hidden_neurons}-{net.output_neurons}"

    @property
    def _computed_by(self) -> str:
        return describe_backend(self.backend)

    def introduction(self) -> str:
        """Return what is about to be done."""
        samples, wanted = self.samples, self.arguments
        shape = samples.image_shape
        kind = f"images of {shape[0]} x {shape[1]}" if shape else f"rows of {samples.n_features}"
        counts = f"{len(self.train.x):,} training"
        watching = "the test part after every epoch, for the curve: nothing is selected on it"
        if self.measured == "validation":
            counts += f", {len(self.watched.x):,} validation"
            watching = "the validation samples after every epoch, the test part at the end"
        return (
            f"data      {samples.name} from {samples.source}\n"
            f"          {counts} and {len(samples.x_test):,} test "
            f"{kind}, {len(samples.class_names)} classes\n"
            f"scaling   {samples.scaling.description}\n"
            f"network   {self._shape}, sigmoid, {wanted.dtype}, on {self._computed_by}\n"
            f"training  {_counted_epochs(self.epochs)} in batches of {wanted.batch_size}, "
            f"learning rate {self.learning_rate:g}, seed {wanted.seed}\n"
            f"measured  {watching}"
        )

    def summary(self, final: Path, files: list[str]) -> str:
        """Return the result at a glance."""
        result = self.result
        lines = [
            f"test accuracy  {result.accuracy:.4f}  (loss {result.loss:.4f}, "
            f"{len(self.test.x):,} samples: {self.samples.test_part})",
        ]
        if self.measured == "validation":
            history = self.net.history
            lines.append(
                f"validation     {history['validation_accuracy'][-1]:.4f}  "
                f"(loss {history['validation_loss'][-1]:.4f}, {len(self.watched.x):,} samples held "
                "out of the training part)"
            )
        lines += [
            f"training       {self.seconds:.2f} s for {_counted_epochs(self.epochs_done)}, "
            f"{self._rate:,.0f} samples/s, {self._computed_by}",
            f"run folder     {short_path(final)}",
            f"               {'  '.join(files)}",
        ]
        if self.interrupted:
            planned = _counted_epochs(self.epochs)
            lines.insert(0, f"interrupted after {self.epochs_done} of {planned}")
        if not self.arguments.no_plots and not image_shape(self.samples.x_test):
            lines.append("               (no gallery: the samples are no images)")
        return "\n".join(lines)

    def _report_text(self) -> str:
        return (
            f"{self.samples.name}: {len(self.test.x)} test samples "
            f"({self.samples.test_part})\n\n{self.result.report}"
        )

    def record(self) -> dict[str, Any]:
        """Return what ``run.json`` holds."""
        samples, wanted, net, result = self.samples, self.arguments, self.net, self.result
        shape = samples.image_shape
        names = samples.feature_names
        return {
            **run_folder.record_head(run_folder.FORMAT, wanted.argv),
            "interrupted": self.interrupted,
            "data": {
                "name": samples.name,
                "source": samples.source,
                "asked_for": run_folder.source_to_json(self.source),
                "sha256": samples.hashes,
                "features": samples.n_features,
                "image_shape": None if shape is None else list(shape),
                "feature_names": None if names is None else list(names),
                "training_samples": len(self.train.x),
                "validation_samples": (len(self.watched.x) if self.measured == "validation" else 0),
                "test_samples": len(self.test.x),
                "test_part": samples.test_part,
            },
            "class_names": list(samples.class_names),
            "preprocessing": samples.scaling.to_json(),
            "settings": {
                "hidden": net.hidden_neurons,
                "epochs": self.epochs,
                "batch_size": net.batch_size,
                "learning_rate": net.lr,
                "seed": net.seed,
                "rule": net.rule,
                "dtype": net.dtype.name,
                "backend": wanted.backend,
                "threads": wanted.threads,
                "validation_share": wanted.validation_share,
            },
            "result": {
                "test_accuracy": result.accuracy,
                "test_loss": result.loss,
                "epochs": self.epochs_done,
                "training_seconds": self.seconds,
                "samples_per_second": self._rate,
                "parameters": sum(np.size(a) for a in (net.wih, net.bih, net.who, net.bho)),
                "weights_sha256": run_folder.weights_sha256(net),
            },
            "backend": self.backend,
        }


def describe_backend(info: dict[str, Any]) -> str:
    """Return what computes in a few words, from `cnn_core.backend_info`."""
    if info["backend"] == "cython":
        threads = "1 thread" if info["threads"] == 1 else f"{info['threads']} threads"
        return f"cython {info['isa']}, {threads}"
    return f"{info['backend']} {info['versions']['numpy']}"


def default_learning_rate(hidden: int) -> float:
    """Return 1 for up to 128 hidden units, and 128 / `hidden` for more of them."""
    return LEARNING_RATE * min(1.0, _WIDEST_AT_FULL_RATE / hidden)


def _counted_epochs(count: int) -> str:
    return "1 epoch" if count == 1 else f"{count} epochs"


def _default_epochs(samples: int) -> int:
    """Return 20, or for small data as many epochs as give a useful number of steps, up to 300."""
    return min(_MOST_DEFAULT_EPOCHS, max(EPOCHS, math.ceil(_DEFAULT_SAMPLES / samples)))
