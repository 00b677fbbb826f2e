"""How well and how fast `ImageClassifier` and PyTorch learn small sets of images.

Both train the same network by the same recipe, that of the defaults, without random changes of the
images; only the draws of the random numbers differ. Digits come with scikit-learn, emoji from npm
(`images.sets` says what they are).

    python bench/image_sets.py [--seeds 5] [--sets digits emoji] [--folder build/emoji] [--cores 0]

Each training is a process of its own, the libraries in turn.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np

from contenders.process import usable_cores
from images.learners import SetJob
from images.sets import SETS
from learning.process import FailedError, carry_out
from race.machine import describe
from race.markdown import print_markdown
from race.results import print_machine

EPOCHS = {"digits": 40, "emoji": 30}
LEARNERS = ("cnn_core", "PyTorch")


def main() -> None:
    """Train by both, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", nargs="+", choices=tuple(SETS), default=list(SETS))
    parser.add_argument("--folder", type=Path, default=Path("build/emoji"))
    parser.add_argument("--cores", type=int, nargs="+", default=list(usable_cores()))
    args = parser.parse_args()
    print_machine(describe(args.cores))
    lines = []
    for name in args.sets:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "set.npz"
            images = SETS[name](args.folder)
            np.savez(path, **images._asdict())
            height, width, channels = images.x_train.shape[1:]
            print(
                f"{name}: {len(images.x_train):,} and {len(images.x_test):,} images of "
                f"{height} x {width} x {channels}, {images.y_train.max() + 1} classes; "
                f"{EPOCHS[name]} epochs"
            )
            found: dict[str, list[dict[str, float]]] = {learner: [] for learner in LEARNERS}
            for seed in range(args.seeds):
                for learner in LEARNERS:
                    job = SetJob(learner, str(path), seed, EPOCHS[name], len(args.cores))
                    try:
                        found[learner].append(carry_out(job, args.cores))
                    except FailedError as error:
                        print(f"{learner} is left out: {error}")
        lines += [[name, learner, *_figures(found[learner])] for learner in LEARNERS]
    print()
    print_markdown(("set", "learner", "seeds", "accuracy", "deviation", "seconds"), lines)


def _figures(outcomes: list[dict[str, float]]) -> list[str]:
    """Return mean and deviation of the accuracy, and the median of the seconds."""
    if not outcomes:
        return ["0", "-", "-", "-"]
    accuracies = [one["accuracy"] for one in outcomes]
    seconds = statistics.median(one["seconds"] for one in outcomes)
    deviation = statistics.stdev(accuracies) if len(outcomes) > 1 else 0.0
    return [
        str(len(outcomes)),
        f"{statistics.mean(accuracies):.4f}",
        f"{deviation:.4f}",
        f"{seconds:.2f} s",
    ]


if __name__ == "__main__":
    main()
