"""A 3 x 3 convolution with fewer multiplications. How: winograd.pyx."""

from .patches cimport Plane
from .scalar cimport real


cdef struct Tiles:
    # Rows of tiles, and how many are in each; rows and columns of pixels, of which the last tiles may
    # lack one.
    Py_ssize_t rows
    Py_ssize_t columns
    Py_ssize_t pixel_rows
    Py_ssize_t pixel_columns
    # The pixels, and the squares: values from one place to the next, and from one tile to the next.
    Plane plane
    const real *bias
    real *squares
    Py_ssize_t place
    Py_ssize_t tile


cdef class Winograd:
    # Channels of the image and of the output; columns of the output.
    cdef Py_ssize_t inputs
    cdef Py_ssize_t outputs
    cdef Py_ssize_t columns
    # Tiles in a row, and how many rows of them are taken at a time.
    cdef Py_ssize_t tile_columns
    cdef Py_ssize_t tile_rows
    # Where the tiles stand among those of one place, and the channels in a tile.
    cdef Py_ssize_t[::1] tiles
    cdef Py_ssize_t[::1] channels

    cdef Py_ssize_t memory(self) noexcept nogil
    cdef real *image_squares(self, real *memory) noexcept nogil
    cdef real *output_squares(self, real *memory) noexcept nogil
    cdef Py_ssize_t squares_apart(self, Py_ssize_t channels) noexcept nogil
    cdef Tiles next_tiles(
        self, Py_ssize_t rows, Plane plane, Py_ssize_t channels, real *squares
    ) noexcept nogil
    cdef void take_weights(self, const real *weights, real *memory) noexcept nogil
    cdef void convolve(
        self, Plane image, Py_ssize_t rows, const real *bias, Plane out, real *memory
    ) noexcept nogil
    cdef void clear_gradient(self, Py_ssize_t channels, real *memory) noexcept nogil
    cdef void correlate(
        self, Plane image, Plane delta, Py_ssize_t rows, Py_ssize_t channels, real *memory
    ) noexcept nogil
    cdef void add_gradient(self, real *gradient, Py_ssize_t channels, real *memory) noexcept nogil


cdef Winograd winograd_of(Py_ssize_t inputs, Py_ssize_t outputs, Py_ssize_t rows, Py_ssize_t columns)
