"""Draw spirals.png for docs/from-scratch.md, with what the page's own code learns.

python docs/images/spirals.py
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

COLOURS = ["#4c72b0", "#dd8452", "#55a868"]


def run_page(page: Path) -> dict[str, Any]:
    """Return the names that the page's code leaves behind."""
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.S | re.M):
        if not re.match(r"# \S+/\S+\.py\n", block):
            exec(block, names)
    return names


def main() -> None:
    """Draw the loss of each epoch, and the plane as the classifier divides it."""
    here = Path(__file__).resolve().parent
    names = run_page(here.parent / "from-scratch.md")
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained")
    losses = names["classifier"].loss_curve_
    left.semilogy(range(1, len(losses) + 1), losses, color="black")
    left.set(xlabel="epoch", ylabel="loss", title="Training")
    axis = np.linspace(-1.3, 1.3, 300)
    plane = np.stack(np.meshgrid(axis, axis), axis=-1)
    classes = names["classifier"].predict(plane.reshape(-1, 2)).reshape(plane.shape[:2])
    right.contourf(axis, axis, classes, levels=[-0.5, 0.5, 1.5, 2.5], colors=COLOURS, alpha=0.35)
    for arm, colour in enumerate(COLOURS):
        points = names["x_test"][names["labels_test"] == arm]
        right.scatter(*points.T, s=9, color=colour, edgecolors="black", linewidths=0.3)
    right.set(title="Test points", aspect="equal", xticks=[], yticks=[])
    figure.savefig(here / "spirals.png", dpi=90)


if __name__ == "__main__":
    main()
