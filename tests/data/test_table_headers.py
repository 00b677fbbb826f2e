"""Whether the first row of a table holds names is told by what stands below it."""

from __future__ import annotations

import pytest

from cnn_core.data import DataError, load_file
from cnn_core.data.table_file import TableLayout, read_table_file


def read(text: str, **layout):
    return read_table_file("table.csv", TableLayout(**layout), text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n",
        "x,y\na,b\n",
        "date,v\n2024-01-01,3\n",
        "0,1,target\n4.9,3.0,x\n5.1,3.5,y\n",
        "a,b\n,\n?,2\n",
        "id,2019,2020\nx,1.5,2\ny,3,4\n",
    ],
)
def test_text_over_numbers_and_text_over_text_are_names(text):
    table = read(text)
    assert table.has_header
    assert table.frame.columns == text.split("\n")[0].split(",")


@pytest.mark.parametrize(
    "text",
    [
        "1,2,3\n4,5,6\n7,8,9\n",
        "1,2,3\n2,1,0\n0,5,4\n",
        "1,2,0\n3,4,1\n5,6,1\n",
        "5,5,5\n6,6,6\n",
        "0.5,1.5,2.5\n3,4,5\n",
        "5.1,3.5,setosa\n4.9,3.0,virginica\n",
        "1,2\n",
    ],
)
def test_numbers_over_numbers_are_values(text):
    table = read(text)
    assert not table.has_header
    assert len(table.frame) == text.count("\n")
    assert table.frame.columns[0] == "column 1"
    assert any("--header" in note for note in table.notes)


@pytest.mark.parametrize(
    "text",
    [
        "2019,2020,2021\n0.5,0.25,1\n0.125,0.75,0\n",
        "2021,2020,2019\n5,8,1\n7,9,0\n3,3,1\n",
        "400,410,420,430\n0.1,0.2,0.3,0\n0.4,0.5,0.6,1\n",
        "0,1,2\n5,6,7\n",
    ],
)
def test_a_row_that_may_be_either_must_be_explained(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=r"which may be either; say so: header=True or header=Fal"):
        load_file(path)
    assert load_file(path, header=True).feature_names == tuple(text.split("\n")[0].split(",")[:-1])
    assert len(load_file(path, header=False).X) == text.count("\n")


def test_names_that_stand_twice_or_nowhere_get_numbers():
    table = read("a,b,a,,a (2)\n1,2,3,4,5\n")
    assert table.frame.columns == ["a", "b", "a (3)", "column 4", "a (2)"]
    assert table.repeated == ("a",)
    assert any("'a'" in note for note in table.notes)
