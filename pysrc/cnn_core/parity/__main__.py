"""``python -m cnn_core.parity``: the report, and the exit status."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from cnn_core import backends
from cnn_core.parity.comparison import Result, run_level, run_level_apart


def worst_of(results: Iterable[Result]) -> list[Result]:
    """Return of each operation and dtype the result that uses up most of its tolerance."""
    worst: dict[tuple[str, str], Result] = {}
    for result in results:
        key = (result.operation, result.dtype)
        if key not in worst or result.share > worst[key].share:
            worst[key] = result
    return list(worst.values())


def table(level: str, results: Sequence[Result]) -> str:
    """Return the lines of one level."""
    lines = [
        level,
        f"  {'operation':<20} {'dtype':<8} {'difference':>10} {'tolerance':>10} {'speed':>7}"
        "  worst",
    ]
    for result in results:
        verdict = "" if result.share <= 1 else "  EXCEEDED"
        lines.append(
            f"  {result.operation:<20} {result.dtype:<8} {result.difference:>10.1e} "
            f"{result.tolerance:>10.1e} {result.speed:>6.1f}x  {result.variant}{verdict}".rstrip()
        )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the comparison; the exit status is 0 if every tolerance is kept, otherwise 1."""
    parser = argparse.ArgumentParser(
        prog="python -m cnn_core.parity",
        description="Compare the compiled backend with the NumPy backend on this machine.",
    )
    parser.add_argument("--all", action="store_true", help="a line for every activation, loss, ...")
    parser.add_argument("--one-level", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.one_level:
        print(json.dumps([asdict(result) for result in run_level()]))
        return 0
    try:
        info = backends.backend_info("cython")
    except (ImportError, ValueError) as error:
        print(f"Nothing to compare: {error}", file=sys.stderr)
        return 1
    levels = [level for level in info["isa_built"] if level in info["isa_detected"]]
    levels = levels[: levels.index(info["isa"]) + 1]
    return report(levels, arguments.all)


def report(levels: Sequence[str], shows_all: bool) -> int:
    """Print a table for each level and the verdict."""
    kept = True
    for level in levels:
        results = run_level_apart(level)
        if isinstance(results, str):
            print(f"{level}\n  {results}\n", flush=True)
            kept = False
            continue
        kept = kept and all(result.share <= 1 for result in results)
        print(table(level, results if shows_all else worst_of(results)) + "\n", flush=True)
    print("speed: times as fast as the NumPy backend, on one core")
    print("worst: the activation, loss, ... that is nearest its tolerance")
    print("Both backends agree." if kept else "The backends DISAGREE: see the lines above.")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
