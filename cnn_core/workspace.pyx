"""The memory that a batch takes: one buffer for each layer, and one for each thread.

A batch that is larger than the workspace goes through in slices; their gradients add up, and the last
one takes the step. With normalization over the batch there is room for all of it.
"""

cimport cython
from cpython.mem cimport PyMem_RawCalloc, PyMem_RawFree, PyMem_RawMalloc

from .scalar cimport real

cdef enum:
    CACHE_LINE = 64


@cython.final
cdef class Arrays:
    """A network's flat arrays."""


@cython.final
cdef class ThreadBuffers:
    """What a thread needs for a task."""


@cython.final
cdef class LayerBuffers:
    """What a layer reads and writes."""


@cython.final
cdef class Workspace:
    """Memory for what up to `rows` samples leave behind in a network."""

    def __cinit__(self, Py_ssize_t rows):
        # Nobody has a view of no rows.
        self.rows = max(rows, 1)

    def __dealloc__(self):
        PyMem_RawFree(self.layer_at)
        PyMem_RawFree(self.memory)

    cdef int allocate(self) except -1:
        """Get the memory that was asked for so far, to be asked for once more."""
        self.memory = PyMem_RawMalloc(self.size + CACHE_LINE)
        if self.memory == NULL:
            raise MemoryError(
                f"no memory for {self.rows} samples in this network: {self.size} bytes"
            )
        self.size = 0
        return 0

    cdef int borrow(self) except -1:
        """Let the loops find the buffers without the GIL."""
        cdef Py_ssize_t number
        self.layer_at = <void **>PyMem_RawCalloc(
            len(self.layers) + len(self.threads), sizeof(void *)
        )
        if self.layer_at == NULL:
            raise MemoryError(f"no memory for {len(self.layers)} layers")
        self.thread_at = self.layer_at + len(self.layers)
        for number, buffers in enumerate(self.layers + self.threads):
            self.layer_at[number] = <void *>buffers
        return 0

    cdef void *carve(self, size_t size) except? NULL:
        """The next bytes, from a cache line on; NULL while the size is being found."""
        cdef size_t start = (<size_t>self.memory + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE
        start += self.size
        self.size += (size + CACHE_LINE - 1) // CACHE_LINE * CACHE_LINE
        return NULL if self.memory == NULL else <void *>start

    cdef real[::1] carve_reals(self, Py_ssize_t count):
        cdef void *start = self.carve(count * sizeof(real))
        if start == NULL:
            return None
        return <real[:count]><real *>start

    cdef real[::1] carve_rows(self, Py_ssize_t row):
        """A row for each sample."""
        return self.carve_reals(self.rows * row)

    cdef int carve_results(self, Py_ssize_t pieces) except -1:
        """A loss and a hit for each sample, and the squared gradient of each piece."""
        cdef void *losses = self.carve(self.rows * sizeof(double))
        cdef void *hits = self.carve(self.rows)
        cdef void *squares = self.carve(max(pieces, 1) * sizeof(double))
        if self.memory != NULL:
            self.losses = <double[:self.rows]><double *>losses
            self.hits = <unsigned char[:self.rows]><unsigned char *>hits
            self.squares = <double[:max(pieces, 1)]><double *>squares
        return 0


cdef Py_ssize_t padded_stride(Py_ssize_t columns) noexcept nogil:
    """Distance between rows: at an even number of cache lines a column would share a few sets."""
    if columns * sizeof(real) % (2 * CACHE_LINE) == 0:
        return columns + CACHE_LINE // <Py_ssize_t>sizeof(real)
    return columns
