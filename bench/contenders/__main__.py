"""Measure one contender: a job comes from standard input, what was measured goes to the output."""

from __future__ import annotations

import sys
from typing import Any, cast

import numpy as np

from contenders import Contender, Predictor, Trainer, make
from contenders.check import CHECK_SAMPLES, Check, check
from contenders.process import Job, Outcome
from contenders.work import Samples, start_weights
from race.timing import repeated

# A process ends with the first of these, so that short epochs are repeated and long ones are not.
_MOST_EPOCHS, _EPOCH_SECONDS = 3, 0.6
_MOST_CALLS, _CALL_SECONDS = 5000, 0.4


def main() -> None:
    """Check, then time; print the outcome as the last line."""
    job = Job.from_json(sys.stdin.read())
    samples = Samples.load(job.data, job.samples)
    features, *_, classes = job.work.sizes
    if job.work.bins:
        samples = samples.in_pieces(job.work.columns, job.work.bins, classes)
    else:
        samples = samples.shaped(features, classes)
    if job.work.without_zeros:
        samples = samples.without_zeros()
    contender = _new(job)
    checked: Check | None = None
    if job.checks:
        checked = check(contender, samples[:CHECK_SAMPLES], job.trains)
        contender = _new(job)
    epochs: list[float] = []
    predictions: list[float] = []
    if checked is None or checked.passed:
        if job.rows:
            predictions = _predictions(cast(Predictor, contender), samples[: job.rows])
        if job.trains:
            epochs = _epochs(cast(Trainer, contender), samples)
    outcome = Outcome(
        contender.title, contender.work, checked, epochs, predictions, _thread_pools()
    )
    print("\n" + outcome.to_json())


def _new(job: Job) -> Contender:
    return make(job.contender, job.work, start_weights(job.work), job.threads)


def _epochs(trainer: Trainer, samples: Samples) -> list[float]:
    """Return the seconds of some epochs, after one that compiles and allocates what is needed."""
    order = np.random.RandomState(2).permutation(len(samples))
    trainer.load(samples)
    trainer.train_epoch(order)
    return repeated(lambda: trainer.train_epoch(order), _MOST_EPOCHS, _EPOCH_SECONDS)


def _predictions(predictor: Predictor, samples: Samples) -> list[float]:
    """Return the seconds of many calls, in rising order."""
    predict = predictor.prediction(samples)
    repeated(predict, _MOST_CALLS // 10, _CALL_SECONDS / 10)
    return sorted(repeated(predict, _MOST_CALLS, _CALL_SECONDS))


def _thread_pools() -> list[dict[str, Any]]:
    try:
        from threadpoolctl import threadpool_info
    except ModuleNotFoundError:
        return []
    # Paths would say nothing on another machine.
    return [
        {key: value for key, value in pool.items() if key != "filepath"}
        for pool in threadpool_info()
    ]


if __name__ == "__main__":
    main()
