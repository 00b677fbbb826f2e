"""Tables of numbers from files: what is well-formed is read, anything else is told by its place."""

from __future__ import annotations

import random

import numpy as np
import pytest

from cnn_core.data import DataError, load_file

X = np.array([[0.5, 1.0], [2.0, 3.0], [4.0, 5.0]])
Y = np.array([0, 1, 0])


def saved(tmp_path, text: str | bytes):
    path = tmp_path / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_the_last_column_is_the_target(tmp_path):
    table = load_file(saved(tmp_path, "a,b,c\n0.5,1,0\n2,3,1\n4,5,0\n"))
    np.testing.assert_array_equal(table.X, X)
    np.testing.assert_array_equal(table.y, Y)
    assert (table.X.dtype, table.y.dtype) == (np.float64, np.int64)
    assert table.feature_names == ("a", "b")
    assert table.class_names is None
    assert table.source == str(tmp_path / "table.csv")
    assert table.target_name == "c"


def test_a_named_column_is_the_target(tmp_path):
    table = load_file(saved(tmp_path, "a,kind,b\n0.5,0,1\n2,1,3\n4,0,5\n"), target="kind")
    np.testing.assert_array_equal(table.X, X)
    np.testing.assert_array_equal(table.y, Y)
    assert table.feature_names == ("a", "b")


def test_names_become_positions_in_the_sorted_names(tmp_path):
    text = "size,species\n1,setosa\n2,virginica\n3, setosa\n4,Ähre\n"
    table = load_file(saved(tmp_path, text))
    assert table.class_names == ("setosa", "virginica", "Ähre")
    assert table.y.tolist() == [0, 1, 0, 2]


def test_numbers_that_are_not_whole_stay_as_they_are(tmp_path):
    table = load_file(saved(tmp_path, "a,price\n1,2.5\n2,3\n"))
    assert table.y.tolist() == [2.5, 3.0]
    assert table.class_names is None


def test_a_file_of_numbers_alone_has_no_header(tmp_path):
    table = load_file(saved(tmp_path, "0.5,1,0\n2,3,1\n4,5,0\n"))
    np.testing.assert_array_equal(table.X, X)
    assert table.feature_names is None


def test_samples_without_targets(tmp_path):
    table = load_file(saved(tmp_path, "a,b\n0.5,1\n2,3\n4,5\n"), has_target=False)
    np.testing.assert_array_equal(table.X, X)
    assert table.y is None
    assert table.feature_names == ("a", "b")


@pytest.mark.parametrize(
    "text",
    [
        "a,b,c\r\n0.5,1,0\r\n2,3,1\r\n4,5,0\r\n",
        "a,b,c\r0.5,1,0\r2,3,1\r4,5,0\r",
        "\ufeffa,b,c\n0.5,1,0\n2,3,1\n4,5,0",
        'a,"b",c\n"0.5",1,0\n 2 ,3.,1\n4e0,+5,0\n\n\n',
        "a;b;c\n0,5;1;0\n2;3;1\n4;5;0\n",
        "a\tb\tc\n0.5\t1\t0\n2\t3\t1\n\n4\t5\t0\n",
        "a|b|c\n$0.50|1 %|false\n$2|3 %|true\n$4|5 %|false\n",
        "\ufeffa,b,c\n0.5,1,0\n2,3,1\n4,5,0\n".encode("utf-16-le"),
    ],
    ids=["windows", "mac", "mark", "quotes", "decimal commas", "tabs", "signs", "utf-16"],
)
def test_ways_of_writing_the_same_table(tmp_path, text):
    table = load_file(saved(tmp_path, text))
    np.testing.assert_array_equal(table.X, X)
    np.testing.assert_array_equal(table.y, Y)
    assert table.feature_names == ("a", "b")


