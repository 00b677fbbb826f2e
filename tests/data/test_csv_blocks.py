"""The fast reader of tables and the one that goes row by row read the same, and refuse the same."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path

import numpy as np
import pytest

from cnn_core.data import DataError, csv_blocks, csv_file, load_file
from cnn_core.data.decimals import PADDING, read_decimals

NUMBERS = (
    lambda chance: str(chance.randint(0, 255)),
    lambda chance: repr(chance.gauss(0, 1)),
    lambda chance: repr(chance.random() * 10.0 ** chance.randint(-8, 12)),
    lambda chance: f"{chance.gauss(0, 1e4):.{chance.randint(0, 20)}f}",
    lambda chance: str(chance.randint(-(10**24), 10**24)),
    lambda chance: "0" * chance.randint(0, 12) + f".{chance.randint(0, 10**12)}",
    lambda chance: str(2 * (chance.getrandbits(53) | 2**52) + 1),
    lambda chance: repr(float(np.float32(chance.gauss(0, 1)))),
    lambda chance: chance.choice(("-0", "+5", "7.", ".5", "1e5", "-0.0", "2E-3")),
)
ODD = (
    "",
    "-",
    ".",
    "+-5",
    "5-",
    "1 2",
    "1_0",
    "nan",
    "inf",
    "1e999",
    "0x1",
    "1,5",
    'a"b',
    "٣",
    "Ä",
)


def read_both_ways(path, monkeypatch, **arguments):
    """Return what each of the two readers makes of a file: a table, or the error."""
    results = []
    for blocks in (csv_blocks.read_blocks, lambda *_: None):
        monkeypatch.setattr(csv_file, "read_blocks", blocks)
        try:
            results.append(load_file(path, **arguments))
        except DataError as error:
            results.append(error)
    return results


def require_the_same(first, second):
    assert type(first) is type(second), (first, second)
    if isinstance(first, DataError):
        assert str(first) == str(second)
        return
    np.testing.assert_array_equal(first.X.view(np.uint64), second.X.view(np.uint64))
    np.testing.assert_array_equal(first.y, second.y)
    assert first.y is None or first.y.dtype == second.y.dtype
    assert first.feature_names == second.feature_names
    assert first.class_names == second.class_names


def written(rows, **options) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, **options).writerows(rows)
    return text.getvalue()


def test_every_number_that_is_read_at_once_is_the_float_of_its_text():
    chance = random.Random(20)
    texts = [chance.choice(NUMBERS)(chance) for _ in range(20_000)] + [
        "".join(chance.choice("0123456789.+-e ") for _ in range(chance.randint(0, 6)))
        for _ in range(5_000)
    ]
    buffer = b"0" * PADDING + ",".join(texts).encode() + b","
    ends = np.flatnonzero(np.frombuffer(buffer, np.uint8) == ord(","))
    starts = np.concatenate([[PADDING], ends[:-1] + 1])
    values, unread = read_decimals(buffer, starts, ends)
    read = np.setdiff1d(np.arange(len(texts)), unread)
    expected = np.array([float(texts[i]) for i in read])
    np.testing.assert_array_equal(values[read].view(np.uint64), expected.view(np.uint64))
    assert len(read) > 12_000


@pytest.mark.parametrize("seed", range(40))
def test_both_readers_make_the_same_of_a_table(tmp_path, monkeypatch, seed):
    chance = random.Random(seed)
    kinds = [chance.choice(NUMBERS) for _ in range(chance.randint(2, 6))]
    target = chance.choice(
        (lambda: str(chance.randint(0, 2)), lambda: chance.choice(("rose", "Ähre", "a b ")))
    )
    rows = [[*(kind(chance) for kind in kinds), target()] for _ in range(chance.randint(1, 60))]
    if chance.random() < 0.5:
        chance.choice(rows)[chance.randrange(len(kinds) + 1)] = chance.choice(ODD)
    if chance.random() < 0.2:
        del chance.choice(rows)[0]
    names = [[f"name {i}" for i in range(len(kinds) + 1)]] if chance.random() < 0.7 else []
    text = written(
        names + rows,
        lineterminator=chance.choice(("\n", "\r\n")),
        quoting=chance.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC)),
    )
    text = chance.choice(("", "\ufeff")) + text + chance.choice(("", "\n", "\n\n"))
    path = tmp_path / "table.csv"
    path.write_text(text.removesuffix("\n") if chance.random() < 0.2 else text, "utf-8", newline="")
    monkeypatch.setattr(csv_blocks, "_BLOCK_BYTES", chance.choice((16, 100, 2**18)))
    require_the_same(*read_both_ways(path, monkeypatch, header=bool(names)))


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\r3,4\n",
        "a,b\r1,2\n3,4\n",
        "a,b\r\r\n1,2\n",
        'a,"b\nc"\n1,2\n3,4\n',
        'a,b\n1,"x,y"\n',
        'a,b\n1,"x\ny"\n',
        'a,b\n1,"x""y"\n',
        'a,b\n1,2"x\n',
        'a,b\n1,"x\n',
        'a,b\n1, "x"\n',
        "a,b\n1,x\n2,y\n\n\n3,z\n",
        "a,b\n 1,  2\n1 , 2\n\t1,2\n",
        "a,b\n1,\x002\n",
        "a,b\n1,2\n\n\n\n",
        "a,b\n1," + "9" * 200_000 + "\n",
        "a,b\n1,2,\n3\n",
        "a,b\n1\n2,3,4\n",
    ],
)
def test_both_readers_make_the_same_of_odd_line_breaks_and_quotes(tmp_path, monkeypatch, text):
    path = tmp_path / "table.csv"
    path.write_text(text, "utf-8", newline="")
    for size in (8, 2**18):
        monkeypatch.setattr(csv_blocks, "_BLOCK_BYTES", size)
        require_the_same(*read_both_ways(path, monkeypatch))


def test_plain_tables_are_read_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_file, "_read_rows", None)
    names = 'x,"kind"\r\n' + "".join(f'{k}.25,"rose"\r\n' for k in range(5))
    for text in ("label,a,b\n0,1,2\n1,3.5,4e2", names):
        path = tmp_path / "table.csv"
        path.write_text(text, newline="")
        assert load_file(path).y is not None


def test_columns_are_found_by_name_in_any_order_and_others_may_hold_anything(tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    path.write_text("id,b,,kind,a,id\nx1,2,?,rose,1.5,y\nx2,4,,lily,-3,\n")
    first, second = read_both_ways(path, monkeypatch, features=("a", "b"), target="kind")
    require_the_same(first, second)
    assert first.X.tolist() == [[1.5, 2], [-3, 4]]
    assert first.feature_names == ("a", "b")
    assert first.class_names == ("lily", "rose")
    table = load_file(path, features=("b", "a"), has_target=False)
    assert table.X.tolist() == [[2, 1.5], [4, -3]]
    with pytest.raises(DataError, match="a column named 'c', found id, b"):
        load_file(path, features=("c",), has_target=False)
    with pytest.raises(DataError, match="names that differ, found 'id' twice"):
        load_file(path, features=("id",), has_target=False)


def test_many_columns_are_read_with_their_names(tmp_path):
    count = 100_000
    path = Path(tmp_path / "wide.csv")
    names = [f"a rather long name of column {i}" for i in range(count)]
    path.write_text(",".join(names) + "\n" + ",".join(["1"] * count) + "\n")
    table = load_file(path, features=names[::-1], has_target=False)
    assert table.X.shape == (1, count)
    assert table.feature_names == tuple(names[::-1])


def test_a_row_that_ends_in_two_carriage_returns_is_refused_by_its_line(tmp_path):
    path = tmp_path / "odd.csv"
    path.write_bytes(b"a,b,c\n&\r\r\n")
    with pytest.raises(DataError, match="expected 3 cells on line 2, found 1"):
        load_file(path)
