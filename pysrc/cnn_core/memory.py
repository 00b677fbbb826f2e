"""Alignment of arrays, which `cnn_core.backends.alignment` defines."""

from __future__ import annotations

from cnn_core.backends.alignment import CACHE_LINE, aligned

__all__ = ["CACHE_LINE", "aligned"]
