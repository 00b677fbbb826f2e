"""The rows of the race with their bars: the one place where either is set."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from contenders.work import Work
from race.bars import (
    PEAK,
    Bar,
    at_most,
    excess,
    faster,
    share_of_peak,
    slowed_down,
    speedup_over,
    within,
)
from race.measurements import (
    ALONE,
    BUSY,
    EPOCH,
    Disturbed,
    Import,
    Memory,
    Predicting,
    Row,
    Size,
    Training,
)

PEERS = ("numpy", "scikit-learn", "pytorch", "jax")
OURS = "cython"


def sigmoid_work(batch_size: int, without_zeros: bool = False) -> Work:
    return Work(batch_size=batch_size, without_zeros=without_zeros)


def adam_work(batch_size: int) -> Work:
    sizes = (784, 512, 256, 10)
    return Work(sizes, "relu", "softmax", "cross_entropy", "adam", batch_size, 1e-3)


WIDE = Work((784, 2048, 2048, 10), "relu", "softmax", "cross_entropy", "sgd", 256, 0.05)
# An epoch takes ten seconds and more: twelve batches are enough.
WIDE_SAMPLES = 12 * WIDE.batch_size
FLAT = within("sgd-256", 1.1)
PEAK_SHARE = share_of_peak(0.82)

# Batch size: bars on one core.
SGD_BARS: dict[int, tuple[Bar, ...]] = {
    1: (faster(2.8, "jax"), faster(45, "numpy", "pytorch"), faster(100, "scikit-learn")),
    16: (faster(1.5),),
    64: (faster(1.4), PEAK_SHARE),
    256: (faster(1.35), PEAK_SHARE),
    2048: (faster(1.3), PEAK_SHARE, FLAT),
    EPOCH: (faster(1.3), PEAK_SHARE, FLAT),
}
ADAM_BARS = {32: (faster(1.2),), 128: (faster(1.25),)}


def _sgd_rows() -> list[Row]:
    title = "784-128-10, sigmoid, squared error, SGD, batch {:,}"
    rows: list[Row] = []
    for batch_size, bars in SGD_BARS.items():
        extra = (PEAK,) if batch_size >= 64 else ()
        rows.append(
            Training(
                f"sgd-{batch_size}",
                title.format(batch_size),
                (OURS, "cython-bytes", *PEERS, *extra),
                bars,
                work=sigmoid_work(batch_size),
                slow=("numpy", "scikit-learn", "pytorch") if batch_size == 1 else (),
            )
        )
    rows.append(
        Training(
            "sgd-64-no-zeros",
            title.format(64) + ", images without zeros",
            (OURS, "cython-bytes", *PEERS, PEAK),
            (),
            work=sigmoid_work(64, without_zeros=True),
        )
    )
    for batch_size in (64, 256, 2048, EPOCH):
        rows.append(
            Training(
                f"sgd-{batch_size}-two-cores",
                title.format(batch_size),
                (OURS, "cython-bytes", *PEERS),
                (speedup_over(f"sgd-{batch_size}", 1.75), faster(1.5)),
                n_cores=2,
                work=sigmoid_work(batch_size),
            )
        )
    return rows


def _other_training_rows() -> list[Row]:
    rows: list[Row] = []
    for cores, suffix in ((1, ""), (2, "-two-cores")):
        for batch_size, bars in ADAM_BARS.items():
            rows.append(
                Training(
                    f"adam-{batch_size}{suffix}",
                    f"784-512-256-10, ReLU, softmax cross-entropy, Adam, batch {batch_size}",
                    (OURS, *PEERS),
                    bars,
                    n_cores=cores,
                    work=adam_work(batch_size),
                    samples=EPOCH // 2,
                    slow=("numpy", "scikit-learn", "pytorch"),
                )
            )
    for cores, suffix in ((1, ""), (2, "-two-cores")):
        rows.append(
            Training(
                f"wide{suffix}",
                "784-2048-2048-10, ReLU, softmax cross-entropy, SGD, batch 256",
                (OURS, *PEERS, *((PEAK,) if cores == 1 else ())),
                (faster(1.0),),
                n_cores=cores,
                work=WIDE,
                samples=WIDE_SAMPLES,
            )
        )
    rows.append(
        Training(
            "float64",
            "784-128-10, sigmoid, squared error, SGD, batch 64, float64",
            (OURS, "numpy"),
            (faster(1.3, "numpy"),),
            work=Work(dtype="float64"),
        )
    )
    return rows


# What grows, and the networks: cost with classes, units, layers and columns.
GROWTH: dict[str, tuple[tuple[int, ...], ...]] = {
    "classes": tuple((100, 128, classes) for classes in (10, 100, 1_000, 5_000)),
    "width": tuple((100, units, units, 10) for units in (128, 512, 2_048)),
    "depth": tuple((100, *(256,) * layers, 10) for layers in (1, 4, 16)),
    "columns": tuple((columns, 128, 10) for columns in (10, 100, 1_000, 10_000)),
}
# Larger networks get fewer samples, down to two batches.
GROWTH_BATCH = 128
GROWTH_WORK = 3e10
# Units of two layers whose weights no cache holds, optimizer, batch size, learning rate.
WIDEST: tuple[tuple[int, Literal["sgd", "adam"], int, float], ...] = (
    (2_048, "sgd", 128, 0.05),
    (4_096, "adam", 512, 1e-3),
    (4_096, "sgd", 512, 0.05),
)
# What such a row has to reach beside PyTorch on one core.
GROWTH_BARS = {
    "classes-100-128-1000": 1.3,
    "classes-100-128-5000": 1.3,
    "width-100-2048-2048-10": 1.2,
    "width-100-2048-2048-10-sgd-128": 1.2,
    "width-100-4096-4096-10-adam-512": 1.2,
    "width-100-4096-4096-10-sgd-512": 1.2,
}


def _growing_works() -> Iterator[tuple[str, str, Work]]:
    """Yield the name of each row, what grows in it, and its work."""
    for what, networks in GROWTH.items():
        for sizes in networks:
            named = "-".join(map(str, sizes))
            work = Work(sizes, "relu", "softmax", "cross_entropy", "adam", GROWTH_BATCH, 1e-3)
            yield f"{what}-{named}", what, work
    for units, optimizer, batch_size, rate in WIDEST:
        sizes = (100, units, units, 10)
        named = "-".join(map(str, (*sizes, optimizer, batch_size)))
        work = Work(sizes, "relu", "softmax", "cross_entropy", optimizer, batch_size, rate)
        yield f"width-{named}", "width", work


def _growing_rows() -> list[Row]:
    rows: list[Row] = []
    for cores, suffix in ((1, ""), (2, "-two-cores")):
        for name, what, work in _growing_works():
            named = "-".join(map(str, work.sizes))
            optimizer = {"adam": "Adam", "sgd": "SGD"}[work.optimizer]
            batches = int(GROWTH_WORK / work.operations_per_sample / work.batch_size)
            bar = GROWTH_BARS.get(name) if cores == 1 else None
            rows.append(
                Training(
                    name + suffix,
                    f"{what}: {named}, ReLU, softmax cross-entropy, {optimizer}, "
                    f"batch {work.batch_size}",
                    (OURS, "pytorch"),
                    () if bar is None else (faster(bar),),
                    n_cores=cores,
                    work=work,
                    samples=min(max(batches, 2) * work.batch_size, EPOCH // 2),
                )
            )
    return rows


def encoded_rows() -> list[Row]:
    """Return a network on columns in pieces, beside dense layers on their features."""
    sizes = (20 * 32, 128, 128, 1)
    work = Work(sizes, "relu", "identity", "squared_error", "adam", 64, 1e-3, bins=32)
    return [
        Training(
            "pieces",
            "20 columns in 32 pieces, 128-128-1, ReLU, squared error, Adam, batch 64",
            ("cython-columns", OURS, "pytorch"),
            (
                faster(2, OURS, ours="cython-columns"),
                faster(4, "pytorch", ours="cython-columns"),
            ),
            work=work,
            samples=EPOCH // 4,
        )
    ]


def _predicting_rows() -> list[Row]:
    contenders = ("NN.predict", "NN.predictor", *PEERS, "onnxruntime")
    return [
        Predicting(
            "predict-1",
            "784-128-10, one row predicted, median",
            contenders,
            (at_most(4, "NN.predictor", "us"), at_most(8, "NN.predict", "us")),
            unit="us",
        ),
        Predicting(
            "predict-10000",
            "784-128-10, 10,000 rows predicted, median",
            contenders,
            (faster(1.15, ours="NN.predict"),),
            unit="us",
            rows=10_000,
        ),
    ]


ROWS: tuple[Row, ...] = (
    *_sgd_rows(),
    *_other_training_rows(),
    *_growing_rows(),
    *encoded_rows(),
    *_predicting_rows(),
    Disturbed(
        "busy",
        "784-128-10, SGD, batch 64, while another process burns each core",
        (ALONE, BUSY),
        (slowed_down(2.5, BUSY, ALONE),),
        n_cores=2,
        # Short ones: enough that both are seen with the cores as near to each other as they get.
        turns=6,
    ),
    Memory(
        "memory",
        "peak memory of a process that trains on Fashion-MNIST as bytes",
        (OURS,),
        (at_most(200, OURS, "MB"),),
        unit="MB",
    ),
    Import(
        "import",
        "import in a fresh process",
        ("numpy", "cnn_core"),
        (excess(0.05, "cnn_core", "numpy", "s"),),
        turns=15,
    ),
    Size(
        "size",
        "installed size",
        ("cnn-core",),
        (at_most(6, "cnn-core", "MB"),),
        unit="MB",
        turns=1,
    ),
)
