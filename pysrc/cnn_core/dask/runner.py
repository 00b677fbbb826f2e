"""Compute rounds as tasks on a cluster, each on the worker of its shard."""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import dask
from dask.delayed import Delayed, delayed
from distributed import Client, Future, KilledWorker

from cnn_core.dask.ownership import owners_of, preferred
from cnn_core.dask.recovery import cluster_errors, results_of, wait_for
from cnn_core.sharding.averaging import added, branches, stepped, tree, weighted_round
from cnn_core.sharding.rounds import Plan, Result, Round
from cnn_core.sharding.shard import Shard

_NUMBERS = itertools.count()
# Rounds of this many seconds are submitted at once.
_LEAST_SECONDS, _MOST_SECONDS = 2.0, 6.0


class OnCluster:
    """Shards on the workers of a cluster, with the results of `InProcess`.

    Several rounds are submitted at once, so that they do not wait for the client. The work of a
    lost worker is repeated from the partitions and the client's state.

    Parameters
    ----------
    client : distributed.Client
    shards : sequence of Future
    submit : callable
        Submits the shards again as new tasks; returns their futures.
    sizes : sequence of int
        Samples of each shard.
    names : sequence of str
        Names of the shards, for errors.
    """

    def __init__(
        self,
        client: Client,
        shards: Sequence[Future],
        submit: Callable[[], Sequence[Future]],
        sizes: Sequence[int],
        names: Sequence[str],
    ) -> None:
        self._client, self._shards, self._submit = client, shards, submit
        self.sizes = sizes
        self._names = names
        self._window = 4

    def n_workers(self) -> int:
        """Return the number of threads of the cluster, at most the number of shards."""
        with cluster_errors(self._client, str):
            threads: int = sum(self._client.nthreads().values())
        return min(threads, len(self.sizes))

    def run(
        self, plan: Plan, start: Result, epoch: int, rounds: list[Round], *, every: bool
    ) -> Iterator[Result]:
        """Compute rounds; see `cnn_core.sharding.runner.Runner`."""
        with cluster_errors(self._client, self._name_of):
            # Their workers are needed next.
            wait_for(self._client, self._shards)
            while rounds:
                began = time.perf_counter()
                window, rounds = rounds[: self._window], rounds[self._window :]
                for result in self._surely(plan, start, epoch, window, every):
                    yield result
                    if result.arrays:
                        start = result
                self._fit_window(time.perf_counter() - began)

    def _fit_window(self, seconds: float) -> None:
        """Set the number of rounds submitted at once, which changes no bit.

        The client gets the state after them. If a worker is lost, only these are computed again.
        """
        if seconds < _LEAST_SECONDS:
            self._window *= 2
        elif seconds > _MOST_SECONDS and self._window > 1:
            self._window //= 2

    def _surely(self, *window: Any) -> Iterator[Result]:
        """Compute a window of rounds, and repeat it once if Dask gave up one of its tasks.

        Dask gives up a task after the fourth lost worker, which in a long training also happens to
        harmless tasks.
        """
        done = 0
        try:
            for result in self._run_window(*window):
                yield result
                done += 1
        except KilledWorker:
            self._submit_again()
            yield from itertools.islice(self._run_window(*window), done, None)

    def _submit_again(self) -> None:
        # Release the old futures first, so that Dask forgets the tasks and their lost workers.
        self._shards = []
        with quiet_about_sizes():
            self._shards = self._submit()

    def _run_window(
        self, plan: Plan, start: Result, epoch: int, rounds: list[Round], every: bool
    ) -> Iterator[Result]:
        states = self._graph(plan, start, epoch, rounds)
        if not every:
            states = states[-1:]
        with self._running(states) as futures:
            for future in futures:
                (found,) = results_of(self._client, [future])
                yield from found[-1:] if every else found

    def _graph(self, plan: Plan, start: Result, epoch: int, rounds: list[Round]) -> list[Delayed]:
        """Return, for each round, the task of the results of all rounds up to it."""
        run = f"{next(_NUMBERS)}-{epoch}"
        own_plan = _task(f"plan-{run}", as_given, plan)
        reached = [_task(f"start-{run}", as_given, _Reached(start._replace(parts=[])))]
        owners = owners_of(self._client, self._shards)
        last: Round | None = None
        states = []
        for place, one in enumerate(rounds):
            results = []
            for number, shard in enumerate(self._shards):
                key = f"round-{run}-{place}-of-shard-{number}"
                with dask.annotate(**preferred(owners[number])):
                    how = number, own_plan, epoch, one, last
                    results.append(_task(key, _round, shard, *how, *reached))
            reached = branches(results, partial(_joined, f"mean-{run}-{place}"))
            last = one
            states.append(_task(f"state-{run}-{place}", _results, own_plan, last, *reached))
        return states

    @contextmanager
    def _running(self, wanted: list[Delayed]) -> Iterator[list[Future]]:
        """Yield the futures of tasks, and cancel them at the end."""
        with quiet_about_sizes():
            futures = self._client.compute(wanted, optimize_graph=False)
        try:
            yield futures
        finally:
            self._client.cancel(futures)

    def _name_of(self, key: str) -> str:
        """Return a description of the task with a key, for errors."""
        for number, (future, name) in enumerate(zip(self._shards, self._names, strict=True)):
            if key == future.key or key.endswith(f"-of-shard-{number}"):
                return name
        return key

    def each(self, function: Callable[..., Any], *args: Any) -> list[Any]:
        """Call a function for every shard; return the results."""
        with cluster_errors(self._client, self._name_of), quiet_about_sizes():
            try:
                return self._each(function, args)
            except KilledWorker:
                self._submit_again()
                return self._each(function, args)

    def _each(self, function: Callable[..., Any], args: tuple[Any, ...]) -> list[Any]:
        futures = _submitted(self._client, self._shards, function, args)
        return results_of(self._client, futures)

    def changed(self, function: Callable[..., Any], *args: Any) -> OnCluster:
        """Return a runner with shards made from these."""

        def submit() -> list[Future]:
            return _submitted(self._client, self._submit(), function, args)

        with cluster_errors(self._client, self._name_of), quiet_about_sizes():
            shards = _submitted(self._client, self._shards, function, args)
            changed = OnCluster(self._client, shards, submit, self.sizes, self._names)
        changed.sizes = changed.each(_size)
        return changed


