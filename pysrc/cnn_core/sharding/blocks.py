"""Shards that need not fit in memory: read block by block, while the engine works on the last one.

An epoch goes through the blocks in an order of its own, and through the rows of each in another, as
fixed by the key and the epoch as those of a shard in memory. With a single block it is that order.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np

from cnn_core.class_targets import ClassTargets, Targets
from cnn_core.sharding.shard import Piece
from cnn_core.sparse import joined_rows
from cnn_core.types import FloatArray, IndexArray

# Bytes of a block in memory: a good deal of rows to shuffle, and few enough to hold two of them.
BLOCK_BYTES = 2**24


class Rows(Protocol):
    """Rows that are read when they are asked for; it can be pickled."""

    @property
    def n_samples(self) -> int:
        """Number of rows."""

    def read(self, start: int, stop: int) -> Piece:
        """Return some rows as an engine takes them, without an order."""


class BlockShard:
    """A shard of which two blocks are in memory at a time.

    Parameters
    ----------
    rows : Rows
    block_rows : int
        Rows of a block, at least 1.
    """

    # The shard of this process whose blocks are in memory.
    _in_memory: weakref.ref[BlockShard] | None = None

    def __init__(self, rows: Rows, block_rows: int) -> None:
        self.rows = rows
        self._block_rows = block_rows
        self._blocks: dict[int, Piece] = {}

    @property
    def n_samples(self) -> int:
        """Number of rows."""
        return self.rows.n_samples

    def of(self, rows: Rows) -> BlockShard:
        """Return a shard of other rows, with blocks as long."""
        return BlockShard(rows, self._block_rows)

    def in_order(self) -> Iterator[Piece]:
        """Yield the rows as they stand, block by block."""
        for start in range(0, self.n_samples, self._block_rows):
            yield self.rows.read(start, min(start + self._block_rows, self.n_samples))

    def pieces(self, key: int | None, epoch: int, rows: slice, batch_size: int) -> Iterator[Piece]:
        """Yield the samples at some positions of an epoch's order, in whole batches."""
        self._take_memory()
        rest: Piece | None = None
        for block, order, is_last in self._read_ahead(key, epoch, rows):
            if rest is not None:
                missing = min(batch_size - rest.n_samples, len(order))
                rest = _joined(rest, _chosen(block, order[:missing]))
                order = order[missing:]
                if rest.n_samples < batch_size:
                    del block
                    continue
                yield rest
                rest = None
            whole = len(order) if is_last else len(order) // batch_size * batch_size
            if whole:
                yield block._replace(order=order[:whole])
            if whole < len(order):
                rest = _chosen(block, order[whole:])
            # A third block is read otherwise while this one is still there.
            del block
        if rest is not None:
            yield rest

    def _read_ahead(
        self, key: int | None, epoch: int, rows: slice
    ) -> Iterator[tuple[Piece, IndexArray, bool]]:
        """Yield blocks, each with its rows in their order, and whether it is the last one.

        The next one is read meanwhile.
        """
        wanted = list(self._wanted(key, epoch, rows))
        with ThreadPoolExecutor(1, "cnn_core read ahead") as reader:
            ahead: Future[Piece] | None = None
            for place, (number, part) in enumerate(wanted):
                block = self._block(number) if ahead is None else ahead.result()
                ahead = None
                # Of the others only this one stays, also for the round after this one.
                self._blocks = {number: block}
                if place + 1 < len(wanted):
                    ahead = reader.submit(self._block, wanted[place + 1][0])
                order = _order(key, epoch, number, block.n_samples)[part]
                yield block, order, place + 1 == len(wanted)
                del block

    def _wanted(self, key: int | None, epoch: int, rows: slice) -> Iterator[tuple[int, slice]]:
        """Yield the numbers of blocks, and which positions of the order of each are wanted."""
        n_blocks = -(-self.n_samples // self._block_rows)
        begin = 0
        for number in _order_of_blocks(key, epoch, n_blocks):
            size = min(self._block_rows, self.n_samples - number * self._block_rows)
            part = slice(max(rows.start - begin, 0), min(rows.stop - begin, size))
            if part.start < part.stop:
                yield int(number), part
            begin += size

    def _block(self, number: int) -> Piece:
        known = self._blocks.get(number)
        if known is not None:
            return known
        start = number * self._block_rows
        return self.rows.read(start, min(start + self._block_rows, self.n_samples))

    def _take_memory(self) -> None:
        """Let the shard that was worked on before forget its blocks."""
        before = None if BlockShard._in_memory is None else BlockShard._in_memory()
        if before is not None and before is not self:
            before._blocks = {}
        BlockShard._in_memory = weakref.ref(self)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_blocks": {}}


def block_rows_for(n_features: int, itemsize: int) -> int:
    """Return the rows of a block."""
    return max(BLOCK_BYTES // max(n_features * itemsize, 1), 1)


def _order_of_blocks(key: int | None, epoch: int, n_blocks: int) -> IndexArray:
    if key is None:
        return np.arange(n_blocks)
    # Apart from the orders of rows by the second word of the counter.
    generator = np.random.Generator(np.random.Philox(key=key, counter=[0, 1, 0, epoch]))
    return generator.permutation(n_blocks)


def _order(key: int | None, epoch: int, number: int, n_samples: int) -> IndexArray:
    """Return the order of a block's rows; that of block 0 is `shuffled_order`."""
    if key is None:
        return np.arange(n_samples)
    generator = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, number, epoch]))
    return generator.permutation(n_samples).astype(np.intp, copy=False)


def _chosen(block: Piece, order: IndexArray) -> Piece:
    """Return a copy of some rows."""
    weights: FloatArray | None = None if block.weights is None else block.weights[order]
    return Piece(block.x[order], block.t[order], weights, None)


def _joined(one: Piece, other: Piece) -> Piece:
    """Return the rows of both, one after the other."""
    weights = None
    if one.weights is not None and other.weights is not None:
        weights = np.concatenate([one.weights, other.weights])
    x = joined_rows([one.x, other.x])
    return Piece(x, _joined_targets(one.t, other.t), weights, None)


def _joined_targets(one: Targets, other: Targets) -> Targets:
    if isinstance(one, ClassTargets) and isinstance(other, ClassTargets):
        labels = np.concatenate([one.labels, other.labels])
        return ClassTargets(labels, one.n_classes, one.smoothing)
    both: Targets = np.concatenate([one, other])
    return both
