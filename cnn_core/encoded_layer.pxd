"""The dense layer on encoded columns. How: encoded_layer.pyx."""

from .layer cimport Layer


cdef Layer encoded_layer(description, Py_ssize_t start)
