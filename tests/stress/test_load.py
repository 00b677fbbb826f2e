"""Many threads and processes at once, interrupts at any moment, and memory that stays flat.

What fails here hangs or crashes, so each scenario is a function that runs in a process of its own:

    CNN_CORE_LOAD_SECONDS=60 python test_load.py everything_at_once cython
"""

from __future__ import annotations

import copy
import gc
import multiprocessing
import os
import pickle
import random
import signal
import sys
import tempfile
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import cnn_core
from cnn_core import NN, MLPClassifier
from scenarios import run_alone

SECONDS = float(os.environ.get("CNN_CORE_LOAD_SECONDS", "2"))
LONGEST_RUN = 180 + 4 * SECONDS
THREADS = 8
PROCESSES = 4
# Twelve that get in each other's way do no less than this of what one does alone: on two cores 0.95
# with the compiled backend and 0.24 with NumPy's, whose threads wait for the interpreter and for
# each other. Thread pools that spin while they are kept from their cores do a hundredth. Asked for
# by `make load` alone, since no test of the suite is about time.
LEAST_SHARE = 0.1
LONG = 30
INTERRUPTS = 50
# What the allocator keeps for itself grows by less; one copy of the weights in each round by more.
MOST_GROWTH = 16_000_000
ROUNDS = 24
# Bytes of a round that may stay: less than the smallest array of weights, more than the little that
# caches of Python take as they grow.
MOST_KEPT = 2000
KEEPING_ROUNDS = 6

pytestmark = [
    pytest.mark.slow,
    pytest.mark.serial,
    pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's signals and /proc"),
]

rng = np.random.default_rng(20260303)
X, LABELS = rng.random((240, 120), np.float32), rng.integers(0, 10, 240)
KINDS = {"large steps": 120, "small steps": 7}


def network(backend: str, batch_size: int = 60, epochs: int = 2) -> NN:
    return NN(120, 90, 10, 0.1, epochs, batch_size=batch_size, seed=5, backend=backend, n_threads=2)


def bits(net: NN) -> bytes:
    return b"".join(array.tobytes() for array in (net.wih, net.bih, net.who, net.bho))


def trained(backend: str, kind: str) -> bytes:
    """The bits of a training and of the predictions after it."""
    net = network(backend, KINDS[kind]).fit(X, LABELS)
    return bits(net) + net.predict(X).tobytes()


def work_until(end: float, number: int, backend: str, alone: dict[str, bytes]) -> int:
    """Train again and again; return how often, if each was right."""
    chance, done = random.Random(number), 0
    while not done or time.monotonic() < end:
        kind = chance.choice([*KINDS])
        assert trained(backend, kind) == alone[kind], f"worker {number}, {kind}"
        done += 1
    return done


def everything_at_once(backend: str) -> None:
    alone = {kind: trained(backend, kind) for kind in KINDS}
    start = time.monotonic()
    rate = work_until(start + 1, 0, backend, alone) / (time.monotonic() - start)
    end = time.monotonic() + SECONDS
    with ThreadPoolExecutor(THREADS) as threads:
        in_threads = [
            threads.submit(work_until, end, number, backend, alone) for number in range(THREADS)
        ]
        context = multiprocessing.get_context("spawn")
        with context.Pool(PROCESSES) as processes:
            asked_for = [(end, THREADS + i, backend, alone) for i in range(PROCESSES)]
            in_processes = processes.starmap(work_until, asked_for, chunksize=1)
        done = [*(future.result() for future in in_threads), *in_processes]
    share = sum(done) / SECONDS / rate
    print(f"{sum(done)} trainings, {share:.2f} times as many a second as one thread alone")
    assert len(done) == THREADS + PROCESSES
    # Of two seconds too much goes by until the processes are there.
    assert share >= LEAST_SHARE or SECONDS < LONG


