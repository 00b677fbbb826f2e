"""`ImageClassifier`: what it takes, what it refuses, and that it learns."""

from __future__ import annotations

import json
import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.neural_network import MLPClassifier

import cnn_core
from cnn_core import Checkpoint, Conv2D, Dense, ImageClassifier, MaxPool2D, Stack
from cnn_core.callbacks import Callback
from cnn_core.io.container import read_tensors, write_tensors

QUICK = {"batch_size": 16, "max_iter": 6, "random_state": 0}


def bars(n=64, *, size=8, channels=1):
    """Return images of bytes with a bar that lies or stands, and what it does."""
    x = np.zeros((n, size, size, channels), np.uint8)
    for number, image in enumerate(x):
        (image if number % 2 else image.transpose(1, 0, 2))[number * 5 % size] = 200
    return x, np.where(np.arange(n) % 2, "lying", "standing")


def fitted(x, y, **settings):
    return ImageClassifier(**{**QUICK, **settings}).fit(x, y)


def probabilities(classifier, x):
    return classifier.predict_proba(x)


def test_it_learns():
    x, y = bars()
    classifier = fitted(x, y, max_iter=8)
    assert classifier.score(x, y) == 1
    assert classifier.classes_.tolist() == ["lying", "standing"]
    assert (classifier.image_shape_, classifier.n_features_in_) == ((8, 8, 1), 64)
    np.testing.assert_allclose(classifier.predict_proba(x).sum(axis=1), 1, rtol=1e-6)


def test_each_form_of_the_same_images_gives_the_same_bits():
    x, y = bars()
    expected = probabilities(fitted(x, y), x)
    for form in (x[..., 0], x.reshape(64, -1), x.reshape(64, -1).tolist()[:0] or x.copy("F")):
        classifier = fitted(form, y)
        np.testing.assert_array_equal(probabilities(classifier, form), expected)
        np.testing.assert_array_equal(probabilities(classifier, x), expected)


def test_rows_of_colour_images_need_their_shape():
    x, y = bars(size=6, channels=3)
    rows = x.reshape(64, -1)
    expected = probabilities(fitted(x, y), x)
    for shape in ((6, 6, 3), (6, -1, 3), [6, 6, -1]):
        np.testing.assert_array_equal(
            probabilities(fitted(rows, y, image_shape=shape), x), expected
        )
    with pytest.raises(ValueError, match=r"rows of 108; pass ImageClassifier\(image_shape="):
        fitted(rows, y)


def test_bytes_stay_bytes(monkeypatch):
    x, y = bars()
    kinds = set()

    class Look(Callback):
        def on_train_begin(self, state):
            kinds.add(state.owner._seen.dtype)

    original = cnn_core.Model.train

    def train(self, samples, *arguments, **settings):
        settings["owner"]._seen = samples
        return original(self, samples, *arguments, **settings)

    monkeypatch.setattr(cnn_core.Model, "train", train)
    classifier = fitted(x, y, callbacks=[Look()])
    assert kinds == {np.dtype(np.uint8)}
    assert np.shares_memory(classifier._seen, x)
    assert classifier.model_.network.input_scale == 1 / 255
    assert classifier.model_.dtype == np.float32


def test_numbers_are_taken_as_they_are():
    x, y = bars()
    classifier = fitted(x.astype(float), y)
    assert classifier.model_.network.input_scale == 1
    assert classifier.model_.dtype == np.float64
    assert fitted(x.astype(np.float32), y).model_.dtype == np.float32
    assert fitted(x, y, input_scale=0.5).model_.network.input_scale == 0.5


