"""How many threads compute: what the machine allows, what the user asks for, what is shown."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cnn_core
from cnn_core import NN, backends
from cnn_core.backends import threads
from cnn_core.backends.threads import available_threads

COUNT = "from cnn_core.backends.threads import available_threads; print(available_threads())"


@pytest.fixture
def cores(monkeypatch):
    """A machine of 16 cores, all of them allowed, without variables and without control groups."""
    for name in ("CNN_CORE_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda who: set(range(16)), raising=False)
    return 16


def grouped(root: Path, lines: str, **files: str) -> Path:
    """Write a fake root: the control groups of this process, and files below /sys/fs/cgroup."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(lines)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


class TestCores:
    def test_every_core_that_the_process_may_use_has_a_thread(self, cores, tmp_path):
        assert available_threads(tmp_path) == cores

    def test_where_the_system_knows_no_affinity_every_core_counts(
        self, cores, monkeypatch, tmp_path
    ):
        monkeypatch.delattr(threads.os, "sched_getaffinity", raising=False)
        monkeypatch.setattr(threads.os, "cpu_count", lambda: 12)
        assert available_threads(tmp_path) == 12
        monkeypatch.setattr(threads.os, "cpu_count", lambda: None)
        assert available_threads(tmp_path) == 1

    @pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
    def test_an_affinity_is_obeyed_also_if_it_changes(self):
        code = f"""
import os
one = min(os.sched_getaffinity(0))
{COUNT}
os.sched_setaffinity(0, [one])
print(available_threads())
"""
        variables = ("CNN_CORE_NUM_THREADS", "OMP_NUM_THREADS")
        environment = {name: value for name, value in os.environ.items() if name not in variables}
        ended = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment
        )
        assert ended.stderr == ""
        before, after = map(int, ended.stdout.split())
        assert 1 <= before <= len(os.sched_getaffinity(0))
        assert after == 1


class TestQuota:
    @pytest.mark.parametrize(
        ("limit", "expected"),
        [
            ("200000 100000\n", 2),
            ("150000 100000\n", 2),
            ("50000 100000\n", 1),
            ("1000 100000\n", 1),
            ("max 100000\n", 16),
            ("6400000 100000\n", 16),
            ("", 16),
            ("nonsense\n", 16),
            ("100000\n", 16),
            ("100000 0\n", 16),
        ],
    )
    def test_the_quota_of_the_control_group_is_rounded_up_to_cores(
        self, cores, tmp_path, limit, expected
    ):
        root = grouped(tmp_path, "0::/box\n", **{"box/cpu.max": limit})
        assert available_threads(root) == expected

    def test_the_tightest_of_the_groups_around_it_counts(self, cores, tmp_path):
        files = {
            "a/cpu.max": "300000 100000",
            "a/b/cpu.max": "max 100000",
            "a/b/c/cpu.max": "800000 100000",
            "other/cpu.max": "100000 100000",
        }
        assert available_threads(grouped(tmp_path, "0::/a/b/c\n", **files)) == 3

    @pytest.mark.parametrize("path", ["/", "/not/to/be/seen/here", "/../../above", "/with space"])
    def test_in_a_container_its_own_group_is_the_root(self, cores, tmp_path, path):
        root = grouped(tmp_path, f"0::{path}\n", **{"cpu.max": "400000 100000"})
        assert available_threads(root) == 4

    @pytest.mark.parametrize("mounted_as", ["cpu", "cpu,cpuacct", "cpuacct,cpu"])
    @pytest.mark.parametrize(("quota", "expected"), [("250000", 3), ("-1", 16)])
    def test_groups_of_the_first_version(self, cores, tmp_path, mounted_as, quota, expected):
        lines = f"5:memory:/box\n4:cpuset:/box\n3:{mounted_as}:/box/inner\n0::/\n"
        files = {
            f"{mounted_as}/box/cpu.cfs_quota_us": f"{quota}\n",
            f"{mounted_as}/box/cpu.cfs_period_us": "100000\n",
            "memory/box/cpu.cfs_quota_us": "1\n",
            "memory/box/cpu.cfs_period_us": "1\n",
        }
        assert available_threads(grouped(tmp_path, lines, **files)) == expected

    @pytest.mark.parametrize("lines", ["", "nonsense\n", "::\n", "\n\n", "0::/a:b\n"])
    def test_lines_of_another_kind_are_no_limit(self, cores, tmp_path, lines):
        assert available_threads(grouped(tmp_path, lines)) == cores


