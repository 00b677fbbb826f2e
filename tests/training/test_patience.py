"""Patience ends after more values in a row without an improvement than it allows."""

from __future__ import annotations

import math

import pytest

from cnn_core.training.patience import PatienceCounter


def after(*values, tol=0.0):
    counter = PatienceCounter()
    for value in values:
        counter = counter.after(value, tol)
    return counter


@pytest.mark.parametrize(
    ("values", "tol", "waited"),
    [
        ((3.0, 2.0, 1.0), 0.0, 0),
        ((1.0, 1.0, 1.0), 0.0, 2),
        ((1.0, 0.95, 0.9), 0.1, 2),
        ((1.0, math.nan, 2.0), 0.0, 2),
        ((1.0, 2.0, 0.5), 0.0, 0),
    ],
)
def test_it_counts_the_values_that_were_no_improvement(values, tol, waited):
    counter = after(*values, tol=tol)
    assert counter.waited == waited
    assert not counter.has_run_out(waited)
    if waited:
        assert counter.has_run_out(waited - 1)


def test_without_patience_it_never_runs_out():
    assert not after(*[1.0] * 100).has_run_out(None)
    assert not after(*[1.0] * 100).has_run_out(math.inf)


def test_restarted_it_waits_for_something_better_than_the_best():
    counter = after(2.0, 1.0, 3.0, 3.0).restarted()
    assert counter == PatienceCounter(best=1.0, waited=0)
    assert counter.after(2.0, 0.0).waited == 1


def test_it_is_read_from_what_was_written_of_it():
    counter = after(2.0, 1.0, 3.0)
    assert PatienceCounter.from_state(list(counter)) == counter
    for state in ([1.0], ["1", 2], [1.0, -1], [1.0, True], None):
        with pytest.raises((TypeError, ValueError)):
            PatienceCounter.from_state(state)
