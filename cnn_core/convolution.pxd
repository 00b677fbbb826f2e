"""The convolution layer. How: convolution.pyx."""

from .layer cimport Layer, LayerBuffers
from .pooling cimport Windows
from .scalar cimport real


cdef struct Geometry:
    # An image with margins, row by row, and the patches in it: height and width of the image, channels
    # of a group; pixels of margin above and to the left; height and width with the margins.
    Py_ssize_t height
    Py_ssize_t width
    Py_ssize_t channels
    Py_ssize_t margin
    Py_ssize_t full_height
    Py_ssize_t full_width
    # Pixels from one pixel of the image to the next: above 1 with zeros between them.
    Py_ssize_t spacing


cdef class Patches:
    # Rows of patches of an image, `columns` in each: where the patch of each pixel starts, where the
    # values of a patch stand from there on, and how many of them are in a row of it.
    cdef Geometry image
    cdef Py_ssize_t columns
    cdef Py_ssize_t depth
    cdef Py_ssize_t[::1] starts
    cdef Py_ssize_t[::1] places
    # For each row of patches: from which of its own rows on, up to which, there are not only zeros.
    cdef Py_ssize_t[::1] first
    cdef Py_ssize_t[::1] end

    cdef Py_ssize_t size(self) noexcept nogil
    cdef void clear(self, real *image) noexcept nogil
    cdef void place(self, const real *pixels, Py_ssize_t channels, real *image) noexcept nogil
    cdef void multiply(
        self, const real *image, Py_ssize_t row, Py_ssize_t end, const real *weights,
        Py_ssize_t weights_row, Py_ssize_t channels, const real *bias, real *out, Py_ssize_t out_row,
    ) noexcept nogil


cdef class ConvolutionLayer(Layer):
    # Where weights and biases begin in the flat arrays; without biases where there is normalization.
    cdef Py_ssize_t weights
    cdef Py_ssize_t bias
    cdef bint has_bias
    cdef Py_ssize_t window
    cdef Py_ssize_t groups
    # Rows of the kernel that are a piece.
    cdef Py_ssize_t piece_rows
    # Channels of all groups together; rows and columns of the convolution.
    cdef Py_ssize_t input_channels
    cdef Py_ssize_t channels
    cdef Py_ssize_t rows
    cdef Py_ssize_t columns
    # Of the input, and of the delta as the input gradient takes it.
    cdef Patches patches
    cdef Patches delta_patches
    # Whether the outputs are the largest values of windows; else the outputs are the convolution.
    cdef bint pools
    cdef Windows windows
    # Whether the layer above has read its inputs when it writes their delta.
    cdef bint is_overwritten

    cdef Py_ssize_t image_values(self) noexcept nogil
    cdef void place_image(self, const real *x, real *image) noexcept nogil
    cdef void convolve(
        self, const real *weights, const real *bias, const real *image, Py_ssize_t row,
        Py_ssize_t end, real *out,
    ) noexcept nogil
    cdef void convolve_and_pool(
        self, const real *bias, const real *image, real *near, real *out, real *winners
    ) noexcept nogil
    cdef void place_delta(
        self, const real *delta, const real *winners, real *image
    ) noexcept nogil
    cdef void add_pooled_gradient(
        self, LayerBuffers buffers, Py_ssize_t i, real *near, Py_ssize_t piece, real *gradient
    ) noexcept nogil
    cdef void add_weight_gradient(
        self, const real *image, const real *delta, Py_ssize_t row, Py_ssize_t end, Py_ssize_t piece,
        real *gradient,
    ) noexcept nogil
    cdef void input_gradient(
        self, const real *turned, const real *delta, real *image, real *out
    ) noexcept nogil
    cdef void input_gradient_of_image(
        self, const real *turned, const real *image, real *out
    ) noexcept nogil
    cdef void turn(self, const real *weights, Py_ssize_t column, real *turned) noexcept nogil


cdef ConvolutionLayer convolution_layer(
    description, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t start, bint has_bias, pool
)
