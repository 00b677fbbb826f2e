"""Time cnn_core alone on this machine: its backends, every ISA level, its memory and its latency.

Each measurement is a process of its own; in every round all take their turn, and the minimum
counts. In the first round each is checked: from the same weights, over the same few batches, it
must give the outputs and reach the loss that a plain loop in float64 does, or it is not timed.

    python bench/own.py [--batch-sizes 1 32 256] [--rounds 3] [--cores 0 1] [--blas Haswell]
                        [--json PATH]

Epochs are shuffled, of Fashion-MNIST as float32 from 0 to 1, or "on bytes" as it comes; they are
scaled to 60,000 samples from fewer. The peak is that of one core at the level's own vectors, the
best of the whole run.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cnn_core import backend_info
from contenders.process import usable_cores
from contenders.work import Work
from race.bars import AT, PEAK
from race.machine import describe
from race.measurements import EPOCH, Course, Memory, Predicting, Row, Training
from race.results import Tally, as_json, run_row, save, save_samples
from race.rows import adam_work, encoded_rows, sigmoid_work

NUMPY = "numpy-backend"
SAMPLES = EPOCH // 3
ADAM_BATCH_SIZES = (32, 128)
BATCH_WITHOUT_ZEROS = 64
# Smaller batches are for one core.
LEAST_SHARED_BATCH = 64
# A batch of 1 takes NumPy ten seconds an epoch: a tenth of the samples is enough.
LARGEST_SLOW_BATCH = 8
UNMEASURED = "-"


@dataclass(frozen=True)
class Case:
    """A training, measured at several levels on one core and at the best on several."""

    title: str
    one_core: Training
    cores: Training | None


@dataclass
class Run:
    """What has been measured so far, and with which settings."""

    course: Course
    rounds: int
    tallies: dict[Row, Tally]

    def measure(self, rows: Sequence[Row]) -> None:
        """Let the contenders take turns in each of the rows."""
        for row in rows:
            self.tallies[row] = run_row(row, self.course, self.rounds, absent=set())

    def value(self, row: Row | None, contender: str) -> float | None:
        """Return the best measurement; None if there is none."""
        return self.tallies[row].values.get(contender) if row else None

    def peak(self, level: str) -> float | None:
        """Return the operations a second that a core does at most."""
        of_rows = (tally.measured.get(at(level, PEAK), []) for tally in self.tallies.values())
        return max((turn.raw for turns in of_rows for turn in turns), default=None)

    def share(self, row: Training, level: str) -> str:
        """Return the share of the peak that training on floats reaches."""
        taken, peak = self.value(row, at(level)), self.peak(level)
        if taken is None or peak is None:
            return UNMEASURED
        return f"{row.work.operations_per_sample * EPOCH / taken / peak:.0%}"

    def print_left_out(self, rows: Sequence[Row]) -> None:
        """Print which contenders were not measured, and why."""
        for row in rows:
            for contender, reason in self.tallies[row].left_out.items():
                print(f"{row.name}, {contender}: left out, {reason}")
        print(flush=True)


def at(level: str, contender: str = "cython") -> str:
    return contender + AT + level


def of_best(best: str) -> tuple[str, str]:
    """Return the contenders that train on floats and those on bytes."""
    return at(best), at(best, "cython-bytes")


def case(
    title: str, name: str, work: Work, levels: Sequence[str], n_cores: int, samples: int
) -> Case:
    """Return the rows of one work; the last of the levels is the best."""
    batch_size, best = work.batch_size, levels[-1]
    slow = (NUMPY,) if batch_size <= LARGEST_SLOW_BATCH else ()
    peaks = (at(level, PEAK) for level in levels)
    contenders = (NUMPY, *map(at, levels[:-1]), *of_best(best), *peaks)
    one_core = Training(
        f"{name}-{batch_size}", title, contenders, (), work=work, samples=samples, slow=slow
    )
    is_shared = n_cores > 1 and batch_size >= LEAST_SHARED_BATCH
    cores = Training(
        f"{name}-{batch_size}-{n_cores}-cores",
        title,
        of_best(best),
        (),
        n_cores=n_cores,
        work=work,
        samples=samples,
    )
    return Case(title, one_core, cores if is_shared else None)


def sgd_cases(levels: Sequence[str], batch_sizes: Sequence[int], n_cores: int) -> list[Case]:
    title = "784-128-10, SGD, batch {:,}"
    return [
        case(title.format(size), "sgd", sigmoid_work(size), levels, n_cores, SAMPLES)
        for size in batch_sizes
    ]


def case_without_zeros(best: str, n_cores: int) -> Case:
    work = sigmoid_work(BATCH_WITHOUT_ZEROS, without_zeros=True)
    title = f"784-128-10, SGD, batch {BATCH_WITHOUT_ZEROS}, no input 0"
    return case(title, "sgd-no-zeros", work, [best], n_cores, SAMPLES)


def adam_cases(best: str, n_cores: int) -> list[Case]:
    title = "784-512-256-10, Adam, batch {:,}"
    return [
        case(title.format(size), "adam", adam_work(size), [best], n_cores, EPOCH // 10)
        for size in ADAM_BATCH_SIZES
    ]


def pieces_row(best: str) -> Row:
    columns, floats = at(best, "cython-columns"), at(best)
    (row,) = encoded_rows()
    return replace(row, contenders=(columns, floats), bars=())


def predicting_rows() -> list[Row]:
    of_numpy = (at("numpy", "NN.predict"), at("numpy", "NN.predictor"))
    title = "784-128-10, {:,} predicted"
    return [
        Predicting(
            f"predict-{rows}",
            title.format(rows),
            ("NN.predict", "NN.predictor", *of_numpy),
            (),
            unit="us",
            rows=rows,
        )
        for rows in (1, 10_000)
    ]


def print_levels(run: Run, cases: Sequence[Case], levels: Sequence[str]) -> None:
    """Print what each level reaches on one core."""
    print("Every ISA level, 784-128-10, sigmoid, squared error, SGD, float32, one core: seconds an")
    print("epoch of 60,000, times as fast as the NumPy backend, share of the level's FMA peak")
    heads = ["batch", "NumPy backend", *(head for name in levels for head in (name, "", "peak"))]
    lines = []
    for row in (case.one_core for case in cases):
        numpy = run.value(row, NUMPY)
        cells = [f"{row.work.batch_size:,}", seconds(numpy)]
        for level in levels:
            value = run.value(row, at(level))
            cells += [seconds(value), times(numpy, value), run.share(row, level)]
        lines.append(cells)
    peaks = [f"{rate / 1e9:.0f}" if (rate := run.peak(name)) else UNMEASURED for name in levels]
    lines.append(["peak", "GFLOP/s", *(cell for peak in peaks for cell in ("", "", peak))])
    print_table(heads, lines)
    run.print_left_out([case.one_core for case in cases])


def print_best(run: Run, cases: Sequence[Case], best: str, n_cores: int) -> None:
    """Print what bytes, Adam and several cores make of the best level."""
    print(f"{best}: seconds an epoch on one core, times as fast as the NumPy backend, share of the")
    print("peak, counting what is left out for being 0; bytes: times as fast as floats; several")
    print("cores: times as fast as one")
    heads = ["", best, "", "peak", "bytes", ""]
    if n_cores > 1:
        heads += [f"{n_cores} cores", "", "with bytes", ""]
    lines = []
    for of_case in cases:
        row, cores = of_case.one_core, of_case.cores
        floats, as_bytes = (run.value(row, name) for name in of_best(best))
        shared, shared_bytes = (run.value(cores, name) for name in of_best(best))
        cells = [of_case.title, seconds(floats), times(run.value(row, NUMPY), floats)]
        cells += [run.share(row, best), seconds(as_bytes), times(floats, as_bytes)]
        cells += [seconds(shared), times(floats, shared)]
        cells += [seconds(shared_bytes), times(as_bytes, shared_bytes)]
        lines.append(cells[: len(heads)])
    print_table(heads, lines)
    rows = [row for of_case in cases for row in (of_case.one_core, of_case.cores) if row]
    others = ("adam", "sgd-no")
    run.print_left_out([row for row in rows if row.name.startswith(others) or row.n_cores > 1])


def print_pieces(run: Run, row: Row) -> None:
    print(f"{row.title}: seconds an epoch, times as fast as on the features")
    columns, floats = (run.value(row, name) for name in row.contenders)
    print(f"{seconds(columns)}  {seconds(floats)}  {times(floats, columns)}".rstrip())
    run.print_left_out([row])


def print_latency(run: Run, rows: Sequence[Row]) -> None:
    print("Predicting, one core: median in microseconds, times as fast as the NumPy backend")
    lines = []
    for row in rows:
        cells = [row.title]
        for name in ("NN.predict", "NN.predictor"):
            value, numpy = run.value(row, name), run.value(row, at("numpy", name))
            cells += [microseconds(value), microseconds(numpy), times(numpy, value)]
        lines.append(cells)
    heads = ["", "predict", "NumPy", "", "predictor", "NumPy", ""]
    print_table(heads, lines)
    run.print_left_out(rows)


def print_memory(run: Run, row: Row) -> None:
    print("Memory: peak of a process that trains on Fashion-MNIST as bytes, in MB")
    for name in row.contenders:
        if value := run.value(row, name):
            print(f"{name.partition(AT)[2]:<10}{value:>6.0f}")
    run.print_left_out([row])


def seconds(value: float | None) -> str:
    return UNMEASURED if value is None else f"{value:.3f}"


def microseconds(value: float | None) -> str:
    return UNMEASURED if value is None else f"{value:.1f}"


def times(reference: float | None, value: float | None) -> str:
    """Return how many times as fast as the reference a value is, and whether it loses."""
    if reference is None or value is None:
        return ""
    ratio = f"{reference / value:.2f}"
    return f"{ratio}x {'LOSES' if float(ratio) < 1 else '':<5}"


def print_table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print columns, the first to the left, all others to the right."""
    columns = list(zip(heads, *lines, strict=True))
    widths = [max(map(len, column)) for column in columns]
    for cells in (heads, *lines):
        first, *others = (
            f"{cell:<{width}}" if number == 0 else f"{cell:>{width}}"
            for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        print("  ".join([first, *others]).rstrip())


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 16, 64, 256, 2048])
    parser.add_argument("--rounds", type=int, default=2, help="turns (default: 2)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="where to write the results")
    parser.add_argument(
        "--cores",
        type=int,
        nargs="+",
        default=usable_cores()[:2],
        help="the cores to use (default: the first two); one-core rows take the first",
    )
    parser.add_argument(
        "--blas",
        metavar="CORETYPE",
        default="",
        help="let NumPy's OpenBLAS take the kernels of this processor, for instance Haswell (AVX2)",
    )
    return parser.parse_args()


def main() -> int:
    """Measure, and print each table as soon as it is complete."""
    arguments = parsed()
    begun = time.perf_counter()
    info = backend_info()
    levels = [level for level in info["isa_detected"] if level in info["isa_built"]]
    if not levels:
        print("cnn_core has no compiled backend here: there is nothing to compare NumPy's with.")
        return 1
    best, n_cores = levels[-1], len(arguments.cores)
    machine = describe(arguments.cores)
    print(f"{machine['processor']}, {machine['cores']} cores, {machine['memory']}, ", end="")
    print(f"load {machine['load'][0]:.2f}, {machine['date']}")
    print(f"cnn_core {info['versions']['cnn_core']}, {info['compiler']}, ", end="")
    blas = f" with OpenBLAS's {arguments.blas} kernels" if arguments.blas else ""
    print(f"NumPy {info['versions']['numpy']}{blas}\n", flush=True)

    sgd = sgd_cases(levels, arguments.batch_sizes, n_cores)
    others = [case_without_zeros(best, n_cores), *adam_cases(best, n_cores)]
    pieces = pieces_row(best)
    latency = predicting_rows()
    memory = Memory(
        "memory", "trained on bytes", (at(best), at("numpy", NUMPY)), (), unit="MB", turns=1
    )
    with tempfile.TemporaryDirectory(prefix="cnn-core-") as folder:
        course = Course(save_samples(folder), tuple(arguments.cores), blas=arguments.blas)
        run = Run(course, arguments.rounds, {})
        run.measure([of_case.one_core for of_case in sgd])
        print_levels(run, sgd, levels)
        run.measure([of_case.one_core for of_case in others])
        run.measure([of_case.cores for of_case in (*sgd, *others) if of_case.cores])
        print_best(run, [*sgd, *others], best, n_cores)
        run.measure([pieces])
        print_pieces(run, pieces)
        run.measure(latency)
        print_latency(run, latency)
        run.measure([memory])
        print_memory(run, memory)
    print(f"{time.perf_counter() - begun:.0f} seconds, load {os.getloadavg()[0]:.2f}")
    if arguments.json is not None:
        rows = [as_json(row, tally, []) for row, tally in run.tallies.items()]
        contents = {"machine": machine, "rounds": arguments.rounds, "blas": arguments.blas}
        save(arguments.json, {**contents, "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
