"""The old path of `cnn_core.load`, which stays."""

from cnn_core.loading import load

__all__ = ["load"]