def test_other_values_than_those_of_the_fit_bring_a_warning():
    x, y = bars()
    with pytest.warns(UserWarning, match="X: found numbers up to 1, where .* were bytes"):
        fitted(x, y).predict(x / 255)
    with pytest.warns(UserWarning, match="X: found bytes from 0 to 255, where"):
        fitted(x / 255, y).predict(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted(x, y).predict(x.astype(float))
        fitted(x / 255, y, input_scale=1.0).predict(x)


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (lambda x: x[:, :4], ValueError, r"expected images of the shape \(8, 8, 1\), those that"),
        (lambda x: x[:, :4].reshape(64, -1), ValueError, "32 features, but .* expecting 64"),
        (lambda x: x[..., np.newaxis], ValueError, r"found the shape \(64, 8, 8, 1, 1\)"),
        (lambda x: x[0, :, 0, 0], ValueError, "Reshape your data"),
        (lambda x: x[:0], ValueError, "at least one sample"),
        (lambda x: x[0], ValueError, r"found one of the shape \(8, 8, 1\); pass X\[numpy.newaxis"),
        (lambda x: x[0, ..., 0], ValueError, r"found one of the shape \(8, 8\); pass X\[numpy"),
        (lambda x: x.astype(str).astype(object) + "?", ValueError, "expected"),
        (lambda x: np.full(x.shape, np.nan), ValueError, "takes no NaN"),
        (lambda x: np.ma.masked_array(x), TypeError, "masked array"),
    ],
)
def test_images_that_do_not_go_with_the_fit_are_refused(change, error, match):
    x, y = bars()
    classifier = fitted(x, y, max_iter=1)
    with pytest.raises(error, match=match):
        classifier.predict(change(x))


def test_channels_that_come_first_are_found_out():
    x = np.zeros((12, 3, 16, 16), np.uint8)
    with pytest.raises(ValueError, match=r"channels seem to come first; pass numpy.moveaxis\(X"):
        fitted(x, np.arange(12) % 3)
    fitted(x, np.arange(12) % 3, image_shape=(3, 16, 16), max_iter=1, batch_size=4)


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        (
            {"architecture": "large"},
            ValueError,
            "architecture: expected 'small', 'medium', 'wide' or a seq",
        ),
        ({"architecture": 3}, TypeError, "architecture: expected 'small'"),
        (
            {"architecture": [{"kind": "Conv2D", "channels": 4, "kernel": 9, "padding": "valid"}]},
            ValueError,
            r"architecture: layer 1 \(Conv2D\): kernel: expected at most the height and width",
        ),
        (
            {"architecture": [{"kind": "Conv2D", "channel": 4}]},
            ValueError,
            r"layer 1 \(Conv2D\): expected settings among .*channels, .*, found 'channel'",
        ),
        (
            {"architecture": [{"kind": "Conv3D"}]},
            ValueError,
            "layer 1: expected a kind among Dense",
        ),
        ({"architecture": [4]}, TypeError, "layer 1: expected a layer, or a dict"),
        (
            {"architecture": [Conv2D((9, 9, 1), 4)]},
            ValueError,
            r"takes \(8, 8, 1\), which is below",
        ),
        ({"image_shape": (4, 4)}, ValueError, r"expected images of image_shape=\(4, 4\), found 64"),
        ({"image_shape": (4, 16)}, ValueError, r"\(4, 16, 1\), which image_shape says, found \(8,"),
        ({"image_shape": 8}, ValueError, "image_shape: expected .height, width. or"),
        ({"image_shape": (-1, -1)}, ValueError, "image_shape: .* one may be -1"),
        ({"mirror": "yes"}, TypeError, "mirror: expected True or False"),
        ({"mirror_average": 1}, TypeError, "mirror_average: expected True or False"),
        ({"shift": 8}, ValueError, "shift: expected fewer pixels"),
        ({"dropout": 1.0}, ValueError, "dropout: expected"),
        ({"solver": "lbfgs"}, ValueError, "solver: .*'lbfgs'"),
        ({"input_scale": "byte"}, ValueError, "input_scale: expected 'auto' or a number"),
        ({"batch_size": 0}, ValueError, "batch_size"),
    ],
)
def test_settings_without_sense_are_refused_and_nothing_is_learned(settings, error, match):
    x, y = bars()
    classifier = ImageClassifier(**{**QUICK, **settings})
    with pytest.raises(error, match=match):
        classifier.fit(x, y)
    assert not hasattr(classifier, "model_")


def test_layers_of_ones_own_as_dicts_and_as_descriptions():
    x, y = bars()
    described = [
        {"kind": "Conv2D", "channels": 4, "kernel": 5},
        {"kind": "MaxPool2D", "normalization": "batch"},
        {"kind": "Dense", "fan_out": 8, "activation": "relu"},
    ]
    stack = Stack((8, 8, 1)).add(Conv2D, 4, 5).add(MaxPool2D, normalization="batch")
    stack.add(Dense, 8, "relu")
    expected = probabilities(fitted(x, y, architecture=described), x)
    for architecture in (stack, stack.layers, list(stack.layers)):
        classifier = fitted(x, y, architecture=architecture)
        np.testing.assert_array_equal(probabilities(classifier, x), expected)