def interrupts(backend: str) -> None:
    """Each leaves the network of some whole number of batches, with which one can go on."""
    # The states after each batch, by single steps.
    replay = network(backend, epochs=1)
    states = [bits(replay)]
    replay.shuffle = False
    for _ in range(3):
        for first in range(0, len(X), 60):
            replay.backprop(X[first : first + 60], LABELS[first : first + 60])
            states.append(bits(replay))
    known = set(states)
    chance = random.Random(7)
    hits = 0
    for _ in range(INTERRUPTS):
        net = network(backend, epochs=3)
        net.shuffle = False
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        try:
            signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.0001, 0.004))
            net.fit(X, LABELS)
            signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            hits += 1
        assert bits(net) in known
        assert all(np.isfinite(array).all() for array in (net.wih, net.who, net.predict(X)))
        net.epochs = 1
        assert np.isfinite(net.fit(X, LABELS).history["loss"][-1])
    assert hits > 0


def memory_stays_flat(backend: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net"
        sizes = []
        for number in range(2 * ROUNDS):
            if number in (ROUNDS, 2 * ROUNDS - 1):
                sizes.append(resident())
            # Weights of 1 MB.
            net = NN(500, 500, 10, 0.1, 1, batch_size=60, seed=1, backend=backend)
            x = np.ones((60, 500), np.float32)
            net.fit(x, LABELS[:60]).predict(x)
            net.save(path)
            cnn_core.load(path, backend=backend).predict(x)
    assert sizes[1] - sizes[0] < MOST_GROWTH, sizes


def nothing_is_kept(backend: str) -> None:
    """Of what Python and NumPy have allocated, to which the engines' work space belongs."""
    net = network(backend).fit(X, LABELS)
    answer = net.predictor()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net"

        def train() -> None:
            network(backend).fit(X, LABELS).predict(X)

        def train_at_length() -> None:
            network(backend, batch_size=7, epochs=4).fit(X, LABELS)

        def predict() -> None:
            net.predict(X)
            answer(X[0])
            net.predictor()

        def save_and_load() -> None:
            net.save(path)
            cnn_core.load(path, backend=backend).predict(X)

        def write_checkpoints() -> None:
            network(backend).fit(X, LABELS, checkpoint=Path(folder) / "checkpoint")
            (Path(folder) / "checkpoint").unlink()

        def copy_it() -> None:
            copy.deepcopy(net).fit(X, LABELS)
            pickle.loads(pickle.dumps(net)).predict(X)

        def be_refused() -> None:
            refusals = (
                (X[:, 1:], LABELS, "expected"),
                (X, LABELS + 10, "label"),
                (X * np.nan, LABELS, "finite"),
            )
            for x, labels, message in refusals:
                with pytest.raises(ValueError, match=message):
                    net.fit(x, labels)

        def fit_a_classifier() -> None:
            settings = {"normalization": "batch", "max_iter": 2, "schedule": "cosine"}
            MLPClassifier((40,), backend=backend, random_state=1, **settings).fit(
                X, LABELS
            ).predict(X)

        def take_a_step(number: int) -> None:
            network(backend, batch_size=len(X), epochs=1).fit(X, LABELS)

        def start_threads() -> None:
            before = running_threads()
            with ThreadPoolExecutor(4) as threads:
                list(threads.map(take_a_step, range(4)))
            # A thread that has been waited for may still be about to go.
            while running_threads() > before:
                time.sleep(0.001)

        def fork() -> None:
            if (child := os.fork()) == 0:
                train()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0

        tasks = (
            train,
            train_at_length,
            predict,
            save_and_load,
            write_checkpoints,
            copy_it,
            be_refused,
            fit_a_classifier,
            start_threads,
            fork,
        )
        tracemalloc.start()
        for task in tasks:
            for _ in range(2):
                task()
            before = allocated()
            for _ in range(KEEPING_ROUNDS):
                task()
            kept = (allocated() - before) / KEEPING_ROUNDS
            print(f"{task.__name__}: {kept:.0f} bytes")
            assert kept < MOST_KEPT, f"{task.__name__} keeps {kept:.0f} bytes"


def allocated() -> int:
    """Bytes that are allocated in Python and NumPy."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def running_threads() -> int:
    return len(os.listdir("/proc/self/task"))


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    "scenario", [everything_at_once, interrupts, memory_stays_flat, nothing_is_kept]
)
def test_it_runs_without_errors_and_leaks(scenario, name):
    code, stdout, stderr = run_alone(__file__, scenario.__name__, name, longest=LONGEST_RUN)
    print(stdout)
    assert (code, stderr) == (0, "")


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2])
