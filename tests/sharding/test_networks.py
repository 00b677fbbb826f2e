"""A scheduler and two workers on hosts of their own, and a link between them that is cut."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import fit_on_cluster
from namespaces import Network, network
from sharded_fits import ClassifierInShards, hash_of, small_classes

HELPERS = Path(fit_on_cluster.__file__).parent
WORKERS = ("one", "two")


@pytest.fixture
def hosts() -> Iterator[Network]:
    with ExitStack() as ends:
        try:
            made = ends.enter_context(network("scheduler", *WORKERS))
        except (PermissionError, FileNotFoundError) as error:
            pytest.skip(f"no network namespaces here: {error}")
        yield made


@contextmanager
def cluster(hosts: Network) -> Iterator[str]:
    """Run a scheduler and workers; yield the scheduler's address."""
    address = f"tcp://{hosts.addresses['scheduler']}:8786"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    words = ["--host", hosts.addresses["scheduler"], "--port", "8786", "--no-dashboard"]
    started = [hosts.python("scheduler", "-m", "distributed.cli.dask_scheduler", *words, **quiet)]
    for name in WORKERS:
        words = [address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        started.append(hosts.python(name, "-m", "distributed.cli.dask_worker", *words, **quiet))
    try:
        yield address
    finally:
        for one in started:
            one.kill()
            one.wait()


@pytest.mark.slow
def test_a_link_that_is_cut_for_ten_seconds_changes_no_bit(hosts: Network) -> None:
    with cluster(hosts) as address:
        fit = hosts.python(
            *("scheduler", str(HELPERS / "fit_on_cluster.py"), address),
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(HELPERS)},
        )
        with fit:
            assert fit.stdout is not None
            assert [fit.stdout.readline() for _ in range(2)] == ["epoch 1\n", "epoch 2\n"]
            hosts.set_link("two", "down")
            time.sleep(10)
            told_meanwhile = fit.poll()
            hosts.set_link("two", "up")
            *_, found = fit.stdout.read().split()
    assert told_meanwhile is None, "it did not need the worker whose link was cut"
    X, y, _ = small_classes(fit_on_cluster.N_SAMPLES)
    loop = ClassifierInShards(**fit_on_cluster.FIT).of(fit_on_cluster.N_SHARDS).fit(X, y)
    assert found == hash_of(loop)
