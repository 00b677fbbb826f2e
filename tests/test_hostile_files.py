"""Files that someone meant to break us: each is read, or refused by name, in bounded memory."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import pickle
import shutil
import struct
import tarfile
import tempfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cnn_core
from cnn_core.cli.console import CommandError
from cnn_core.cli.run_folder import RECORD, read_run
from cnn_core.data import DataError, fetching, load_fashion_mnist, load_file, read_idx
from cnn_core.data.checks import ALWAYS_ALLOWED_BYTES
from cnn_core.data.fashion_mnist import FILES
from cnn_core.model_file import MAX_HEADER_BYTES, ModelFileError, read_tensors, write_tensors
from hostile import GOLDEN, KINDS, npy, npz, read_or_refuse, zipped

MIB = 2**20
BOUNDED = settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())

# Sizes that overflow, signs that flip, the largest of each width.
NUMBERS = [
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63,
    2**64 - 1,
]


@st.composite
def mutations(draw):
    """A change of some bytes: cut, flipped, overwritten, inserted, doubled, or taken out."""
    kind = draw(st.sampled_from(["cut", "flip", "number", "insert", "double", "remove", "append"]))
    at = draw(st.floats(0, 1, exclude_max=True))
    if draw(st.booleans()):
        # Where headers are.
        at /= 8
    width = draw(st.sampled_from([1, 2, 4, 8, 30]))
    number = draw(st.sampled_from(NUMBERS))
    order = draw(st.sampled_from(["little", "big"]))
    more = draw(
        st.sampled_from([b"\0", b"nan", b"[" * 3000, b'"', b"{", b",", b"9" * 400, b"\xff"])
    )

    def mutate(data: bytes) -> bytes:
        i = int(at * len(data))
        piece = (number % 256 ** min(width, 8)).to_bytes(min(width, 8), order)
        return {
            "cut": data[:i],
            "flip": data[:i] + bytes([data[i] ^ 1 << width % 8]) + data[i + 1 :] if data else data,
            "number": data[:i] + piece + data[i + len(piece) :],
            "insert": data[:i] + more + data[i:],
            "double": data[: i + width] + data[i:],
            "remove": data[:i] + data[i + width :],
            "append": data + more,
        }[kind]

    return mutate


@kinds
def test_the_valid_files_are_read_unless_another_file_is_expected(kind, tmp_path):
    for seed in kind.seeds:
        path = tmp_path / f"file{kind.ending}"
        path.write_bytes(seed)
        result = read_or_refuse(kind, path)
        assert isinstance(result, DataError) == (kind is KINDS["known idx"])


@kinds
@BOUNDED
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_by_name(kind, tmp_path, data):
    contents = data.draw(st.sampled_from(kind.seeds))
    for mutate in data.draw(st.lists(mutations(), min_size=1, max_size=4)):
        contents = mutate(contents)
    path = tmp_path / f"file{kind.ending}"
    path.write_bytes(contents)
    tracemalloc.start()
    try:
        result = read_or_refuse(kind, path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result is not None
    assert peak < ALWAYS_ALLOWED_BYTES + 16 * MIB


@kinds
@pytest.mark.parametrize("contents", [b"", b"\0", b"\n", b"\xef\xbb\xbf", b"\xff" * 100])
def test_what_is_nothing_of_the_kind_is_refused(kind, tmp_path, contents):
    path = tmp_path / f"file{kind.ending}"
    path.write_bytes(contents)
    assert isinstance(read_or_refuse(kind, path), kind.error)


# Descriptions in model files, with a right checksum

VALUES = st.recursive(
    st.sampled_from(
        [None, True, -1, 0, 1, 3, 2**31, 2**63, 10**400, -0.5, 1e308, "", "sigmoid", "float64", "é"]
    ),
    lambda items: (
        st.lists(items, max_size=3)
        | st.dictionaries(
            st.sampled_from(["kind", "float", "tuple", "dict", "layers"]), items, max_size=2
        )
    ),
    max_leaves=4,
)


def places_in(value, place=()):
    """Every place in a tree of JSON."""
    if place:
        yield place
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items if isinstance(value, dict | list) else ():
        yield from (
            places_in(item, (*place, key)) if isinstance(item, dict | list) else [(*place, key)]
        )


def change_somewhere(tree, data):
    """Replace or take out one value in a tree of JSON."""
    place = data.draw(st.sampled_from(list(places_in(tree))))
    inside = tree
    for key in place[:-1]:
        inside = inside[key]
    if data.draw(st.booleans()):
        inside[place[-1]] = data.draw(VALUES)
    else:
        del inside[place[-1]]


@pytest.mark.parametrize("name", ["nn", "model", "classifier", "regressor"])
@BOUNDED
@given(data=st.data())
def test_a_description_that_was_changed_is_read_or_refused_by_name(name, tmp_path, data):
    tensors, texts = read_tensors(GOLDEN / f"{name}_version_1.safetensors")
    tree = {key: json.loads(text) if key != "kind" else text for key, text in texts.items()}
    change_somewhere(tree, data)
    path = tmp_path / "model.safetensors"
    texts = {
        key: value if key == "kind" and isinstance(value, str) else json.dumps(value)
        for key, value in tree.items()
    }
    write_tensors(path, tensors, texts)
    result = read_or_refuse(KINDS["model"], path)
    assert isinstance(result, (ModelFileError, cnn_core.NN, *_faces()))


def _faces():
    from cnn_core import MLPClassifier, MLPRegressor
    from cnn_core.model import Model

    return Model, MLPClassifier, MLPRegressor


@pytest.mark.parametrize("depth", [50, 500, 5_000, 100_000])
@pytest.mark.parametrize("key", ["network", "state", "extra"])
def test_deeply_nested_json_is_refused(tmp_path, depth, key):
    tensors, texts = read_tensors(GOLDEN / "classifier_version_1.safetensors")
    path = tmp_path / "model.safetensors"
    write_tensors(path, tensors, {**texts, key: "[" * depth + "]" * depth})
    assert isinstance(read_or_refuse(KINDS["model"], path), ModelFileError)


@pytest.mark.parametrize("depth", [50, 500, 5_000, 100_000])
@pytest.mark.parametrize("before", [b'"a":', b'"__metadata__":', b'"__metadata__":{"format":'])
def test_a_deeply_nested_header_is_refused(tmp_path, depth, before):
    text = b"{" + before + b"[" * depth + b"]" * depth + b"}" * before.count(b"{") + b"}"
    path = tmp_path / "model.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    assert isinstance(read_or_refuse(KINDS["model"], path), ModelFileError)


def test_a_number_that_no_float_can_hold_is_blamed_on_the_file(tmp_path):
    tensors, texts = read_tensors(GOLDEN / "model_version_1.safetensors")
    network = {**json.loads(texts["network"]), "averaging": 10**400}
    path = tmp_path / "model.safetensors"
    write_tensors(path, tensors, {**texts, "network": json.dumps(network)})
    with pytest.raises(ModelFileError, match=r"model\.safetensors.*a Model"):
        cnn_core.load(path)


# Records of runs


def record_error(folder, text):
    """Read a run with this record and return the error that refuses it, None if none does."""
    (folder / RECORD).write_bytes(text)
    try:
        read_run(folder, backend="numpy")
    except (CommandError, ModelFileError) as error:
        return str(error)
    return None


@pytest.fixture
def run(digits_run, tmp_path):
    """A copy of a run, to be damaged."""
    folder = tmp_path / "run"
    shutil.copytree(digits_run, folder)
    assert record_error(folder, (folder / RECORD).read_bytes()) is None
    return folder


@BOUNDED
@given(data=st.data())
def test_a_record_that_was_changed_is_read_or_refused_by_name(run, digits_run, data):
    tree = json.loads((digits_run / RECORD).read_text(encoding="utf-8"))
    change_somewhere(tree, data)
    error = record_error(run, json.dumps(tree).encode())
    assert error is None or str(run) in error


@BOUNDED
@given(data=st.data())
def test_a_damaged_record_is_read_or_refused_by_name(run, digits_run, data):
    contents = (digits_run / RECORD).read_bytes()
    for mutate in data.draw(st.lists(mutations(), min_size=1, max_size=3)):
        contents = mutate(contents)
    error = record_error(run, contents)
    assert error is None or str(run) in error


# Memory


def peak_of(read, path, **options):
    """The most memory that was taken while a file was read or refused, and the error if refused."""
    tracemalloc.start()
    try:
        read(path, **options)
        error = None
    except (DataError, ModelFileError) as refusal:
        error = refusal
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak, error


def gzip_bomb(header: bytes, zeros: int) -> bytes:
    """Gzip members of which each unpacks to a thousand times its size."""
    member = gzip.compress(bytes(MIB), mtime=0)
    return gzip.compress(header, mtime=0) + member * (zeros // MIB)


def test_a_gzip_bomb_that_says_what_it_is_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip_bomb(struct.pack(">4BI", 0, 0, 8, 1, 2 * 2**30), 8 * MIB))
    assert path.stat().st_size < 10_000
    peak, error = peak_of(read_idx, path)
    assert "when unpacked" in str(error)
    assert peak < MIB


def test_a_gzip_bomb_that_hides_its_size_is_unpacked_no_further_than_it_says(tmp_path):
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip_bomb(struct.pack(">4BI", 0, 0, 8, 1, 100), 2**30))
    peak, error = peak_of(read_idx, path)
    assert "more than 100" in str(error)
    assert peak < MIB


def test_an_archive_that_hides_its_size_is_unpacked_no_further_than_it_says(tmp_path):
    array = np.zeros((2**13, 2**10))
    contents = npz({"X": array, "y": np.arange(3)})
    declared = len(npy(array)).to_bytes(4, "little")
    # In both places where an archive keeps a member's size.
    shorter = contents.replace(declared, (1000).to_bytes(4, "little"))
    assert shorter != contents
    path = tmp_path / "bomb.npz"
    path.write_bytes(shorter)
    peak, error = peak_of(load_file, path)
    assert error is not None
    assert peak < 2 * MIB


def test_an_archive_that_says_it_is_a_bomb_is_refused(tmp_path):
    path = tmp_path / "bomb.npz"
    path.write_bytes(zipped([("X.npy", bytes(ALWAYS_ALLOWED_BYTES + 1)), ("y.npy", b"")]))
    peak, error = peak_of(load_file, path)
    assert "when unpacked" in str(error)
    assert peak < MIB


@pytest.mark.parametrize("ending", [".npy", ".npz"])
def test_the_length_of_an_array_header_is_checked_before_it_is_read(tmp_path, ending):
    contents = b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1) + b" " * 100
    path = tmp_path / f"file{ending}"
    path.write_bytes(contents if ending == ".npy" else zipped([("X.npy", contents)]))
    peak, error = peak_of(load_file, path, has_target=False)
    assert "a header of 4294967295 bytes" in str(error)
    assert peak < MIB


@pytest.mark.parametrize("rank", [33, 64, 65, 3000])
def test_an_array_of_a_huge_rank_is_refused(tmp_path, rank):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {(1,) * rank}}}\n".encode()
    path = tmp_path / "file.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(8))
    assert isinstance(read_or_refuse(KINDS["npy"], path), DataError)


def test_one_long_name_among_many_short_ones_does_not_take_its_length_for_each(tmp_path):
    path = tmp_path / "names.csv"
    path.write_text("size,kind\n" + "1,a\n" * 2000 + "1," + "b" * 100_000 + "\n", encoding="utf-8")
    peak, error = peak_of(load_file, path)
    assert "of 100000 characters on line 2002" in str(error)
    assert peak < 8 * MIB


def test_a_table_of_many_columns_takes_at_most_a_hundred_times_its_size(tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text(",".join("1" * 100_000), encoding="utf-8")
    peak, error = peak_of(load_file, path, header=False)
    assert error is None
    assert peak < 100 * path.stat().st_size


def test_a_message_does_not_grow_with_the_file(tmp_path):
    path = tmp_path / "wide.csv"
    path.write_text(",".join(f"column{i}" for i in range(10_000)) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match="a column named 'x'") as refusal:
        load_file(path, target="x")
    assert len(str(refusal.value)) < 3000


def test_reading_a_model_takes_no_more_than_its_size_and_its_header(tmp_path):
    path = tmp_path / "model.safetensors"
    text = b'{"__metadata__":{},"a":[' + b"[]," * ((MAX_HEADER_BYTES - 50) // 3) + b"[]]}"
    path.write_bytes(len(text).to_bytes(8, "little") + text)
    peak, error = peak_of(read_tensors, path)
    assert error is not None
    assert peak < 64 * MAX_HEADER_BYTES


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


# Archives and paths


@pytest.mark.parametrize(
    "name", ["../X.npy", "/X.npy", "../../etc/X.npy", "a/../../X.npy", "C:\\X.npy", "..\\X.npy"]
)
def test_an_archive_cannot_write_a_file_whatever_its_members_are_called(tmp_path, name):
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    path = folder / "file.npz"
    x = npy(np.ones((2, 2)))
    path.write_bytes(zipped([(name, x), ("X.npy", x)]))
    before = sorted(tmp_path.rglob("*"))
    assert load_file(path, has_target=False).X.shape == (2, 2)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_member_is_only_found_by_its_plain_name(tmp_path):
    path = tmp_path / "file.npz"
    path.write_bytes(zipped([("../X.npy", npy(np.ones((2, 2))))]))
    with pytest.raises(DataError, match="an array named X"):
        load_file(path, has_target=False)


def test_a_member_that_is_a_link_is_read_as_bytes_and_not_followed(tmp_path):
    secret = tmp_path / "secret.npy"
    secret.write_bytes(npy(np.ones((2, 2))))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        member = zipfile.ZipInfo("X.npy")
        member.external_attr = 0o120777 << 16
        archive.writestr(member, str(secret))
    path = tmp_path / "file.npz"
    path.write_bytes(stream.getvalue())
    with pytest.raises(DataError, match="an array in NumPy's format"):
        load_file(path, has_target=False)


# Files of released versions


@pytest.mark.parametrize("kind", ["model", "classifier", "regressor"])
def test_a_file_of_a_released_version_predicts_what_it_did(kind, name):
    expected = json.loads((GOLDEN / "models.json").read_text(encoding="utf-8"))
    face = cnn_core.load(GOLDEN / f"{kind}_version_1.safetensors", backend=name)
    predict = getattr(face, "predict_proba", face.predict)
    found = predict(np.array(expected["x"]))
    np.testing.assert_allclose(found, expected[kind], rtol=1e-12, atol=1e-14)


# What is fetched


def test_every_file_that_can_be_fetched_has_a_hash_of_its_own():
    hashes = {file.sha256 for file in FILES}
    assert len(hashes) == len(FILES)
    assert all(len(digest) == 64 and set(digest) <= set("0123456789abcdef") for digest in hashes)


def test_data_of_the_right_form_with_another_hash_are_refused_wherever_they_come_from(tmp_path):
    for file in FILES:
        header = struct.pack(f">4B{len(file.shape)}I", 0, 0, 8, len(file.shape), *file.shape)
        path = tmp_path / f"{file.stem}.gz"
        path.write_bytes(gzip.compress(header + bytes(int(np.prod(file.shape))), 1))
    with pytest.raises(DataError, match=f"SHA-256 {FILES[0].sha256}"):
        load_fashion_mnist(tmp_path)


def ar(members: dict[str, bytes]) -> bytes:
    text = b"!<arch>\n"
    for name, data in members.items():
        text += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode()
        text += data + b"\n" * (len(data) % 2)
    return text


def tar(members: list[tuple[str, bytes | str]]) -> bytes:
    """A tar of files and, where a text stands in place of bytes, links to it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            if isinstance(data, str):
                info.type, info.linkname = tarfile.SYMTYPE, data
                archive.addfile(info)
            else:
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def deb(members: list[tuple[str, bytes | str]]) -> bytes:
    control = tar([("control", b"Package: p\nVersion: 1\nArchitecture: all\nMaintainer: m\n")])
    return ar({"debian-binary": b"2.0\n", "control.tar.gz": control, "data.tar.gz": tar(members)})


