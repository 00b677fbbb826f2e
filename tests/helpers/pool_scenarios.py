"""Scenarios for the pool of threads, each of which runs in a process of its own.

What fails here hangs or crashes:

    python pool_scenarios.py several_trainings_at_once
"""

from __future__ import annotations

import contextlib
import copy
import ctypes
import itertools
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from cnn_core import NN, backends, load
from cnn_core.network import Dense, Network
from pool_work import LONGEST_RUN, SHARED, Work, in_a_child, works


def several_trainings_at_once() -> None:
    all_works = works()
    alone = {name: all_works[name].train(1) for name in SHARED}

    def train_often(name):
        return [all_works[name].train(4) == alone[name] for _ in range(25)]

    with ThreadPoolExecutor(len(SHARED)) as threads:
        assert all(map(all, threads.map(train_often, SHARED)))


def predictions_during_a_training() -> None:
    """At a learning rate of 0 also the network that is being trained stays what it is."""
    work = works()["batches"]
    engine, parameters = work.engine(2)
    expected = work.outputs(engine)
    other = works()["parts"]
    other_engine, _ = other.engine(2)
    expected_of_other = other.outputs(other_engine)

    def predict_often(predict, expected):
        return [np.array_equal(predict(), expected) for _ in range(60)]

    def by_predictor():
        predictor = engine.predictor(len(work.x))
        return predict_often(lambda: predictor(work.x), expected)

    with ThreadPoolExecutor(4) as threads:
        results = [
            threads.submit(predict_often, lambda: work.outputs(engine), expected),
            threads.submit(predict_often, lambda: work.outputs(engine), expected),
            threads.submit(predict_often, lambda: other.outputs(other_engine), expected_of_other),
            threads.submit(by_predictor),
        ]
        while not all(result.done() for result in results):
            work.epoch(engine, learning_rate=0)
    assert all(all(result.result()) for result in results)
    assert np.array_equal(parameters, work.start)
    assert engine.steps > 0


def predictions_by_several_threads() -> None:
    """All of one network, which is not trained; another one is trained meanwhile."""
    all_works = works()
    engines = {name: all_works[name].engine(2)[0] for name in ("parts", "float64")}
    expected = {name: all_works[name].outputs(engine) for name, engine in engines.items()}
    other = all_works["normalized"]
    alone = other.train(1)

    def predict_often(name):
        work, engine = all_works[name], engines[name]
        predictor = engine.predictor(len(work.x))
        return [
            np.array_equal(found, expected[name])
            for _ in range(10)
            for found in (work.outputs(engine), predictor(work.x))
        ]

    with ThreadPoolExecutor(6) as threads:
        results = [threads.submit(predict_often, name) for name in 3 * [*engines]]
        while not all(result.done() for result in results):
            assert other.train(2) == alone
    assert all(all(result.result()) for result in results)


def copies_and_files_during_a_training() -> None:
    """Of one network, while another one is trained by another thread."""
    rng = np.random.default_rng(4)
    x, labels = rng.random((300, 120)), rng.integers(0, 5, 300)

    def trained(dtype):
        net = NN(120, 90, 5, 0.1, 2, batch_size=100, dtype=dtype, seed=1, n_threads=2)
        return net.fit(x, labels)

    def predict_after_training(dtype):
        return [trained(dtype).predict(x) for _ in range(8)]

    for dtype in (np.float32, np.float64):
        net = trained(dtype)
        expected = net.predict(x)
        with ThreadPoolExecutor(1) as threads, tempfile.TemporaryDirectory() as folder:
            training = threads.submit(predict_after_training, dtype)
            path = Path(folder) / "net"
            while not training.done():
                assert np.array_equal(copy.deepcopy(net).predict(x), expected)
                net.save(path)
                assert np.array_equal(load(path).predict(x), expected)
            assert all(np.array_equal(found, expected) for found in training.result())


def everything_at_once() -> None:
    """Bounded in time, whatever is done until then."""
    all_works = works()
    alone = {name: work.train(1) for name, work in all_works.items()}
    end = time.monotonic() + 2.5

    def train_anything(number):
        chance = random.Random(number)
        right = []
        while not right or time.monotonic() < end:
            name = chance.choice([*all_works])
            right.append(all_works[name].train(chance.choice([1, 2, 3, 8])) == alone[name])
        return right

    with ThreadPoolExecutor(8) as threads:
        assert all(map(all, threads.map(train_anything, range(8))))