def test_predictions_averaged_with_those_of_the_mirror_images():
    x, y = bars(40)
    x[:, :3, :3] += 9
    plain, averaged = fitted(x, y, max_iter=1), fitted(x, y, max_iter=1, mirror_average=True)
    mirrored = x[:, :, ::-1]
    expected = (plain.predict_proba(x) + plain.predict_proba(mirrored)) / 2
    np.testing.assert_allclose(averaged.predict_proba(x), expected, rtol=1e-5)
    np.testing.assert_array_equal(averaged.predict_proba(x), averaged.predict_proba(mirrored))
    assert averaged.score(x, averaged.predict(x)) == 1


def test_random_changes_are_the_same_each_time_and_no_part_of_predictions():
    x, y = bars()
    changes = {"mirror": True, "shift": 1, "crop": 2, "erase": 3}
    first, second = fitted(x, y, **changes), fitted(x, y, n_threads=1, **changes)
    np.testing.assert_array_equal(probabilities(first, x), probabilities(second, x))
    np.testing.assert_array_equal(probabilities(first, x), probabilities(first, x))
    assert (probabilities(first, x) != probabilities(fitted(x, y), x)).any()


def test_files_and_pickles_keep_everything(tmp_path):
    x, y = bars()
    layers = [Conv2D((8, 8, 1), 4), {"kind": "GlobalAveragePool"}]
    for settings in (
        {"mirror": True, "mirror_average": True},
        {"architecture": layers, "image_shape": (8, 8), "n_iter_no_change": np.inf},
    ):
        classifier = fitted(x, y, max_iter=2, **settings)
        classifier.save(tmp_path / "model.safetensors")
        loaded = cnn_core.load(tmp_path / "model.safetensors")
        assert loaded.get_params() == classifier.get_params()
        for other in (loaded, pickle.loads(pickle.dumps(classifier))):
            np.testing.assert_array_equal(other.predict_proba(x), classifier.predict_proba(x))
            assert other.image_shape_ == (8, 8, 1)
        assert clone(classifier).get_params() == classifier.get_params()


class Stops(Callback):
    def on_epoch_end(self, state):
        if state.epoch == 2:
            raise RuntimeError("power cut")


def test_a_killed_training_is_resumed_bit_for_bit(tmp_path):
    x, y = bars()
    settings = {"mirror": True, "shift": 2, "max_iter": 4}
    expected = fitted(x, y, **settings)
    checkpoint = Checkpoint(tmp_path / "checkpoint.safetensors", every_epochs=1)
    classifier = ImageClassifier(**QUICK).set_params(**settings, callbacks=[Stops()])
    with pytest.raises(RuntimeError, match="power cut"):
        classifier.fit(x, y, checkpoint=checkpoint)
    classifier = ImageClassifier(**QUICK).set_params(**settings).fit(x, y, checkpoint=checkpoint)
    np.testing.assert_array_equal(classifier.predict_proba(x), expected.predict_proba(x))
    assert classifier.loss_curve_ == expected.loss_curve_


def test_a_fit_goes_on_with_other_random_changes_but_not_with_other_layers():
    x, y = bars()
    classifier = fitted(x, y, warm_start=True, max_iter=1)
    classifier.set_params(mirror=True, shift=1).fit(x, y)
    with pytest.raises(ValueError, match="architecture: expected the layers of the fit before"):
        classifier.set_params(architecture="medium").fit(x, y)


def test_partial_fit_goes_on_epoch_by_epoch():
    x, y = bars()
    with pytest.warns(UserWarning, match="the maximum of 2 iterations"):
        whole = fitted(x, y, schedule=None, max_iter=2, tol=0)
    parts = ImageClassifier(**QUICK)
    for _ in range(2):
        parts.partial_fit(x, y, classes=["lying", "standing"])
    np.testing.assert_array_equal(parts.predict_proba(x), whole.predict_proba(x))


def test_weights_of_classes_and_samples_count_alike():
    x, y = bars()
    weights = np.where(y == "lying", 3.0, 1.0)
    by_class = fitted(x, y, max_iter=2, class_weight={"lying": 3.0})
    by_sample = ImageClassifier(**{**QUICK, "max_iter": 2}).fit(x, y, sample_weight=weights)
    np.testing.assert_array_equal(by_class.predict_proba(x), by_sample.predict_proba(x))


