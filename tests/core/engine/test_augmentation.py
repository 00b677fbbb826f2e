"""Random changes of images in training: what a step sees of them, on both backends."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_core import Augmentation, Conv2D, Dense, MaxPool2D, Network, Stack, backends
from cnn_core.backends.alignment import aligned
from cnn_core.io.network_json import network_from_json, network_to_json
from cnn_core.optimizers import Adam
from cnn_core.sparse import SparseRows
from networks import parameters_for
from tolerances import NORMALIZED_EPS

SHAPE = (5, 6, 2)
EVERYTHING = Augmentation(SHAPE, mirror=True, shift=2, crop=3, erase=2)


def seen(backend, layer, x, *, step=0, seed=1, of=None):
    """Return the images of a batch as a step of training sees them.

    They are the gradients of the weights of one unit for samples of which one counts at a time.
    """
    network = Network((layer, Dense(layer.fan_out, 1, "identity")))
    parameters = np.zeros(network.n_parameters())
    engine = backend.engine(network, parameters, seed=seed)
    engine.steps = step
    slope, t = np.empty_like(parameters), np.full((len(x), 1), -1.0)
    chosen = range(len(x)) if of is None else of
    images = []
    for number in chosen:
        engine.gradient(x, t, slope, np.eye(len(x))[number])
        images.append(slope[:-1].copy())
    return np.array(images).reshape(-1, *layer.input_shape)


def images_for(rng, n=40, shape=SHAPE):
    return rng.random((n, np.prod(shape))) + 0.5


def test_about_half_of_the_images_are_mirrored(backend, rng):
    x = images_for(rng)
    images, found = x.reshape(-1, *SHAPE), seen(backend, Augmentation(SHAPE, mirror=True), x)
    mirrored = (found == images[:, :, ::-1]).all(axis=(1, 2, 3))
    as_they_are = (found == images).all(axis=(1, 2, 3))
    assert (mirrored ^ as_they_are).all()
    assert 10 < mirrored.sum() < 30


def test_a_shift_moves_an_image_and_lets_zeros_in(backend, rng):
    x = images_for(rng)
    padded = np.pad(x.reshape(-1, *SHAPE), ((0, 0), (2, 2), (2, 2), (0, 0)))
    places = set()
    for number, image in enumerate(seen(backend, Augmentation(SHAPE, shift=2), x)):
        places |= {
            (down, right)
            for down in range(5)
            for right in range(5)
            if (padded[number, down : down + 5, right : right + 6] == image).all()
        }
    assert len(places) > 12


def test_a_crop_is_enlarged_to_the_size_of_the_image(backend):
    # An image whose values are those of its columns, which bilinear interpolation keeps.
    image = np.broadcast_to(np.arange(8.0)[np.newaxis, :, np.newaxis], (8, 8, 1))
    x = np.repeat(image.reshape(1, -1), 40, axis=0)
    found = seen(backend, Augmentation((8, 8, 1), crop=4), x)[..., 0]
    assert (found == found[:, :1]).all()
    steps = np.diff(found[:, 0])[:, 3]
    assert (np.diff(found[:, 0]) >= 0).all()
    np.testing.assert_allclose(np.unique(steps.round(6)), [0.5, 0.625, 0.75, 0.875, 1])


def test_an_erased_square_is_zeros(backend, rng):
    x = images_for(rng, 60)
    found = seen(backend, Augmentation(SHAPE, erase=2), x)
    kept = found != 0
    np.testing.assert_array_equal(found[kept], x.reshape(found.shape)[kept])
    gone = (~kept).sum(axis=(1, 2, 3))
    # Of two channels; at the borders a part of the square lies outside.
    assert set(gone.tolist()) == {2, 4, 8}


def test_what_is_drawn_depends_on_seed_step_and_place_alone(backend, rng):
    x = np.repeat(images_for(rng, 1), 300, axis=0)
    first = seen(backend, EVERYTHING, x, of=[0, 7, 290])
    np.testing.assert_array_equal(seen(backend, EVERYTHING, x[:8], of=[0, 7]), first[:2])
    assert (first[0] != first[1]).any()
    for other in ({"step": 1}, {"seed": 2}, {"step": 2**32 - 1}):
        assert (seen(backend, EVERYTHING, x, of=[0, 7, 290], **other) != first).any()


@pytest.mark.compiled
@pytest.mark.parametrize("step", [0, 5])
def test_both_backends_see_the_same_images(rng, step):
    x = images_for(rng)
    reference, compiled = (
        seen(backends.get(name), EVERYTHING, x, step=step) for name in ("numpy", "cython")
    )
    # A product and a sum may be rounded once or twice.
    np.testing.assert_allclose(compiled, reference, rtol=4 * np.finfo(float).eps)


def network_with(layer):
    stack = Stack(layer.input_shape).extend([layer]).add(Conv2D, 5).add(MaxPool2D)
    stack.add(Dense, 7, normalization="batch").add(Dense, 3, "softmax")
    return Network(stack.layers, "cross_entropy", Adam(), input_scale=0.5)


def trained(backend, network, x, t, threads=1):
    parameters = aligned(parameters_for(np.random.default_rng(2), network, x.dtype))
    engine = backend.engine(network, parameters, seed=3, threads=threads)
    for _ in range(3):
        engine.train_epoch(x, t, None, 16, 0.01)
    return parameters, engine.statistics


@pytest.mark.compiled
def test_trainings_agree_and_threads_change_no_bit(rng):
    x = rng.random((50, 60))
    t = np.eye(3)[rng.integers(0, 3, 50)]
    network = network_with(EVERYTHING)
    compiled = trained(backends.get("cython"), network, x, t)
    for ours, theirs in zip(compiled, trained(backends.get("numpy"), network, x, t), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=NORMALIZED_EPS * np.finfo(float).eps)
    x, t = x.astype(np.float32), t.astype(np.float32)
    one, two = (trained(backends.get("cython"), network, x, t, threads=n) for n in (1, 2))
    for ours, theirs in zip(one, two, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_bytes_sparse_rows_and_numbers_are_changed_alike(backend, rng):
    x = (rng.integers(0, 3, (40, 60))).astype(np.uint8)
    t = np.eye(3)[rng.integers(0, 3, 40)]
    network = network_with(EVERYTHING)
    expected, _ = trained(backend, network, x.astype(float), t)
    starts = np.append(0, np.count_nonzero(x, axis=1).cumsum())
    rows = SparseRows(x[x > 0].astype(float), np.nonzero(x)[1].astype(np.intc), starts, 60)
    np.testing.assert_array_equal(trained_as(backend, network, rows, t), expected)
    np.testing.assert_array_equal(trained_as(backend, network, x, t), expected)


def trained_as(backend, network, x, t):
    parameters = aligned(parameters_for(np.random.default_rng(2), network, float))
    engine = backend.engine(network, parameters, seed=3)
    for _ in range(3):
        engine.train_epoch(x, t, None, 16, 0.01)
    return parameters


def test_sparse_rows_below_a_dense_layer_are_changed_as_well(backend, rng):
    x = (rng.integers(0, 2, (12, 60))).astype(float)
    starts = np.append(0, np.count_nonzero(x, axis=1).cumsum())
    rows = SparseRows(x[x > 0], np.nonzero(x)[1].astype(np.intc), starts, 60)
    found = [seen_of(backend, values) for values in (x, rows)]
    np.testing.assert_array_equal(*found)


def seen_of(backend, x):
    network = Network((EVERYTHING, Dense(60, 1, "identity")))
    parameters = np.zeros(61)
    slope = np.empty(61)
    backend.engine(network, parameters).gradient(x, np.ones((12, 1)), slope)
    return slope


def test_predictions_see_the_images_as_they_are(backend, rng):
    network = network_with(EVERYTHING)
    plain = network_with(Augmentation(SHAPE))
    parameters = parameters_for(rng, network, float)
    x = rng.random((20, 60))
    outs = []
    for one in (network, plain):
        out = np.empty((20, 3))
        backend.engine(one, parameters).predict(x, out)
        outs.append(out)
    np.testing.assert_array_equal(*outs)


def test_a_file_keeps_it():
    network = network_with(EVERYTHING)
    assert network_from_json(network_to_json(network)) == network


@pytest.mark.parametrize(
    ("settings", "error", "match"),
    [
        ({"mirror": 1}, TypeError, "mirror: expected True or False, found 1"),
        ({"shift": -1}, ValueError, "shift: expected at least 0, found -1"),
        ({"shift": 5}, ValueError, "shift: expected fewer pixels .* 5 and 6, found 5"),
        ({"crop": 1.5}, TypeError, "crop: expected a whole number"),
        ({"crop": 9}, ValueError, "crop: expected fewer pixels"),
        ({"erase": 6}, ValueError, "erase: expected a square smaller than the image, 5 x 6"),
    ],
)
def test_what_leaves_nothing_of_an_image_is_refused(settings, error, match):
    with pytest.raises(error, match=match):
        Augmentation(SHAPE, **settings)


def test_it_is_the_first_layer_and_not_the_last():
    with pytest.raises(ValueError, match="layer 1: expected Augmentation as the first layer alone"):
        Network((Conv2D(SHAPE, 2), Augmentation(SHAPE), Dense(60, 1)))
    with pytest.raises(ValueError, match="layer 0: expected another layer above Augmentation"):
        Network((Augmentation(SHAPE),))
    with pytest.raises(ValueError, match=r"layer 1 \(Conv2D\) expects images of the shape"):
        Network((Augmentation(SHAPE), Conv2D((6, 5, 2), 2)))
