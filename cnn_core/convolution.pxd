"""The convolution layer. How: convolution.pyx."""

from .layer cimport Layer
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


cdef class ConvolutionLayer(Layer):
    # Where weights and biases begin in the flat arrays; without biases where there is normalization.
    cdef Py_ssize_t weights
    cdef Py_ssize_t bias
    cdef bint has_bias
    cdef Py_ssize_t window
    cdef Py_ssize_t groups
    # Channels of all groups together; pixels of the output and of the input.
    cdef Py_ssize_t input_channels
    cdef Py_ssize_t channels
    cdef Py_ssize_t pixels
    cdef Py_ssize_t input_pixels
    # Of the input, and of the output as the input gradient takes it: the image, where the patch of each
    # pixel starts, and where the values of a patch stand from there on.
    cdef Geometry image
    cdef Py_ssize_t[::1] starts
    cdef Py_ssize_t[::1] places
    cdef Geometry delta_image
    cdef Py_ssize_t[::1] delta_starts
    cdef Py_ssize_t[::1] delta_places

    cdef Py_ssize_t image_values(self) noexcept nogil
    cdef void place_image(self, const real *x, real *image) noexcept nogil
    cdef void convolve(
        self, const real *weights, const real *bias, const real *image, real *out
    ) noexcept nogil
    cdef void add_weight_gradient(
        self, const real *image, const real *delta, Py_ssize_t piece, real *gradient
    ) noexcept nogil
    cdef void input_gradient(
        self, const real *turned, const real *delta, real *image, real *out
    ) noexcept nogil
    cdef void turn(self, const real *weights, Py_ssize_t piece, real *turned) noexcept nogil


cdef ConvolutionLayer convolution_layer(
    description, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t start, bint has_bias
)
