"""Settings of image classifiers for images like those of Fashion-MNIST: 28 x 28 bytes.

Those of "image" were tried on a validation split of the training images, never on the test
images. "image-best" trains a larger network by the same recipe, with more dropout, for as many
epochs as fit into six minutes on two cores; its settings were not searched.
"""

from __future__ import annotations

from typing import Any

from cnn_core.validation import shown

_COMMON = {
    "mirror": True,
    "dtype": "float32",
    "solver": "adamw",
    "batch_size": 64,
    "schedule": "one_cycle",
}

PRESETS: dict[str, dict[str, Any]] = {
    "image": {
        **_COMMON,
        "architecture": "small",
        "dropout": 0.2,
        "label_smoothing": 0.05,
        "weight_decay": 0.01,
        "learning_rate_init": 3e-3,
        "max_iter": 16,
    },
    "image-best": {
        **_COMMON,
        "architecture": "medium",
        "mirror_average": True,
        "dropout": 0.3,
        "label_smoothing": 0.05,
        "weight_decay": 0.01,
        "learning_rate_init": 3e-3,
        "max_iter": 14,
    },
}


def settings_of(preset: str) -> dict[str, Any]:
    """Return the parameters of a preset.

    Raises
    ------
    ValueError
        For a name that is not known.
    """
    if preset not in PRESETS:
        raise ValueError(
            f"preset: expected one of {', '.join(map(repr, PRESETS))}, found {shown(preset)}"
        )
    return dict(PRESETS[preset])
