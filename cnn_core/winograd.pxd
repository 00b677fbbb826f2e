"""Winograd's algorithm for 3 x 3 convolutions; winograd.pyx explains it."""

from .patches cimport Plane
from .scalar cimport real


cdef struct Tiles:
    # Rows and columns of tiles, and of pixels. The last tiles may lack a row or column of pixels.
    Py_ssize_t rows
    Py_ssize_t columns
    Py_ssize_t pixel_rows
    Py_ssize_t pixel_columns
    # Pixels; bias, NULL if none; squares, with the strides in values of places and of tiles.
    Plane plane
    const real *bias
    real *squares
    Py_ssize_t place
    Py_ssize_t tile


cdef class Winograd:
    # Channels of the image and of the output; columns of pixels of the output.
    cdef Py_ssize_t inputs
    cdef Py_ssize_t outputs
    cdef Py_ssize_t columns
    # Tiles in a row; rows of tiles in a chunk.
    cdef Py_ssize_t tile_columns
    cdef Py_ssize_t tile_rows
    # Offsets, in values, of the tiles of a chunk at one place, and of the channels in a tile.
    cdef Py_ssize_t[::1] tiles
    cdef Py_ssize_t[::1] channels

    cdef Py_ssize_t memory(self) noexcept nogil
    cdef real *image_squares(self, real *memory) noexcept nogil
    cdef real *output_squares(self, real *memory) noexcept nogil
    cdef Py_ssize_t squares_apart(self, Py_ssize_t channels) noexcept nogil
    cdef Tiles next_tiles(
        self, Py_ssize_t rows, Plane plane, Py_ssize_t channels, real *squares
    ) noexcept nogil
    cdef void transform_weights(self, const real *weights, real *memory) noexcept nogil
    cdef void convolve(
        self, Plane image, Py_ssize_t rows, const real *bias, Plane out, real *memory
    ) noexcept nogil
    cdef void clear_gradient(self, Py_ssize_t channels, real *memory) noexcept nogil
    cdef void correlate(
        self, Plane image, Plane delta, Py_ssize_t rows, Py_ssize_t channels, real *memory
    ) noexcept nogil
    cdef void add_gradient(self, real *gradient, Py_ssize_t channels, real *memory) noexcept nogil


cdef Winograd winograd_of(Py_ssize_t inputs, Py_ssize_t outputs, Py_ssize_t rows, Py_ssize_t columns)
