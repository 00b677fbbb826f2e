"""Plans for image networks: `cnn_core.ImageClassifier`."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from cnn_core.cli.console import CommandError
from cnn_core.cli.image_options import layers_in
from cnn_core.cli.plan import Data
from cnn_core.cli.plan_classifier import ClassifierPlan
from cnn_core.network import Network

__all__ = ["ImagePlan"]

# Data for which the presets' random changes were chosen. Digits must not be mirrored, and shifts in
# pixels are larger for smaller images.
_CHANGED_BY_PRESETS = ("fashion-mnist",)


class ImagePlan(ClassifierPlan):
    """A plan for an image preset, or for the user's layers."""

    @staticmethod
    def _usual_settings(args: argparse.Namespace) -> dict[str, Any]:
        from cnn_core.images.presets import settings_of

        return settings_of(args.preset)

    @staticmethod
    def _kind() -> Any:
        from cnn_core.images import ImageClassifier

        return ImageClassifier

    def _network_overrides(self, args: argparse.Namespace, data: Data) -> dict[str, Any]:
        usual = self._usual_settings(args)
        is_suited = args.data in _CHANGED_BY_PRESETS
        mirror = is_suited if args.mirror is None else args.mirror
        none = None if is_suited else 0
        found: dict[str, Any] = {
            "shift": none if args.shift is None else args.shift,
            "crop": none if args.crop is None else args.crop,
            "erase": none if args.erase is None else args.erase,
            "dropout": args.dropout,
            "solver": args.optimizer,
            "label_smoothing": args.label_smoothing,
            "clip_norm": args.clip_norm,
            "image_shape": data.image_shape,
        }
        overrides = {name: value for name, value in found.items() if value is not None}
        overrides["mirror"] = mirror
        averages = mirror and usual.get("mirror_average", False)
        overrides["mirror_average"] = (
            averages if args.mirror_average is None else args.mirror_average
        )
        if args.network is not None:
            recorded = getattr(args, "layers", None)
            overrides["architecture"] = recorded or layers_in(args.network)
        if args.weight_decay is not None or args.optimizer not in (None, "adamw"):
            overrides["weight_decay"] = args.weight_decay
        return overrides

    def _network_of(self, data: Data) -> Network:
        from cnn_core.estimators.labels import Classification

        face: Any = self.face
        task = Classification.of_classes(np.arange(data.n_classes))
        try:
            network: Network = face._network_of((data.n_features,), np.dtype(np.uint8), task, None)
        except (TypeError, ValueError) as error:
            raise CommandError(f"preset {self.preset}: {error}") from error
        return network

    def _network_settings(self) -> dict[str, Any]:
        face: Any = self.face
        names = ("architecture", "mirror", "shift", "crop", "erase", "mirror_average", "dropout")
        return {name: getattr(face, name) for name in names}
