"""The displays show what was learned, as scikit-learn's do; only drawing needs matplotlib."""

from __future__ import annotations

import subprocess
import sys

import matplotlib
import numpy as np
import pytest

import cnn_core
from cnn_core import (
    NN,
    ConfusionDisplay,
    Conv2D,
    Dense,
    HistoryDisplay,
    MLPClassifier,
    MLPRegressor,
    Model,
    Network,
    PredictionDisplay,
    WeightsDisplay,
    plot_confusion,
    plot_history,
    plot_weights,
)

matplotlib.use("agg")


@pytest.fixture(autouse=True)
def _closed():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


@pytest.fixture(scope="module")
def samples():
    random = np.random.default_rng(0)
    X = random.normal(size=(60, 16))
    return X, np.where(X[:, 0] > 0, "yes", "no")


@pytest.fixture(scope="module")
def classifier(samples):
    X, y = samples
    model = MLPClassifier((8,), max_iter=4, schedule="one_cycle", random_state=0)
    return model.fit(X[:40], y[:40], eval_set=(X[40:], y[40:]))


def test_the_history_is_drawn_as_it_is(classifier):
    shown = plot_history(classifier)
    loss, validation_loss, score = shown.lines_
    assert list(loss.get_ydata()) == classifier.model_.history["loss"]
    assert list(validation_loss.get_ydata()) == classifier.validation_loss_curve_
    assert list(score.get_ydata()) == classifier.validation_scores_
    assert [axes.get_title() for axes in shown.ax_] == ["loss", "accuracy"]
    assert list(loss.get_xdata()) == [1, 2, 3, 4]


def test_the_confusion_matrix_is_scikit_learns(classifier, samples):
    from sklearn.metrics import confusion_matrix

    X, y = samples
    shown = plot_confusion(classifier, X, y)
    assert np.array_equal(shown.confusion, confusion_matrix(y, classifier.predict(X)))
    assert shown.display_labels == ["no", "yes"]
    texts = [int(text.get_text()) for text in shown.ax_.texts]
    assert sum(texts) == len(y)


def test_outputs_of_a_small_network_are_classes_too(samples):
    X, y = samples
    labels = (y == "yes").astype(int)
    net = NN(16, 4, 2, 1.0, 2, seed=0).fit(X, labels)
    shown = net.plot(X, labels)[1]
    assert shown.confusion.sum() == 60
    assert shown.confusion.shape == (2, 2)


def test_a_model_plots_its_history_and_what_it_predicts(classifier, samples):
    X, y = samples
    assert isinstance(classifier.plot(), HistoryDisplay)
    history, confusion = classifier.plot(X, y)
    assert isinstance(history, HistoryDisplay)
    assert isinstance(confusion, ConfusionDisplay)
    with pytest.raises(ValueError, match="X, y: expected both or neither"):
        classifier.plot(X)


def test_a_regression_shows_predictions_and_residuals(samples):
    X, _ = samples
    model = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, schedule="one_cycle", random_state=0)
    _, shown = model.fit(X, X[:, 1]).plot(X, X[:, 1])
    assert isinstance(shown, PredictionDisplay)
    left, right = (axes.collections[0].get_offsets() for axes in shown.ax_)
    assert np.allclose(left[:, 1], model.predict(X))
    assert np.allclose(right[:, 1], X[:, 1] - model.predict(X))


def test_the_weights_of_a_unit_are_an_image(classifier):
    shown = plot_weights(classifier, n_units=3)
    assert len(shown.ax_) == 3
    strength = np.linalg.norm(classifier.coefs_[0], axis=0)
    first = shown.ax_[0].images[0].get_array()
    assert np.allclose(first, classifier.coefs_[0][:, strength.argmax()].reshape(4, 4))
    wide = plot_weights(classifier, image_shape=(2, 8))
    assert wide.ax_[0].images[0].get_array().shape == (2, 8)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_filters_of_a_convolution_are_images(channels):
    layer = Conv2D((6, 6, channels), 5, 3)
    model = Model(Network((layer, Dense(layer.fan_out, 2, "softmax")), loss="cross_entropy"))
    model.initialize("he_uniform", np.random.RandomState(0))
    shown = WeightsDisplay.from_estimator(model)
    assert shown.images.shape == (5, 3, 3, channels)
    assert np.array_equal(
        shown.images[2], model.layers[0].weights.reshape(3, 3, channels, 5)[..., 2]
    )


def test_it_is_drawn_where_it_is_asked_for(classifier, samples):
    from matplotlib import pyplot

    figure, drawn = pyplot.subplots(1, 3)
    assert plot_history(classifier, ax=drawn[:2]).figure_ is figure
    shown = plot_confusion(classifier, *samples, ax=drawn[2], display_labels=["$no$", "<b>"])
    assert shown.ax_ is drawn[2]
    figure.savefig("/dev/null", format="png")
    with pytest.raises(ValueError, match="ax: expected 2 of matplotlib's axes, found 1"):
        plot_history(classifier, ax=drawn[0])


def test_what_cannot_be_drawn_is_refused(classifier, samples):
    X, y = samples
    for wrong in (object(), MLPClassifier()):
        with pytest.raises(TypeError, match="expected a fitted one with a network"):
            plot_history(wrong)
    with pytest.raises(ValueError, match="expected at least one epoch"):
        plot_history(NN(2, 2, 2, 1.0, 1, seed=0))
    with pytest.raises(ValueError, match="image_shape: expected a shape of 16 values"):
        plot_weights(classifier, image_shape=(3, 3))
    with pytest.raises(ValueError, match="n_units"):
        plot_weights(classifier, n_units=0)
    with pytest.raises(ValueError, match="display_labels: expected 2 names, found 1"):
        plot_confusion(classifier, X, y, display_labels=["one"])
    for pair in (([], []), ([1], [1, 2]), ([[1]], [[1]])):
        with pytest.raises(ValueError, match="y_true, y_pred"):
            ConfusionDisplay.from_predictions(*pair)
        if pair != ([[1]], [[1]]):
            with pytest.raises(ValueError, match="y_true, y_pred"):
                PredictionDisplay.from_predictions(*pair)


def test_the_users_own_style_stays(classifier):
    before = dict(matplotlib.rcParams)
    classifier.plot()
    assert dict(matplotlib.rcParams) == before


def test_what_a_notebook_sets_with_its_first_figure_stays():
    from cnn_core.displays.drawing import styled

    with matplotlib.rc_context():
        with styled() as pyplot:
            pyplot.rcParams["interactive"] = True
        assert matplotlib.rcParams["interactive"]


def test_matplotlib_is_imported_when_something_is_drawn_and_named_when_it_is_missing():
    code = (
        "import sys, cnn_core\n"
        "display = cnn_core.HistoryDisplay({'loss': [1.0]})\n"
        "assert 'matplotlib' not in sys.modules\n"
        "sys.modules['matplotlib'] = None\n"
        "try: display.plot()\n"
        "except ImportError as error: print(error)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert 'pip install "cnn-core[app]"' in result.stdout


def test_the_names_are_public():
    for name in ("plot_confusion", "plot_history", "plot_predictions", "plot_weights"):
        assert name in cnn_core.__all__
