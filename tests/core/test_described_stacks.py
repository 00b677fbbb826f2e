"""Stacks of layers that are described: what each takes, and which layer an error names."""

from __future__ import annotations

import pytest

from cnn_core import Augmentation, Conv2D, Dense, GlobalAveragePool, Stack


def test_a_description_becomes_the_layer_that_fits_what_is_below_it():
    described = [
        {"kind": "Conv2D", "channels": 4, "stride": 2, "activation": "tanh"},
        {"kind": "GlobalAveragePool", "dropout": 0.1},
        {"kind": "Dense", "fan_out": 3, "activation": "softmax"},
    ]
    assert Stack((7, 6, 2)).extend(described).layers == (
        Conv2D((7, 6, 2), 4, stride=2, activation="tanh"),
        GlobalAveragePool((4, 3, 4), dropout=0.1),
        Dense(4, 3, "softmax"),
    )


def test_layers_and_descriptions_go_together():
    layers = [
        Augmentation((7, 6, 2), mirror=True),
        {"kind": "Conv2D", "channels": 4},
        Dense(168, 3),
    ]
    assert Stack((7, 6, 2)).extend(layers).layers[1:] == (Conv2D((7, 6, 2), 4), Dense(168, 3))
    assert Stack(5).extend([{"kind": "Dense", "fan_out": 2}]).layers == (Dense(5, 2),)


@pytest.mark.parametrize(
    ("layers", "error", "match"),
    [
        (["Conv2D"], TypeError, "layer 0: expected a layer, or a dict with its kind"),
        ([{}], ValueError, "layer 0: expected a kind among Dense, .*, found None"),
        ([{"kind": ["Dense"]}], ValueError, "layer 0: expected a kind among"),
        ([{"kind": "Dense", "units": 3}], ValueError, r"layer 0 \(Dense\): .* found 'units'"),
        ([{"kind": "Dense", 3: 3}], ValueError, r"layer 0 \(Dense\): .* found 3"),
        ([{"kind": "Dense", "fan_in": 3}], ValueError, "'fan_in', which what is below settles"),
        ([{"kind": "Dense"}], TypeError, r"layer 0 \(Dense\): .*fan_out"),
        ([Dense(9, 2)], ValueError, r"layer 0 \(Dense\): expected one that takes 84, .* takes 9"),
        ([Conv2D((6, 7, 2), 1)], ValueError, r"that takes \(7, 6, 2\), which is below it"),
        (
            [{"kind": "Dense", "fan_out": 3}, {"kind": "Conv2D", "channels": 2}],
            ValueError,
            r"layer 1 \(Conv2D\): expected an image below it, found 3 values",
        ),
        (
            [{"kind": "Conv2D", "channels": 2}, Augmentation((7, 6, 1))],
            ValueError,
            r"layer 1 \(Augmentation\): expected one that takes \(7, 6, 2\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_layer(layers, error, match):
    with pytest.raises(error, match=match):
        Stack((7, 6, 2)).extend(layers)