class TestVariables:
    def test_what_the_user_asks_for_is_obeyed_also_above_the_cores(
        self, cores, monkeypatch, tmp_path
    ):
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
        root = grouped(tmp_path, "0::/\n", **{"cpu.max": "300000 100000"})
        for asked_for in (1, 7, 40):
            monkeypatch.setenv("CNN_CORE_NUM_THREADS", str(asked_for))
            assert available_threads(root) == asked_for

    @pytest.mark.parametrize(
        "found", ["0", "-2", "two", "1.5", "3,2", "٣", " ", "9" * 10, "1_000", "+3"]
    )
    def test_nonsense_is_refused_by_name(self, monkeypatch, found):
        monkeypatch.setenv("CNN_CORE_NUM_THREADS", found)
        with pytest.raises(ValueError, match="CNN_CORE_NUM_THREADS: expected a whole number") as e:
            available_threads()
        assert repr(found) in str(e.value)
        assert "unset it" in str(e.value)

    @pytest.mark.parametrize(
        ("found", "expected"),
        [
            ("3", 3),
            (" 3 ", 3),
            ("4,2,1", 4),
            ("64", 16),
            ("0", 16),
            ("-1", 16),
            ("many", 16),
            ("", 16),
            (",2", 16),
        ],
    )
    def test_the_common_variable_is_a_limit_if_it_makes_sense(
        self, cores, monkeypatch, tmp_path, found, expected
    ):
        monkeypatch.setenv("CNN_CORE_NUM_THREADS", "")
        monkeypatch.setenv("OMP_NUM_THREADS", found)
        assert available_threads(tmp_path) == expected


