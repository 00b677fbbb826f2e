"""Race learners of tables on real data: `make bench-tables`.

Each fit is a process of its own, and they take turns set by set: `--threads 2` for the scores and
the seconds, `--threads 1` as well on the first split, for the seconds alone. Each result is written
as a line as soon as it is there, and what is there is not measured again, so that a race that was
stopped goes on where it was. A library that is not installed takes no part.

    python bench/race_tables.py [--methods NAME ...] [--sets NAME ...] [--splits 0 1 2]
                                [--threads 2 1] [--lines PATH] [--report] [--json PATH]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

from contenders.process import usable_cores
from learning.process import FailedError, carry_out
from race.machine import describe
from race.results import print_machine, print_summary, save
from tables.archives import ArchiveError, cache_folder
from tables.fits import Fit
from tables.frames import load
from tables.learners import LEARNERS
from tables.report import print_duels, print_losses, print_seconds, print_standing, verdicts
from tables.sets import DEVELOPMENT, RACE, SETS
from tables.standing import Standing

SPLITS = 3


def fits_to_do(arguments: argparse.Namespace) -> Iterator[Fit]:
    """Yield the fits that are asked for, so that the learners of a split follow each other."""
    for table in arguments.sets:
        for split in arguments.splits:
            for threads in arguments.threads:
                if threads == 1 and len(arguments.threads) > 1 and split != arguments.splits[0]:
                    continue
                for learner in arguments.methods:
                    yield Fit(table, split, learner, threads)


@cache
def version_of(learner: str) -> str:
    """Return what a result depends on besides the fit: of ours its last commit as well."""
    version = LEARNERS[learner].version
    if LEARNERS[learner].package != "cnn-core":
        return version
    command = ["git", "log", "-1", "--format=%h", "--", "cnn_core", "pysrc"]
    root = Path(__file__).parents[1]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return f"{version} {ended.stdout.strip()}".strip()


def read(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file of results; none if there is no file."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def measure(fit: Fit, cores: list[int], version: str) -> dict[str, Any]:
    """Return the line of a fit: its results, or why there are none."""
    line = {
        "table": fit.table,
        "split": fit.number,
        "learner": fit.learner,
        "threads": fit.threads,
        "version": version,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "load": os.getloadavg()[0],
    }
    try:
        return line | carry_out(fit, cores[: fit.threads])
    except FailedError as error:
        return line | {"failed": str(error)}


def race(arguments: argparse.Namespace) -> None:
    """Carry out what is missing, and add its lines to the file."""
    done = {_key(line) for line in read(arguments.lines) if "failed" not in line}
    absent: set[str] = set()
    arguments.lines.parent.mkdir(parents=True, exist_ok=True)
    for fit in fits_to_do(arguments):
        version = version_of(fit.learner)
        key = (fit.table, fit.number, fit.learner, fit.threads, version)
        if key in done or fit.table in absent:
            continue
        try:
            # Here, so that the seconds of the first fit are not those of a download.
            load(SETS[fit.table])
        except ArchiveError as error:
            print(f"{fit.table}: left out, {error}")
            absent.add(fit.table)
            continue
        line = measure(fit, arguments.cores, version)
        with arguments.lines.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(line)}\n")
        print(_summary(line), flush=True)


def _key(line: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(line[name] for name in ("table", "split", "learner", "threads", "version"))


def _summary(line: dict[str, Any]) -> str:
    head = f"{line['table']} {line['split']}, {line['learner']}, {line['threads']} threads: "
    if "failed" in line:
        return f"{head}FAILED, {line['failed']}"
    return (
        f"{head}loss {line['loss']:.4f}, error {line['error']:.4f}, "
        f"{line['fit_seconds']:.2f} s, {line['peak_megabytes']:.0f} MB"
    )


def report(arguments: argparse.Namespace) -> dict[str, Any]:
    """Print the tables of what is in the file, and return what is to be kept."""
    newest = {
        _key(line)[:4]: line
        for line in read(arguments.lines)
        if "failed" not in line
        and line["table"] in arguments.sets
        and line["split"] in arguments.splits
        and line["learner"] in arguments.methods
        and line["version"] == version_of(line["learner"])
    }
    lines = list(newest.values())
    present = {line["learner"] for line in lines}
    learners = [name for name in arguments.methods if name in present]
    standing = Standing(lines, learners, max(arguments.threads))
    if not standing.tables():
        print("No set has been done by all learners yet.")
        return {"lines": lines}
    print_standing(standing)
    print_duels(standing)
    print_losses(standing)
    print_seconds(lines, learners)
    judged = verdicts(standing, lines)
    print()
    print_summary(judged)
    bars = {name: list(map(vars, of_ours)) for name, of_ours in judged.items()}
    return {"lines": lines, "sets": standing.tables(), "bars": bars}


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    by_role = {
        role: [n for n, table in SETS.items() if table.role == role] for role in (RACE, DEVELOPMENT)
    }
    parser.add_argument("--methods", nargs="+", metavar="NAME", choices=list(LEARNERS))
    parser.add_argument(
        "--sets",
        nargs="+",
        metavar="NAME",
        choices=[*SETS, *by_role],
        help="names, or all of a role (default: race)",
    )
    parser.add_argument(
        "--splits", nargs="+", type=int, choices=range(SPLITS), default=list(range(SPLITS))
    )
    parser.add_argument("--threads", nargs="+", type=int, choices=(1, 2), default=[2, 1])
    parser.add_argument(
        "--lines",
        type=Path,
        metavar="PATH",
        default=cache_folder() / "results.jsonl",
        help="the file of results",
    )
    parser.add_argument("--report", action="store_true", help="measure nothing")
    parser.add_argument("--json", type=Path, metavar="PATH", help="where to keep the results")
    parser.add_argument("--cores", type=int, nargs="+", default=usable_cores()[:2])
    arguments = parser.parse_args()
    arguments.sets = [
        name for given in arguments.sets or [RACE] for name in by_role.get(given, [given])
    ]
    arguments.methods = [
        name for name in arguments.methods or LEARNERS if LEARNERS[name].is_installed
    ]
    arguments.threads = [n for n in arguments.threads if n <= len(arguments.cores)]
    return arguments


def main() -> int:
    """Race, print what came of it, and keep it."""
    arguments = parsed()
    machine = describe(arguments.cores)
    print_machine(machine)
    absent = [name for name, learner in LEARNERS.items() if not learner.is_installed]
    if absent:
        print(f"Not installed, hence not in the race: {', '.join(absent)}")
    if not arguments.report:
        race(arguments)
    contents = report(arguments)
    if arguments.json is not None:
        save(arguments.json, {"machine": machine, **contents})
    return 0


if __name__ == "__main__":
    sys.exit(main())
