"""``cnn-core verify`` trains a run again and reports whether the bits are the same."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import cnn_core
from cnn_core.cli import main, training
from cnn_core.cli.run_folder import read_losses
from command_line import record_of, refused, succeed
from installation import BACKENDS

QUICK = ("--epochs", 3, "--no-plots", "--quiet")
PRESETS = {
    "fast": ("--patience", 1),
    "nn": ("--dtype", "float64"),
    "best": ("--hidden", "20,10", "--seed", 7),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verify") / "run"
    succeed("train", "--data", "digits", *QUICK, "--out", folder)
    return folder


@pytest.fixture
def run(made, tmp_path):
    """A run folder of one's own."""
    return shutil.copytree(made, tmp_path / "run")


@pytest.fixture
def samples(rng, tmp_path):
    """A file of samples with two classes."""
    path = tmp_path / "own.npz"
    np.savez(path, X=rng.normal(size=(60, 4)), y=np.arange(60) % 2)
    return path


def change(folder, **values):
    """Change what a run folder records."""
    path = folder / "run.json"
    path.write_text(json.dumps({**record_of(folder), **values}))


def no_training(monkeypatch):
    def fit(_):
        pytest.fail("it was trained")

    monkeypatch.setattr(training.Training, "fit", fit)


class TestTheSame:
    @pytest.mark.parametrize("preset", PRESETS)
    def test_a_run_of_each_preset_has_the_same_bits_again(self, tmp_path, name, preset):
        arguments = ("--preset", preset, *PRESETS[preset], "--backend", name)
        succeed("train", "--data", "digits", *arguments, *QUICK, "--out", tmp_path / "run")
        printed = succeed("verify", tmp_path / "run")
        weights = record_of(tmp_path / "run")["result"]["weights_sha256"]
        assert f"weights then   {weights}\nweights now    {weights}\n" in printed
        assert printed.endswith("the same, bit for bit\n")

    def test_everything_that_decides_about_the_bits_is_recorded(self, made):
        record = record_of(made)
        assert record["settings"]["seed"] == 0
        assert record["settings"]["optimizer"]
        assert all(len(digest) == 64 for digest in record["data"]["sha256"].values())
        assert len(record["data"]["sha256"]) > 0
        assert len(record["result"]["weights_sha256"]) == 64
        backend = record["backend"]
        info = cnn_core.backend_info(backend["backend"])
        assert (backend["isa"], backend["versions"]) == (info["isa"], info["versions"])
        assert "threads" in backend

    def test_it_writes_nothing(self, made):
        before = {path: path.read_bytes() for path in made.parent.rglob("*") if path.is_file()}
        succeed("verify", made)
        assert before == {
            path: path.read_bytes() for path in made.parent.rglob("*") if path.is_file()
        }

    def test_quiet_is_one_line(self, made, capsys):
        assert main(["verify", str(made), "--quiet"]) == 0
        weights = record_of(made)["result"]["weights_sha256"]
        assert capsys.readouterr() == (f"the same  {weights}\n", "")

    @pytest.mark.compiled
    def test_the_number_of_threads_changes_nothing(self, made):
        assert "cython" in (printed := succeed("verify", made, "--threads", 1))
        assert "1 thread;" in printed

    def test_it_reports_what_computed_then_and_now(self, made):
        record = record_of(made)
        now = succeed("verify", made).split("computed now")[1]
        assert record["backend"]["isa"] in now
        assert f"NumPy {np.__version__}" in now
        assert f"cnn_core {record['cnn_core']}" in now

    def test_a_file_is_found_again_from_another_folder(self, samples, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        succeed("train", "--data", samples.name, *QUICK, "--out", "run")
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert "the same, bit for bit" in succeed("verify", "../run")

    def test_the_backend_of_the_run_is_taken_whatever_the_default_is(
        self, tmp_path, monkeypatch, name
    ):
        for default in BACKENDS:
            folder = tmp_path / default
            monkeypatch.setenv("CNN_CORE_BACKEND", name)
            succeed("train", "--data", "digits", *QUICK, "--out", folder)
            monkeypatch.setenv("CNN_CORE_BACKEND", default)
            succeed("verify", folder, "--quiet")


class TestNotTheSame:
    @pytest.mark.compiled
    def test_another_backend_is_named_with_the_epoch_of_the_departure(self, made, capsys):
        record = record_of(made)
        other = "numpy" if record["backend"]["backend"] == "cython" else "cython"
        assert main(["verify", str(made), "--backend", other]) == 1
        out = capsys.readouterr().out
        assert "backend: cython then, numpy now" in out
        assert "losses         depart in epoch 1: " in out
        assert out.endswith("\nnot the same\n")

    def test_quiet_is_one_line_with_both_digests(self, made, capsys, monkeypatch):
        monkeypatch.setattr(training.Training, "fit", with_other_weights(training.Training.fit))
        assert main(["verify", str(made), "--quiet"]) == 1
        out, err = capsys.readouterr()
        weights = record_of(made)["result"]["weights_sha256"]
        assert out.startswith(f"not the same  {weights} then, ")
        assert out.endswith(" now\n")
        assert (out.count("\n"), err) == (1, "")

    def test_where_nothing_recorded_differs_it_says_so(self, made, capsys, monkeypatch):
        monkeypatch.setattr(training.Training, "fit", with_other_weights(training.Training.fit))
        assert main(["verify", str(made)]) == 1
        out = capsys.readouterr().out
        assert "differs        nothing that is recorded\n" in out
        assert "losses         the same in all of 3 epochs\n" in out

    def test_the_first_epoch_whose_loss_departs_is_named(self, run, capsys, monkeypatch):
        monkeypatch.setattr(training.Training, "fit", with_other_weights(training.Training.fit))
        losses = read_losses(run / "history.csv")
        table = (run / "history.csv").read_text().replace(repr(losses[1]), "0.5")
        (run / "history.csv").write_text(table)
        assert main(["verify", str(run)]) == 1
        assert f"depart in epoch 2: 0.5 then, {losses[1]!r} now\n" in capsys.readouterr().out

    @pytest.mark.parametrize(
        "damage", [lambda path: path.unlink(), lambda path: path.write_text("a\nb\n")]
    )
    def test_without_the_history_it_says_that_it_cannot_compare_it(
        self, run, capsys, monkeypatch, damage
    ):
        monkeypatch.setattr(training.Training, "fit", with_other_weights(training.Training.fit))
        damage(run / "history.csv")
        assert main(["verify", str(run)]) == 1
        assert "history.csv of the run is missing or damaged" in capsys.readouterr().out


def fields_of(record, above=()):
    """Return the names on the way to each field."""
    for name, value in record.items():
        yield (*above, name)
        if isinstance(value, dict):
            yield from fields_of(value, (*above, name))


def with_damage(record, path, damage):
    damaged = json.loads(json.dumps(record))
    *above, last = path
    folder = damaged
    for name in above:
        folder = folder[name]
    damage(folder, last)
    return damaged


def delete(values, name):
    del values[name]


def put(value):
    def put_it(values, name):
        values[name] = value

    return put_it


def with_other_weights(fit):
    def fit_otherwise(self):
        fit(self)
        self.trained.model.parameters[0] += 1

    return fit_otherwise


class TestItCannotBeTold:
    def test_what_is_no_run_folder(self, tmp_path, capsys):
        assert "expected the folder of a run" in refused(capsys, "verify", tmp_path)
        assert "found nothing" in refused(capsys, "verify", tmp_path / "none")

    def test_changed_data_are_found_before_anything_is_trained(
        self, samples, tmp_path, capsys, monkeypatch
    ):
        succeed("train", "--data", samples, *QUICK, "--out", tmp_path / "run")
        no_training(monkeypatch)
        with np.load(samples) as file:
            arrays = dict(file)
        np.savez(samples, X=arrays["X"] + 1, y=arrays["y"])
        error = refused(capsys, "verify", tmp_path / "run")
        assert "have changed since the training: SHA-256 of own.npz" in error
        samples.unlink()
        assert "own.npz" in refused(capsys, "verify", tmp_path / "run")

    def test_a_changed_data_set_that_is_known_by_name(self, run, capsys, monkeypatch):
        no_training(monkeypatch)
        data = record_of(run)["data"]
        change(run, data={**data, "sha256": {**data["sha256"], "y_train": "0" * 64}})
        error = refused(capsys, "verify", run)
        assert "the data have changed since the training: SHA-256 of y_train" in error

    def test_an_interrupted_training(self, run, capsys, monkeypatch):
        no_training(monkeypatch)
        change(run, interrupted=True)
        assert "interrupted by Ctrl-C" in refused(capsys, "verify", run)

    def test_a_time_budget(self, tmp_path, capsys, monkeypatch):
        arguments = ("--data", "digits", "--time-budget", 0.05, "--no-plots", "--quiet")
        succeed("train", *arguments, "--out", tmp_path / "run")
        no_training(monkeypatch)
        assert "depend on how fast the machine was" in refused(capsys, "verify", tmp_path / "run")

    @pytest.mark.parametrize("missing", ["settings", "command", "backend", "date"])
    def test_a_record_without_what_is_needed(self, run, capsys, missing):
        record = record_of(run)
        del record[missing]
        (run / "run.json").write_text(json.dumps(record))
        error = refused(capsys, "verify", run)
        assert f"does not hold what is needed ({missing}: expected a value, found none)" in error

    @pytest.mark.slow
    def test_each_damaged_field_is_reported_or_does_no_harm(self, samples, tmp_path, capsys):
        folder = tmp_path / "run"
        succeed("train", "--data", samples, *QUICK, "--out", folder)
        record = record_of(folder)
        del record["backend"]["modules"]
        weights = record["result"]["weights_sha256"]
        capsys.readouterr()
        for path in fields_of(record):
            for damage in (delete, put(None), put("x"), put(float("inf"))):
                (folder / "run.json").write_text(json.dumps(with_damage(record, path, damage)))
                code = main(["verify", str(folder), "--quiet"])
                out, err = capsys.readouterr()
                if code == 0:
                    assert (out, err) == (f"the same  {weights}\n", ""), path
                else:
                    assert (code, out) == (2, ""), path
                    assert err.startswith("cnn-core: error: "), path
                    assert err.count("\n") == 1, path

    def test_a_record_of_the_first_version_whose_command_meant_another_network(self, run, capsys):
        settings = record_of(run)["settings"]
        for name in ("preset", "optimizer"):
            del settings[name]
        change(run, format_version=1, settings={**settings, "learning_rate": 3.0})
        error = refused(capsys, "verify", run)
        assert "the recorded command means other settings in this version" in error
        assert "learning_rate 3.0 then, " in error
        assert "preset not recorded then, fast now" in error

    def test_a_model_that_does_not_hold_the_recorded_weights(self, run, capsys):
        change(run, result={**record_of(run)["result"], "weights_sha256": "0" * 64})
        error = refused(capsys, "verify", run)
        assert "model.safetensors does not hold the weights that run.json records" in error

    @pytest.mark.parametrize(
        "command",
        [["cnn-core", "bench"], ["cnn-core"], ["cnn-core", "train", "--no-such-option"]],
    )
    def test_a_command_that_this_version_does_not_know(self, run, capsys, command):
        change(run, command=command)
        assert "this version has no such command" in refused(capsys, "verify", run)

    def test_a_record_that_asks_for_help_verifies_nothing(self, run, capsys):
        change(run, command=["cnn-core", "train", "--help"])
        assert main(["verify", str(run)]) == 2
        assert "found the wish for help" in capsys.readouterr().err

    def test_an_interruption_says_nothing_of_the_run(self, made, capsys, monkeypatch):
        def fit(self):
            self.interrupted = True

        monkeypatch.setattr(training.Training, "fit", fit)
        assert main(["verify", str(made)]) == 130
        assert "nothing can be said of the run" in capsys.readouterr().err
