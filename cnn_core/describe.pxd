"""A network for the loops, from its description. How: describe.pyx."""

from .layer cimport Net


cdef Net net_of(network, Py_ssize_t n_parameters)
