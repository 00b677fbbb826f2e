"""The page of a run: what it computes, and that names from the data stay names."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from cnn_core import Conv2D, Dense, Model, Network
from cnn_core.cli.pages import charts
from cnn_core.cli.pages.classes import class_results
from cnn_core.cli.pages.contents import Contents, History, Tile
from cnn_core.cli.pages.importance import permutation_importance
from cnn_core.cli.pages.numbers import number_results
from cnn_core.cli.pages.pictures import diverging, image_grid, png
from cnn_core.cli.pages.rendering import report_page
from cnn_core.cli.pages.samples import ImageSamples, TableSamples
from cnn_core.cli.pages.weights import weight_pictures
from hostile_names import NAMES

HARMLESS = ("data:image/png;base64,", "#")


class Elements(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, page):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def named(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


def rows(n, n_columns, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, n_columns))
    return x, TableSamples(list(x.T), tuple(f"c{i}" for i in range(n_columns)))


def probabilities(n, k, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(k), size=n)


@pytest.fixture
def hostile_page():
    k = len(NAMES)
    x = np.random.default_rng(0).normal(size=(200, k))
    y = np.random.default_rng(1).integers(0, k, 200)
    samples = TableSamples([*x.T[:-1], np.array(NAMES)[y]], NAMES)
    contents = Contents(
        title=NAMES[0],
        sentence=NAMES[1],
        tiles=[Tile(NAMES[0], NAMES[2])],
        history=History({"loss": [2.0, 1.0], "validation_loss": [2.0, 1.5]}),
        classes=class_results(probabilities(200, k), y, NAMES, samples),
        numbers=number_results(x[:, 0], x[:, 1], NAMES[0], samples),
        importance=permutation_importance(
            x, x[:, 0], NAMES, lambda a, b: np.mean((a[:, 0] - b) ** 2)
        ),
        facts={NAMES[0]: [(NAMES[1], NAMES[2])]},
        commands=[(NAMES[0], NAMES[3])],
        notes=[NAMES[3]],
    )
    return report_page(contents)


def test_nothing_in_a_name_is_read_as_markup(hostile_page):
    page = Elements(hostile_page)
    tags = {tag for tag, _ in page.found}
    assert tags.isdisjoint({"script", "iframe", "object", "link", "base", "form"})
    # The tiles are the only bold text.
    assert len(page.named("b")) == 1
    for _, attributes in page.found:
        assert not any(name.startswith("on") for name in attributes)
    assert NAMES[0] in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "&lt;escaped&gt;" in page.text
    assert "\u202e" not in hostile_page
    assert "\x1b" not in hostile_page


def test_a_page_asks_nothing_of_the_network(hostile_page):
    page = Elements(hostile_page)
    for _, attributes in page.found:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            if name in attributes:
                assert attributes[name].startswith(HARMLESS)
    policy = next(a for a in page.named("meta") if "http-equiv" in a)["content"]
    assert policy.startswith("default-src 'none'")
    assert "url(" not in re.search("<style>(.*?)</style>", hostile_page, re.DOTALL)[1]


def test_each_cell_of_the_matrix_opens_the_samples_behind_it():
    _, samples = rows(60, 3)
    y = np.repeat([0, 1, 2], 20)
    found = class_results(probabilities(60, 3), y, ("a", "b", "c"), samples)
    page = Elements(report_page(Contents("t", "s", classes=found)))
    targets = [a["popovertarget"] for a in page.named("button") if "cell" in a.get("class", "")]
    opened = [a["id"] for a in page.named("div") if "popover" in a]
    assert sorted(targets) == sorted(opened)
    assert len(targets) == sum(bool(cell.count) for row in found.matrix for cell in row)


def test_counts_and_shares_of_the_classes():
    p = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.4, 0.6]])
    found = class_results(p, np.array([0, 0, 1, 1]), ("a", "b"), rows(4, 2)[1])
    assert [[cell.count for cell in row] for row in found.matrix] == [[1, 1], [1, 1]]
    assert found.wrong == 2
    assert [m.number for m in found.mistakes] == [1, 2]
    assert found.mistakes[0].predicted == "b"
    assert found.mistakes[0].probability == 0.8
    assert found.mistakes[0].of_truth == 0.2
    first = found.rows[0]
    assert (first.precision, first.recall, first.f1) == (0.5, 0.5, 0.5)
    assert (first.taken_for, first.taken_count) == ("b", 1)


def test_probabilities_that_are_true_have_no_calibration_error():
    p = np.tile([0.75, 0.25], (400, 1))
    y = np.repeat([0, 0, 0, 1], 100)
    found = class_results(p, y, ("a", "b"), rows(400, 2)[1]).calibration
    assert found.counts == (400,)
    assert found.error == pytest.approx(0, abs=1e-12)
    assert class_results(p, 1 - y, ("a", "b"), rows(400, 2)[1]).calibration.error == pytest.approx(
        0.5
    )


def test_a_class_that_is_never_predicted_has_no_precision():
    found = class_results(
        np.array([[1.0, 0.0]] * 3), np.array([0, 1, 1]), ("a", "b"), rows(3, 1)[1]
    )
    assert found.rows[1].precision is None
    assert found.rows[1].recall == 0
    assert "a" in report_page(Contents("t", "s", classes=found))


def test_of_many_classes_the_largest_confusions_are_listed():
    k = 40
    names = tuple(f"class {i}" for i in range(k))
    found = class_results(probabilities(500, k), np.arange(500) % k, names, rows(500, 2)[1])
    assert found.matrix == []
    counts = [cell.count for cell in found.confusions]
    assert counts == sorted(counts, reverse=True)
    assert 0 < len(counts) <= 60
    assert 'popovertarget="cell-' in report_page(Contents("t", "s", classes=found))


def test_without_a_mistake_none_is_shown():
    found = class_results(np.eye(3)[[0, 1, 2]], np.arange(3), ("a", "b", "c"), rows(3, 2)[1])
    page = report_page(Contents("t", "s", classes=found))
    assert found.mistakes == []
    assert "surest mistakes" not in page


def test_scores_of_numbers_are_those_of_scikit_learn():
    from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

    x, samples = rows(50, 2)
    intervals = np.column_stack([x[:, 0] - 1, x[:, 0] + 1])
    found = number_results(x[:, 0], x[:, 1], "y", samples, intervals=intervals, coverage=0.9)
    assert found.r2 == pytest.approx(r2_score(x[:, 1], x[:, 0]))
    assert found.rmse == pytest.approx(root_mean_squared_error(x[:, 1], x[:, 0]))
    assert found.mae == pytest.approx(mean_absolute_error(x[:, 1], x[:, 0]))
    assert found.covered == np.mean(np.abs(x[:, 0] - x[:, 1]) <= 1)
    assert np.abs(found.residuals).argmax() == found.misses[0].number
    assert "Residuals" in report_page(Contents("t", "s", numbers=found))


@pytest.mark.parametrize("value", [0.0, 5.0])
def test_targets_that_are_all_alike_can_be_drawn(value):
    found = number_results(np.full(9, value), np.full(9, value), "y", rows(9, 2)[1])
    assert np.isnan(found.r2)
    assert "<svg" in report_page(Contents("t", "s", numbers=found))


@pytest.mark.parametrize(
    "losses",
    [[1.0], [1.0, 1.0], [0.0] * 3, [1e-9, 2e-9], [float("inf"), 1.0], list(range(5000, 0, -1))],
)
def test_any_history_can_be_drawn(losses):
    page = report_page(
        Contents("t", "s", history=History({"loss": losses, "learning_rate": losses}))
    )
    points = re.search(r'<polyline class="line train" points="([^"]*)"', page)[1].split()
    assert 1 <= len(points) <= 402
    for point in points:
        x, y = map(float, point.split(","))
        assert 0 <= x <= charts.WIDTH
        assert 0 <= y <= charts.HEIGHT


def test_a_column_that_decides_is_the_most_important_one():
    x, _ = rows(300, 4)
    found = permutation_importance(
        x, x[:, 2], ("a", "b", "c", "d"), lambda a, b: np.mean((a[:, 2] - b) ** 2)
    )
    assert found.names[0] == "c"
    assert found.means[0] == pytest.approx(2 * x[:, 2].var(), rel=0.3)
    assert set(found.means[1:]) == {0.0}
    assert (
        permutation_importance(np.zeros((5, 201)), np.zeros(5), ("",) * 201, lambda a, b: 0) is None
    )


@pytest.mark.parametrize("shape", [(3, 5), (4, 2, 3)])
def test_a_png_holds_the_pixels(shape):
    from matplotlib.image import imread

    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    found = np.rint(imread(io.BytesIO(png(pixels))) * 255).astype(np.uint8)
    assert np.array_equal(found, pixels)


def test_images_stand_side_by_side():
    from matplotlib.image import imread

    images = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((2, 3), np.uint8)
    grid = image_grid(images, 2)
    assert (grid.width, grid.height, grid.shown) == (7, 8, 5)
    code = grid.address.removeprefix("data:image/png;base64,")
    found = np.rint(imread(io.BytesIO(base64.b64decode(code))) * 255)
    assert found[3, 0] == 2
    assert found[7, 6] == 255


def test_zero_is_white_and_the_signs_differ():
    zero, below, above = diverging(np.array([0.0, -1.0, 1.0]), 1.0).astype(int)
    assert min(zero) > 240
    assert below[2] > below[0]
    assert above[0] > above[2]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_images_are_dark_on_white(dtype):
    images = np.zeros((2, 4, 4), dtype)
    images[:, 1, 1] = 255 if dtype == np.uint8 else 3.5
    shown = ImageSamples(images).show(np.array([1, 0, 1]), 2)
    assert (shown.of, shown.count) == (3, 2)


def test_the_most_important_columns_are_shown_first():
    x, _ = rows(3, 20)
    shown = TableSamples(list(x.T), tuple(map(str, range(20))), first=(7, 3)).show(np.arange(3), 2)
    assert shown.table.columns[:3] == ("7", "3", "0")
    assert (len(shown.table.columns), shown.table.left_out, shown.count) == (12, 8, 2)


def test_weights_of_the_first_layer_are_images():
    dense = Model(Network((Dense(16, 40), Dense(40, 2, "softmax"))))
    found = weight_pictures(dense, (4, 4))
    assert (found.kind, found.of, found.images.shown) == ("units", 40, 32)
    table = weight_pictures(dense, None, tuple(map(str, range(16))))
    assert (table.kind, table.images.height, table.images.width) == ("table", 16, 40)
    assert weight_pictures(dense, None) is None
    convolution = Conv2D((6, 6, 1), 5, 3)
    filters = Model(Network((convolution, Dense(convolution.fan_out, 2, "softmax"))))
    found = weight_pictures(filters, (6, 6))
    assert (found.kind, found.of, found.images.height) == ("filters", 5, 3)