def test_early_stopping_keeps_the_best_weights_and_eval_sets_are_images():
    x, y = bars(96)
    classifier = fitted(x, y, early_stopping=True, n_iter_no_change=2, max_iter=30)
    assert classifier.best_validation_score_ == max(classifier.validation_scores_)
    watched = ImageClassifier(**{**QUICK, "max_iter": 2}).fit(
        x, y, eval_set=(x[:20, ..., 0], y[:20])
    )
    assert len(watched.evals_result_["eval_0"]["score"]) == 2
    with pytest.raises(ValueError, match=r"eval_set\[0\]: expected images of the shape"):
        ImageClassifier(**QUICK).fit(x, y, eval_set=(x[:, :4], y))


def test_a_summary_shows_kinds_and_shapes():
    x, y = bars()
    classifier = fitted(x, y, max_iter=1, mirror=True)
    lines = classifier.summary().splitlines()
    assert lines[0].split() == [
        "layer", "kind", "output", "activation", "normalization", "dropout", "parameters",
    ]  # fmt: skip
    assert lines[1].split()[1:6] == ["Augmentation", "8", "x", "8", "x"]
    assert not hasattr(classifier, "coefs_")


@pytest.mark.parametrize("name", ["image", "image-best"])
def test_presets_are_settings_with_a_name(name):
    classifier = ImageClassifier.preset(name, random_state=3, max_iter=2)
    assert (classifier.mirror, classifier.random_state, classifier.max_iter) == (True, 3, 2)
    with pytest.raises(ValueError, match="preset: expected one of 'image', 'image-best', found"):
        ImageClassifier.preset("fast")


def test_a_preset_warns_of_few_steps():
    x, y = bars()
    with pytest.warns(UserWarning, match="preset 'image': .* pass max_iter="):
        ImageClassifier.preset("image", batch_size=16, random_state=0).fit(x[:16], y[:16])


def test_an_export_is_the_network_without_its_random_changes(tmp_path):
    x, y = bars()
    classifier = fitted(x, y, max_iter=2, mirror=True)
    assert classifier.to_onnx(tmp_path / "bars.onnx", x).n_rows == 64


def test_a_predictor_takes_rows_one_at_a_time():
    x, y = bars()
    classifier = fitted(x, y, max_iter=2)
    second = classifier.predictor()(x[3].reshape(-1))[0, 0]
    assert second == pytest.approx(classifier.predict_proba(x)[3, 1], rel=1e-5)
    with pytest.raises(ValueError, match="mirror_average: expected False for a predictor"):
        classifier.set_params(mirror_average=True).predictor()


def test_a_file_of_another_estimator_is_refused(tmp_path):
    x, y = bars()
    path = tmp_path / "dense.safetensors"
    cnn_core.MLPClassifier((4,), max_iter=1, schedule="cosine").fit(x.reshape(64, -1), y).save(path)
    tensors, metadata = read_tensors(path)
    extra = json.loads(metadata["extra"])
    extra["parameters"] = {"architecture": "small"}
    changed = {**metadata, "kind": "ImageClassifier", "extra": json.dumps(extra)}
    write_tensors(path, tensors, changed)
    with pytest.raises(cnn_core.ModelFileError, match="first layer does not say what an image is"):
        cnn_core.load(path)


def test_there_is_no_such_estimator_in_scikit_learn():
    x, y = bars()
    dense = MLPClassifier(max_iter=300).fit(x.reshape(64, -1) / 255, y)
    with pytest.raises(TypeError, match="ImageClassifier, which scikit-learn does not have"):
        ImageClassifier.from_sklearn(dense)
    with pytest.raises(TypeError, match="ImageClassifier, which scikit-learn does not have"):
        fitted(x, y, max_iter=1).to_sklearn()


def test_rows_of_a_file_are_images_too(tmp_path):
    x, y = bars()
    np.save(tmp_path / "rows.npy", x.reshape(64, -1))
    settings = {"max_iter": 1, "mirror": True, "input_scale": 1 / 255}
    classifier = fitted(tmp_path / "rows.npy", y, **settings)
    expected = fitted(x, y, **settings)
    np.testing.assert_array_equal(classifier.predict_proba(x), expected.predict_proba(x))
    for changed, match in (
        ({"image_shape": (3, 3)}, "expected images of image_shape"),
        ({"input_scale": "auto"}, "input_scale: expected a number for rows of files"),
    ):
        with pytest.raises(ValueError, match=match):
            fitted(tmp_path / "rows.npy", y, **{**settings, **changed})
