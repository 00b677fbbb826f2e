"""Partitions on a cluster: read their metadata, then divide their rows among shards."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from dask.delayed import Delayed
from dask.optimization import cull
from distributed import Client, Future, wait

from cnn_core.dask.dealing import MOST_SHARDS, Segment, assemble, deal
from cnn_core.dask.ownership import evenly, preferred
from cnn_core.dask.partitions import Partition
from cnn_core.dask.recovery import cluster_errors, named_results_of, wait_for
from cnn_core.dask.runner import OnCluster, as_given, quiet_about_sizes
from cnn_core.estimators.partitions import Together, describe, together
from cnn_core.estimators.rows import FilePartition, block_shard, describe_files
from cnn_core.estimators.task import Task


class Data(ABC):
    """The partitions of a fit, on a cluster.

    Parameters
    ----------
    client : distributed.Client
    partitions : sequence of Partition or FilePartition
    """

    def __init__(self, client: Client, partitions: Sequence[Partition | FilePartition]) -> None:
        self._client, self._partitions = client, partitions
        self._names = [one.name for one in partitions]
        self._keys: dict[str, str] = {}

    @abstractmethod
    def _looked_at(self, *how: Any) -> list[Future]:
        """Return futures of the metadata of each partition."""

    @abstractmethod
    def _shard(self, segments: list[Segment], owner: str, *how: Any) -> Future:
        """Return a future of a shard, if possible on the worker `owner`."""

    def _rows_of_workers(self) -> list[list[str]]:
        """Return the workers that hold each partition, if known."""
        return [[] for _ in self._partitions]

    def described(self, *how: Any) -> Together:
        """Read the metadata of every partition on its worker; return the combined metadata.

        Raises
        ------
        PartitionError
            For one that cannot be used, or differs from the first.
        """
        with cluster_errors(self._client, self._named_by), quiet_about_sizes():
            found = self._looked_at(*how)
            self._keys = {str(one.key): name for one, name in zip(found, self._names, strict=True)}
            descriptions = named_results_of(self._client, found, self._names)
        return together(self._names, descriptions)

    def dealt(
        self,
        known: Together,
        n_shards: int | None,
        task: Task,
        dtype: np.dtype[Any],
        estimator: str,
    ) -> OnCluster:
        """Divide the rows among shards.

        Raises
        ------
        ValueError
            For more shards than there are samples.
        """
        n_samples = int(known.sizes.sum())
        if n_shards is None:
            n_shards = min(int(np.count_nonzero(known.sizes)), MOST_SHARDS)
        if n_shards > n_samples:
            raise ValueError(
                f"n_shards: expected at most one for each of the {n_samples} samples, found "
                f"{n_shards}"
            )
        dealt = deal(known.sizes, n_shards)
        how = task, dtype, estimator, known.n_features
        kind, client, partitions = type(self), self._client, self._partitions

        def submit() -> list[Future]:
            # The partitions are placed again, and released when the shards exist.
            placed = kind(client, partitions)
            shards = placed.shards(dealt, *how)
            with client.as_current():
                wait(shards)
            return shards

        names = [self._name_of(number, segments) for number, segments in enumerate(dealt)]
        sizes = [sum(one.stop - one.start for one in segments) for segments in dealt]
        with cluster_errors(self._client, str), quiet_about_sizes():
            shards = self.shards(dealt, *how)
            # Wait, so that this is not counted as time of the rounds.
            wait_for(client, shards)
            return OnCluster(client, shards, submit, sizes, names)

    def shards(self, dealt: list[list[Segment]], *how: Any) -> list[Future]:
        """Return futures of the shards: evenly over the workers, near their rows."""
        having = self._rows_of_workers()
        owners = evenly([_most_rows(segments, having) for segments in dealt], self._threads())
        return [
            self._shard(segments, owner, *how)
            for segments, owner in zip(dealt, owners, strict=True)
        ]

    def _threads(self) -> dict[str, int]:
        threads: dict[str, int] = self._client.nthreads()
        return threads

    def _name_of(self, number: int, segments: list[Segment]) -> str:
        """Return the name of a shard, for errors."""
        first, last = (self._names[segments[place].partition] for place in (0, -1))
        return f"shard {number} ({first if first == last else f'{first} to {last}'})"

    def _named_by(self, key: str) -> str:
        """Return the partition of a task; the task itself if unknown."""
        if key in self._keys:
            return self._keys[key]
        for partition in self._partitions:
            for part in partition[1:]:
                if isinstance(part, Delayed) and key in _keys_below(part):
                    return partition.name
        return key


class Placed(Data):
    """Partitions in the memory of the workers."""

    def __init__(self, client: Client, partitions: Sequence[Partition]) -> None:
        super().__init__(client, partitions)
        with cluster_errors(client, str), quiet_about_sizes():
            lazy = [one for part in partitions for one in part[1:] if isinstance(one, Delayed)]
            computed = iter(client.compute(lazy, optimize_graph=False))
            self._parts = [
                [
                    next(computed) if isinstance(one, Delayed) else _on(client, one)
                    for one in partition[1:]
                ]
                for partition in partitions
            ]

    def _looked_at(self, *how: Any) -> list[Future]:
        return [
            self._client.submit(describe, name, *how, *parts, pure=False)
            for name, parts in zip(self._names, self._parts, strict=True)
        ]

    def _rows_of_workers(self) -> list[list[str]]:
        samples = [parts[0] for parts in self._parts]
        having = self._client.who_has(samples)
        return [list(having.get(one.key, ())) for one in samples]

    def _shard(self, segments: list[Segment], owner: str, *how: Any) -> Future:
        named = [(self._names[one.partition], one.start, one.stop) for one in segments]
        parts = [part for one in segments for part in self._parts[one.partition]]
        task, dtype, estimator, _ = how
        return self._client.submit(
            assemble, named, task, dtype, estimator, *parts, pure=False, **preferred(owner)
        )


class Files(Data):
    """Partitions in files, which the workers read block by block."""

    _partitions: Sequence[FilePartition]

    def _looked_at(self, *how: Any) -> list[Future]:
        return [
            self._client.submit(describe_files, one, *how, pure=False) for one in self._partitions
        ]

    def _shard(self, segments: list[Segment], owner: str, *how: Any) -> Future:
        own = [(self._partitions[one.partition], one.start, one.stop) for one in segments]
        return self._client.submit(block_shard, own, *how, pure=False, **preferred(owner))


def _on(client: Client, value: Any) -> Any:
    """Return a reference to a part of a partition on the cluster."""
    if value is None or isinstance(value, Future):
        return value
    return client.submit(as_given, value, pure=False)


def _most_rows(segments: list[Segment], having: list[list[str]]) -> list[str]:
    """Return the workers that have rows of a shard, those with the most first."""
    rows: Counter[str] = Counter()
    for one in segments:
        for worker in having[one.partition]:
            rows[worker] += one.stop - one.start
    return [worker for worker, _ in rows.most_common()]


def _keys_below(part: Delayed) -> set[str]:
    """Return the tasks that compute a part of a partition."""
    tasks, _ = cull(part.__dask_graph__(), [part.key])
    return {str(key) for key in tasks}
