"""The check of the floors finds what it is there for; `make lint` runs it on the package."""

from __future__ import annotations

import floors


def test_an_import_that_goes_up_is_named():
    imports = {"cnn_core.layers": {"cnn_core.model"}, "cnn_core.model": set()}
    assert floors.upward(imports) == [
        "cnn_core.layers imports cnn_core.model, which stands above it"
    ]


def test_an_import_on_one_floor_is_named():
    imports = {
        "cnn_core.data.idx": {"cnn_core.training.loop"},
        "cnn_core.training.loop": set(),
    }
    assert floors.upward(imports) == [
        "cnn_core.data.idx imports cnn_core.training.loop, which stands on the same floor"
    ]


def test_a_module_without_a_floor_is_named():
    (fault,) = floors.upward({"cnn_core.attic": set()})
    assert fault.startswith("cnn_core.attic stands on no floor")


def test_a_circle_is_shown_once():
    imports = {
        "cnn_core.io.a": {"cnn_core.io.b"},
        "cnn_core.io.b": {"cnn_core.io.c"},
        "cnn_core.io.c": {"cnn_core.io.a"},
        "cnn_core.io.d": {"cnn_core.io.a"},
    }
    assert floors.circles(imports) == [
        "a circle: cnn_core.io.a -> cnn_core.io.b -> cnn_core.io.c -> cnn_core.io.a"
    ]


def test_imports_that_go_down_are_fine():
    imports = {"cnn_core.model": {"cnn_core.layers"}, "cnn_core.layers": set()}
    assert floors.upward(imports) == floors.circles(imports) == []
