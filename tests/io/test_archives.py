"""Nothing in an archive or a package is written outside the folder that it is unpacked into."""

from __future__ import annotations

import contextlib
import gzip
import io
import shutil
import struct
import tarfile
import tempfile
import zipfile

import numpy as np
import pytest

from cnn_core.data import DataError, fetching, load_fashion_mnist, load_file
from cnn_core.data.fashion_mnist import FILES
from hostile import npy, zipped

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
