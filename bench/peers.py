"""Race cnn_core against scikit-learn, PyTorch, JAX, onnxruntime and NumPy on this machine.

Each measurement of each contender is a process of its own; in every round all take their turn, and
the minimum counts. In the first round everyone is checked: from the same weights, over the same few
batches, it must give the outputs and reach the loss that a plain loop in float64 does, or it is not
timed. One-core rows are pinned to one core, two-core rows to two, and every library is told so.

    python bench/peers.py [--only REGEX] [--rounds 3] [--quick] [--json PATH] [--cores 0 1]

Everyone trains on Fashion-MNIST as float32 from 0 to 1, shuffled, but for the rows "on bytes".
What favours the peers: they need not add up the loss, as ours does; what they predict is in their
own form already, and so is what they return; compiling and the first epoch are not timed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from race.bars import PEAK, Results, is_ours
from race.machine import describe
from race.measurements import EPOCH, Course, LeftOutError, Measurement, Row, Training
from race.rows import ROWS

from cnn_core import load_fashion_mnist
from cnn_core.cli.contenders import CONTENDERS, is_installed
from cnn_core.cli.contenders.process import usable_cores
from cnn_core.cli.contenders.work import Samples

RESULTS = Path(__file__).parent / "results"
NOTES = """\
scikit-learn: MLPRegressor for the squared error has linear outputs, a little less work than the
others' sigmoid (it is checked as what it is); partial_fit shuffles by itself. PyTorch runs without
torch.compile, which needs a compiler on the user's machine and would not compile the loop."""


@dataclass
class Tally:
    """What became of a row: the measurements of each contender, or why it has none."""

    measured: dict[str, list[Measurement]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, float]:
        """The least value of each contender."""
        return {name: min(m.value for m in turns) for name, turns in self.measured.items()}


@dataclass(frozen=True)
class Verdict:
    """A bar with the figure that was measured; None if it could not be."""

    bar: str
    figure: float | None
    outcome: str


def run_row(row: Row, course: Course, rounds: int, absent: set[str]) -> Tally:
    """Let the contenders take turns; who is left out once stays out."""
    tally = Tally(left_out={name: "not installed" for name in row.contenders if name in absent})
    for turn in range(row.turns or rounds):
        for contender in row.contenders:
            if contender in tally.left_out:
                continue
            try:
                measurement = row.measure(contender, course, is_first=turn == 0)
            except LeftOutError as error:
                tally.left_out[contender] = str(error)
                tally.measured.pop(contender, None)
            else:
                tally.measured.setdefault(contender, []).append(measurement)
    return tally


def judge(row: Row, results: Results) -> list[Verdict]:
    verdicts = []
    for bar in row.bars:
        try:
            figure = bar.figure(results[row.name], results)
        except (KeyError, ValueError):
            verdicts.append(Verdict(bar.text, None, "not measured"))
        else:
            verdicts.append(Verdict(bar.text, figure, "met" if bar.is_met(figure) else "MISSED"))
    return verdicts


def print_row(row: Row, tally: Tally, verdicts: list[Verdict], course: Course) -> None:
    cores = "one core" if row.n_cores == 1 else f"{row.n_cores} cores"
    per_epoch = f", an epoch of {EPOCH:,}" if isinstance(row, Training) else ""
    print(f"{row.name}: {row.title}, {cores}{per_epoch}")
    values = tally.values
    ours = next((value for name, value in values.items() if is_ours(name)), None)
    for name, value in sorted(values.items(), key=lambda item: item[1]):
        turns = tally.measured[name]
        relative = f"{value / ours:7.2f}x" if ours and len(values) > 1 else ""
        slowest = _number(max(turn.value for turn in turns))
        print(
            f"  {turns[0].title:<44} {_number(value)} {row.unit:<3}{relative:>9}"
            f"  slowest turn{slowest}{_scaled(row, name, course)}"
        )
    for name, reason in tally.left_out.items():
        print(f"  {name}: left out, {reason}")
    for verdict in verdicts:
        print(f"  bar: {_told(verdict)}")
    print(flush=True)


def _scaled(row: Row, contender: str, course: Course) -> str:
    if not isinstance(row, Training) or contender == PEAK:
        return ""
    samples = row.samples_of(contender, course)
    return f"  scaled from {samples:,}" if samples < EPOCH else ""


def _told(verdict: Verdict) -> str:
    figure = "" if verdict.figure is None else f"{verdict.figure:.3g}"
    return f"{verdict.bar:<52} {figure:>8}  {verdict.outcome}"


