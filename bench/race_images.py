"""Race cnn_core against PyTorch, TensorFlow and onnxruntime on small images.

The network has three convolutions of 16, 32 and 64 channels and a dense layer of 128 units, in two
orders: convolution, pool, batch normalization, ReLU; or the usual one, the pool at the end. Each
measurement is a process of its own; in every round all contenders take their turn, and the least
value counts. Each is checked first: its outputs, after some steps, must be those of the NumPy
backend in float64.

    python bench/race_images.py [--only REGEX] [--rounds 3] [--json PATH] [--cores 0 1]

An existing file of results keeps the rows that are not measured anew.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from contenders.process import environment, pinned, usable_cores
from images import CONTENDERS
from images.work import Job, operations
from race.bars import PEAK, Bar, Results, Values, at_most, share_of_peak
from race.machine import NoCompilerError, describe, fma_peak
from race.measurements import Course, LeftOutError, Measurement, Row
from race.results import (
    Tally,
    Verdict,
    as_json,
    path_for_today,
    print_machine,
    print_summary,
    run_row,
    save,
    verdicts_of,
)

# What glibc may do with freed memory: hand it back to the system, which is its custom, or keep it.
KEPT = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}
WITH_KEPT_MEMORY = "-kept"
TRAINERS = ("cython", "pytorch", f"pytorch{WITH_KEPT_MEMORY}", "tensorflow")
PREDICTORS = ("cython", "pytorch", "onnxruntime")
IMAGES, BATCHES_OF_MEMORY = 5120, 512


@dataclass(frozen=True)
class ImageRow(Row):
    """Microseconds for an image, in training or in predicting; kilobytes for the row of memory."""

    job: Job = field(kw_only=True)

    def _measure(self, contender: str, course: Course, is_first: bool) -> Measurement:
        cores = self.cores(course)
        if contender == PEAK:
            try:
                rate = fma_peak(cores[0], "")
            except NoCompilerError as error:
                raise LeftOutError(str(error)) from error
            seconds = operations(self.job.order) / rate
            return Measurement(f"at the FMA peak, {rate / 1e9:.0f} GFLOP/s", seconds * 1e6, rate)
        name = contender.removesuffix(WITH_KEPT_MEMORY)
        job = replace(self.job, contender=name, threads=len(cores))
        outcome = measured(job, cores, KEPT if name != contender else {})
        return Measurement(outcome["title"], outcome["value"], outcome)


def measured(job: Job, cores: tuple[int, ...], variables: dict[str, str]) -> dict[str, Any]:
    """Carry a job out on these cores, in a process of its own."""
    path = os.pathsep.join(
        filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")))
    )
    with pinned(cores):
        ended = subprocess.run(
            [sys.executable, "-m", "images", json.dumps(asdict(job))],
            env=environment(len(cores), variables) | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
    if ended.returncode:
        raise LeftOutError((ended.stderr.strip().splitlines() or ["no message"])[-1])
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def of_the_fastest(limit: float) -> Bar:
    """Compare our time with that of the fastest peer."""

    def figure(values: Values, results: Results) -> float:
        return values["cython"] / min(
            value for name, value in values.items() if name not in ("cython", PEAK)
        )

    return Bar(f"at most {limit:g} of the time of the fastest peer", limit, False, figure)


def rows() -> list[Row]:
    """Return all rows with their bars."""
    found: list[Row] = []
    for cores, limit in ((1, 0.7), (2, 0.55)):
        for order in ("pool first", "usual"):
            for batch in (64, 128):
                bars = [of_the_fastest(limit)]
                bars += [share_of_peak(0.75)] if cores == 1 else []
                found.append(
                    ImageRow(
                        f"train-{order.replace(' ', '-')}-{batch}-{cores}",
                        f"a step of 16-32-64 + 128, {order}, batch {batch}",
                        (*TRAINERS, *((PEAK,) if cores == 1 else ())),
                        tuple(bars),
                        unit="us",
                        n_cores=cores,
                        job=Job("", order, IMAGES, batch, cores),
                    )
                )
        for images in (1, 10_000):
            found.append(
                ImageRow(
                    f"predict-{images}-{cores}",
                    f"{images:,} predicted, pool first",
                    PREDICTORS,
                    (of_the_fastest(0.6),),
                    unit="us",
                    n_cores=cores,
                    job=Job("", "pool first", images, 0, cores),
                )
            )
    for order in ("pool first", "usual"):
        found.append(
            ImageRow(
                f"memory-{order.replace(' ', '-')}",
                f"memory for an image of a batch, {order}",
                ("memory",),
                (at_most(150, "memory", "KB"),),
                unit="KB",
                turns=1,
                job=Job("", order, BATCHES_OF_MEMORY, BATCHES_OF_MEMORY, 1),
            )
        )
    return found


def print_row(row: Row, tally: Tally, verdicts: list[Verdict]) -> None:
    """Print the contenders, the fastest first."""
    print(f"{row.title}, {row.n_cores} core{'s' * (row.n_cores > 1)}, {row.unit} an image")
    for name, value in sorted(tally.values.items(), key=lambda item: item[1]):
        print(f"  {name:<16} {value:10.2f}  {tally.measured[name][0].title}")
    for name, reason in tally.left_out.items():
        print(f"  {name}: left out, {reason}")
    for verdict in verdicts:
        print(f"  bar: {verdict}")
    print(flush=True)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", metavar="REGEX", default="", help="rows whose name matches")
    parser.add_argument("--rounds", type=int, metavar="N", default=3, help="turns (default: 3)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="where to write the results")
    parser.add_argument(
        "--cores", type=int, nargs="+", default=usable_cores()[:2], help="the cores to use"
    )
    return parser.parse_args()


def main() -> int:
    """Run the rows one after the other; print and save what was found."""
    arguments = parsed()
    path = arguments.json or path_for_today("images")
    kept = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else []
    machine = describe(arguments.cores)
    print_machine(machine)
    absent = {
        name
        for name in (*TRAINERS, *PREDICTORS)
        if not importlib.util.find_spec(CONTENDERS[name.removesuffix(WITH_KEPT_MEMORY)][2])
    }
    course = Course("", tuple(arguments.cores))
    results: dict[str, dict[str, float]] = {}
    verdicts: dict[str, list[Verdict]] = {}
    written = []
    for row in rows():
        if not re.search(arguments.only, row.name) or row.n_cores > len(arguments.cores):
            continue
        tally = run_row(row, course, arguments.rounds, absent)
        results[row.name] = tally.values
        verdicts[row.name] = verdicts_of(row, results)
        print_row(row, tally, verdicts[row.name])
        written.append(as_json(row, tally, verdicts[row.name]))
    print_summary(verdicts)
    others = [row for row in kept if row["name"] not in results]
    save(path, {"machine": machine, "rounds": arguments.rounds, "rows": [*others, *written]})
    return 0


if __name__ == "__main__":
    sys.exit(main())
