"""Race cnn_core against scikit-learn, PyTorch, JAX, onnxruntime and NumPy on this machine.

Each measurement of each contender is a process of its own; in every round all take their turn, and
the minimum counts. In the first round each is checked: from the same weights, over the same few
batches, it must give the outputs and reach the loss that a plain loop in float64 does, or it is not
timed. One-core rows are pinned to one core, two-core rows to two, and every library uses as many.

    python bench/peers.py [--only REGEX] [--rounds 3] [--quick] [--json PATH] [--cores 0 1]

Everyone trains on Fashion-MNIST as float32 from 0 to 1, shuffled, but for the rows "on bytes".
What favours the peers: they need not add up the loss, as ours does; what they predict is in their
own form already, and so is what they return; compiling and the first epoch are not timed.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from contenders import CONTENDERS, is_installed
from contenders.process import usable_cores
from race.bars import PEAK, is_ours
from race.machine import describe
from race.measurements import EPOCH, Course, Row, Training
from race.results import (
    Tally,
    Verdict,
    as_json,
    path_for_today,
    print_machine,
    print_summary,
    run_row,
    save,
    save_samples,
    verdicts_of,
)
from race.rows import ROWS

NOTES = """\
scikit-learn: MLPRegressor for the squared error has linear outputs, a little less work than the
others' sigmoid (it is checked as what it is); partial_fit shuffles by itself. PyTorch runs without
torch.compile, which needs a compiler on the user's machine and would not compile the loop."""


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
        print(f"  bar: {verdict}")
    print(flush=True)


def _scaled(row: Row, contender: str, course: Course) -> str:
    if not isinstance(row, Training) or contender == PEAK:
        return ""
    samples = row.samples_of(contender, course)
    return f"  scaled from {samples:,}" if samples < EPOCH else ""


def _number(value: float) -> str:
    return f"{value:10.4f}" if value < 10 else f"{value:10.1f}"


def chosen_rows(arguments: argparse.Namespace) -> list[Row]:
    """Return the rows that are asked for and for which there are cores."""
    rows = [row for row in ROWS if re.search(arguments.only, row.name)]
    few = [row.name for row in rows if row.n_cores > len(arguments.cores)]
    if few:
        print(f"Left out, for want of cores: {', '.join(few)}")
    return [row for row in rows if row.name not in few]


def print_head(machine: dict[str, Any], absent: set[str]) -> None:
    print_machine(machine)
    for name in sorted(absent):
        print(f"{name} is NOT INSTALLED and takes no part.")
    print(f"{NOTES}\n")


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
        arguments.json = path_for_today("peers")
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
            verdicts[row.name] = verdicts_of(row, results)
            print_row(row, tally, verdicts[row.name], course)
            written.append(as_json(row, tally, verdicts[row.name]))
    print_summary(verdicts)
    print(f"{time.perf_counter() - begun:.0f} seconds, load {os.getloadavg()[0]:.2f}")
    if arguments.json is not None:
        contents = {"machine": machine, "rounds": arguments.rounds, "quick": arguments.quick}
        save(arguments.json, {**contents, "rows": written})
    return 0


if __name__ == "__main__":
    sys.exit(main())
