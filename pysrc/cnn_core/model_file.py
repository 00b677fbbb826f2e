"""The old path of `cnn_core.io.container`, which stays."""

from cnn_core.io.container import MAX_HEADER_BYTES, ModelFileError, read_tensors, write_tensors

__all__ = ["MAX_HEADER_BYTES", "ModelFileError", "read_tensors", "write_tensors"]
