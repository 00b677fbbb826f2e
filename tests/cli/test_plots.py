"""The pictures are of the stated size, legible for what they show, and cut nothing off."""

from __future__ import annotations

import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from matplotlib import image

from cnn_core.cli.plots import plot_confusion, plot_curves, plot_gallery

NAMES = ("T-shirt/top", "Ankle boot", "a name that is far too long for a caption", "costs $5 or $6")


def slow(*values):
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


def pixels_of(path):
    """Return the colours of a picture, (height, width, 3), from 0 to 1."""
    return image.imread(path)[..., :3]


def has_white_frame(pixels, width=4):
    """Tell whether the outermost pixels are white, so that nothing reaches beyond them."""
    inside = np.zeros(pixels.shape[:2], bool)
    inside[width:-width, width:-width] = True
    return pixels[~inside].min() == 1


def red_pixels(pixels):
    red, green, blue = np.moveaxis(pixels, -1, 0)
    return np.count_nonzero((red > 0.6) & (green < 0.2) & (blue < 0.2))


def history(epochs):
    falling = list(0.5 * 0.9 ** np.arange(epochs))
    rising = [1 - value for value in falling]
    return {
        "loss": falling,
        "accuracy": rising,
        "validation_loss": [value + 0.02 for value in falling],
        "validation_accuracy": [value - 0.02 for value in rising],
        "seconds": [0.1] * epochs,
    }


@pytest.mark.parametrize("epochs", [1, *slow(2, 20), 1000])
@pytest.mark.parametrize("measured", ["test", "validation"])
def test_curves_fit_into_their_picture(tmp_path, epochs, measured):
    path = tmp_path / "curves.png"
    plot_curves(path, history(epochs), "a title", measured)
    pixels = pixels_of(path)
    assert pixels.shape[1] == 1200
    assert has_white_frame(pixels)