def test_every_number_is_the_float_of_its_text(tmp_path):
    chance = random.Random(20)
    ways = (
        lambda: str(chance.randint(-(10**24), 10**24)),
        lambda: repr(chance.gauss(0, 1)),
        lambda: repr(chance.random() * 10.0 ** chance.randint(-30, 30)),
        lambda: f"{chance.gauss(0, 1e4):.{chance.randint(0, 20)}f}",
        lambda: str(2 * (chance.getrandbits(53) | 2**52) + 1),
        lambda: repr(float(np.float32(chance.gauss(0, 1)))),
        lambda: chance.choice(("-0", "+5", "7.", ".5", "1e5", "-0.0", "2E-3", "5e-324")),
    )
    texts = [chance.choice(ways)() for _ in range(20_000)]
    path = saved(tmp_path, "a,b\n" + "".join(f"{text},1\n" for text in texts))
    found = load_file(path, has_target=False).X[:, 0]
    expected = np.array([float(text) for text in texts])
    np.testing.assert_array_equal(found.view(np.uint64), expected.view(np.uint64))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a table, found an empty file"),
        ("a,b\n", "found a header alone"),
        ("a\n1\n", "at least one feature and a target on each line, found one column"),
        ("a,b,c\n1,2,0\n1,2\n", "expected 3 cells on line 3, found 2"),
        ("a,b,c\n1,2,0,4\n", "expected 3 cells on line 2, found 4"),
        ("a,b,c\n1,,0\n", "number in column 'b', found an empty cell on line 2"),
        ("a,b,c\n1,  ,0\n", "number in column 'b', found an empty cell on line 2"),
        ("a,b,c\n1,2,0\n1,two,0\n", "a finite number in column 'b', found 'two' on line 3"),
        ("a,b,c\n1,nan,0\n", "in column 'b', found 'nan' on line 2"),
        ("a,b,c\n-inf,2,0\n", "in column 'a', found '-inf' on line 2"),
        ("a,b,c\n1e999,2,0\n", "in column 'a', found '1e999' on line 2"),
        ("a,b,c\n1_000,2,0\n", "in column 'a', found '1_000' on line 2"),
        ("a,b,c\n2024-01-31,2,0\n", "in column 'a', found '2024-01-31' on line 2"),
        ("1,2,0\n1,x,0\n", "in column 'column 2', found 'x' on line 2"),
        ("a,b,c\n1,2,x\n1,2,\n", "a name in the target column 'c', found an empty cell on line 3"),
        ('a,b,c\n1,"2,0\n', "comma-separated text, found line 2"),
        ('a,b,c\n1,"2"x,0\n', "comma-separated text, found line 2"),
        ('a,"b\nc",d\n1,2,0\n1,x,0\n', "found 'x' on line 4"),
        ("a,b,c\n1,\x002,0\n", "expected a table in text, found a NUL byte on line 2"),
        (",,\n,,\n", "found one without any value"),
    ],
)
def test_a_malformed_table_is_refused_with_the_place(tmp_path, text, message):
    path = saved(tmp_path, text)
    with pytest.raises(DataError, match=message) as caught:
        load_file(path)
    assert str(path) in str(caught.value)


def test_an_unknown_target_is_named_beside_the_columns_there_are(tmp_path):
    path = saved(tmp_path, "a,B,c\n1,2,0\n")
    with pytest.raises(DataError, match=r"a column named 'b', found a, B, c; did you mean 'B'"):
        load_file(path, target="b")
    assert load_file(path, target="2").target_name == "B"
    assert load_file(path, target="-1").target_name == "c"


def test_columns_are_found_by_name_in_any_order_and_others_may_hold_anything(tmp_path):
    path = saved(tmp_path, "id,b,,kind,a,id\nx1,2,?,rose,1.5,y\nx2,4,,lily,-3,\n")
    table = load_file(path, features=("a", "b"), target="kind")
    assert table.X.tolist() == [[1.5, 2], [-3, 4]]
    assert table.feature_names == ("a", "b")
    assert table.class_names == ("lily", "rose")
    with pytest.raises(DataError, match="a column named 'c', found id, b"):
        load_file(path, features=("c",), has_target=False)
    with pytest.raises(DataError, match="one column named 'id', found several; name the column"):
        load_file(path, features=("id",), has_target=False)


@pytest.mark.slow
def test_many_columns_are_read_with_their_names(tmp_path):
    count = 100_000
    names = [f"a rather long name of column {i}" for i in range(count)]
    path = saved(tmp_path, ",".join(names) + "\n" + ",".join(["1"] * count) + "\n")
    table = load_file(path, features=names[::-1], has_target=False)
    assert table.X.shape == (1, count)
    assert table.feature_names == tuple(names[::-1])


def test_without_polars_a_table_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "cnn-core\[app\]"'):
        load_file(saved(tmp_path, "a,b\n1,2\n"))


def test_columns_are_read_alike_at_once_and_one_by_one(tmp_path):
    path = saved(tmp_path, "a;b;c;d\n1,5; 1.234,5;2,5;no\n2,25;6.000.000;-3,125;yes\n")
    table = load_file(path, features=("c", "a", "b", "d", "a"), has_target=False)
    assert table.X.tolist() == [[2.5, 1.5, 1234.5, 0, 1.5], [-3.125, 2.25, 6e6, 1, 2.25]]


def test_many_columns_of_one_name_get_numbers(tmp_path):
    count = 20_000
    path = saved(tmp_path, ",".join(["a"] * count) + "\n" + ",".join(["1.5"] * count) + "\n")
    names = load_file(path, has_target=False, header=True).feature_names
    assert (names[0], names[1], names[-1]) == ("a", "a (2)", f"a ({count})")
