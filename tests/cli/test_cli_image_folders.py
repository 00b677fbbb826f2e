"""Folders of images are learned, evaluated, verified and predicted on the command line."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

import cnn_core
from command_line import accuracy_in, record_of, refused, succeed

QUICK = ("--epochs", 8, "--batch-size", 8, "--quiet", "--no-plots")
NAMES = ("blue", "red", "red stripes")


def paint(path, kind, rng, size=(8, 8)):
    """Write an image that is easily told from those of the other kinds."""
    pixels = rng.integers(0, 60, (*size, 3)).astype(np.uint8)
    pixels[:: 2 if kind == 2 else 1, :, 2 if kind == 0 else 0] += 180
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path, rng = tmp_path_factory.mktemp("painted") / "colours", np.random.default_rng(0)
    for part, count in (("train", 24), ("test", 5)):
        for number in range(count):
            for kind, name in enumerate(NAMES):
                paint(path / part / name / f"{number:02}.png", kind, rng)
    return path


@pytest.fixture(scope="module")
def run(folder):
    out = folder.parent / "run"
    succeed("train", "--images", folder, *QUICK, "--out", out)
    return out


def predicted(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_a_folder_is_learned_by_a_network_for_images(folder, run):
    record = record_of(run)
    data = record["data"]
    assert record["settings"]["preset"] == "image"
    assert record["class_names"] == list(NAMES)
    assert (data["name"], data["image_shape"]) == ("colours", [8, 8, 3])
    assert (data["training_samples"], data["test_samples"]) == (72, 15)
    assert record["result"]["test_accuracy"] == 1
    assert not cnn_core.load(run / "model.safetensors").mirror


def test_the_run_is_evaluated_and_verified(folder, run):
    assert accuracy_in(succeed("evaluate", run)) == 1
    assert succeed("verify", run, "--quiet").startswith("the same")
    # Another folder, of the same classes.
    printed = succeed("evaluate", run, "--images", folder / "test")
    assert "15 samples: all samples of" in printed
    assert "15 x 8 x 8" in succeed("data", folder)


def test_images_and_folders_are_predicted_by_their_names(folder, run, tmp_path, capsys):
    rows = predicted(succeed("predict", run, folder / "test"))
    assert [row["image"] for row in rows] == [
        str(folder / "test" / name / f"{number:02}.png") for name in NAMES for number in range(5)
    ]
    assert [row["class"] for row in rows] == [name for name in NAMES for _ in range(5)]
    one = folder / "test" / "red" / "00.png"
    (document,) = json.loads(succeed("predict", run, one, "--json"))["predictions"]
    assert (document["image"], document["predicted"]) == (str(one), "red")
    assert float(predicted(succeed("predict", run, one, "--outputs"))[0]["red"]) > 0.5
    paint(tmp_path / "large.png", 0, np.random.default_rng(1), (20, 30))
    error = refused(capsys, "predict", run, one, tmp_path / "large.png")
    assert "large.png: expected an image of 8x8 pixels" in error
    assert "found 30x20; --size 8x8 resizes them all" in error
    large = predicted(succeed("predict", run, tmp_path / "large.png", "--size", "8x8"))
    assert [row["class"] for row in large] == ["blue"]


def test_images_of_several_sizes_are_resized_as_in_training(folder, tmp_path):
    rng, mixed, out = np.random.default_rng(2), tmp_path / "mixed", tmp_path / "run"
    for number in range(12):
        for kind, name in enumerate(NAMES):
            paint(mixed / name / f"{number}.png", kind, rng, (8 + number, 10))
    arguments = ("--data", mixed, "--size", "6x4", "--preset", "fast")
    succeed("train", *arguments, *QUICK, "--out", out)
    assert record_of(out)["data"]["image_shape"] == [4, 6, 3]
    assert "held out in training" in succeed("evaluate", out)
    assert "45 samples" not in succeed("evaluate", out, "--data", folder / "test")
    assert len(predicted(succeed("predict", out, mixed / "red"))) == 12
    assert 'size = "6x4"' in (out / "run.toml").read_text(encoding="utf-8")


def test_changed_images_are_noticed(folder, tmp_path, capsys):
    rng, own, out = np.random.default_rng(3), tmp_path / "own", tmp_path / "run"
    for number in range(10):
        for kind in range(2):
            paint(own / NAMES[kind] / f"{number}.png", kind, rng)
    succeed("train", "--images", own, *QUICK, "--out", out)
    paint(own / "red" / "0.png", 0, rng)
    assert "has changed since the training" in refused(capsys, "evaluate", out)
    assert "SHA-256 of own" in refused(capsys, "verify", out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--images", "nowhere"), "nowhere"),
        (("--images", ".", "--target", "kind"), "--target belongs to a table"),
        (("--images", ".", "--data", "digits"), "not allowed with argument"),
        (("--images", ".", "--model", "tables"), "--model tables learns tables"),
        (("--images", ".", "--size", "32"), "--size: expected the width and the height"),
        (("--data", "digits", "--size", "4x4"), "--size belongs to a folder of images"),
        (("--images", "."), "two classes, found none"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, "train", *arguments)


def test_a_run_on_other_samples_takes_no_images(run, flowers, tmp_path, capsys):
    image = next((run.parent / "colours").rglob("*.png"))
    common = ("--data", flowers, "--epochs", 1, "--no-plots", "--quiet", "--model", "mlp")
    succeed("train", *common, "--target", "kind", "--out", tmp_path / "run")
    error = refused(capsys, "predict", tmp_path / "run", image)
    assert "expected a run on images, found one on other samples" in error
    assert "expected one file, or PNG and JPEG" in refused(
        capsys, "predict", tmp_path / "run", flowers, flowers
    )
