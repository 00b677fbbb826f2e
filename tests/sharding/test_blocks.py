"""Data that are read block by block: orders, batches, memory, and files of each kind."""

from __future__ import annotations

import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cnn_core import Checkpoint, DataError, MLPClassifier, MLPRegressor
from cnn_core.callbacks import OnEpoch
from cnn_core.data.block_memory import block_memory
from cnn_core.estimators import rows as rows_module
from cnn_core.estimators.partitions import PartitionError
from cnn_core.sharding import blocks
from cnn_core.sharding.blocks import BlockShard
from cnn_core.sharding.shard import ArrayShard, Piece
from memory_peak import memory_peak, peak_of
from sharded_fits import SETTINGS, bits_of
from sharded_fits import small_classes as data


class Counted:
    """Rows whose only value is their number."""

    def __init__(self, n: int) -> None:
        self.n_samples = n
        self.read_blocks: list[tuple[int, int]] = []

    def read(self, start: int, stop: int) -> Piece:
        self.read_blocks.append((start, stop))
        values = np.arange(start, stop, dtype=np.float32).reshape(-1, 1)
        return Piece(values, values, values[:, 0], None)


def trained_on(shard: Any, key: int | None, rows: slice, batch: int, epoch: int = 1) -> list[Any]:
    """Return the numbers of the rows of each piece."""
    found = []
    for piece in shard.pieces(key, epoch, rows, batch):
        order = np.arange(len(piece.x)) if piece.order is None else piece.order
        found.append(piece.x[order, 0].astype(int).tolist())
    return found


def order_of(*args: Any) -> list[int]:
    return [number for piece in trained_on(*args) for number in piece]


def test_an_epoch_has_every_row_once_in_an_order_of_its_own() -> None:
    shard = BlockShard(Counted(23), 5)
    orders = [order_of(shard, 3, slice(0, 23), 4, epoch) for epoch in (1, 2)]
    assert orders[0] != orders[1]
    assert all(sorted(order) == list(range(23)) for order in orders)
    assert order_of(shard, None, slice(0, 23), 4) == list(range(23))


def test_pieces_are_whole_batches_across_the_ends_of_blocks() -> None:
    shard = BlockShard(Counted(23), 5)
    pieces = trained_on(shard, 3, slice(0, 23), 4)
    assert [len(piece) % 4 for piece in pieces[:-1]] == [0] * (len(pieces) - 1)
    assert sum(len(piece) for piece in pieces) == 23
    assert trained_on(BlockShard(Counted(9), 2), 3, slice(0, 9), 8)[0] != []


@pytest.mark.parametrize("batch", [1, 4, 7, 23])
def test_rounds_together_have_the_order_of_the_epoch(batch: int) -> None:
    shard = BlockShard(Counted(23), 5)
    whole = order_of(shard, 3, slice(0, 23), batch)
    rounds: list[int] = []
    for first in range(0, 23, 2 * batch):
        rounds += order_of(shard, 3, slice(first, min(first + 2 * batch, 23)), batch)
    assert rounds == whole


def test_with_one_block_the_order_is_that_of_a_shard_in_memory() -> None:
    values = np.arange(23, dtype=np.float32).reshape(-1, 1)
    in_memory = trained_on(ArrayShard(values, values), 3, slice(4, 20), 4)
    assert trained_on(BlockShard(Counted(23), 50), 3, slice(4, 20), 4) == in_memory


def test_a_block_that_is_in_memory_is_not_read_again() -> None:
    rows = Counted(20)
    shard = BlockShard(rows, 10)
    for first in range(0, 20, 2):
        trained_on(shard, 3, slice(first, first + 2), 2)
    assert len(rows.read_blocks) == 2