def _submitted(
    client: Client, shards: Sequence[Future], function: Callable[..., Any], args: tuple[Any, ...]
) -> list[Future]:
    return [
        client.submit(function, shard, number, *args, pure=False)
        for number, shard in enumerate(shards)
    ]


def _task(key: str, function: Callable[..., Any], *args: Any) -> Delayed:
    # The arguments are data: Dask need not search them for tasks.
    return delayed(function, pure=False, traverse=False)(*args, dask_key_name=f"cnn_core-{key}")


def _joined(key: str, one: Delayed, other: Delayed) -> Delayed:
    return _task(f"{key}-{next(_NUMBERS)}", _added, one, other)


# Code of the tasks.


def as_given(value: Any) -> Any:
    """Return its argument, so that a task holds it."""
    return value


class _Reached(NamedTuple):
    """Combined result of some consecutive shards in a round.

    Values that exist only once are with the first shard.

    Attributes
    ----------
    result : Result
        Sum of their results.
    before : Result or None
        The state before the round, for an outer step.
    past : tuple of Result
        Results of earlier rounds, without arrays.
    """

    result: Result
    before: Result | None = None
    past: tuple[Result, ...] = ()


def _round(
    shard: Shard,
    number: int,
    plan: Plan,
    epoch: int,
    steps: Round,
    last: Round | None,
    *reached: _Reached,
) -> _Reached:
    """Take the outer step of the last round, as on every worker, and compute a round.

    As a separate task, that step would have to be waited for and sent.
    """
    start, past = reached[0].result, reached[0].past
    if last is not None:
        mean = _mean(*reached)
        start = _after(mean, plan, last)
        past = (*past, _report(mean.result))
    result = weighted_round(shard, number, plan, start.snapshot, epoch, steps)
    if number:
        return _Reached(result)
    before = None
    if plan.has_outer_steps:
        weights = {"parameters": start.arrays["parameters"]}
        before = start._replace(arrays=weights, parts=[])
    return _Reached(result, before, past)


def _added(one: _Reached, other: _Reached) -> _Reached:
    return one._replace(result=added(one.result, other.result))


def _mean(*branches: _Reached) -> _Reached:
    return tree(branches, _added)


def _after(mean: _Reached, plan: Plan, steps: Round) -> Result:
    """Return the state after a round."""
    if mean.before is None:
        return mean.result
    return stepped(mean.result, mean.before, plan, steps)


def _results(plan: Plan, steps: Round, *branches: _Reached) -> list[Result]:
    """Return the results of all rounds; only the last one has the state."""
    mean = _mean(*branches)
    return [*mean.past, _after(mean, plan, steps)]


def _report(result: Result) -> Result:
    """Return a result without its arrays."""
    return result._replace(arrays={}, momentum=None)


def _size(shard: Any, number: int) -> int:
    return int(shard.n_samples)


@contextmanager
def quiet_about_sizes() -> Iterator[None]:
    """Suppress the warning about data sent to the scheduler, which happens once."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sending large graph", category=UserWarning)
        yield