def more_threads_than_cores() -> None:
    for name, work in works().items():
        alone = work.train(1)
        # The last one is more than the pool ever has.
        for threads in (5, 16, 300, 2):
            assert work.train(threads) == alone, (name, threads)


def forks_in_the_midst_of_a_training() -> None:
    work, other = works()["batches"], works()["Adam"]
    alone = other.train(1)
    engine, parameters = work.engine(2)
    order = work.long_order()[: 1000 * work.batch_size]

    def train_and_predict():
        assert other.train(2) == alone
        # The one that was being trained: what it had of the step is what the child has.
        steps = engine.steps
        assert np.isfinite(work.epoch(engine)[0])
        assert engine.steps == steps + 4
        assert np.isfinite(parameters).all()
        assert np.array_equal(engine.predictor(400)(work.x), work.outputs(engine))

    def train_and_fork_again():
        train_and_predict()
        in_a_child(train_and_predict)

    def fork_often():
        chance = random.Random(3)
        for number in range(10):
            time.sleep(chance.uniform(0, 0.02))
            in_a_child(train_and_fork_again if number % 3 == 0 else train_and_predict)

    with ThreadPoolExecutor(1) as threads:
        forks = threads.submit(fork_often)
        while not forks.done():
            work.epoch(engine, order)
        forks.result()
    _, expected = work.replayed(engine.steps, order)
    assert np.array_equal(parameters, expected)


