"""Random changes of images, applied while the samples of a batch are gathered.

As for dropout, the random numbers of an image depend only on its place in the batch and on the
step. The formulas are in `cnn_core/backends/numpy/augmentation.py`.
"""

from libc.math cimport floor
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset

from cnn_core.layers import Augmentation

from .dropout cimport Counter, random_bits
from .scalar cimport real

cdef enum:
    WORDS = 8


cdef struct Draw:
    # Random changes of an image: shifts in pixels; rows and columns that a crop removes; its start.
    bint mirrored
    Py_ssize_t down
    Py_ssize_t right
    Py_ssize_t cut
    Py_ssize_t top
    Py_ssize_t left
    # First row and column of the erased square, negative if it begins outside.
    Py_ssize_t hole_top
    Py_ssize_t hole_left


cdef struct Between:
    # An interpolation: two adjacent rows or columns, and the weight of the second one.
    Py_ssize_t first
    Py_ssize_t second
    real share


cdef Changes changes_of(description):
    """Return the changes of a network's first layer; none if it is no `Augmentation`."""
    cdef Changes found = Changes(0, 0, 0, False, 0, 0, 0, False)
    if isinstance(description, Augmentation):
        found.height, found.width, found.channels = description.input_shape
        found.mirror, found.shift = description.mirror, description.shift
        found.crop, found.erase = description.crop, description.erase
        found.any = description.changes_images
    return found


cdef void change(
    const Changes *changes, uint64_t key, Py_ssize_t sample, Py_ssize_t step, const real *image,
    real *out,
) noexcept nogil:
    """Write an image to `out` with the random changes of this step."""
    cdef Draw draw = draw_of(changes, key, sample, step)
    cdef Py_ssize_t y, row, size = changes.width * changes.channels
    for y in range(changes.height):
        row = y - draw.down
        if row < 0 or row >= changes.height:
            memset(out + y * size, 0, <size_t>size * sizeof(real))
        elif draw.cut == 0:
            copy_row(changes, &draw, image + row * size, out + y * size)
        else:
            enlarge_row(changes, &draw, image, row, out + y * size)
    if changes.erase > 0:
        for y in range(max(draw.hole_top, 0), min(draw.hole_top + changes.erase, changes.height)):
            erase_row(changes, draw.hole_left, out + y * size)


cdef Draw draw_of(
    const Changes *changes, uint64_t key, Py_ssize_t sample, Py_ssize_t step
) noexcept nogil:
    cdef uint32_t words[WORDS]
    cdef Draw draw
    random_bits(key, 0, Counter(<uint32_t>sample, 0, <uint32_t>step), words, WORDS)
    draw.mirrored = changes.mirror and drawn(words[0], 2) == 1
    draw.down = drawn(words[1], 2 * changes.shift + 1) - changes.shift
    draw.right = drawn(words[2], 2 * changes.shift + 1) - changes.shift
    draw.cut = drawn(words[3], changes.crop + 1)
    draw.top = drawn(words[4], draw.cut + 1)
    draw.left = drawn(words[5], draw.cut + 1)
    draw.hole_top = draw.hole_left = 0
    if changes.erase > 0:
        draw.hole_top = drawn(words[6], changes.height + changes.erase - 1) - changes.erase + 1
        draw.hole_left = drawn(words[7], changes.width + changes.erase - 1) - changes.erase + 1
    return draw


cdef inline Py_ssize_t drawn(uint32_t word, Py_ssize_t count) noexcept nogil:
    """Turn a random word into an integer from 0 to below `count`."""
    return <Py_ssize_t>(<uint64_t>word * <uint64_t>count >> 32)


cdef void copy_row(
    const Changes *changes, const Draw *draw, const real *row, real *out
) noexcept nogil:
    """Copy a row, mirrored and shifted."""
    cdef Py_ssize_t width = changes.width, channels = changes.channels, x, c
    cdef Py_ssize_t moved = -draw.right if draw.mirrored else draw.right
    cdef Py_ssize_t first = max(moved, <Py_ssize_t>0), end = min(width + moved, width)
    cdef const real *pixel
    memset(out, 0, <size_t>(first * channels) * sizeof(real))
    memset(out + end * channels, 0, <size_t>((width - end) * channels) * sizeof(real))
    if not draw.mirrored:
        memcpy(
            out + first * channels, row + (first - moved) * channels,
            <size_t>((end - first) * channels) * sizeof(real),
        )
        return
    for x in range(first, end):
        pixel = row + (width - 1 - x + moved) * channels
        for c in range(channels):
            out[x * channels + c] = pixel[c]


cdef void enlarge_row(
    const Changes *changes, const Draw *draw, const real *image, Py_ssize_t row, real *out
) noexcept nogil:
    """Interpolate a row of the cropped and enlarged image, mirrored and shifted."""
    cdef Py_ssize_t width = changes.width, channels = changes.channels, x, c, column
    cdef Between down = between(row, changes.height, draw.cut, draw.top), right
    cdef const real *upper = image + down.first * width * channels
    cdef const real *lower = image + down.second * width * channels
    cdef Py_ssize_t first, second
    cdef real above, below
    for x in range(width):
        column = (width - 1 - x if draw.mirrored else x) - draw.right
        if column < 0 or column >= width:
            for c in range(channels):
                out[x * channels + c] = 0
            continue
        right = between(column, width, draw.cut, draw.left)
        first, second = right.first * channels, right.second * channels
        for c in range(channels):
            above = upper[first + c] + right.share * (upper[second + c] - upper[first + c])
            below = lower[first + c] + right.share * (lower[second + c] - lower[first + c])
            out[x * channels + c] = above + down.share * (below - above)


cdef inline Between between(
    Py_ssize_t place, Py_ssize_t size, Py_ssize_t cut, Py_ssize_t first
) noexcept nogil:
    """Return the rows or columns of the old image for row or column `place` of the enlarged one."""
    cdef double scale = <double>(size - cut) / <double>size
    cdef double source = <double>first + ((<double>place + 0.5) * scale - 0.5)
    cdef Between found
    source = min(max(source, <double>first), <double>(first + size - cut - 1))
    found.first = <Py_ssize_t>floor(source)
    found.second = min(found.first + 1, size - 1)
    found.share = <real>(source - <double>found.first)
    return found


cdef void erase_row(const Changes *changes, Py_ssize_t left, real *out) noexcept nogil:
    cdef Py_ssize_t first = max(left, <Py_ssize_t>0) * changes.channels
    cdef Py_ssize_t end = min(left + changes.erase, changes.width) * changes.channels
    if end > first:
        memset(out + first, 0, <size_t>(end - first) * sizeof(real))
