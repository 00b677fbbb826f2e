"""The forward pass: layer after layer, for a block of samples."""

from libc.stdint cimport int64_t
from libc.string cimport memcpy

from .gather cimport gather
from .layer cimport Layer
from .net cimport Net
from .scalar cimport real
from .sparse_rows cimport any_value_nonfinite
from .workspace cimport Block, LayerBuffers, Prediction, Workspace, block_of

cdef extern from "threads.h" nogil:
    void shared_store(int64_t *at, int64_t value)

cdef extern from "vector.h" nogil:
    int is_nonfinite(real x)


cdef Py_ssize_t forward_layers(const Block *block, Py_ssize_t l) noexcept nogil:
    """From layer `l` on up to one where all samples wait, which is returned, or to the end."""
    cdef void **layers = (<Net>block.net).layer_at
    cdef void **buffers = (<Workspace>block.workspace).layer_at
    while l < (<Net>block.net).size and (<Layer>layers[l]).barrier_tasks == 0:
        (<Layer>layers[l]).forward(<LayerBuffers>buffers[l], block)
        l += 1
    return l


cdef void forward_all_task(void *context, Py_ssize_t task, int thread) noexcept nogil:
    """A task of the layer where all samples have come together."""
    cdef const Block *block = <const Block *>context
    (<Layer>(<Net>block.net).layer_at[block.layer]).forward_all(
        <LayerBuffers>(<Workspace>block.workspace).layer_at[block.layer], block, <int>task
    )


cdef void end_forward(const Block *block) noexcept nogil:
    """All samples of a step have gone forward."""
    cdef Py_ssize_t l
    for l in range((<Net>block.net).size):
        (<Layer>(<Net>block.net).layer_at[l]).end_forward(
            <LayerBuffers>(<Workspace>block.workspace).layer_at[l], block
        )


cdef void predict_block(void *context, Py_ssize_t number, int thread) noexcept nogil:
    """The outputs for a block of samples, straight from the caller's array if nothing is to do."""
    cdef Prediction *asked = <Prediction *>context
    cdef Block block = block_of(&asked.block, number, thread)
    cdef void **layers = (<Net>block.net).layer_at
    cdef void **buffers = (<Workspace>block.workspace).layer_at
    cdef Py_ssize_t outputs = (<Net>block.net).outputs
    cdef Py_ssize_t i, l, last = (<Net>block.net).size - 1
    if (<LayerBuffers>buffers[0]).own_inputs == NULL and not block.samples.are_read_sparse:
        gather(&block)
    # Looked at here, where they are about to be fetched anyhow.
    if block.samples.are_read_sparse:
        if any_value_nonfinite(&block):
            shared_store(&asked.nonfinite, 1)
    elif block.samples.bytes == NULL and any_nonfinite(&block):
        shared_store(&asked.nonfinite, 1)
    for l in range(last + 1):
        (<Layer>layers[l]).predict(<LayerBuffers>buffers[l], &block)
    for i in range(block.top, block.top + block.rows):
        memcpy(
            asked.out + (block.first + i) * outputs,
            &(<LayerBuffers>buffers[last]).outputs[i * (<LayerBuffers>buffers[last]).row],
            <size_t>outputs * sizeof(real),
        )


cdef bint any_nonfinite(const Block *block) noexcept nogil:
    """Whether an input, scaled, is infinite or NaN."""
    cdef Py_ssize_t inputs = (<Net>block.net).inputs, row = inputs, i, j
    cdef const real *x = (<LayerBuffers>(<Workspace>block.workspace).layer_at[0]).own_inputs
    cdef int found = 0
    if x == NULL:
        row = (<Workspace>block.workspace).input_row
        x = &(<Workspace>block.workspace).x[0]
    for i in range(block.top, block.top + block.rows):
        for j in range(inputs):
            found |= is_nonfinite(x[i * row + j])
    return found
