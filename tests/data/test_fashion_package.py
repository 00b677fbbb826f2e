"""Fashion-MNIST comes out of Debian's package, where there is one."""

from __future__ import annotations

import gzip
import os
import stat
import sys
import time
import zipfile
from pathlib import Path

import pytest

from cnn_core.data import (
    DataNotFoundError,
    fashion_mnist,
    fetching,
    load_fashion_mnist,
)
from fashion_files import ALL_FOUR, check, names_in, serve

# Debian's package

posix_only = pytest.mark.skipif(os.name != "posix", reason="programs as scripts")


@pytest.fixture
def apt(cache, contents, tmp_path, monkeypatch):
    """Stand-ins for apt-get and dpkg-deb; `apt(code)` gives what the former does."""
    bin_folder = tmp_path / "bin"
    package = tmp_path / "package.deb"
    with zipfile.ZipFile(package, "w") as file:
        for stem, unpacked in contents.items():
            file.writestr(f"nowhere/fashion-mnist/{stem}.gz", gzip.compress(unpacked))

    def program(name: str, code: str) -> None:
        lines = ["import os, pathlib, shutil, subprocess, sys, time, zipfile", code]
        (bin_folder / name).write_text(f"#!{sys.executable} -IS\n" + "\n".join(lines))
        (bin_folder / name).chmod(stat.S_IRWXU)

    log = tmp_path / "log"
    log.touch()
    get = f"shutil.copy({str(package)!r}, os.path.join(os.getcwd(), 'dataset_1.0_all.deb'))"
    program("dpkg-deb", "zipfile.ZipFile(sys.argv[2]).extractall(sys.argv[3])")

    def set_up(code: str) -> Path:
        write = f"open({str(log)!r}, 'a').write(sys.argv[-1] + chr(10))"
        program("apt-get", f"{write}\nget = lambda: {get}\nlog = open({str(log)!r}).read\n{code}")
        return log

    return set_up


UNKNOWN = (
    "print('Reading...'); print('E: Unable to locate package x', file=sys.stderr); sys.exit(100)"
)


@posix_only
def test_debians_package_is_fetched_unpacked_and_kept(cache, contents, apt):
    log = apt("get()")
    steps = []
    data = load_fashion_mnist(report=steps.append)
    check(data, contents)
    assert data.source == f"Debian's package dataset-fashion-mnist, kept in {cache}"
    assert steps[-1] == "apt-get download dataset-fashion-mnist: fetched and verified"
    assert names_in(cache) == ALL_FOUR
    assert log.read_text().split() == ["dataset-fashion-mnist"]
    assert load_fashion_mnist().source == str(cache)


@posix_only
def test_downloads_go_before_the_package(cache, contents, server, apt):
    log = apt("get()")
    serve(server, "second", contents)
    check(load_fashion_mnist(), contents)
    assert log.read_text() == ""


@posix_only
def test_an_unknown_package_comes_with_the_hint_to_update(cache, contents, apt, monkeypatch):
    monkeypatch.setattr(fetching, "_is_root", lambda: False)
    log = apt(UNKNOWN)
    with pytest.raises(DataNotFoundError) as caught:
        load_fashion_mnist()
    assert "apt-get failed: E: Unable to locate package x (try again after: sudo apt-get up" in str(
        caught.value
    )
    assert log.read_text().split() == ["dataset-fashion-mnist"]


@posix_only
def test_root_updates_the_lists_once(cache, contents, apt, monkeypatch):
    monkeypatch.setattr(fetching, "_is_root", lambda: True)
    log = apt(f"if 'update' in sys.argv: sys.exit(0)\nif 'update' not in log(): {UNKNOWN}\nget()")
    check(load_fashion_mnist(), contents)
    assert log.read_text().split() == ["dataset-fashion-mnist", "update", "dataset-fashion-mnist"]


@posix_only
def test_an_update_that_fails_is_reported_as_well(cache, contents, apt, monkeypatch):
    monkeypatch.setattr(fetching, "_is_root", lambda: True)
    apt(f"if 'update' in sys.argv: print('E: No network'); sys.exit(1)\n{UNKNOWN}")
    with pytest.raises(DataNotFoundError, match=r"to locate .*; after apt-get update: .*E: No ne"):
        load_fashion_mnist()


@posix_only
def test_root_does_not_update_for_another_failure(cache, contents, apt, monkeypatch):
    monkeypatch.setattr(fetching, "_is_root", lambda: True)
    log = apt("print('E: The disk is full'); sys.exit(1)")
    with pytest.raises(DataNotFoundError, match="apt-get failed: E: The disk is full"):
        load_fashion_mnist()
    assert log.read_text().split() == ["dataset-fashion-mnist"]


@posix_only
def test_a_package_with_other_contents_is_refused_and_nothing_of_it_is_kept(
    cache, contents, apt, monkeypatch
):
    apt("get()")
    files = [file._replace(sha256="0" * 64) for file in fashion_mnist.FILES]
    monkeypatch.setattr(fashion_mnist, "FILES", tuple(files))
    with pytest.raises(DataNotFoundError, match=r"of dataset-fashion-mnist: expected contents"):
        load_fashion_mnist()
    assert names_in(cache) == []


@posix_only
def test_a_package_that_apt_did_not_leave_is_reported(cache, contents, apt):
    apt("pass")
    with pytest.raises(DataNotFoundError, match="apt-get ended well and left no package"):
        load_fashion_mnist()


@posix_only
def test_apt_get_that_hangs_is_ended_with_its_helpers(cache, contents, apt, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "APT_SECONDS", 1)
    os.mkfifo(tmp_path / "pipe")
    reading_end = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    # The helper inherits the output, which must not keep the caller waiting either.
    helper = f"import time; pipe = open({str(tmp_path / 'pipe')!r}, 'w'); time.sleep(600)"
    apt(f"subprocess.Popen([sys.executable, '-c', {helper!r}])\ntime.sleep(600)")
    try:
        with pytest.raises(DataNotFoundError, match="apt-get took longer than 1 seconds"):
            load_fashion_mnist()
        assert is_closed(reading_end)
    finally:
        os.close(reading_end)


def is_closed(reading_end: int) -> bool:
    """Whether the other end of a pipe is closed, at the latest after a minute."""
    for _ in range(600):
        try:
            return os.read(reading_end, 1) == b""
        except BlockingIOError:
            time.sleep(0.1)
    return False


@posix_only
def test_without_dpkg_deb_the_package_is_skipped(cache, contents, apt, tmp_path):
    log = apt("get()")
    (tmp_path / "bin" / "dpkg-deb").unlink()
    with pytest.raises(DataNotFoundError, match="skipped, there is no dpkg-deb here"):
        load_fashion_mnist()
    assert log.read_text() == ""
