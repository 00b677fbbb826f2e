"""The networks of an ensemble as tasks of a cluster, each of them one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from distributed import Client, Future

from cnn_core.dask.recovery import cluster_errors, results_of
from cnn_core.dask.runner import as_given, quiet_about_sizes
from cnn_core.members import Member, TrainedMember, train_members, with_shares

# What members share: each goes to the cluster once.
_SHARED = ("x", "t", "validation_t", "weights")


@contextmanager
def members_trained_on(client: Client, learner: Any) -> Iterator[None]:
    """Let a learner of tables train its networks on a cluster while the block runs."""
    vars(learner)["_train_members"] = partial(train_on_cluster, client)
    try:
        yield
    finally:
        del vars(learner)["_train_members"]


def train_on_cluster(
    client: Client,
    members: Sequence[Member],
    *,
    time_budget: float | None = None,
    **how: Any,
) -> list[TrainedMember]:
    """Train all members on the workers; see `cnn_core.members.train_members`.

    Raises
    ------
    ClusterError
        If the cluster cannot go on.
    DivergenceError, TypeError, ValueError
        As `train_members` does.
    """
    with cluster_errors(client, str), quiet_about_sizes():
        if time_budget is not None:
            threads = max(sum(client.nthreads().values()), 1)
            members = with_shares(members, time_budget, threads)
        sent: dict[int, Future] = {}
        trained = []
        for one in members:
            shared = {name: getattr(one, name) for name in _SHARED}
            for value in shared.values():
                if value is not None and id(value) not in sent:
                    sent[id(value)] = client.submit(as_given, value, pure=False)
            nothing: dict[str, Any] = dict.fromkeys(_SHARED)
            rest = replace(one, **nothing)
            futures = [sent.get(id(value)) for value in shared.values()]
            trained.append(client.submit(_trained, rest, *futures, pure=False))
        return results_of(client, trained)


def _trained(member: Member, *shared: Any) -> TrainedMember:
    """Train one member, on the thread of its task."""
    whole = replace(member, **dict(zip(_SHARED, shared, strict=True)))
    return train_members([whole], n_threads=1)[0]