def test_the_axis_of_accuracies_has_no_number_above_1(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(
        "matplotlib.figure.Figure.savefig", lambda one, *_, **__: figures.append(one)
    )
    plot_curves(
        tmp_path / "curves.png", {"loss": [0.2, 0.1], "accuracy": [1.0, 1.0]}, "a title", "test"
    )
    (axes,) = (one for one in figures[0].axes if one.get_title() == "accuracy")
    least, most = axes.get_ylim()
    assert least < 1 < most
    assert all(tick <= 1 for tick in axes.get_yticks() if least <= tick <= most)


def test_a_learning_rate_that_changes_is_drawn_below(tmp_path):
    values = history(9)
    plot_curves(tmp_path / "constant.png", {**values, "learning_rate": [0.5] * 9}, "a", "test")
    changing = {**values, "learning_rate": values["loss"]}
    plot_curves(tmp_path / "changing.png", changing, "a", "test")
    constant, below = pixels_of(tmp_path / "constant.png"), pixels_of(tmp_path / "changing.png")
    plot_curves(tmp_path / "none.png", values, "a", "test")
    np.testing.assert_array_equal(constant, pixels_of(tmp_path / "none.png"))
    assert below.shape[0] > constant.shape[0]
    assert below.shape[1] == 1200
    assert has_white_frame(below)


def test_the_epoch_that_was_kept_is_marked_in_both_curves(tmp_path):
    values = history(9)
    del values["accuracy"]
    plot_curves(tmp_path / "plain.png", values, "a", "validation")
    plot_curves(tmp_path / "marked.png", values, "a", "validation", kept_epoch=4)
    plain, marked = pixels_of(tmp_path / "plain.png"), pixels_of(tmp_path / "marked.png")
    assert marked.shape == plain.shape
    for half in (np.s_[:, :600], np.s_[:, 600:]):
        assert (marked[half] != plain[half]).any(axis=2).sum() > 100


@pytest.mark.parametrize("classes", [2, *slow(10, 20, 60), 100])
def test_a_confusion_matrix_fits_into_its_picture(tmp_path, classes):
    confusion = np.random.default_rng(0).poisson(3, (classes, classes))
    confusion += 1234 * np.eye(classes, dtype=int)
    names = tuple(NAMES[k % 4] + str(k) for k in range(classes))
    path = tmp_path / "confusion.png"
    plot_confusion(path, confusion, names, "a title")
    pixels = pixels_of(path)
    assert pixels.shape[1] == 1200
    assert has_white_frame(pixels)


def test_a_class_without_test_samples_is_an_empty_row(tmp_path):
    path = tmp_path / "confusion.png"
    plot_confusion(path, np.array([[0, 0], [3, 4]]), ("none", "some"), "a title")
    assert np.isfinite(pixels_of(path)).all()


def test_rows_are_true_classes_and_columns_predicted_ones(tmp_path):
    """All of the first class are taken for the second: the dark cell is at the top right."""
    path = tmp_path / "confusion.png"
    plot_confusion(path, np.array([[0, 9], [0, 0]]), ("first", "second"), "a title")
    pixels = pixels_of(path)
    dark_blue = (pixels[..., 2] > 0.3) & (pixels[..., 0] < 0.1)
    # The bar that explains the colours is dark at its upper end as well.
    dark_blue[:, 1050:] = False
    rows, columns = np.nonzero(dark_blue)
    assert rows.mean() < pixels.shape[0] / 2 < columns.mean()


@pytest.mark.parametrize("shape", [(28, 28), (8, 8), (20, 60), (60, 20)])
def test_a_gallery_fits_into_its_picture(tmp_path, shape):
    images = np.random.default_rng(0).integers(0, 256, (8, *shape))
    truth = np.array([0, 1, 2, 3, 0, 1, 2, 3])
    path = tmp_path / "gallery.png"
    plot_gallery(path, images, truth, truth[::-1], NAMES, "a title", rows=2, columns=4)
    pixels = pixels_of(path)
    assert pixels.shape[1] == 1200
    assert has_white_frame(pixels)


def test_only_wrong_predictions_are_red(tmp_path):
    images = np.zeros((8, 8, 8))
    truth = np.zeros(8, int)
    path = tmp_path / "gallery.png"
    plot_gallery(path, images, truth, truth, NAMES, "a title", rows=2, columns=4)
    assert red_pixels(pixels_of(path)) == 0
    predicted = truth.copy()
    predicted[-1] = 1
    plot_gallery(path, images, truth, predicted, NAMES, "a title", rows=2, columns=4)
    pixels = pixels_of(path)
    assert red_pixels(pixels) > 50
    height, width = pixels.shape[:2]
    assert red_pixels(pixels[height // 2 :, 3 * width // 4 :]) == red_pixels(pixels)


def test_a_line_explains_red_captions_where_there_are_any(tmp_path):
    images = np.zeros((8, 8, 8))
    truth = np.ones(8, int)
    path = tmp_path / "gallery.png"

    def ink_at_the_bottom(predicted):
        plot_gallery(path, images, truth, predicted, NAMES, "a title", rows=2, columns=4)
        return np.count_nonzero(pixels_of(path)[-26:].min(axis=2) < 0.7)

    assert ink_at_the_bottom(truth) == 0
    assert ink_at_the_bottom(truth + np.eye(8, dtype=int)[0]) > 100


def test_fewer_images_than_places_leave_places_empty(tmp_path):
    path = tmp_path / "gallery.png"
    images = np.ones((3, 8, 8))
    plot_gallery(path, images, np.zeros(3, int), np.zeros(3, int), NAMES, "a", rows=1, columns=8)
    pixels = pixels_of(path)
    assert has_white_frame(pixels)
    assert pixels[pixels.shape[0] // 2, 600:].min() == 1


def test_the_settings_of_the_user_neither_matter_nor_change(tmp_path):
    plain, styled = tmp_path / "plain.png", tmp_path / "styled.png"
    plot_curves(plain, history(5), "a title", "test")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "text.color": "red"}):
        before = dict(matplotlib.rcParams)
        plot_curves(styled, history(5), "a title", "test")
        assert dict(matplotlib.rcParams) == before
    np.testing.assert_array_equal(pixels_of(plain), pixels_of(styled))


@pytest.mark.slow
def test_drawing_needs_no_display_and_leaves_pyplot_alone(tmp_path):
    program = (
        "import sys, numpy as np; from cnn_core.cli.plots import plot_confusion; "
        f"plot_confusion({str(tmp_path / 'c.png')!r}, np.eye(2), ('a', 'b'), 'a title'); "
        "print('matplotlib.pyplot' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert ended.stdout == "False\n"
