"""How well cnn_core learns, and how fast, beside scikit-learn and PyTorch on this machine.

The presets learn all 60,000 training images of Fashion-MNIST and are tried on the 10,000 test
images, which had no part in choosing their settings: bench/choose.py shows how that was done.
scikit-learn and PyTorch follow the same recipes, as far as they can. On scikit-learn's small data
sets both sides go by their defaults, cross-validated, the same folds for both.

    python bench/accuracy.py [--only REGEX] [--seeds 5] [--peer-seeds 2] [--states 3] [--quick]
                             [--json PATH] [--cores 0 1]

Every training on images, and every cross-validation, is a process of its own, one after the other,
with as many threads as there are cores to use. Seconds are those of fitting alone.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cnn_core import load_fashion_mnist
from cnn_core.estimators.presets import settings_of
from contenders.process import usable_cores
from learning.images import OURS, PYTORCH, SCIKIT_LEARN, ImageJob, Images
from learning.process import FailedError, carry_out
from race.machine import describe
from race.markdown import print_markdown
from race.results import (
    MET,
    MISSED,
    NOT_MEASURED,
    Verdict,
    path_for_today,
    print_machine,
    print_summary,
    save,
)

PRESET_BARS = {"fast": (0.885, 2.0), "balanced": (0.900, 6.0), "best": (0.910, 25.0)}
"""The least mean accuracy on the test images, and the most seconds of training."""

RAW = ", raw"
BUNDLED = ("iris", "wine", "breast cancer", "digits", "diabetes")
GENERATED = ("friedman 1", "friedman 2", "skewed")
TABLES = tuple(name + end for end in ("", RAW) for name in (*BUNDLED, *GENERATED))
# Among so many rows one would be found worse at 5% each, though none is (Bonferroni).
LEVEL = 0.05 / len(TABLES)
NOTES = """\
PyTorch: the same first weights, rates at every step and formulas as cnn_core; a plain loop over
batches that are indexed directly, the fused optimizer, torch.compile left out; everything is made
and warm before its clock starts. PyTorch and scikit-learn get images that are float32 and scaled
already, cnn_core scales the bytes while it trains."""
NO_WORSE = """\
Behind a StandardScaler, or raw. Accuracy, or R2 of a regressor: mean and standard deviation over
the folds of all shuffles: {states}, of {folds} folds each, the same for both. Worse means: by
a one-sided test of the paired differences (Nadeau and Bengio's corrected resampled t-test, 2003;
5% for all {rows} rows together, so {level:.2%} for each), or by more than {tolerated:g} on average.
Brackets: the limits of that test, to either side. Seconds: median of a fit."""


@dataclass
class ImageRow:
    """What became of a preset: what each learner came to with each seed, or why it has nothing."""

    preset: str
    outcomes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def values(self, learner: str, name: str) -> list[float]:
        """Return one figure of each seed."""
        return [outcome[name] for outcome in self.outcomes.get(learner, [])]

    def verdicts(self, is_quick: bool) -> list[Verdict]:
        """Judge by the bars; a quick run shows nothing but that it runs, or does not."""
        accuracy, seconds = PRESET_BARS[self.preset]
        bars = (
            f"mean accuracy at least {accuracy:.3f}",
            f"at most {seconds:g} s on average",
            f"at most {seconds:g} s at the worst",
        )
        if OURS in self.left_out or is_quick:
            outcome = MISSED if OURS in self.left_out else NOT_MEASURED
            return [Verdict(bar, None, outcome) for bar in bars]
        reached = statistics.mean(self.values(OURS, "accuracy"))
        times = self.values(OURS, "seconds")
        average, worst = statistics.mean(times), max(times)
        return [
            Verdict(bars[0], reached, met(reached >= accuracy)),
            Verdict(bars[1], average, met(average <= seconds)),
            Verdict(bars[2], worst, met(worst <= seconds)),
        ]

    def lines(self) -> list[list[str]]:
        """Return the lines of the table."""
        lines = []
        for learner, outcomes in self.outcomes.items():
            accuracies = self.values(learner, "accuracy")
            times = self.values(learner, "seconds")
            note = "*" if outcomes[0]["differs"] else ""
            lines.append(
                [
                    f"{self.preset}: {outcomes[0]['title']}{note}",
                    str(len(outcomes)),
                    f"{statistics.mean(accuracies):.4f}",
                    f"{min(accuracies):.4f}",
                    f"{statistics.mean(times):.2f} s",
                    f"{max(times):.2f} s",
                ]
            )
        return lines

    def notes(self) -> list[str]:
        """Return what has to be said about the lines."""
        notes = [
            f"* {self.preset}, {learner}: {'; '.join(outcomes[0]['differs'])}"
            for learner, outcomes in self.outcomes.items()
            if outcomes[0]["differs"]
        ]
        notes += [f"{self.preset}, {name}: left out, {why}" for name, why in self.left_out.items()]
        return notes


@dataclass
class TableRow:
    """What became of a data set: the folds of both sides, or why there are none."""

    name: str
    outcomes: dict[str, dict[str, Any]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    comparison: Any = None

    @property
    def speedup(self) -> float | None:
        """How many times as fast as scikit-learn ours is."""
        if self.comparison is None:
            return None
        seconds = {
            name: statistics.median(outcome["seconds"]) for name, outcome in self.outcomes.items()
        }
        return float(seconds[SCIKIT_LEARN] / seconds[OURS])

    def verdicts(self, is_quick: bool) -> list[Verdict]:
        """Judge by the bars. An error of ours alone misses both; a quick run has too few folds."""
        bars = ("no worse than scikit-learn", "faster than scikit-learn")
        if OURS in self.left_out and SCIKIT_LEARN in self.outcomes:
            return [Verdict(bar, None, MISSED) for bar in bars]
        if self.comparison is None or is_quick:
            return [Verdict(bar, None, NOT_MEASURED) for bar in bars]
        speedup = self.speedup
        return [
            Verdict(bars[0], self.comparison.mean, met(self.comparison.is_no_worse)),
            Verdict(bars[1], speedup, met(speedup is not None and speedup > 1)),
        ]

    def line(self, is_quick: bool) -> list[str]:
        """Return the line of the table."""
        sides = [self.outcomes.get(name) for name in (OURS, SCIKIT_LEARN)]
        known = next(side for side in sides if side)
        cells = [f"{self.name}, {known['samples']:,} x {known['features']}, {known['score']}"]
        for side in sides:
            cells.append(mean_and_deviation(side["scores"]) if side else "-")
        found = self.comparison
        cells.append(
            f"{found.mean:+.4f} [{found.lower:+.4f}, {found.upper:+.4f}]" if found else "-"
        )
        cells += [f"{statistics.median(side['seconds']):.4f} s" if side else "-" for side in sides]
        cells.append(f"{self.speedup:.1f}x" if self.speedup else "-")
        return [*cells, *(verdict.outcome for verdict in self.verdicts(is_quick))]


def measure_images(
    preset: str, data: str, arguments: argparse.Namespace, absent: Sequence[str]
) -> ImageRow:
    """Let the learners take turns, seed by seed; one that fails once stays out."""
    row = ImageRow(preset, left_out=dict.fromkeys(absent, "not installed"))
    for seed in range(max(arguments.seeds, arguments.peer_seeds)):
        for learner in (OURS, SCIKIT_LEARN, PYTORCH):
            seeds = arguments.seeds if learner == OURS else arguments.peer_seeds
            if learner in row.left_out or seed >= seeds:
                continue
            job = ImageJob(learner, preset, data, seed, is_quick=arguments.quick)
            try:
                outcome = carry_out(job, arguments.cores)
            except FailedError as error:
                row.left_out[learner] = str(error)
                row.outcomes.pop(learner, None)
                continue
            row.outcomes.setdefault(learner, []).append(outcome)
            print(f"{preset}, {outcome['title']}, seed {seed}: ", end="")
            print(f"{outcome['accuracy']:.4f} in {outcome['seconds']:.2f} s", flush=True)
    return row


def measure_table(name: str, arguments: argparse.Namespace) -> TableRow:
    """Let both sides fit and score on the same folds."""
    # Both need packages that come with scikit-learn.
    from learning.tables import FOLDS, TableJob
    from learning.yardstick import compare

    row = TableRow(name)
    for learner in (OURS, SCIKIT_LEARN):
        job = TableJob(learner, name.removesuffix(RAW), RAW not in name, arguments.states)
        try:
            outcome = carry_out(job, arguments.cores)
        except FailedError as error:
            row.left_out[learner] = str(error)
            continue
        if outcome["errors"]:
            row.left_out[learner] = f"{len(outcome['errors'])} fits failed, {outcome['errors'][0]}"
        else:
            row.outcomes[learner] = outcome
    if len(row.outcomes) == 2:
        ours, theirs = (row.outcomes[learner]["scores"] for learner in (OURS, SCIKIT_LEARN))
        row.comparison = compare(ours, theirs, FOLDS, LEVEL)
    print(f"{name}: {'done' if row.comparison else row.left_out}", flush=True)
    return row


def print_images(rows: Sequence[ImageRow], verdicts: dict[str, list[Verdict]]) -> None:
    """Print the table of the presets, and what has to be said about it."""
    heads = ["Fashion-MNIST", "seeds", "accuracy, mean", "worst", "training, mean", "worst"]
    print()
    print_markdown(heads, [line for row in rows for line in row.lines()])
    print()
    for note in (note for row in rows for note in row.notes()):
        print(note)
    for row in rows:
        for verdict in verdicts[row.preset]:
            print(f"{row.preset:<10} bar: {verdict}")
    print(f"{NOTES}\n", flush=True)


def print_tables(rows: Sequence[TableRow], arguments: argparse.Namespace) -> None:
    """Print the table of the small data sets, and how it is judged."""
    from learning.tables import FOLDS
    from learning.yardstick import TOLERATED

    heads = ["defaults, cross-validated", "cnn_core", "scikit-learn", "difference"]
    heads += ["fit", "scikit-learn", "", "no worse", "faster"]
    print()
    print_markdown(heads, [row.line(arguments.quick) for row in rows if row.outcomes])
    print()
    for row in rows:
        for learner, why in row.left_out.items():
            print(f"{row.name}, {learner}: left out, {why}")
    words = {"states": arguments.states, "folds": FOLDS, "tolerated": TOLERATED}
    print(f"{NO_WORSE.format(rows=len(TABLES), level=LEVEL, **words)}\n", flush=True)


def met(is_met: bool) -> str:
    return MET if is_met else MISSED


def mean_and_deviation(scores: Sequence[float]) -> str:
    return f"{statistics.mean(scores):.4f} ± {statistics.stdev(scores):.4f}"


def save_images(folder: str) -> str:
    """Write the training and the test images where every process reads them from."""
    dataset = load_fashion_mnist()
    images = Images(
        dataset.x_train.reshape(len(dataset.x_train), -1),
        dataset.y_train.astype(np.intp),
        dataset.x_test.reshape(len(dataset.x_test), -1),
        dataset.y_test.astype(np.intp),
    )
    return images.save(folder, "images")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", metavar="REGEX", default="", help="rows whose name matches")
    for name, what in (
        ("seeds", "trainings of each preset"),
        ("peer-seeds", "trainings of each peer by its recipe"),
        ("states", "shuffles of the cross-validations"),
    ):
        parser.add_argument(f"--{name}", type=int, metavar="N", help=what)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="few samples, two epochs, one seed, to see that all of it runs; bars are not judged",
    )
    parser.add_argument("--json", type=Path, metavar="PATH", help="where to write the results")
    parser.add_argument(
        "--cores", type=int, nargs="+", default=usable_cores()[:2], help="the cores to use"
    )
    arguments = parser.parse_args()
    for name, full in (("seeds", 5), ("peer_seeds", 2), ("states", 3)):
        if getattr(arguments, name) is None:
            setattr(arguments, name, 1 if arguments.quick else full)
    if arguments.json is None and not arguments.quick and not arguments.only:
        arguments.json = path_for_today("accuracy")
    return arguments


def main() -> int:
    """Measure the rows one after the other; print and save what was found."""
    arguments = parsed()
    begun = time.perf_counter()
    machine = describe(arguments.cores)
    print_machine(machine)
    absent = [name for name in (SCIKIT_LEARN, PYTORCH) if name not in machine["versions"]]
    presets = [name for name in PRESET_BARS if re.search(arguments.only, name)]
    tables = [name for name in TABLES if re.search(arguments.only, name)]
    if SCIKIT_LEARN in absent:
        print("scikit-learn is NOT INSTALLED: there are no data sets to compare on.")
        tables = []
    print()

    verdicts: dict[str, list[Verdict]] = {}
    image_rows: list[ImageRow] = []
    if presets:
        with tempfile.TemporaryDirectory(prefix="cnn-core-") as folder:
            data = save_images(folder)
            image_rows = [measure_images(name, data, arguments, absent) for name in presets]
        verdicts |= {row.preset: row.verdicts(arguments.quick) for row in image_rows}
        print_images(image_rows, verdicts)
    table_rows = [measure_table(name, arguments) for name in tables]
    if table_rows:
        verdicts |= {row.name: row.verdicts(arguments.quick) for row in table_rows}
        print_tables(table_rows, arguments)
    print_summary(verdicts)
    print(f"{time.perf_counter() - begun:.0f} seconds, load {os.getloadavg()[0]:.2f}")
    if arguments.json is not None:
        save(
            arguments.json,
            {
                "machine": machine,
                "threads": len(arguments.cores),
                "quick": arguments.quick,
                "images": [
                    {**vars(row), "settings": str(settings_of(row.preset))} for row in image_rows
                ],
                "tables": [
                    {**vars(row), "comparison": row.comparison and vars(row.comparison)}
                    for row in table_rows
                ],
                "bars": {name: list(map(vars, of_row)) for name, of_row in verdicts.items()},
                "load_after": os.getloadavg(),
            },
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
