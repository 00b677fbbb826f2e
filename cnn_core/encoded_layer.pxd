"""The dense layer on encoded columns. How: encoded_layer.pyx."""

from .dense_layer cimport DenseLayer
from .layer cimport Block, LayerBuffers
from .scalar cimport real

cdef enum Encoding:
    NUMBERS
    PIECES
    CODES


cdef struct Columns:
    # A column of pieces or codes, or several numbers side by side: where they stand in a sample, and how
    # many features they give; where their weights begin in the flat arrays, and for pieces the sums; the
    # number of their first piece of parameters, and how many pieces there are.
    Encoding encoding
    Py_ssize_t column
    Py_ssize_t features
    Py_ssize_t weights
    Py_ssize_t sums
    Py_ssize_t first_piece
    Py_ssize_t pieces


cdef struct PieceOfRows:
    # Some rows of weights of some columns, counted from their first one, and some units.
    const Columns *columns
    Py_ssize_t first
    Py_ssize_t end
    Py_ssize_t unit
    Py_ssize_t units


cdef class EncodedLayer(DenseLayer):
    cdef Columns *columns_at
    cdef Py_ssize_t n_columns
    # Values of all sums.
    cdef Py_ssize_t sums_size

    cdef int take_columns(self, description, Py_ssize_t start) except -1
    cdef void add_bias(self, LayerBuffers buffers, const Block *block) noexcept nogil
    cdef void look_up(
        self, LayerBuffers buffers, Py_ssize_t sample, Py_ssize_t first, Py_ssize_t end
    ) noexcept nogil
    cdef void add_numbers(
        self, LayerBuffers buffers, const Block *block, const Columns *columns
    ) noexcept nogil
    cdef const Columns *columns_of(self, Py_ssize_t *piece) noexcept nogil
    cdef void update_part(
        self, LayerBuffers buffers, const Block *block, const PieceOfRows *part, real *later
    ) noexcept nogil
    cdef void gradient_of_part(
        self, LayerBuffers buffers, const Block *block, const PieceOfRows *part, real *later,
        real[::1] out,
    ) noexcept nogil
    cdef void update_pieces(
        self, LayerBuffers buffers, const Block *block, PieceOfRows part
    ) noexcept nogil
    cdef void sum_up(
        self, real[::1] sums, const Columns *columns, Py_ssize_t unit, Py_ssize_t units
    ) noexcept nogil
    cdef void sum_up_all(self, real[::1] sums, const Columns *columns) noexcept nogil


cdef EncodedLayer encoded_layer(description, Py_ssize_t start)
