"""The embedding layer. How: embedding.pyx."""

from .layer cimport Layer


cdef Layer embedding_layer(description, Py_ssize_t start)
