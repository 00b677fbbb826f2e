"""The arguments for image networks: layers, and random changes in training."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from cnn_core.cli import arguments
from cnn_core.cli.console import CommandError

__all__ = [
    "DEFAULT_PRESET",
    "OWN",
    "add_images",
    "check",
    "is_for_images",
    "layers_in",
    "presets",
    "toml_reader",
]

# The preset for layers from a file.
DEFAULT_PRESET = "image"
OWN = ("network", "mirror", "mirror_average", "shift", "crop", "erase")
# Arguments of dense networks.
_NOT_OF_IMAGES = ("hidden", "activation", "normalization")


def presets() -> dict[str, dict[str, Any]]:
    """Return the presets of networks for images."""
    from cnn_core.images.presets import PRESETS

    return PRESETS


def add_images(group: argparse._ActionsContainer) -> None:
    """Add the layers, and the random changes."""
    group.add_argument(
        "--network",
        metavar="FILE.toml",
        type=arguments.path,
        help="the layers of a network for images, in place of those of the preset: a table "
        "[[layers]] for each, with its kind and settings",
    )
    group.add_argument(
        "--mirror",
        action=argparse.BooleanOptionalAction,
        help="show half of the images mirrored in training, left for right (default: for "
        "fashion-mnist alone)",
    )
    group.add_argument(
        "--mirror-average",
        action=argparse.BooleanOptionalAction,
        help="predict the mean of what the network says of an image and of its mirror image "
        "(default: the preset's, where images are mirrored in training)",
    )
    for name, text in (
        ("shift", "move each image by up to N pixels in training"),
        ("crop", "cut up to N rows and columns off in training, and enlarge what is left"),
        ("erase", "set a square of N pixels to 0 in training"),
    ):
        group.add_argument(f"--{name}", metavar="N", type=arguments.Whole(0), help=text)


def is_for_images(args: argparse.Namespace) -> bool:
    """Tell whether the arguments ask for an image network."""
    return args.preset in presets()


def check(args: argparse.Namespace, default_preset: str) -> None:
    """Set the preset for a network from a file; refuse arguments without effect.

    Raises
    ------
    CommandError
        If an argument has no effect with the preset.
    """
    if args.network is not None and args.preset == default_preset:
        args.preset = DEFAULT_PRESET
    if is_for_images(args):
        for name in _NOT_OF_IMAGES:
            if getattr(args, name) is not None:
                raise CommandError(
                    f"--{name} has no effect on the preset {args.preset}, a network for images; "
                    "describe its layers in a file, and pass it as --network"
                )
        return
    for name in OWN:
        if getattr(args, name) is not None:
            option = name.replace("_", "-")
            typed = f"--no-{option}" if getattr(args, name) is False else f"--{option}"
            raise CommandError(
                f"{typed} has no effect on the preset {args.preset}; it belongs to "
                f"{' and '.join(presets())}"
            )


def layers_in(path: Path) -> list[dict[str, Any]]:
    """Read the layers in a file, each with its kind and settings.

    Raises
    ------
    CommandError
        If it holds anything else.
    OSError
        If it cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            values = toml_reader("--network").load(stream)
    except ValueError as error:
        raise CommandError(f"{path}: expected TOML, found something else ({error})") from error
    layers = values.pop("layers", None)
    if values:
        raise CommandError(
            f"{path}: expected tables [[layers]] and nothing else, found {next(iter(values))!r}"
        )
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        raise CommandError(
            f"{path}: expected a table [[layers]] for each layer, with its kind and settings, "
            f'such as kind = "Conv2D" and channels = 16'
        )
    return layers


def toml_reader(option: str) -> Any:
    """Return the TOML module for the file of an option: `tomllib` from Python 3.11 on."""
    if sys.version_info >= (3, 11):
        import tomllib

        return tomllib
    try:
        import tomli
    except ModuleNotFoundError as error:
        raise CommandError(
            f'{option} needs Python 3.11 or tomli: pip install "cnn-core[app]"'
        ) from error
    return tomli
