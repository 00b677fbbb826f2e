"""The pool of threads: trainings in several threads at once, forks, interrupts, the end.

What fails here hangs or crashes, so each scenario runs in a process of its own.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

import pytest

import pool_scenarios as pool
from pool_work import LONGEST_RUN
from scenarios import run_alone

pytestmark = [pytest.mark.serial, pytest.mark.compiled]

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
needs_timer = pytest.mark.skipif(
    not hasattr(signal, "setitimer"), reason="this system has no timer signals"
)
needs_accounts = pytest.mark.skipif(
    sys.platform != "linux", reason="needs Linux's list of a process's threads"
)


def assert_goes_well(scenario: Callable[[], None], **environment: str) -> None:
    """Assert that a scenario ends in time, with code 0 and without a word."""
    ended = run_alone(pool.__file__, scenario.__name__, longest=LONGEST_RUN, **environment)
    assert ended == (0, "", "")


class TestThreads:
    def test_several_trainings_at_once_each_give_the_bits_of_the_training_alone(self):
        assert_goes_well(pool.several_trainings_at_once)

    def test_predictions_meanwhile_are_right(self):
        assert_goes_well(pool.predictions_during_a_training)
        assert_goes_well(pool.predictions_by_several_threads)

    def test_copies_and_files_meanwhile_are_right(self):
        assert_goes_well(pool.copies_and_files_during_a_training)

    @pytest.mark.slow
    def test_small_and_large_trainings_in_eight_threads_are_right_for_as_long_as_they_run(self):
        assert_goes_well(pool.everything_at_once)

    def test_many_more_threads_than_cores_change_no_bit(self):
        assert_goes_well(pool.more_threads_than_cores)

    @needs_fork
    @needs_accounts
    def test_one_thread_starts_none_and_more_are_started_once(self):
        assert_goes_well(pool.threads_that_are_started)

    @needs_accounts
    @pytest.mark.parametrize("number", ["1", "3"])
    def test_the_environment_decides_how_many_are_started(self, number):
        assert_goes_well(pool.threads_that_the_environment_allows, CNN_CORE_NUM_THREADS=number)


@needs_fork
class TestForks:
    def test_a_child_forked_during_a_training_trains_as_well(self):
        assert_goes_well(pool.forks_in_the_midst_of_a_training)

    @needs_timer
    def test_a_child_forked_in_a_signal_handler_trains_and_ends(self):
        assert_goes_well(pool.fork_in_a_signal_handler)

    def test_processes_of_multiprocessing_train_after_their_parent(self):
        assert_goes_well(pool.processes_of_multiprocessing)


@needs_timer
class TestInterrupts:
    def test_an_interrupt_at_any_moment_leaves_a_whole_number_of_steps(self):
        assert_goes_well(pool.interrupts_of_many_steps)

    def test_a_huge_step_is_taken_as_a_whole_or_not_at_all(self):
        assert_goes_well(pool.interrupts_of_a_huge_step)

    @pytest.mark.slow
    def test_signals_are_seen_in_time_also_between_the_least_of_steps(self):
        assert_goes_well(pool.signals_between_the_least_of_steps)

    def test_a_predictor_that_is_called_while_it_predicts_stays_within_its_arrays(self):
        assert_goes_well(pool.calls_of_a_predictor_within_its_own_call)


@pytest.mark.slow
class TestEnd:
    @pytest.mark.parametrize(
        "scenario",
        [
            pool.end_while_the_others_sleep,
            pool.end_while_the_others_are_awake,
            pool.end_while_a_daemon_is_training,
            pytest.param(pool.end_long_before_a_step_of_a_daemon, marks=needs_accounts),
            pytest.param(pool.end_within_a_training, marks=needs_timer),
        ],
    )
    def test_a_process_that_has_trained_ends_without_a_crash(self, scenario):
        for _ in range(2):
            assert_goes_well(scenario)
