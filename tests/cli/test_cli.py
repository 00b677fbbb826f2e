"""The command line does what its help says, and refuses what it cannot do."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import sysconfig
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest

import cnn_core
from cnn_core import backends
from cnn_core.cli import console, main, sources
from cnn_core.cli import info as info_command
from cnn_core.data import DataNotFoundError, fashion_mnist, load_digits, load_fashion_mnist
from command_line import (
    PICTURES,
    RUN_FILES,
    in_shell,
    process,
    record_of,
    refused,
    rows_of,
    succeed,
)

COMMANDS = ("train", "find-lr", "evaluate", "predict", "verify", "article", "data", "info", "bench")


class TestMistakes:
    @pytest.mark.parametrize(
        ("typed", "expected"),
        [
            ("trian", "there is no command 'trian'; did you mean 'train'?"),
            (
                "zzz",
                "the commands are train, find-lr, tune, evaluate, report, watch, predict, export, "
                "verify, article, data, info, bench, completion",
            ),
            ("--verison", "--verison; did you mean --version? (see cnn-core --help)"),
            ("train iris.csv", "did you mean --data iris.csv? (see cnn-core train --help)"),
            ("train --hiden 5", "did you mean --hidden? (see cnn-core train --help)"),
            ("train --lr 0.1", "did you mean --learning-rate? (see cnn-core train --help)"),
            ("train --batch 32", "did you mean --batch-size? (see cnn-core train --help)"),
            ("train -ep 5", "did you mean --epochs? (see cnn-core train --help)"),
            ("evaluate x --bakend=numpy", "did you mean --backend? (see cnn-core evaluate --help)"),
            ("bench extra", "unrecognized arguments: extra (see cnn-core bench --help)"),
            ("train --data digits --preset nn --dropout 0.1", "--dropout has no effect on the"),
            ("train --data digits --preset nn --time-budget 1", "--time-budget has no effect"),
            ("train --data digits --preset nn --hidden 5,4", "one hidden layer, found 2; choose"),
            (
                "train --optimizer sgd --weight-decay 0.1",
                "--weight-decay has no effect on sgd; leave",
            ),
            ("train --weight-decay -1", "expected a number of at least 0, found '-1'"),
            ("find-lr --epochs 3", "unrecognized arguments: --epochs 3"),
            ("train --epochs 0", "--epochs: expected a whole number of at least 1, found '0'"),
            ("train --hidden abc", "with commas between them such as 512,256, found 'abc'"),
            ("train --hidden 5,0", "--hidden: expected the units of each hidden layer, whole"),
            ("train --preset quick", "or nn, found 'quick'"),
            ("train --dropout 1", "--dropout: expected a number from 0 to below 1, found '1'"),
            ("train --time-budget 0", "--time-budget: expected a number above 0, found '0'"),
            ("train --patience 0", "--patience: expected a whole number of at least 1"),
            ("train --activation softmax", "found 'softmax'"),
            ("train --batch-size 1.5", "--batch-size: expected a whole number"),
            ("train --learning-rate nan", "expected a number above 0, found 'nan'"),
            ("train --threads 0", "--threads: expected a whole number from 1 to"),
            ("train --seed -1", "expected a whole number from 0 to 4294967295, found '-1'"),
            ("train --validation-share 1", "a share above 0 and at most 0.5, found '1'"),
            ("train --backend fast", "found 'fast'"),
            ("train --data fashion-mnits", "did you mean fashion-mnist?"),
            ("train --data nowhere.csv", "nowhere.csv: no such file"),
            ("train --data /", "found the folder /"),
            ("train --data x.npy", "name the file of their classes with --labels"),
            ("train --data x.npz --target y", "--target belongs to a table, such as .csv"),
            ("train --data x.csv --labels y.npy", "--labels belongs to an .npy or IDX file"),
            ("train --data x.npz --no-header", "--header and --no-header belong to a table"),
            ("train --data digits --data-folder x", "--data-folder belongs to fashion-mnist"),
            ("train --data-folder /nowhere", "not found in /nowhere"),
            ("evaluate", "required: RUN"),
            ("evaluate /nowhere", "expected the folder of a run of cnn-core train, found nothing"),
            ("evaluate /", "found one without run.json and model.safetensors"),
            ("predict /nowhere x.csv", "found nothing"),
            ("article --epochs 0", "--epochs: expected a whole number of at least 1"),
            ("bench --samples 0", "--samples: expected a whole number from 1 to 60000"),
            (
                "data nowhere",
                "expected fashion-mnist, digits, - for standard input, or a file",
            ),
        ],
    )
    def test_each_is_refused_in_one_clear_line(
        self, capsys, tmp_path, monkeypatch, typed, expected
    ):
        monkeypatch.chdir(tmp_path)
        assert expected in refused(capsys, *typed.split())
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("1,2,0.5\n3,4,0.25\n", "expected classes, whole numbers or names, found 0.5"),
            ("1,2,7\n3,4,8\n5,6,9\n7,8,10\n", "4 different targets for 4 samples"),
            ("1,2,7\n3,4,7\n", "expected at least two classes, found '7'"),
            ("1,2,0\n3,4,1\n5,6,1\n", "class '0' has one sample only"),
            ("1,2,0\n3,,1\n", "in column 'column 2', found an empty cell on line 2"),
            ("1,2,yes\n3,4,no\n", "class 'no' has one sample only"),
            ("a,kind,b\n1,x,2\n3,y,4\n", "target: 'b', the last column (--target)"),
            ("a,kind,b\n1,x,2\n3,y,4\n", "--model tables also takes text"),
        ],
    )
    def test_a_table_without_classes_to_learn(self, capsys, tmp_path, text, expected):
        path = tmp_path / "table.csv"
        path.write_text(text)
        out = tmp_path / "run"
        command = ("train", "--data", path, "--model", "mlp", "--out", out)
        assert expected in refused(capsys, *command)
        assert not out.exists()

    def test_a_file_that_is_no_archive(self, capsys, tmp_path):
        path = tmp_path / "data.npz"
        path.write_bytes(b"no archive")
        assert "data.npz: expected" in refused(capsys, "train", "--data", path)

    def test_samples_of_another_size_than_the_run_was_trained_on(
        self, capsys, digits_run, tmp_path
    ):
        np.save(tmp_path / "x.npy", np.zeros((3, 4)))
        error = refused(capsys, "predict", digits_run, tmp_path / "x.npy")
        assert "expected samples of 64 features, as the run was trained on, found 4" in error

    @pytest.mark.parametrize(
        "damage",
        [
            lambda record: "{",
            lambda record: "[]",
            lambda record: "null",
            lambda record: json.dumps({**record, "format": "other"}),
            lambda record: json.dumps({**record, "format_version": 99}),
            lambda record: json.dumps({**record, "class_names": ["a"]}),
            lambda record: json.dumps({**record, "preprocessing": {"offset": [1], "scale": 2}}),
            lambda record: json.dumps(
                {**record, "preprocessing": {**record["preprocessing"], "in_network": "no"}}
            ),
            lambda record: json.dumps(
                {**record, "preprocessing": {**record["preprocessing"], "offset": 1.0}}
            ),
            lambda record: json.dumps({key: record[key] for key in record if key != "data"}),
        ],
    )
    def test_a_damaged_record_is_refused(self, capsys, digits_run, tmp_path, damage):
        model = (digits_run / "model.safetensors").read_bytes()
        (tmp_path / "model.safetensors").write_bytes(model)
        (tmp_path / "run.json").write_text(damage(record_of(digits_run)))
        assert "run.json" in refused(capsys, "evaluate", tmp_path)

    def test_a_model_that_knows_no_classes_is_refused(self, capsys, digits_run, tmp_path):
        (tmp_path / "run.json").write_bytes((digits_run / "run.json").read_bytes())
        regressor = cnn_core.MLPRegressor(hidden_layer_sizes=2, max_iter=1, schedule="constant")
        regressor.fit(np.eye(64), np.arange(64.0)).save(tmp_path / "model.safetensors")
        error = refused(capsys, "evaluate", tmp_path)
        assert "model.safetensors: expected a network for classes, found MLPRegressor" in error

    def test_a_truncated_model_is_refused(self, capsys, digits_run, tmp_path):
        (tmp_path / "run.json").write_bytes((digits_run / "run.json").read_bytes())
        model = (digits_run / "model.safetensors").read_bytes()
        (tmp_path / "model.safetensors").write_bytes(model[:-1])
        assert "truncated" in refused(capsys, "evaluate", tmp_path)

    @pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's own words about the overflow
    def test_a_learning_rate_that_ends_in_infinity(self, capsys, tmp_path):
        arguments = ["--data", "digits", "--learning-rate", "1e30", "--quiet"]
        error = refused(capsys, "train", *arguments, "--out", tmp_path / "run")
        assert "learning rate (it was 1e+30)" in error
        assert list(tmp_path.iterdir()) == []


class TestFindLearningRate:
    @pytest.mark.parametrize("preset", ["fast", "nn"])
    def test_a_rate_is_suggested_from_what_was_tried(self, tmp_path, preset):
        folder = tmp_path / "rates"
        arguments = ("--data", "digits", "--preset", preset, "--hidden", 20, "--out", folder)
        printed = succeed("find-lr", *arguments)
        rows = rows_of(folder / "rates.csv")
        rates = [float(row["learning_rate"]) for row in rows]
        assert rates == sorted(rates)
        assert len(rates) > 50
        suggestion = float(re.search(r"--learning-rate ([\d.e-]+),", printed)[1])
        assert rates[0] < suggestion < rates[-1]
        losses = [float(row["smoothed"]) for row in rows]
        assert min(losses) < 0.9 * losses[0]
        assert f"64-20-10, {'relu' if preset == 'fast' else 'sigmoid'} (preset {preset})" in printed
        assert {path.name for path in folder.iterdir()} == {"rates.csv", "rates.png"}

    def test_a_rate_is_suggested_in_one_line(self, tmp_path, capsys):
        arguments = ("--data", "digits", "--no-plots", "--quiet", "--out", tmp_path / "rates")
        printed = succeed("find-lr", *arguments)
        assert re.fullmatch(r"learning rate [\d.e-]+  \S+/rates\n", printed)
        assert capsys.readouterr().err == ""
        assert [path.name for path in (tmp_path / "rates").iterdir()] == ["rates.csv"]


class TestMissingPackages:
    @pytest.mark.parametrize(
        ("typed", "module", "package"),
        [
            ("train", "matplotlib", "matplotlib"),
            ("train", "sklearn", "scikit-learn"),
            ("train", "rich", "rich"),
            ("article", "matplotlib", "matplotlib"),
            ("evaluate nowhere", "sklearn", "scikit-learn"),
            ("data digits", "sklearn", "scikit-learn"),
        ],
    )
    def test_a_command_says_what_to_install(self, capsys, monkeypatch, typed, module, package):
        monkeypatch.setitem(sys.modules, module, None)
        error = refused(capsys, *typed.split())
        assert package in error
        assert 'pip install "cnn-core[app]"' in error

    def test_several_of_them_are_enumerated(self, capsys, monkeypatch):
        for module in ("rich", "sklearn", "matplotlib"):
            monkeypatch.setitem(sys.modules, module, None)
        assert "rich, scikit-learn and matplotlib, which are" in refused(capsys, "train")

    def test_pictures_are_only_needed_if_they_are_drawn(self, monkeypatch, tmp_path):
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        arguments = ("--data", "digits", "--epochs", 1, "--no-plots", "--quiet")
        succeed("train", *arguments, "--out", tmp_path / "run")
        assert (tmp_path / "run" / "model.safetensors").exists()

    def test_info_and_predict_need_none_of_them(self, monkeypatch, digits_run, tmp_path):
        np.save(tmp_path / "x.npy", load_digits().x_test[:2])
        for module in ("matplotlib", "sklearn", "rich", "pooch", "platformdirs"):
            monkeypatch.setitem(sys.modules, module, None)
        assert "backend" in succeed("info")
        assert succeed("predict", digits_run, tmp_path / "x.npy").startswith("sample,class\n0,")


class TestInformation:
    def test_info_reports_what_computes(self):
        info = cnn_core.backend_info()
        printed = succeed("info")
        assert info["isa"] in printed
        assert all(path in printed for path in info["modules"].values())
        assert json.loads(succeed("info", "--json")) == info
        numpy_info = backends.backend_info("numpy")
        assert json.loads(succeed("info", "--json", "--backend", "numpy")) == numpy_info

    def test_info_is_silent_about_a_processor_that_was_not_detected(self, monkeypatch):
        pure = {**cnn_core.backend_info("numpy"), "isa_detected": []}
        monkeypatch.setattr(info_command, "backend_info", lambda backend: pure)
        assert "processor" not in succeed("info")

    def test_each_place_is_named_once_if_fashion_mnist_is_nowhere(self, monkeypatch, capsys):
        def nowhere(folder, report):
            report("/one: no such folder")
            report("/two: no such folder")
            raise DataNotFoundError("Tried:\n  - /one: no such folder\n  - /two: ...\nGet it.")

        monkeypatch.setattr(sources, "load_fashion_mnist", nowhere)
        assert main(["data"]) == 2
        assert capsys.readouterr().err.splitlines() == [
            "cnn-core: note: looking for Fashion-MNIST",
            "cnn-core: note: tried /one: no such folder",
            "cnn-core: note: tried /two: no such folder",
            "cnn-core: error: Fashion-MNIST was found in none of these places. Get it.",
        ]
        assert main(["train", "--quiet"]) == 2
        assert capsys.readouterr().err.count("/one") == 1

    def test_data_reports_where_fashion_mnist_is_and_what_it_holds(self):
        printed = succeed("data")
        assert load_fashion_mnist().source in printed
        assert all(file.sha256 in printed for file in fashion_mnist.FILES)
        assert re.search(r"Ankle boot +6,000 +1,000", printed)

    def test_data_reports_the_same_of_a_file(self, flowers):
        printed = succeed("data", flowers, "--target", "kind")
        assert re.search(r"tulip +16 +4", printed)
        assert hashlib.sha256(flowers.read_bytes()).hexdigest() in printed

    def test_no_command_prints_the_help(self):
        printed = succeed()
        assert printed == succeed("--help") == succeed("help")
        assert succeed("help", "train") == succeed("train", "--help")
        for command in COMMANDS:
            assert re.search(rf"^ +{command} ", printed, re.MULTILINE)

    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_has_a_help(self, command):
        assert succeed(command, "--help").startswith(f"usage: cnn-core {command}")

    def test_the_version(self):
        expected = f"cnn-core {cnn_core.__version__}\n"
        assert succeed("--version") == succeed("version") == expected

    def test_a_path_below_the_current_folder_is_shown_as_it_would_be_typed(
        self, tmp_path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        assert console.short_path(tmp_path / "runs" / "x") == "runs/x"
        assert console.short_path("/somewhere/else") == "/somewhere/else"


class TestProcess:
    def test_a_mistake_ends_with_exit_code_2_and_no_traceback(self):
        ended = process("trian")
        assert ended.returncode == 2
        assert ended.stdout == ""
        assert ended.stderr == (
            "cnn-core: error: there is no command 'trian'; did you mean 'train'?\n"
        )

    def test_a_reader_that_goes_away_is_no_error(self):
        reader, writer = os.pipe()
        os.close(reader)
        with open(writer, "w") as closed:
            ended = subprocess.run(
                [sys.executable, "-m", "cnn_core", "info", "--backend", "numpy"],
                stdout=closed,
                stderr=subprocess.PIPE,
                text=True,
                timeout=60,
            )
        assert ended.returncode == 141
        assert ended.stderr == ""

    @pytest.mark.parametrize(
        ("redirection", "code", "said"),
        [
            (">&-", 2, "standard output: Bad file descriptor; the run folder is complete: run"),
            pytest.param(
                *(">/dev/full", 2, "standard output: No space left on device; the run folder is"),
                marks=pytest.mark.slow,
            ),
            pytest.param("2>&-", 0, "", marks=pytest.mark.slow),
            pytest.param("2>/dev/full", 0, "", marks=pytest.mark.slow),
            pytest.param("<&- >&- 2>&-", 2, "", marks=pytest.mark.slow),
        ],
    )
    def test_no_training_is_lost_because_its_output_cannot_be_written(
        self, tmp_path, redirection, code, said
    ):
        command = "-m cnn_core train --data digits --epochs 2 --no-plots --out run"
        ended = in_shell(f'"$PYTHON" {command} {redirection}', tmp_path)
        assert ended.returncode == code
        assert said in ended.stderr
        assert "Traceback" not in ended.stderr
        assert "Exception ignored" not in ended.stderr
        assert {path.name for path in (tmp_path / "run").iterdir()} == RUN_FILES - PICTURES

    @pytest.mark.parametrize("command", ["info --backend numpy", "--help"])
    @pytest.mark.parametrize("redirection", [">&-", ">/dev/full"])
    def test_a_result_that_cannot_be_printed_is_an_error(self, tmp_path, command, redirection):
        ended = in_shell(f'"$PYTHON" -m cnn_core {command} {redirection}', tmp_path)
        assert ended.returncode == 2
        assert re.fullmatch(r"cnn-core: error: standard output: [\w ]+\n", ended.stderr)

    def test_importing_the_command_line_imports_no_optional_package(self):
        program = (
            "import sys, cnn_core.cli; cnn_core.cli.main(['info', '--backend', 'numpy']); "
            "print([m for m in ('matplotlib', 'sklearn', 'rich', 'pooch', 'platformdirs', 'scipy')"
            " if m in sys.modules], file=sys.stderr)"
        )
        ended = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
        )
        assert ended.stderr == "[]\n"

    def test_the_installed_command_is_the_same_as_the_module(self):
        if not entry_points(group="console_scripts", name="cnn-core"):
            pytest.skip("the package runs from its sources, where there is no command")
        command = Path(sysconfig.get_path("scripts")) / "cnn-core"
        ended = subprocess.run(
            [command, "info", "--json"], capture_output=True, text=True, timeout=60
        )
        assert ended.stdout == process("info", "--json").stdout
        assert ended.returncode == 0
