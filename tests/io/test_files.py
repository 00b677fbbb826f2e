"""A file is written as a whole or not at all."""

from __future__ import annotations

import os
import stat

import pytest

from cnn_core.files import atomic_write

posix_only = pytest.mark.skipif(os.name != "posix", reason="permissions and links of POSIX")


def test_a_new_file_holds_what_was_written(tmp_path):
    atomic_write(tmp_path / "new", lambda stream: stream.write(b"contents"))
    assert (tmp_path / "new").read_bytes() == b"contents"
    assert os.listdir(tmp_path) == ["new"]


def test_an_existing_file_is_replaced(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"a longer text than the new one")
    atomic_write(str(path), lambda stream: stream.write(b"new"))
    assert path.read_bytes() == b"new"


def test_the_target_is_untouched_while_writing(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    seen = []

    def write(stream):
        stream.write(b"half of")
        stream.flush()
        seen.append((path.read_bytes(), os.path.dirname(stream.name)))

    atomic_write(path, write)
    assert seen == [(b"old", str(tmp_path))]


@pytest.mark.parametrize("error", [RuntimeError("broken"), MemoryError(), KeyboardInterrupt()])
def test_after_a_failure_the_old_file_is_there_and_nothing_else(tmp_path, error):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def write(stream):
        stream.write(b"half of")
        raise error

    with pytest.raises(type(error)):
        atomic_write(path, write)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_after_a_failed_renaming_the_temporary_file_is_gone(tmp_path, monkeypatch):
    def refuse(source, target):
        raise PermissionError("refused")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError, match="refused"):
        atomic_write(tmp_path / "file", lambda stream: stream.write(b"new"))
    assert os.listdir(tmp_path) == []


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere does not exist"):
        atomic_write(tmp_path / "nowhere" / "file", lambda stream: None)
    assert os.listdir(tmp_path) == []


def test_a_folder_is_not_replaced(tmp_path):
    with pytest.raises(IsADirectoryError, match="expected a file name"):
        atomic_write(tmp_path, lambda stream: None)
    assert tmp_path.is_dir()


@posix_only
def test_a_device_is_not_replaced():
    with pytest.raises(ValueError, match="not a regular file"):
        atomic_write(os.devnull, lambda stream: None)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


@posix_only
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_new_file_gets_the_permissions_of_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        atomic_write(tmp_path / "file", lambda stream: None)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~umask


@posix_only
def test_a_replaced_file_keeps_its_permissions(tmp_path):
    path = tmp_path / "file"
    path.touch()
    path.chmod(0o600)
    atomic_write(path, lambda stream: stream.write(b"new"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@posix_only
def test_a_link_stays_and_the_file_it_names_is_replaced(tmp_path):
    real = tmp_path / "real"
    real.write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to(real)
    atomic_write(link, lambda stream: stream.write(b"new"))
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


def test_a_name_of_the_greatest_length_can_be_written(tmp_path):
    path = tmp_path / ("n" * 250)
    atomic_write(path, lambda stream: stream.write(b"new"))
    assert path.read_bytes() == b"new"