def _number(value: float) -> str:
    return f"{value:10.4f}" if value < 10 else f"{value:10.1f}"


def as_json(row: Row, tally: Tally, verdicts: list[Verdict]) -> dict[str, Any]:
    return {
        "name": row.name,
        "title": row.title,
        "cores": row.n_cores,
        "unit": row.unit,
        "best": tally.values,
        "measurements": {
            name: [vars(measurement) for measurement in turns]
            for name, turns in tally.measured.items()
        },
        "left_out": tally.left_out,
        "bars": [vars(verdict) for verdict in verdicts],
        "load_after": os.getloadavg(),
    }


def save_samples(folder: str) -> str:
    """Write the training images where every process reads them from."""
    dataset = load_fashion_mnist()
    images = dataset.x_train.reshape(len(dataset.x_train), -1)
    path = str(Path(folder) / "samples.npz")
    Samples(images, dataset.y_train.astype(np.intp), len(dataset.class_names)).save(path)
    return path


def chosen_rows(arguments: argparse.Namespace) -> list[Row]:
    """Return the rows that are asked for and for which there are cores."""
    rows = [row for row in ROWS if re.search(arguments.only, row.name)]
    few = [row.name for row in rows if row.n_cores > len(arguments.cores)]
    if few:
        print(f"Left out, for want of cores: {', '.join(few)}")
    return [row for row in rows if row.name not in few]


def print_head(machine: dict[str, Any], absent: set[str]) -> None:
    kernels = machine["kernels"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    print(f"{machine['processor']}, {machine['cores']} cores, {machine['memory']}, ", end="")
    print(f"load {machine['load'][0]:.2f}, {machine['date']}")
    print(f"kernels: {kernels['backend']}, {kernels['isa']}, {kernels['compiler']}")
    print(versions)
    for name in sorted(absent):
        print(f"{name} is NOT INSTALLED and takes no part.")
    print(f"{NOTES}\n")


def print_summary(verdicts: dict[str, list[Verdict]]) -> None:
    print("Bars")
    for name, of_row in verdicts.items():
        for verdict in of_row:
            print(f"  {name:<22} {_told(verdict)}")
    missed = sum(v.outcome == "MISSED" for of_row in verdicts.values() for v in of_row)
    unmeasured = sum(v.figure is None for of_row in verdicts.values() for v in of_row)
    total = sum(map(len, verdicts.values()))
    print(f"{total - missed - unmeasured} met, {missed} MISSED, {unmeasured} not measured")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", metavar="REGEX", default="", help="rows whose name matches")
    parser.add_argument("--rounds", type=int, metavar="N", help="turns (default: 3; quick: 1)")
    parser.add_argument("--quick", action="store_true", help="fewer samples, one round")
    parser.add_argument("--json", type=Path, metavar="PATH", help="where to write the results")
    parser.add_argument(
        "--cores", type=int, nargs="+", default=usable_cores()[:2], help="the cores to use"
    )
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (1 if arguments.quick else 3)
    if arguments.json is None and not arguments.quick and not arguments.only:
        arguments.json = RESULTS / f"peers-{datetime.now():%Y-%m-%d-%H%M}.json"
    return arguments


def main() -> int:
    """Run the rows one after the other; print and save what was found."""
    arguments = parsed()
    begun = time.perf_counter()
    machine = describe(arguments.cores)
    absent = {name for name in CONTENDERS if not is_installed(name)}
    print_head(machine, absent)
    rows = chosen_rows(arguments)
    results: dict[str, dict[str, float]] = {}
    verdicts: dict[str, list[Verdict]] = {}
    written = []
    with tempfile.TemporaryDirectory(prefix="cnn-core-") as folder:
        course = Course(save_samples(folder), tuple(arguments.cores), arguments.quick)
        for row in rows:
            tally = run_row(row, course, arguments.rounds, absent)
            results[row.name] = tally.values
            verdicts[row.name] = judge(row, results)
            print_row(row, tally, verdicts[row.name], course)
            written.append(as_json(row, tally, verdicts[row.name]))
    print_summary(verdicts)
    print(f"{time.perf_counter() - begun:.0f} seconds, load {os.getloadavg()[0]:.2f}")
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        contents = {"machine": machine, "rounds": arguments.rounds, "quick": arguments.quick}
        text = json.dumps({**contents, "rows": written}, indent=1, default=str)
        arguments.json.write_text(f"{text}\n", encoding="utf-8")
        print(f"written: {os.path.relpath(arguments.json)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
