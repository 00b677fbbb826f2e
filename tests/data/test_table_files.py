"""Tables of other kinds: packed, typed, in sheets; and those that are damaged or too large."""

from __future__ import annotations

import gzip
import io
import zipfile

import polars as pl
import pytest

from cnn_core.data import DataError
from cnn_core.data.table_file import TableLayout, is_table, read_table_file
from memory_peak import memory_peak

FRAME = pl.DataFrame({"a": [1.5, 2.0, None], "kind": ["x", "y", "x"]})


def parquet(frame: pl.DataFrame = FRAME) -> bytes:
    stream = io.BytesIO()
    frame.write_parquet(stream)
    return stream.getvalue()


def sheets(**rows) -> bytes:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, lines in rows.items():
        sheet = book.create_sheet(name)
        for line in lines:
            sheet.append(line)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def read(contents: bytes, **layout):
    return read_table_file("table", TableLayout(**layout), contents)


def test_parquet_keeps_its_types():
    table = read(parquet())
    assert table.frame.equals(FRAME)
    assert table.place(1) == "row 2"


def test_a_packed_table_is_unpacked_whatever_its_name():
    packed = gzip.compress(b"a,b\n1,2\n") + gzip.compress(b"3,4\n")
    assert read(packed).frame.rows() == [("1", "2"), ("3", "4")]
    with pytest.raises(DataError, match="a gzip archive, found one that cannot be unpacked"):
        read(packed[:-12])


def test_a_sheet_is_chosen_by_name_or_number():
    book = sheets(first=[["a", "b"], [1, "x"], [], [2.5, "y"]], second=[["c"], [True]])
    table = read(book)
    assert table.frame.rows() == [("1", "x"), ("2.5", "y")]
    assert table.place(1) == "row 4 of 'first'"
    assert any("the others are 'second'" in note for note in table.notes)
    assert read(book, sheet="2").frame.columns == read(book, sheet="second").frame.columns == ["c"]
    with pytest.raises(DataError, match=r"a sheet named 'Second', found .* did you mean 'second'"):
        read(book, sheet="Second")


def test_what_was_found_out_is_told():
    table = read("Größe;kind\n1,5;x\n".encode("cp1252"))
    assert table.frame.columns == ["Größe", "kind"]
    assert "separated by semicolons" in table.notes[0]
    assert "cp1252 (--encoding)" in table.notes[1]
    table = read("b,a\n1,caf\u00e9\n".encode("mac_roman"), encoding="mac_roman")
    assert table.frame.rows() == [("1", "caf\u00e9")]


@pytest.mark.parametrize(
    ("encoding", "message"),
    [
        ("utf-8", "text in utf-8, found the byte 0xff on line 2"),
        ("nonsense", "name of an encoding"),
    ],
)
def test_an_encoding_that_does_not_fit_is_refused(encoding, message):
    with pytest.raises(DataError, match=message):
        read(b"a,b\n1,\xff\n", encoding=encoding)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (parquet()[:-20], "a Parquet file, found a damaged one"),
        (parquet(FRAME[:0]), "found one without rows"),
        (b"PK\x03\x04 and so on", "a spreadsheet, found a damaged file"),
        (b"\xd0\xcf\x11\xe0 and so on", "a spreadsheet, found one that cannot be read"),
    ],
)
def test_what_is_damaged_is_refused(contents, message):
    with pytest.raises(DataError, match=message):
        read(contents)


def test_what_would_unpack_to_far_more_than_its_size_is_refused(monkeypatch):
    monkeypatch.setattr("cnn_core.data.checks.ALWAYS_ALLOWED_BYTES", 2**20)
    monkeypatch.setattr("cnn_core.data.table_bytes.ALWAYS_ALLOWED_BYTES", 2**20)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("xl/worksheets/sheet1.xml", bytes(2**23))
    wide = pl.DataFrame({"a": pl.Series([0] * 2**20, dtype=pl.Int8)})
    for bomb in (gzip.compress(bytes(2**23)), stream.getvalue(), parquet(wide)):
        with memory_peak() as peak, pytest.raises(DataError, match="bytes when unpacked"):
            read(bomb)
        assert peak.bytes < 2**23


def test_columns_of_lists_are_no_table_of_numbers(tmp_path):
    path = tmp_path / "lists.parquet"
    path.write_bytes(parquet(pl.DataFrame({"a": [[1], [2]], "b": [1, 2]})))
    from cnn_core.data import load_file

    with pytest.raises(DataError, match="column 'a': expected numbers, text or dates, found List"):
        load_file(path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.csv", True),
        ("A.CSV.gz", True),
        ("-", True),
        ("a.xlsx", True),
        ("a.npz", False),
        ("a.gz", False),
    ],
)
def test_tables_are_known_by_their_names(name, expected):
    assert is_table(name) is expected
