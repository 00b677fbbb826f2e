"""The result of a row against its bars, and how results are printed and kept."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from cnn_core import load_fashion_mnist
from contenders.work import Samples
from race.bars import Results
from race.measurements import Course, LeftOutError, Measurement, Row

FOLDER = Path(__file__).parents[1] / "results"
MET, MISSED, NOT_MEASURED = "met", "MISSED", "not measured"


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

    def __str__(self) -> str:
        figure = "" if self.figure is None else f"{self.figure:.4g}"
        return f"{self.bar:<52} {figure:>8}  {self.outcome}"


def run_row(row: Row, course: Course, rounds: int, absent: set[str]) -> Tally:
    """Let the contenders take turns; one that is left out once stays out."""
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


def verdicts_of(row: Row, results: Results) -> list[Verdict]:
    verdicts = []
    for bar in row.bars:
        try:
            figure = bar.figure(results[row.name], results)
        except (KeyError, ValueError):
            verdicts.append(Verdict(bar.text, None, NOT_MEASURED))
        else:
            verdicts.append(Verdict(bar.text, figure, MET if bar.is_met(figure) else MISSED))
    return verdicts


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


def path_for_today(name: str) -> Path:
    """Return where the results of a full run are kept."""
    return FOLDER / f"{name}-{datetime.now():%Y-%m-%d-%H%M}.json"


def save(path: Path, contents: dict[str, Any]) -> None:
    """Write results, and say where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(contents, indent=1, default=str)
    path.write_text(f"{text}\n", encoding="utf-8")
    print(f"written: {os.path.relpath(path)}")


def print_machine(machine: dict[str, Any]) -> None:
    """Print what `race.machine.describe` found."""
    kernels = machine["kernels"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    print(f"{machine['processor']}, {machine['cores']} cores, {machine['memory']}, ", end="")
    print(f"load {machine['load'][0]:.2f}, {machine['date']}")
    print(f"kernels: {kernels['backend']}, {kernels['isa']}, {kernels['compiler']}")
    print(versions)


def print_summary(verdicts: dict[str, list[Verdict]]) -> None:
    """Print every bar once more, and how many were met."""
    print("Bars")
    for name, of_row in verdicts.items():
        for verdict in of_row:
            print(f"  {name:<22} {verdict}")
    outcomes = [verdict.outcome for of_row in verdicts.values() for verdict in of_row]
    print(", ".join(f"{outcomes.count(which)} {which}" for which in (MET, MISSED, NOT_MEASURED)))