only_debian = pytest.mark.skipif(
    shutil.which("dpkg-deb") is None, reason="only Debian unpacks its packages"
)


@pytest.fixture
def fetched(tmp_path, monkeypatch):
    """The bytes that stand for the package which apt-get fetches, in a list to be filled."""
    contents: list[bytes] = []
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setattr(
        fetching,
        "_download_package",
        lambda package, folder: (folder / f"{package}.deb").write_bytes(contents[0]),
    )
    return contents


@only_debian
def test_a_package_is_unpacked_into_a_folder_that_is_gone_afterwards(fetched):
    fetched.append(deb([("usr/good", b"x")]))
    with fetching.unpacked_package("p") as root:
        assert (root / "usr" / "good").read_bytes() == b"x"
    assert not root.parent.exists()


@only_debian
@pytest.mark.parametrize(
    "members",
    [
        [("../evil", b"x")],
        [("../../evil", b"x")],
        [("usr/../../evil", b"x")],
        [("link", "../.."), ("link/evil", b"x")],
        [("link", "{outside}"), ("link/evil", b"x")],
        [("{outside}/evil", b"x")],
    ],
)
def test_a_package_cannot_place_anything_outside_its_folder(tmp_path, fetched, members):
    outside = tmp_path / "outside"
    outside.mkdir()
    placed = [
        (name.format(outside=outside), d.format(outside=outside) if isinstance(d, str) else d)
        for name, d in members
    ]
    fetched.append(deb(placed))
    with contextlib.suppress(OSError), fetching.unpacked_package("p") as root:
        assert [path for path in tmp_path.rglob("evil") if root not in path.parents] == []
    assert list(tmp_path.rglob("evil")) == []
    assert list(outside.iterdir()) == []