def fork_in_a_signal_handler() -> None:
    """The child trains what it is training already, if it is allowed to, and continues."""
    work = works()["batches"]
    engine, parameters = work.engine(2)
    own, children = os.getpid(), []

    def fork(number, frame):
        child = os.fork()
        if child:
            children.append(child)
            return
        signal.alarm(LONGEST_RUN // 2)
        for batch_size in (120, 250, 400):
            with contextlib.suppress(RuntimeError):
                engine.train_epoch(work.x, work.t, None, batch_size, 0.01)
        # What was let go of is used again.
        work.garbage = [np.full(150_000, np.nan, np.float32) for _ in range(50)]

    signal.signal(signal.SIGALRM, fork)
    order = work.long_order()[: 1000 * work.batch_size]
    while not children and os.getpid() == own:
        signal.setitimer(signal.ITIMER_REAL, 0.003)
        work.epoch(engine, order)
    if os.getpid() != own:
        os._exit(0 if np.isfinite(parameters).all() else 1)
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * len(children)


def train_by_name(name: str) -> bytes:
    return works()[name].train(2)


def processes_of_multiprocessing() -> None:
    names = [*SHARED, *SHARED]
    here = [train_by_name(name) for name in names]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        there = pool.map_async(train_by_name, names, chunksize=1).get(LONGEST_RUN / 2)
    assert there == here


def train_until_interrupted(work: Work, engine, order, seconds: float) -> None:
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        while True:
            work.epoch(engine, order)
    except KeyboardInterrupt:
        pass


def interrupts_of_many_steps() -> None:
    chance = random.Random(8)
    all_works = works()
    for name in [*all_works, *SHARED]:
        work = all_works[name]
        engine, parameters = work.engine(2)
        order = work.long_order()
        train_until_interrupted(work, engine, order, chance.uniform(0.001, 0.06))
        replay, expected = work.replayed(engine.steps, order)
        assert replay.steps == engine.steps
        for _ in range(2):
            assert np.array_equal(parameters, expected), name
            assert np.array_equal(engine.moments, replay.moments), name
            assert work.epoch(engine) == work.epoch(replay)


def interrupts_of_a_huge_step() -> None:
    work = Work((784, 256, 10), 1, 20_000)
    rng = np.random.default_rng(1)
    work.x = rng.integers(0, 2, (20_000, 784), np.uint8)
    work.t = rng.random((20_000, 10)).astype(np.float32)
    replay, expected = work.engine(2)
    states = [expected.copy()]
    chance = random.Random(8)
    for _ in range(3):
        engine, parameters = work.engine(2)
        train_until_interrupted(work, engine, None, chance.uniform(0.001, 0.2))
        while replay.steps < engine.steps:
            work.epoch(replay)
            states.append(expected.copy())
        assert np.array_equal(parameters, states[engine.steps])
        steps = engine.steps
        assert np.isfinite(engine.train_epoch(work.x[:500], work.t[:500], None, 100, 0.01)[0])
        assert engine.steps == steps + 5


def signals_between_the_least_of_steps() -> None:
    """Where a step is over in no time, there are a great many between two looks at the signals."""
    work = Work((1, 1, 1), 10, 1)
    engine, _ = work.engine(1)
    order = np.resize(work.long_order(), 2_000_000)
    seen = [0]

    def see_and_ask_for_the_next(number, frame):
        seen.append(engine.steps)
        signal.setitimer(signal.ITIMER_REAL, 0.0001)

    signal.signal(signal.SIGALRM, see_and_ask_for_the_next)
    signal.setitimer(signal.ITIMER_REAL, 0.0001)
    work.epoch(engine, order)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    seen.append(len(order))
    # Some ten milliseconds' worth.
    longest = max(after - before for before, after in itertools.pairwise(seen))
    assert longest < 200_000, longest


def calls_of_a_predictor_within_its_own_call() -> None:
    """A predictor refuses what does not fit; that must not change what it is busy with."""
    network = Network((Dense(1, 300), Dense(300, 100)))
    parameters = np.full(network.n_parameters(), 0.01, np.float32)
    engine = backends.get("cython").engine(network, parameters, threads=1)
    x = np.linspace(-1, 1, 30_000, dtype=np.float32).reshape(-1, 1)
    predictor = engine.predictor(len(x))
    expected = predictor(x).copy()
    too_many = np.zeros((30_000_000, 1), np.uint8)
    refused = []

    def call_again(number, frame):
        try:
            predictor(too_many)
        except (ValueError, RuntimeError) as error:
            refused.append(error)

    signal.signal(signal.SIGALRM, call_again)
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    while len(refused) < 10:
        assert np.array_equal(predictor(x), expected)
    signal.setitimer(signal.ITIMER_REAL, 0)


def running_threads() -> int:
    return len(os.listdir("/proc/self/task"))


def threads_that_are_started() -> None:
    work = works()["batches"]
    before = running_threads()
    for threads, expected in ((1, 0), (3, 2), (3, 2), (2, 2), (1, 2), (4, 3)):
        work.train(threads)
        assert running_threads() == before + expected, threads

    def train_in_the_child():
        assert running_threads() == 1
        work.train(1)
        assert running_threads() == 1
        work.train(3)
        assert running_threads() == 3

    in_a_child(train_in_the_child)


def threads_that_the_environment_allows() -> None:
    before = running_threads()
    works()["batches"].train(None)
    rng = np.random.default_rng(1)
    x, labels = rng.random((300, 70)), rng.integers(0, 4, 300)
    NN(70, 130, 4, 0.5, 2, batch_size=100).fit(x, labels).predict(x)
    assert running_threads() == before + int(os.environ["CNN_CORE_NUM_THREADS"]) - 1


def end_while_the_others_sleep() -> None:
    works()["batches"].train(4)
    time.sleep(0.1)


def end_while_the_others_are_awake() -> None:
    work = works()["batches"]
    work.epoch(work.engine(4)[0])


def end_while_a_daemon_is_training() -> None:
    work = works()["batches"]
    engine, _ = work.engine(4)
    arguments = (engine, work.long_order())
    threading.Thread(target=work.epoch, args=arguments, daemon=True).start()
    while engine.steps == 0:
        time.sleep(0.001)


def end_long_before_a_step_of_a_daemon() -> None:
    """Normalization over the batch takes all of it in one step, without a look at the signals."""
    work = Work((784, 256, 10), 1, 20_000, normalization="batch")
    rng = np.random.default_rng(1)
    work.x = rng.integers(0, 2, (20_000, 784), np.uint8)
    work.t = rng.random((20_000, 10)).astype(np.float32)
    engine, _ = work.engine(1)
    order = np.resize(np.arange(len(work.x)), 20 * len(work.x))
    # After Python has ended, the process takes some more steps.
    libc = ctypes.CDLL(None)
    libc.__cxa_atexit(libc.usleep, ctypes.c_void_p(1_500_000), None)
    threading.Thread(target=work.epoch, args=(engine, order), daemon=True).start()
    time.sleep(0.1)


def end_within_a_training() -> None:
    work = works()["batches"]
    engine, _ = work.engine(4)
    signal.signal(signal.SIGALRM, lambda number, frame: sys.exit(0))
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    while True:
        work.epoch(engine, work.long_order())


if __name__ == "__main__":
    from cnn_core._native.threads import try_fewer_threads

    try_fewer_threads(False)
    globals()[sys.argv[1]]()
