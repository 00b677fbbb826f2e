"""What was decided about each column of a table, as a table to look at."""

from __future__ import annotations

import io
import shutil

from cnn_core.cli.console import one_line
from cnn_core.cli.tabular.samples import TableSamples

__all__ = ["columns_text", "decisions", "target_text"]

# The rest of a very wide table is in the record.
_MOST_COLUMNS = 60


def decisions(samples: TableSamples) -> list[list[str]]:
    """Return what was decided about each column: the cells of a table, its head first."""
    columns = samples.columns
    found = {row[0]: row for row in samples.reading[0].rows()[1:]}
    rows = [["column", "read as", "distinct", "missing", "used as"]]
    for name in columns.names:
        if name == columns.target:
            rows.append([name, "", "", "", "target"])
        elif name in columns.ignored:
            rows.append([name, "", "", "", f"left out: {columns.ignored[name]}"])
        else:
            _, _, distinct, missing, use = found[name]
            rows.append([name, columns.features[name].description, distinct, missing, use])
    return rows


def columns_text(samples: TableSamples) -> str:
    """Return the decisions as a table that fits into a terminal."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    head, *rows = decisions(samples)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in head:
        table.add_column(name, justify="right" if name in ("distinct", "missing") else "left")
    for row in rows[:_MOST_COLUMNS]:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    text = io.StringIO()
    width = shutil.get_terminal_size((100, 24)).columns
    Console(file=text, width=width, color_system=None).print(table)
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    if len(rows) > _MOST_COLUMNS:
        others = f"{len(rows) - _MOST_COLUMNS:,} more columns"
        lines.append(f"... and {others}, all of them in run.json and by data --json")
    return "\n".join(lines) + "\n"


def target_text(samples: TableSamples, *, is_named: bool, is_task_said: bool) -> str:
    """Return what is learned, and why it is taken for classes or numbers.

    Parameters
    ----------
    samples : TableSamples
    is_named, is_task_said : bool
        Whether the user named the target, and the task.
    """
    target = samples.target
    other = "regression" if samples.task == "classification" else "classification"
    hint = "" if is_task_said or target.is_text else f"; --task {other} is the other way"
    last = "" if is_named else ", the last column (--target)"
    return (
        f"data      {one_line(samples.source)}: {len(samples.train):,} training and "
        f"{len(samples.test):,} test rows\n"
        f"target    {one_line(target.name)}{last}\n"
        f"task      {samples.task}: {target.why}{hint}\n\n"
        f"{columns_text(samples)}"
    )
