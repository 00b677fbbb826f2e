"""``cnn-core bench`` times only contenders that compute the same, and reports the result."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import short_race
from cnn_core.cli import bench, main
from command_line import refused, succeed
from contenders import process
from contenders.check import Check, check
from contenders.numpy_loop import NumpyLoop
from contenders.process import (
    ContenderError,
    Job,
    Outcome,
    environment,
    measure,
    usable_cores,
)
from contenders.work import Samples, Work, start_weights
from installation import BACKENDS


class TestBench:
    SHORT = ("bench", "--samples", 40, "--rounds", 1, "--batch-size", 16, "--threads", 1)

    @pytest.fixture
    def answers(self, monkeypatch):
        """Measure nothing: what each contender answers instead; seconds, or an error."""
        answers = {"cython": 2.0, "numpy-backend": 5.0, "numpy": 3.0}

        def measure(job, cores):
            answer = answers[job.contender]
            if isinstance(answer, Exception):
                raise answer
            if isinstance(answer, Check):
                return Outcome(job.contender, job.work, answer)
            return Outcome(job.contender, job.work, None, [answer], [answer])

        monkeypatch.setattr(short_race, "measure", measure)
        monkeypatch.setattr(short_race, "is_installed", lambda name: name in answers)
        return answers

    @pytest.mark.serial
    @pytest.mark.slow
    def test_every_installed_contender_is_timed(self):
        printed = succeed(*self.SHORT)
        for title in (*(f"cnn_core ({name}" for name in BACKENDS), "NumPy ", "scikit-learn "):
            assert re.search(rf"^  {re.escape(title)}.* [\d.]+ +[\d.]+ ", printed, re.MULTILINE)
        assert "WRONG" not in printed

    def test_a_contender_that_is_not_installed_is_named(self, answers, capsys):
        succeed(*self.SHORT)
        assert "not in the race: NN.predict, " in capsys.readouterr().err

    def test_a_contender_that_computes_something_else_is_not_timed(self, answers, capsys):
        answers["numpy"] = Check(outputs=0.5, loss=0.4, expected_loss=0.3)
        assert main(["bench", "--samples", "8"]) == 1
        printed = capsys.readouterr().out
        assert "WRONG, not timed: outputs differ by 0.5, loss 0.400000 where 0.300000" in printed

    def test_a_contender_that_fails_is_reported_and_the_others_run(self, answers):
        answers["numpy"] = ContenderError("ended by signal 11")
        printed = succeed(*self.SHORT)
        assert "failed: ended by signal 11" in printed
        assert "5.0000" in printed

    def test_a_failure_of_ours_is_an_error(self, answers, capsys):
        answers["cython"] = ContenderError("ended by signal 11")
        assert main(["bench", "--samples", "8"]) == 1
        assert "fastest in every case" not in capsys.readouterr().out

    def test_a_lost_race_is_printed_as_lost(self, answers):
        answers["numpy"] = 1.0
        printed = succeed(*self.SHORT)
        assert "cython loses to numpy in training, batch 16" in printed
        assert "2.0x FASTER" in printed
        assert "fastest in every case" not in printed

    def test_a_won_race_is_printed_as_won(self, answers):
        assert "cython is the fastest in every case" in succeed(*self.SHORT)

    def test_variables_that_slow_numpy_down_are_left_out_and_named(
        self, answers, monkeypatch, capsys
    ):
        monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
        succeed(*self.SHORT)
        assert "measured without OPENBLAS_CORETYPE" in capsys.readouterr().err

    def test_an_installation_without_the_compiled_backend_races_without_it(self, answers, capsys):
        del answers["cython"]
        assert "numpy-backend loses to numpy in training" in succeed(*self.SHORT)
        assert "compiled backend is not part of this installation" in capsys.readouterr().err

    def test_without_the_sources_it_says_where_it_can_be_run(self, monkeypatch, tmp_path, capsys):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(bench, "__file__", str(tmp_path / "site" / "cnn_core" / "cli" / "b.py"))
        message = refused(capsys, "bench")
        assert "run cnn-core bench in the folder of the sources" in message

    def test_a_folder_of_other_data_is_refused(self, capsys, tmp_path):
        message = refused(capsys, "bench", "--data", "synthetic", "--data-folder", tmp_path)
        assert "--data-folder belongs to --data fashion-mnist" in message

    def test_contenders_that_only_predict_are_checked_by_their_outputs(self):
        assert Check(outputs=1e-7).passed
        assert str(Check(outputs=0.5)) == "outputs differ by 0.5"

    def test_a_process_that_does_not_end_in_time_is_an_error(self, monkeypatch, tmp_path):
        monkeypatch.setattr(process, "_TIME_LIMIT", 0.0)
        job = Job("numpy", Work((6, 5, 3)), str(tmp_path / "samples.npz"), samples=1, threads=1)
        with pytest.raises(ContenderError, match="no result within 0 seconds"):
            measure(job, usable_cores()[:1])

    def test_a_process_that_fails_is_an_error_with_its_last_words(self, tmp_path):
        job = Job("numpy", Work((6, 5, 3)), str(tmp_path / "none.npz"), samples=1, threads=1)
        with pytest.raises(ContenderError, match=r"FileNotFoundError: .*none\.npz"):
            measure(job, usable_cores()[:1])

    def test_all_contenders_have_the_same_threads_and_an_unhindered_blas(self, monkeypatch):
        monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
        variables = environment(3)
        assert "OPENBLAS_CORETYPE" not in variables
        assert variables["PATH"] == os.environ["PATH"]
        for name in ("CNN_CORE_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            assert variables[name] == "3"

    @pytest.mark.slow
    @pytest.mark.parametrize("contender", ["numpy-backend", "numpy", "scikit-learn"])
    @pytest.mark.parametrize(
        "work",
        [
            Work((6, 5, 3), batch_size=7),
            Work((6, 5, 4, 3), "relu", "softmax", "cross_entropy", "sgd", 300, 0.1),
            Work((6, 5, 4, 3), "relu", "softmax", "cross_entropy", "adam", 32, 1e-3),
        ],
        ids=["sigmoid", "full-batch", "adam"],
    )
    def test_contenders_compute_what_they_are_timed_for(self, tmp_path, contender, work):
        self.samples(work).save(tmp_path / "samples.npz")
        job = Job(contender, work, str(tmp_path / "samples.npz"), samples=300, threads=1)
        outcome = measure(job, usable_cores()[:1])
        assert outcome.check.passed
        assert outcome.check.loss > 0
        assert len(outcome.epochs) >= 1

    @pytest.mark.parametrize(
        "mistake",
        [
            {"learning_rate": 0.6},
            {"batch_size": 8},
            {"hidden": "relu"},
            {"optimizer": "adam"},
        ],
    )
    def test_the_check_finds_a_contender_that_computes_something_else(self, mistake):
        work = Work((6, 5, 3), batch_size=7)
        wrong = NumpyLoop(replace(work, **mistake), start_weights(work), 1)
        contender = SimpleNamespace(
            work=work,
            shuffles_itself=False,
            load=wrong.load,
            train_epoch=wrong.train_epoch,
            outputs=wrong.outputs,
        )
        assert not check(contender, self.samples(work), trains=True).passed

    @staticmethod
    def samples(work):
        generator = np.random.RandomState(0)
        images = generator.randint(0, 256, (300, work.sizes[0])).astype(np.uint8)
        return Samples(images, images[:, :3].argmax(axis=1), 3)
