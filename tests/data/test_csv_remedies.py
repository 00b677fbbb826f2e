"""What to do about a cell that is no number is told by what the cell is."""

from __future__ import annotations

import pytest

from cnn_core.data import DataError, load_file

REMEDIES = {
    "a missing value: fill it in": ("", "  ", "NA", "n/a", "?", "NaN", "null", "None", "-", "."),
    "no finite number": ("inf", "-Infinity", "1e999", "1.8e308"),
    "write 1 for true and 0 for false": ("True", "FALSE", "yes", "No", "t"),
    "without the sign of the currency": ("$4.5", "€ 1,000.00", "-$3", "12 €", "£0.99"),
    "write the share as a number alone": ("45%", "-3.5 %", "1,5%"),
    "a date or time as numbers": (
        "2024-01-31",
        "31.12.2024",
        "1/2/24",
        "2024-01-31T12:00:00Z",
        "2024-01-31 12:00",
        "12:30",
    ),
    "without separators of thousands, 1234.5": ("1,234.5", "1,234,567", "1 234", "1'234.5"),
    "with a point, 3.5 for 3,5": ("3,5", "-0,25", ",5"),
    "with one point": ("1.234.567", "1.234,5"),
    "-5 for (5)": ("(123)", "(1,234.50)"),
    "with a plain minus": ("\u22125", "\u20133.5"),
    "without underscores": ("1_000",),
    "in decimal": ("0xFF",),
    "without its unit": ("12 kg", "5.1cm", "3m²"),
}


@pytest.mark.parametrize(
    ("advice", "cell"), [(advice, cell) for advice, cells in REMEDIES.items() for cell in cells]
)
def test_a_cell_has_the_remedy_of_its_kind(tmp_path, advice, cell):
    path = tmp_path / "table.csv"
    path.write_text(f'a,kind\n1,x\n"{cell}",y\n', encoding="utf-8")
    with pytest.raises(DataError, match="in column 'a' on line 3") as refusal:
        load_file(path)
    assert advice in refusal.value.hint


@pytest.mark.parametrize("cell", ["rose", "a1", "2024-W05", "12 Main Street", "Ä" * 500])
def test_a_text_has_none(tmp_path, cell):
    path = tmp_path / "table.csv"
    path.write_text(f"a,kind\n1,x\n{cell},y\n", encoding="utf-8")
    with pytest.raises(DataError) as refusal:
        load_file(path)
    assert refusal.value.hint == ""


@pytest.mark.parametrize(
    "text",
    [
        "2019,2020,2021\n0.5,0.25,1\n0.125,0.75,0\n",
        "2021,2020,2019\n5,8,1\n7,9,0\n3,3,1\n",
        "400,410,420,430\n0.1,0.2,0.3,0\n0.4,0.5,0.6,1\n",
        "2019,2020,2021\n0.5,0.25,rose\n",
    ],
)
def test_a_header_of_numbers_is_no_sample(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text)
    if "rose" in text:
        with pytest.raises(DataError, match="if the first row holds names, pass header=True"):
            load_file(path)
    else:
        with pytest.raises(DataError, match="which may be names or values; pass header=True"):
            load_file(path)
    assert load_file(path, header=True).feature_names == tuple(text.split("\n")[0].split(",")[:-1])


@pytest.mark.parametrize(
    "text",
    [
        "1,2,3\n4,5,6\n7,8,9\n",
        "1,2,3\n2,1,0\n0,5,4\n",
        "1,2,0\n3,4,1\n5,6,1\n",
        "5,5,5\n6,6,6\n",
        "0.5,1.5,2.5\n3,4,5\n",
    ],
)
def test_rows_of_values_are_no_header(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text)
    assert len(load_file(path).X) == text.count("\n")
