"""Shards larger than memory: blocks are read while the engine works on the last one.

In each epoch the blocks are shuffled, and the rows within each block. Both orders are fixed by key
and epoch. A single block has the same order as a shard in memory.
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

# Bytes of a block in memory: enough rows to shuffle, and small enough to hold two blocks.
BLOCK_BYTES = 2**24


class Rows(Protocol):
    """Rows that are read on demand; can be pickled."""

    @property
    def n_samples(self) -> int:
        """Number of rows."""

    def read(self, start: int, stop: int) -> Piece:
        """Return some rows in the form of an engine, without an order."""


class BlockShard:
    """A shard with two blocks in memory at a time.

    Parameters
    ----------
    rows : Rows
    block_rows : int
        Rows of a block, at least 1.
    """

    # The shard whose blocks are in memory in this process.
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
        """Return a shard of other rows, with the same block size."""
        return BlockShard(rows, self._block_rows)

    def in_order(self) -> Iterator[Piece]:
        """Yield the rows in their original order, block by block."""
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
            # Otherwise this block would still be in memory while a third is read.
            del block
        if rest is not None:
            yield rest

    def _read_ahead(
        self, key: int | None, epoch: int, rows: slice
    ) -> Iterator[tuple[Piece, IndexArray, bool]]:
        """Yield blocks, each with its shuffled rows, and whether it is the last one.

        The next block is read meanwhile.
        """
        wanted = list(self._wanted(key, epoch, rows))
        with ThreadPoolExecutor(1, "cnn_core read ahead") as reader:
            ahead: Future[Piece] | None = None
            for place, (number, part) in enumerate(wanted):
                block = self._block(number) if ahead is None else ahead.result()
                ahead = None
                # Keep only this block, also for the next round.
                self._blocks = {number: block}
                if place + 1 < len(wanted):
                    ahead = reader.submit(self._block, wanted[place + 1][0])
                order = _order(key, epoch, number, block.n_samples)[part]
                yield block, order, place + 1 == len(wanted)
                del block

    def _wanted(self, key: int | None, epoch: int, rows: slice) -> Iterator[tuple[int, slice]]:
        """Yield the numbers of blocks, and the wanted positions in the order of each."""
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
        """Drop the blocks of the shard that was in use before."""
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
    # The second word of the counter separates it from the orders of rows.
    generator = np.random.Generator(np.random.Philox(key=key, counter=[0, 1, 0, epoch]))
    return generator.permutation(n_blocks)


def _order(key: int | None, epoch: int, number: int, n_samples: int) -> IndexArray:
    """Return the order of a block's rows; for block 0 it is `shuffled_order`."""
    if key is None:
        return np.arange(n_samples)
    generator = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, number, epoch]))
    return generator.permutation(n_samples).astype(np.intp, copy=False)


def _chosen(block: Piece, order: IndexArray) -> Piece:
    """Return a copy of some rows."""
    weights: FloatArray | None = None if block.weights is None else block.weights[order]
    return Piece(block.x[order], block.t[order], weights, None)


def _joined(one: Piece, other: Piece) -> Piece:
    """Concatenate the rows of both."""
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
