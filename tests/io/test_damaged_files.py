"""Damaged and lying files of every kind give what they hold or an error of ours."""

from __future__ import annotations

import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cnn_core
from cnn_core.data import DataError, load_file
from cnn_core.data.checks import ALWAYS_ALLOWED_BYTES
from cnn_core.model_file import ModelFileError, read_tensors, write_tensors
from damage import mutations
from hostile import KINDS, npy, npz, read_or_refuse, zipped
from hostile_bytes import CASES, EACH, MIB, NOT_THERE, as_file
from memory_peak import memory_peak
from paths import GOLDEN

kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())


@kinds
def test_the_valid_files_are_read_unless_another_file_is_expected(kind, tmp_path):
    for seed in kind.seeds:
        path = tmp_path / f"file{kind.ending}"
        path.write_bytes(seed)
        result = read_or_refuse(kind, path)
        assert isinstance(result, DataError) == (kind is KINDS["known idx"])


@kinds
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_by_name(kind, tmp_path, data):
    contents = data.draw(st.sampled_from(kind.seeds))
    for mutate in data.draw(st.lists(mutations(), min_size=1, max_size=4)):
        contents = mutate(contents)
    path = tmp_path / f"file{kind.ending}"
    path.write_bytes(contents)
    with memory_peak() as peak:
        result = read_or_refuse(kind, path)
    assert result is not None
    assert peak.bytes < ALWAYS_ALLOWED_BYTES + 16 * MIB


@kinds
@pytest.mark.parametrize("contents", [b"", b"\0", b"\n", b"\xef\xbb\xbf", b"\xff" * 100])
def test_a_file_of_another_kind_is_refused(kind, tmp_path, contents):
    path = tmp_path / f"file{kind.ending}"
    path.write_bytes(contents)
    assert isinstance(read_or_refuse(kind, path), kind.error)


@pytest.mark.parametrize(
    ("name", "contents"),
    [
        ("npy", npy(np.zeros((0, 3))).replace(b"<f8", b"8f\x88")),
        ("csv", b'"\xd4\xd3\xcd\xd33\r\n4,"\xd4\xd3\xcd\xd33\r\x957\xb7"",a,4,7\xb7""'),
    ],
)
def test_no_error_quotes_what_a_terminal_obeys(name, contents, tmp_path):
    kind = KINDS[name]
    path = tmp_path / f"file{kind.ending}"
    path.write_bytes(contents)
    assert isinstance(read_or_refuse(kind, path), DataError)


@pytest.mark.parametrize(
    ("kind", "case"), [(kind, case) for kind, cases in CASES.items() for case in cases]
)
def test_each_case_for_each_reader_is_refused_by_its_reason(tmp_path, kind, case):
    contents, expected = CASES[kind][case]
    path = tmp_path / f"file{KINDS[kind].ending}"
    contents(path) if callable(contents) else path.write_bytes(contents)
    before = path.read_bytes()
    result = read_or_refuse(KINDS[kind], path)
    if expected is None:
        assert not isinstance(result, KINDS[kind].error)
    else:
        assert re.search(expected, str(result), re.DOTALL)
    assert path.read_bytes() == before


def test_no_case_is_left_out_for_any_reader():
    for kind, cases in CASES.items():
        assert EACH - set(cases) == NOT_THERE.get(kind, set()), kind
    others = {"csv without header", "sealed model", "sealed checkpoint"}
    assert set(CASES) | others == set(KINDS)


def test_a_message_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text(
        ",".join(f"column{i}" for i in range(10_000)) + "\n" + "1," * 9_999 + "1\n",
        encoding="utf-8",
    )
    with pytest.raises(DataError, match="a column named 'x'") as refusal:
        load_file(path, target="x")
    assert len(str(refusal.value)) < 3000


def test_a_message_shows_what_a_terminal_would_obey(tmp_path):
    name = "\x1b]0;title\x07\x1b[2J"
    files = {
        "file.npz": zipped([(f"{name}.npy", b"")]),
        "long.npz": zipped([(f"{number}{'x' * 900}.npy", b"") for number in range(20)]),
        "file.csv": f"a,{name}\n1,2\n1\n".encode(),
        "other.csv": f"{name},b\n1,2\nx,3\n".encode(),
        "file.npy": npy(np.zeros(1, [(name, "f8")])),
    }
    for file, contents in files.items():
        with pytest.raises(DataError) as refusal:
            load_file(as_file(tmp_path / file, contents), has_target=False)
        assert str(refusal.value).isprintable()
        assert len(str(refusal.value)) < 3000
    tensors, texts = read_tensors(GOLDEN / "model_version_1.safetensors")
    write_tensors(tmp_path / "model", {**tensors, name: np.zeros(1)}, texts)
    with pytest.raises(ModelFileError) as refusal:
        cnn_core.load(tmp_path / "model")
    assert str(refusal.value).isprintable()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["model", "sealed model", "sealed checkpoint"])
def test_no_word_of_a_header_gets_into_a_message_as_it_stands(tmp_path, name):
    kind = KINDS[name]
    path = tmp_path / f"file{kind.ending}"
    seed = max(kind.seeds, key=len)
    end = 8 + int.from_bytes(seed[:8], "little")
    # A control character that JSON allows to stand for itself.
    words = [word for word in re.finditer(rb"[A-Za-z_]\w{2,}", seed) if 8 < word.end() <= end]
    refused = 0
    for word in words:
        path.write_bytes(seed[: word.end() - 1] + b"\x7f" + seed[word.end() :])
        refused += isinstance(read_or_refuse(kind, path), kind.error)
    assert refused > len(words) // 3


# What arrays may be made of


class Trap:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("ending", [".npy", ".npz"])
@pytest.mark.parametrize("as_array", [True, False])
def test_pickles_are_refused_and_not_run(tmp_path, ending, as_array):
    mark = tmp_path / "mark"
    trap = np.array([[Trap(mark)]], object)
    contents = npy(trap, allow_pickle=True) if as_array else pickle.dumps(trap)
    path = tmp_path / f"file{ending}"
    path.write_bytes(contents if ending == ".npy" else zipped([("X.npy", contents)]))
    with pytest.raises(DataError, match="file"):
        load_file(path, has_target=False)
    assert not mark.exists()


@pytest.mark.parametrize("code", [0x110000, 0x7FFFFFFF, 0xFFFFFFFF, 0xD800])
@pytest.mark.parametrize("order", ["<", ">"])
def test_names_that_are_no_text_are_refused(tmp_path, code, order):
    names = np.array([code, ord("a")], f"{order}u4").view(f"{order}U1")
    path = tmp_path / "names.npz"
    path.write_bytes(npz({"X": np.ones((2, 2)), "y": names}))
    with pytest.raises(DataError, match=f"names in Unicode, found the character {code:#x}"):
        load_file(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused_in_tables_with_their_place(tmp_path, value):
    x = np.ones((2, 2))
    x[1, 0] = value
    for ending, contents in {
        ".npy": npy(x),
        ".npz": npz({"X": x}),
        ".csv": f"1,1\n{value},1\n".encode(),
    }.items():
        path = tmp_path / f"file{ending}"
        path.write_bytes(contents)
        with pytest.raises(DataError, match=r"index \(1, 0\)|column 1.*line 2"):
            load_file(path, has_target=False)
