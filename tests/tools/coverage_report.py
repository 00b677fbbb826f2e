"""What the suite covers, Python and Cython in one table; called by `make coverage`.

    python tests/tools/coverage_report.py BUILD

BUILD is the folder of a build with CNN_CORE_COVERAGE=1, where gcc leaves its counts. Fails if less
lines or less branches than [tool.coverage.report] of pyproject.toml asks for were carried out, of
the Python or of the Cython sources.

Cython can trace lines itself, but takes Python's lock for each of them and knows no branches; gcc
counts without a lock, and branches too. What it counts is lines of C: above the C of each of its
statements Cython writes which line of which source that is, and so each count finds its way back.
A line was carried out if its first C statement was, in any of the modules (levels, dtypes) made of
it. Branches are the two sides of each condition, of each `and`, `or`, `min` and `max`, and of each
loop; not those of the checks that Cython adds around calls of Python.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import coverage

SOURCES = Path("cnn_core")
# /* "cnn_core/_native/x86_64_v3_float32/dense.pyx":120, or of another file's "scalar.pxd":20
ORIGIN = re.compile(r'\s*/\* "(?:.*/)?(.+\.(?:pyx|pxd))":(\d+)$')
# Behind it stands what Cython adds to a function, or to the module.
END = re.compile(r"\s*/\* function exit code \*/|}$")
CONDITION = re.compile(r"\s*(if \(!?__pyx_t_\d+\)|for \(__pyx_t_\d+ = .*;.*;|while \()")


@dataclass
class Counts:
    """How often each line and each side of each branch of a file was carried out."""

    lines: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    # By line, number of the condition in it, and side.
    sides: dict[tuple[int, int, int], int] = field(default_factory=lambda: defaultdict(int))


@dataclass(frozen=True)
class Row:
    """A file in the table."""

    name: str
    lines: int
    lines_done: int
    sides: int
    sides_done: int
    missing: str

    @property
    def percent(self) -> float:
        return percent(self.lines_done + self.sides_done, self.lines + self.sides)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("build", type=Path)
    build = parser.parse_args().build
    recorded = coverage.Coverage()
    recorded.load()
    least = float(recorded.get_option("report:fail_under"))
    groups = {"Python": python_rows(recorded), "Cython": cython_rows(build)}
    failures = []
    print(f"{'':44} {'lines':>12} {'branches':>12}        not carried out")
    for language, rows in groups.items():
        for row in rows:
            print_row(row)
        total = total_of(language, rows)
        print_row(total)
        print()
        for what, done, all_of_them in (
            ("lines", total.lines_done, total.lines),
            ("branches", total.sides_done, total.sides),
        ):
            if not all_of_them or percent(done, all_of_them) < least:
                failures.append(f"{language} {what}: {percent(done, all_of_them):.2f} %")
    for row in (row for rows in groups.values() for row in rows if row.percent < 90):
        print(f"below 90 %: {row.name}")
    for failure in failures:
        print(f"FAILED: {failure} of at least {least:g} %")
    return 1 if failures else 0


def python_rows(recorded: coverage.Coverage) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "python.json"
        recorded.json_report(outfile=str(path))
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
    rows = []
    for name, found in sorted(files.items()):
        summary = found["summary"]
        missing = [str(line) for line in found["missing_lines"]]
        missing += [f"{start}->{end}" for start, end in found["missing_branches"]]
        rows.append(
            Row(
                name,
                summary["num_statements"],
                summary["covered_lines"],
                summary["num_branches"],
                summary["covered_branches"],
                " ".join(missing),
            )
        )
    return rows


def cython_rows(build: Path) -> list[Row]:
    """Return the rows of the Cython sources and of the headers beside them."""
    files: dict[str, Counts] = defaultdict(Counts)
    for counted in sorted(build.rglob("*.gcno")):
        for c_file, lines in counts_of(counted.with_suffix(".gcda")):
            if c_file.suffix == ".h":
                for line in lines:
                    files[c_file.name].lines[line["line_number"]] += line["count"]
            else:
                add_module(c_file, lines, files)
    rows = []
    for name, counts in sorted(files.items()):
        missing = [str(line) for line, count in sorted(counts.lines.items()) if not count]
        missing += [
            f"{line}{'+-'[side % 2]}" for (line, _, side), count in sorted(counts.sides.items())
            if not count and counts.lines[line]
        ]  # fmt: skip
        rows.append(
            Row(
                str(SOURCES / name),
                len(counts.lines),
                sum(count > 0 for count in counts.lines.values()),
                len(counts.sides),
                sum(count > 0 for count in counts.sides.values()),
                " ".join(missing),
            )
        )
    return rows


def counts_of(counted: Path) -> Iterator[tuple[Path, list[dict]]]:
    """What gcov knows of a module: its C file and our headers, with the counts of their lines."""
    command = ["gcov", "--json-format", "--stdout", "--branch-probabilities", str(counted)]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    for file in found["files"]:
        path = Path(found["current_working_directory"], file["file"])
        if path.suffix == ".c" or (SOURCES / path.name).exists():
            yield path, file["lines"]


def add_module(c_file: Path, lines: list[dict], files: dict[str, Counts]) -> None:
    """Add the counts of the C file of a module to those of the sources that its lines stem from."""
    counted = {}
    for line in lines:
        counted.setdefault(line["line_number"], line)
    numbers: dict[tuple[str, int], int] = defaultdict(int)
    place, begun = None, False
    for number, text in enumerate(c_file.read_text(encoding="utf-8").splitlines(), start=1):
        if match := ORIGIN.match(text):
            place, begun = (match[1], int(match[2])), False
            if not (SOURCES / match[1]).exists():
                place = None
        elif END.match(text):
            place = None
        elif place and number in counted:
            counts = files[place[0]]
            if not begun:
                counts.lines[place[1]] += counted[number]["count"]
                begun = True
            if CONDITION.match(text):
                for side, branch in enumerate(counted[number]["branches"]):
                    counts.sides[(place[1], numbers[place], side)] += branch["count"]
                numbers[place] += 1


def total_of(name: str, rows: list[Row]) -> Row:
    columns = ("lines", "lines_done", "sides", "sides_done")
    return Row(name, *(sum(getattr(row, column) for row in rows) for column in columns), "")


def print_row(row: Row) -> None:
    lines, sides = f"{row.lines_done}/{row.lines}", f"{row.sides_done}/{row.sides}"
    print(f"{row.name:44} {lines:>12} {sides:>12} {row.percent:6.1f}  {row.missing}".rstrip())


def percent(done: int, of: int) -> float:
    return 100 * done / of if of else 100.0


if __name__ == "__main__":
    sys.exit(main())