class TestNetwork:
    def net(self, backend, **settings):
        return NN(6, 5, 3, 0.5, 2, seed=1, backend=backend.name, **settings)

    def test_it_reports_its_number_of_threads(self, backend):
        assert self.net(backend).n_threads == backend.threads
        assert backends.backend_info(backend.name)["threads"] == backend.threads
        expected = None if backend.name == "numpy" else 3
        assert self.net(backend, n_threads=3).n_threads == expected
        assert self.net(backend, n_threads=np.int64(3)).n_threads == expected

    @pytest.mark.parametrize(
        ("wrong", "error", "message"),
        [
            (0, ValueError, "n_threads: expected at least 1, found 0"),
            (-1, ValueError, "n_threads: expected at least 1"),
            (2**40, ValueError, "n_threads: expected at most"),
            (1.5, TypeError, "n_threads: expected a whole number, found 1.5"),
            ("2", TypeError, "n_threads: expected a whole number"),
            (True, TypeError, "n_threads: expected a whole number"),
        ],
    )
    def test_anything_but_a_number_of_threads_is_refused(
        self, backend, tmp_path, wrong, error, message
    ):
        with pytest.raises(error, match=message):
            self.net(backend, n_threads=wrong)
        self.net(backend).save(tmp_path / "net")
        with pytest.raises(error, match=message) as caught:
            cnn_core.load(tmp_path / "net", backend=backend.name, n_threads=wrong)
        assert not isinstance(caught.value, cnn_core.ModelFileError)

    def test_they_cannot_be_changed_afterwards(self, backend):
        with pytest.raises(AttributeError):
            self.net(backend).n_threads = 2

    def test_they_belong_to_the_machine_and_not_to_the_file(self, backend, tmp_path):
        self.net(backend, n_threads=3).save(tmp_path / "net")
        self.net(backend, n_threads=2).save(tmp_path / "same")
        assert (tmp_path / "net").read_bytes() == (tmp_path / "same").read_bytes()
        again = cnn_core.load(tmp_path / "net", backend=backend.name)
        assert again.n_threads == backend.threads
        again = cnn_core.load(tmp_path / "net", backend=backend.name, n_threads=2)
        assert again.n_threads == self.net(backend, n_threads=2).n_threads

    def test_a_copy_has_the_threads_that_were_asked_for(self, backend):
        net = self.net(backend, n_threads=2)
        for twin in (copy.copy(net), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
            assert twin.n_threads == net.n_threads

    def test_they_change_no_bit(self, rng):
        x, labels = rng.random((300, 70)), rng.integers(0, 4, 300)
        found = []
        for count in (1, 2, 3):
            net = NN(70, 130, 4, 0.5, 2, batch_size=100, seed=1, n_threads=count).fit(x, labels)
            found.append(net.predict(x).tobytes())
        assert found[0] == found[1] == found[2]


class Machine:
    """A clock that knows how long a step of so many multiply-adds takes with so many threads."""

    def __init__(self, most, seconds_of_a_step, work=2e7, piece=None):
        from cnn_core._native.threads import ThreadCountTuner

        self.tuner, self.seconds, self.work = ThreadCountTuner(most), seconds_of_a_step, work
        self.piece = piece
        self.now = 1.0

    def used(self, seconds):
        """Take steps for a time, and return with how many threads each was."""
        end, used = self.now + seconds, []
        while self.now < end:
            threads = self.tuner.begin(self.work, self.piece or self.work, int(self.now * 1e9))
            self.now += self.seconds(threads)
            self.tuner.end(int(self.now * 1e9))
            used.append(threads)
        return np.array(used)


@pytest.mark.compiled
class TestThreadCountTuner:
    @pytest.mark.parametrize("most", [2, 3, 6, 16])
    def test_all_threads_run_all_but_a_few_steps_where_each_pays(self, most):
        used = Machine(most, lambda threads: 1e-4 / threads).used(2)
        assert np.mean(used == most) > 0.995

    def test_one_thread_runs_the_steps_where_more_cost_more_than_they_give(self):
        machine = Machine(2, lambda threads: 1.0e-4 if threads == 1 else 1.7e-4)
        machine.used(0.01)
        assert np.mean(machine.used(2) == 1) > 0.98

    @pytest.mark.parametrize(("most", "best"), [(16, 4), (12, 6), (5, 5), (64, 4), (7, 4)])
    def test_the_best_number_is_found_among_halves_and_doubles(self, most, best):
        machine = Machine(most, lambda threads: 1e-4 / threads + 5e-6 * threads)
        machine.used(0.1)
        assert np.mean(machine.used(2) == best) > 0.98

    def test_two_of_three_are_found_also_where_one_is_worse_than_all(self):
        machine = Machine(3, lambda threads: [0, 1.5e-4, 0.8e-4, 1e-4][threads])
        machine.used(0.1)
        assert np.mean(machine.used(2) == 2) > 0.98

    def test_a_machine_that_changes_is_followed_in_a_second(self):
        shared = 0.6e-4
        machine = Machine(2, lambda threads: 1e-4 if threads == 1 else shared)
        assert np.mean(machine.used(1) == 2) > 0.98
        shared = 1.5e-4
        machine.used(0.6)
        assert np.mean(machine.used(1) == 1) > 0.98
        shared = 0.6e-4
        machine.used(0.6)
        assert np.mean(machine.used(1) == 2) > 0.98

    def test_steps_that_the_system_interrupts_change_nothing(self, rng):
        machine = Machine(2, lambda threads: 1e-4 / threads + 4e-3 * (rng.random() < 0.2))
        assert np.mean(machine.used(20) == 2) > 0.95

    def test_about_a_hundredth_of_the_time_goes_into_trials_of_long_steps(self):
        machine = Machine(2, lambda threads: 0.02 / threads, work=9e7)
        used = machine.used(300)
        assert 0 < np.sum(used == 1) * 0.02 < 3.3

    def test_large_steps_have_all_threads_whatever_they_take(self):
        for seconds in (lambda threads: 1e-3 * threads, lambda threads: 1e-3 / threads):
            assert set(Machine(4, seconds, work=3e8).used(1)) == {4}

    def test_large_steps_of_small_pieces_are_tried(self):
        machine = Machine(2, lambda threads: 1e-2 * threads, work=3e8, piece=2e6)
        machine.used(0.5)
        assert np.mean(machine.used(2) == 1) > 0.95

    def test_time_between_the_steps_does_not_put_off_the_next_trial(self):
        shared = 0.6e-4
        machine = Machine(2, lambda threads: 1e-4 if threads == 1 else shared)
        for _ in range(200):
            machine.used(0.01)
            machine.now += 600
        shared = 1.5e-4
        machine.used(0.6)
        assert np.mean(machine.used(1) == 1) > 0.98

    def test_threads_that_have_to_be_woken_are_waited_for(self):
        last, awake = 0.0, False

        def seconds(threads):
            nonlocal last, awake
            if threads == 1:
                # Who is not needed falls asleep after a millisecond, and takes one to wake up.
                awake = awake and machine.now - last < 1e-3
                return shared_alone
            if not awake:
                last, awake = machine.now + 1e-3, True
            in_time = machine.now >= last
            if in_time:
                last = machine.now
            return shared if in_time else shared_alone

        shared_alone, shared = 3e-5, 9e-5
        machine = Machine(2, seconds)
        machine.used(0.1)
        assert set(machine.used(0.3)) == {1}
        shared = 1.6e-5
        machine.used(1.2)
        assert np.mean(machine.used(1) == 2) > 0.95

    def test_a_shorter_last_step_of_an_epoch_is_compared_by_its_work(self):
        machine = Machine(2, lambda threads: 0)
        machine.seconds = lambda threads: machine.work * 1e-11 / threads
        used = []
        for _ in range(2000):
            for machine.work in (2e7, 2e7, 1.1e6):
                used.extend(machine.used(1e-9))
        assert np.mean(np.array(used) == 2) > 0.99
