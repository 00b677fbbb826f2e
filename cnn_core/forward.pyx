"""The forward pass: layer after layer, for a block of samples."""

from libc.stdint cimport int64_t
from libc.string cimport memcpy

from .gather cimport gather
from .layer cimport Layer
from .net cimport Net
from .scalar cimport real
from .sparse_rows cimport any_value_nonfinite
from .workspace cimport BatchSlice, LayerBuffers, Prediction, ThreadBuffers, Workspace, block_rows

cdef extern from "threads.h" nogil:
    void shared_store(int64_t *at, int64_t value)

cdef extern from "vector.h" nogil:
    int is_nonfinite(real x)


cdef Py_ssize_t forward_layers(
    const BatchSlice *batch, Py_ssize_t l, Py_ssize_t top, Py_ssize_t rows, int thread
) noexcept nogil:
    """From layer `l` on up to one where all samples wait, which is returned, or to the end."""
    cdef void **layers = (<Net>batch.net).layer_at
    cdef void **buffers = (<Workspace>batch.workspace).layer_at
    cdef void *own = (<Workspace>batch.workspace).thread_at[thread]
    while l < (<Net>batch.net).size and (<Layer>layers[l]).barrier_tasks == 0:
        (<Layer>layers[l]).forward(
            <LayerBuffers>buffers[l], batch, top, rows, <ThreadBuffers>own
        )
        l += 1
    return l


cdef void forward_all_task(void *context, Py_ssize_t task, int thread) noexcept nogil:
    """A task of the layer where all samples have come together."""
    cdef const BatchSlice *batch = <const BatchSlice *>context
    (<Layer>(<Net>batch.net).layer_at[batch.layer]).forward_all(
        <LayerBuffers>(<Workspace>batch.workspace).layer_at[batch.layer], batch, task
    )


cdef void end_forward(const BatchSlice *batch) noexcept nogil:
    """All samples of a step have gone forward."""
    cdef Py_ssize_t l
    for l in range((<Net>batch.net).size):
        (<Layer>(<Net>batch.net).layer_at[l]).end_forward(
            <LayerBuffers>(<Workspace>batch.workspace).layer_at[l], batch
        )


cdef void predict_block(void *context, Py_ssize_t block, int thread) noexcept nogil:
    """The outputs for a block of samples, straight from the caller's array if nothing is to do."""
    cdef Prediction *asked = <Prediction *>context
    cdef const BatchSlice *batch = &asked.batch
    cdef void **layers = (<Net>batch.net).layer_at
    cdef void **buffers = (<Workspace>batch.workspace).layer_at
    cdef void *own = (<Workspace>batch.workspace).thread_at[thread]
    cdef Py_ssize_t inputs = (<Net>batch.net).inputs, outputs = (<Net>batch.net).outputs
    cdef Py_ssize_t top, rows, i, l, last = (<Net>batch.net).size - 1
    block_rows(batch, block, &top, &rows)
    if (<LayerBuffers>buffers[0]).own_inputs == NULL and not batch.samples.are_read_sparse:
        gather(batch, top, rows)
    # Looked at here, where they are about to be fetched anyhow.
    if batch.samples.are_read_sparse:
        if any_value_nonfinite(batch, top, rows):
            shared_store(&asked.nonfinite, 1)
    elif batch.samples.bytes == NULL and any_nonfinite(batch, top, rows):
        shared_store(&asked.nonfinite, 1)
    for l in range(last + 1):
        (<Layer>layers[l]).predict(
            <LayerBuffers>buffers[l], batch, top, rows, <ThreadBuffers>own
        )
    for i in range(top, top + rows):
        memcpy(
            asked.out + (batch.first + i) * outputs,
            &(<LayerBuffers>buffers[last]).outputs[i * (<LayerBuffers>buffers[last]).row],
            <size_t>outputs * sizeof(real),
        )


cdef bint any_nonfinite(const BatchSlice *batch, Py_ssize_t top, Py_ssize_t rows) noexcept nogil:
    """Whether an input, scaled, is infinite or NaN."""
    cdef Py_ssize_t inputs = (<Net>batch.net).inputs, row = inputs, i, j
    cdef const real *x = (<LayerBuffers>(<Workspace>batch.workspace).layer_at[0]).own_inputs
    cdef int found = 0
    if x == NULL:
        row = (<Workspace>batch.workspace).input_row
        x = &(<Workspace>batch.workspace).x[0]
    for i in range(top, top + rows):
        for j in range(inputs):
            found |= is_nonfinite(x[i * row + j])
    return found