def test_rows_are_shuffled_by_blocks_and_within_them() -> None:
    order = order_of(BlockShard(Counted(100), 20), 3, slice(0, 100), 10)
    numbers = [one // 20 for one in order]
    changes = sum(a != b for a, b in pairwise(numbers))
    assert changes == 4
    assert numbers[::20] != sorted(numbers[::20])
    assert order[:20] != sorted(order[:20])


# Files


def write_idx(path: Path, values: np.ndarray[Any, Any]) -> Path:
    head = b"\0\0\x08" + bytes([values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(head + values.astype(np.uint8).tobytes())
    return path


def files_of(folder: Path, X: Any, y: Any, weights: Any) -> dict[str, tuple[Any, Any, Any]]:
    """Return the same rows in files of each kind, in two parts."""
    parts = [slice(0, 120), slice(120, len(X))]
    names: dict[str, list[Path]] = {}
    for kind, values in {"x": X, "y": y, "w": weights}.items():
        for number, part in enumerate(parts):
            path = folder / f"{kind}-{number}.npy"
            np.save(path, values[part])
            names.setdefault(kind, []).append(path)
    for number, part in enumerate(parts):
        frame = pd.DataFrame(X[part], columns=list("abcde"))
        frame.insert(2, "weight", weights[part])
        frame["class"] = y[part]
        path = folder / f"part-{number}.parquet"
        frame.to_parquet(path, row_group_size=50)
        names.setdefault("tables", []).append(path)
    return {
        "npy": (names["x"], names["y"], names["w"]),
        "npy, targets here": (names["x"], y, weights),
        "parquet": (names["tables"], "class", "weight"),
    }


def test_files_of_each_kind_have_the_bits_of_an_array(tmp_path: Path) -> None:
    X, y, weights = data()
    plain = bits_of(MLPClassifier(**SETTINGS).fit(X, y, weights))
    for name, files in files_of(tmp_path, X, y, weights).items():
        assert bits_of(MLPClassifier(**SETTINGS).fit(*files)) == plain, name


def test_images_in_idx_files_have_the_bits_of_an_array(tmp_path: Path) -> None:
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (90, 3, 2)).astype(np.uint8)
    labels = random.randint(0, 4, 90).astype(np.uint8)
    settings = {**SETTINGS, "input_scale": 1 / 255}
    plain = MLPClassifier(**settings).fit(images.reshape(90, 6), labels)
    x, y = write_idx(tmp_path / "images", images), write_idx(tmp_path / "labels", labels)
    assert bits_of(MLPClassifier(**settings).fit(x, y)) == bits_of(plain)


@pytest.mark.slow
def test_several_blocks_learn_as_well(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 2000)
    X, y, weights = data(600)
    files = files_of(tmp_path, X, y, weights)
    settings = {**SETTINGS, "max_iter": 20, "learning_rate_init": 0.02, "class_weight": "balanced"}
    plain = MLPClassifier(**settings).fit(X, y, weights)
    in_blocks = MLPClassifier(**settings).fit(*files["parquet"])
    assert bits_of(in_blocks) != bits_of(plain)
    assert in_blocks.score(pd.DataFrame(X, columns=list("abcde")), y) > plain.score(X, y) - 0.03
    assert bits_of(MLPClassifier(**settings).fit(*files["npy"])) == bits_of(in_blocks)


def test_a_large_memory_mapped_array_is_read_block_by_block(
    tmp_path: Path, monkeypatch: Any
) -> None:
    X, y, _ = data()
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    plain = bits_of(MLPClassifier(**SETTINGS).fit(X, y))
    assert bits_of(MLPClassifier(**SETTINGS).fit(mapped, y)) == plain
    monkeypatch.setattr(rows_module, "LARGE_BYTES", 1000)
    assert bits_of(MLPClassifier(**SETTINGS).fit(mapped, y)) == plain
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1000)
    assert bits_of(MLPClassifier(**SETTINGS).fit(mapped, y)) != plain


@pytest.mark.parametrize("kind", ["npy", "npy of float64", "parquet of float64"])
def test_a_fit_on_files_takes_little_memory(kind: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 2**18)
    # What is traced is what NumPy allocates itself.
    monkeypatch.setattr(rows_module, "block_memory", np.empty)
    X = np.random.RandomState(0).normal(size=(100_000, 20)).astype(np.float32)
    stored = X if kind == "npy" else X.astype(np.float64)
    size, files = X.nbytes, (tmp_path / "x.npy", tmp_path / "y.npy")
    if kind.startswith("parquet"):
        files = (tmp_path / "rows.parquet", "x0")
        columns = [f"x{number}" for number in range(20)]
        pd.DataFrame(stored, columns=columns).to_parquet(files[0], row_group_size=20_000)
    else:
        np.save(files[0], stored)
        np.save(files[1], X[:, 0])
    del X, stored
    settings = {"max_iter": 1, "schedule": "constant", "random_state": 0, "n_threads": 1}
    model = MLPRegressor(**settings, dtype="float32")
    assert peak_of(lambda: model.fit(*files)) < size / 3


def test_a_block_has_pages_of_its_own() -> None:
    with memory_peak() as peak:
        block = block_memory((2**20, 3), "float32")
    assert block.shape == (2**20, 3)
    assert block.flags.writeable
    assert peak.bytes < 2**20
    assert block_memory((0, 3), "float64").shape == (0, 3)


@pytest.mark.parametrize("kinds", [("int16", "float32"), ("int64", "int32"), ("int64", "float32")])
def test_columns_of_several_kinds_have_the_bits_of_an_array(
    kinds: tuple[str, str], tmp_path: Path
) -> None:
    X, y, _ = data()
    X = (1000 * X).round() if kinds[0] != "int64" else (X * 2.0**27).round()
    frame = pd.DataFrame(
        {name: X[:, place].astype(kinds[place % 2]) for place, name in enumerate("abcde")}
    )
    frame.assign(y=y).to_parquet(tmp_path / "rows.parquet", row_group_size=50)
    settings = {**SETTINGS, "dtype": "float32"}
    plain = bits_of(MLPClassifier(**settings).fit(frame, y))
    assert bits_of(MLPClassifier(**settings).fit(tmp_path / "rows.parquet", "y")) == plain


@pytest.mark.parametrize(
    ("column", "found"),
    [
        ([1.0, float("nan"), 2.0], "finite numbers, found nan"),
        ([1.0, 1e300, 2.0], "finite numbers, found 1e\\+300 \\(too large for float32\\)"),
        (pd.array([1, None, 2], "Int32"), "real numbers, found object with a missing value"),
    ],
    ids=["missing", "too large", "missing among whole numbers"],
)
def test_what_is_no_number_of_a_network_is_named_in_a_parquet_file(
    column: Any, found: str, tmp_path: Path
) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": column, "y": [0, 1, 0]})
    frame.to_parquet(tmp_path / "rows.parquet")
    estimator = MLPClassifier(**{**SETTINGS, "dtype": "float32", "batch_size": 2})
    with pytest.raises(PartitionError, match=f"expected {found}.* row 1"):
        estimator.fit(tmp_path / "rows.parquet", "y")


def test_a_fit_on_files_is_resumed_to_the_same_bits(tmp_path: Path) -> None:
    X, y, weights = data()
    files = files_of(tmp_path, X, y, weights)["npy"]
    whole = bits_of(MLPClassifier(**SETTINGS).fit(*files))

    def stop(record: Any) -> None:
        if record.epoch == 2:
            raise ZeroDivisionError

    checkpoint = Checkpoint(tmp_path / "checkpoint", every_epochs=1)
    with pytest.raises(ZeroDivisionError):
        MLPClassifier(**SETTINGS, callbacks=[OnEpoch(stop)]).fit(*files, checkpoint=checkpoint)
    resumed = MLPClassifier(**SETTINGS, callbacks=[OnEpoch(lambda record: None)])
    assert bits_of(resumed.fit(*files, checkpoint=checkpoint)) == whole


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    X, y, weights = data()
    files = files_of(tmp_path, X, y, weights)
    x, labels, _ = files["npy"]
    estimator = MLPClassifier(**SETTINGS)
    with pytest.raises(FileNotFoundError, match=r"none\.npy: no such file"):
        estimator.fit([x[0], tmp_path / "none.npy"], labels)
    with pytest.raises(DataError, match="a column 'klass', found"):
        estimator.fit(files["parquet"][0], "klass")
    with pytest.raises(PartitionError, match=r"x-0\.npy: expected a target .* 120 rows, found 181"):
        estimator.fit(x, labels[::-1])
    with pytest.raises(ValueError, match="y: expected 2 files, found 1"):
        estimator.fit(x, labels[:1])
    np.save(x[1], np.full((181, 5), np.nan, np.float32))
    with pytest.raises(PartitionError, match=r"file .*x-1\.npy: X: expected finite numbers"):
        estimator.fit(x, labels)
    x[1].write_bytes(x[1].read_bytes()[:-4])
    with pytest.raises(DataError, match="3620 bytes of values, found 3616"):
        estimator.fit(x, labels)
    (tmp_path / "text.csv").write_text("a,b")
    with pytest.raises(DataError, match=r"an \.npy, IDX or Parquet file"):
        estimator.fit(tmp_path / "text.csv", y)
    with pytest.raises(ValueError, match="early_stopping: expected eval_set for files"):
        MLPClassifier(**SETTINGS, early_stopping=True).fit(*files["parquet"])
