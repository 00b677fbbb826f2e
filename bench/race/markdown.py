"""Tables as a README has them."""

from __future__ import annotations

from collections.abc import Sequence


def print_markdown(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table, readable as it is: the first column to the left, others right."""
    columns = list(zip(heads, *lines, strict=True))
    widths = [max(3, *map(len, column)) for column in columns]
    rules = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    for cells in (heads, rules, *lines):
        padded = [cells[0].ljust(widths[0])]
        padded += [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        print(f"| {' | '.join(padded)} |")
