"""How the settings of a preset were chosen: by a validation split of the training images alone.

    python bench/choose.py {fast,balanced,best} [--seeds 3] [--quick] [--json PATH] [--cores 0 1]

Of the 60,000 training images 10,000 are set aside, 1,000 of each class, the same for all. Each
candidate learns the other 50,000, once for each seed, in a process of its own; all take turns. The
test images are given to none of these processes. A candidate may win only within the seconds that
are the preset's bar, of which it has five sixths here, as it has of the images.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from accuracy import PRESET_BARS
from cnn_core import load_fashion_mnist
from cnn_core.estimators.splitting import set_aside
from contenders.process import usable_cores
from learning.images import OURS, ImageJob, Images
from learning.process import FailedError, carry_out
from race.machine import describe
from race.markdown import print_markdown
from race.results import print_machine, save

# What each candidate has other than the preset; the first one is the preset itself.
CANDIDATES: dict[str, tuple[dict[str, Any], ...]] = {
    "fast": (
        {},
        {"max_iter": 14},
        {"batch_size": 64, "learning_rate_init": 2e-3, "max_iter": 10},
        {"label_smoothing": 0.0},
        {"dropout": 0.1},
        {"normalization": "layer"},
        {"normalization": "batch"},
        {"learning_rate_init": 8e-3, "weight_decay": 0.05},
    ),
    "balanced": (
        {},
        {"hidden_layer_sizes": (256, 128), "normalization": None},
        {"hidden_layer_sizes": (512,), "normalization": None, "dropout": 0.2, "max_iter": 12},
        {"hidden_layer_sizes": (512,), "dropout": 0.2, "batch_size": 256, "max_iter": 12},
        {"hidden_layer_sizes": (400,), "normalization": None, "activation": "gelu"},
        {"learning_rate_init": 6e-3, "weight_decay": 0.05, "dropout": 0.15},
    ),
    "best": (
        {},
        {"dropout": 0.2},
        {"dropout": 0.3},
        {"dropout": 0.4},
        {"dropout": (0.2, 0.4)},
        {"dropout": 0.4, "activation": "gelu"},
        {"dropout": 0.4, "averaging": 0.999},
        {"dropout": 0.4, "learning_rate_init": 2e-2},
        {"dropout": 0.4, "learning_rate_init": 6e-3},
        {"dropout": 0.4, "weight_decay": 0.1},
        {"dropout": 0.4, "weight_decay": 0.03},
        {"dropout": 0.4, "batch_size": 128, "learning_rate_init": 3e-3},
        {"learning_rate_init": 1.5e-2, "weight_decay": 0.04},
        {"label_smoothing": 0.2},
        {"hidden_layer_sizes": (768, 512), "dropout": 0.3, "max_iter": 22},
    ),
}
SHARE_ASIDE = 1 / 6


def split(folder: str) -> str:
    """Write the two parts of the training images where every process reads them from."""
    dataset = load_fashion_mnist()
    images = dataset.x_train.reshape(len(dataset.x_train), -1)
    labels = dataset.y_train.astype(np.intp)
    kept, aside = set_aside(len(labels), SHARE_ASIDE, np.random.RandomState(0), labels)
    parts = Images(images[kept], labels[kept], images[aside], labels[aside])
    return parts.save(folder, "validation")


def shown(candidate: dict[str, Any]) -> str:
    """Return how a candidate differs from the preset."""
    return ", ".join(f"{name}={value}" for name, value in candidate.items()) or "the preset"


def print_candidates(preset: str, outcomes: list[list[dict[str, Any]]]) -> None:
    """Print the candidates, the best ones first."""
    limit = PRESET_BARS[preset][1] * (1 - SHARE_ASIDE)
    lines = []
    ranked = sorted(
        zip(CANDIDATES[preset], outcomes, strict=True),
        key=lambda pair: -statistics.mean(outcome["accuracy"] for outcome in pair[1]),
    )
    for candidate, of_seeds in ranked:
        accuracies = [outcome["accuracy"] for outcome in of_seeds]
        seconds = [outcome["seconds"] for outcome in of_seeds]
        cells = [shown(candidate), f"{statistics.mean(accuracies):.4f}", f"{min(accuracies):.4f}"]
        cells += [f"{statistics.mean(seconds):.2f} s", f"{max(seconds):.2f} s"]
        lines.append([*cells, "yes" if max(seconds) <= limit else "NO"])
    heads = [f"{preset}, {len(outcomes[0])} seeds", "accuracy, mean", "worst", "training, mean"]
    print()
    print_markdown([*heads, "worst", f"within {limit:.2g} s"], lines)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("preset", choices=list(CANDIDATES))
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="(default: 3)")
    parser.add_argument("--quick", action="store_true", help="to see that all of it runs")
    parser.add_argument("--json", type=Path, metavar="PATH", help="where to write the results")
    parser.add_argument(
        "--cores", type=int, nargs="+", default=usable_cores()[:2], help="the cores to use"
    )
    return parser.parse_args()


def main() -> int:
    """Let the candidates take turns, and print what they came to."""
    arguments = parsed()
    preset, candidates = arguments.preset, CANDIDATES[arguments.preset]
    machine = describe(arguments.cores)
    print_machine(machine)
    outcomes: list[list[dict[str, Any]]] = [[] for _ in candidates]
    with tempfile.TemporaryDirectory(prefix="cnn-core-") as folder:
        data = split(folder)
        for seed in range(arguments.seeds):
            for candidate, of_seeds in zip(candidates, outcomes, strict=True):
                job = ImageJob(OURS, preset, data, seed, candidate, arguments.quick)
                try:
                    outcome = carry_out(job, arguments.cores)
                except FailedError as error:
                    print(f"{shown(candidate)}: {error}")
                    return 1
                of_seeds.append(outcome)
                print(f"seed {seed}, {shown(candidate)}: ", end="")
                print(f"{outcome['accuracy']:.4f} in {outcome['seconds']:.2f} s", flush=True)
    print_candidates(preset, outcomes)
    if arguments.json is not None:
        rows = [
            {"candidate": shown(candidate), "outcomes": of_seeds}
            for candidate, of_seeds in zip(candidates, outcomes, strict=True)
        ]
        contents = {"machine": machine, "preset": preset, "load_after": os.getloadavg()}
        save(arguments.json, {**contents, "candidates": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
