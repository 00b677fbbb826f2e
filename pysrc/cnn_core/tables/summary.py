"""Summary of a fitted learner of tables."""

from __future__ import annotations

import math
from typing import Any

from cnn_core.tables.columns import TableReader
from cnn_core.tables.ensemble import Ensemble
from cnn_core.tables.tasks import Classes
from cnn_core.tables.views import View


def of_table(estimator: Any, reader: TableReader, ensemble: Ensemble) -> str:
    """Return a table of the views and their networks, and the out-of-fold scores."""
    dropped = sum(plan.dropped is not None for plan in reader.plans)
    n_networks = sum(len(bag.models) for bag in ensemble.bags)
    without = f", {dropped:,} of them dropped" if dropped else ""
    lines = [f"{n_networks} networks, {estimator.quality}; {len(reader.plans):,} columns{without}"]
    head = ("view", "bins", "inputs", "hidden layers", "parameters", "networks", "share")
    rows = [
        (
            str(number),
            str(bag.view.bins or "-"),
            f"{sum(bag.encoder.sizes):,}",
            _hidden(bag.view),
            f"{bag.models[0].network.n_parameters():,}",
            str(len(bag.models)),
            f"{share:.2f}",
        )
        for number, (bag, share) in enumerate(
            zip(ensemble.bags, ensemble.shares.tolist(), strict=True), start=1
        )
    ]
    widths = [max(map(len, cells)) for cells in zip(head, *rows, strict=True)]
    lines += [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in (head, *rows)
    ]
    if not math.isnan(estimator.oof_loss_):
        lines.append(f"on rows held out: {_scores(estimator, ensemble)}")
    return "\n".join(lines)


def _hidden(view: View) -> str:
    if not view.hidden:
        return "none"
    normalization = f"{view.normalization} norm" if view.normalization else ""
    return " ".join([*map(str, view.hidden), view.activation, normalization]).rstrip()


def _scores(estimator: Any, ensemble: Ensemble) -> str:
    task = ensemble.task
    if isinstance(task, Classes):
        temperature = f", temperature {task.temperature:.3f}" if task.temperature != 1 else ""
        return (
            f"accuracy {estimator.oof_score_:.4f}, log-loss {estimator.oof_loss_:.4f}{temperature}"
        )
    error = f"root of the mean squared error {estimator.oof_loss_:.6g}"
    return f"R2 {estimator.oof_score_:.4f}, {error}"
