"""A checkpoint on a disk that is full, read-only or gone: an error that names the path."""

import errno
import os
import stat
import sys
from pathlib import Path

import pytest

import cnn_core
from checkpointed import KIND, NETWORKS, KillAfter, same_models, train
from cnn_core import files
from cnn_core.callbacks import OnEpoch
from cnn_core.model_file import ModelFileError


@pytest.mark.filterwarnings("ignore:.*the last bits may differ")
def test_a_full_disk_is_an_error_and_the_checkpoint_before_stays(killed, name, monkeypatch):
    network, settings = NETWORKS[KIND]
    before = killed.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            train(network, name, settings, killed)
    assert killed.read_bytes() == before
    assert os.listdir(killed.parent) == ["file"]
    resumed, _ = train(network, "numpy", settings, killed)
    same_models(train(network, "numpy", settings, None)[0], resumed)


def failing(code, of, original=None):
    """Return what fails as the system does, if `of` its arguments it should."""

    def fail(*arguments, **options):
        if of(*arguments):
            name = arguments[0] if isinstance(arguments[0], str | os.PathLike) else None
            raise OSError(code, os.strerror(code), None if name is None else os.fspath(name))
        return original(*arguments, **options)

    return fail


def is_folder(descriptor):
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


CODES = ("ENOSPC", "EROFS", "EACCES", "EDQUOT", "EIO")
CALLS = {
    "open": (files, lambda path, mode: mode == "x+b"),
    "fsync": (os, lambda descriptor: not is_folder(descriptor)),
    "chmod": (os, lambda *_: True),
    "replace": (os, lambda *_: True),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("code", CODES)
def test_whatever_fails_the_error_names_the_path_and_the_checkpoint_before_stays(
    killed, monkeypatch, call, code
):
    network, settings = NETWORKS[KIND]
    before = killed.read_bytes()
    number = getattr(errno, code)
    where, of = CALLS[call]
    original = getattr(where, call, open)
    with monkeypatch.context() as patch:
        patch.setattr(where, call, failing(number, of, original), raising=False)
        with pytest.raises(OSError, match="the checkpoint before this one is whole") as caught:
            train(network, "numpy", settings, killed)
    assert (caught.value.errno, caught.value.filename) == (number, str(killed))
    assert os.strerror(number) in str(caught.value)
    assert killed.read_bytes() == before
    assert os.listdir(killed.parent) == ["file"]
    resumed, _ = train(network, "numpy", settings, killed)
    same_models(train(network, "numpy", settings, None)[0], resumed)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no limits of resources")
def test_a_file_beyond_the_limit_of_the_process_is_an_error_and_the_checkpoint_before_stays(killed):
    import resource

    network, settings = NETWORKS[KIND]
    before = killed.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(OSError, match="too large; the checkpoint before") as caught:
            train(network, "numpy", settings, killed)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (caught.value.errno, caught.value.filename) == (errno.EFBIG, str(killed))
    assert killed.read_bytes() == before
    assert os.listdir(killed.parent) == ["file"]
    resumed, _ = train(network, "numpy", settings, killed)
    same_models(train(network, "numpy", settings, None)[0], resumed)


def test_a_folder_that_cannot_be_brought_to_the_disk_does_no_harm(tmp_path, monkeypatch):
    network, settings = NETWORKS[KIND]
    monkeypatch.setattr(os, "fsync", failing(errno.EIO, is_folder, os.fsync))
    model, _ = train(network, "numpy", settings, tmp_path / "file")
    same_models(model, cnn_core.load(tmp_path / "file"))


def test_where_nothing_can_be_written_nothing_is_trained(name, tmp_path, monkeypatch):
    network, settings = NETWORKS[KIND]
    fail = failing(errno.EROFS, CALLS["open"][1], open)
    monkeypatch.setattr(files, "open", fail, raising=False)
    epochs = []
    with pytest.raises(OSError, match="or name another path") as caught:
        train(network, name, settings, tmp_path / "file", OnEpoch(epochs.append))
    assert (caught.value.errno, caught.value.filename) == (errno.EROFS, str(tmp_path / "file"))
    assert epochs == []
    assert os.listdir(tmp_path) == []


NO_PATHS = {
    "in a file": (FileNotFoundError, "the folder .*file does not exist"),
    "in nowhere": (FileNotFoundError, "the folder .*nowhere does not exist"),
    "a folder": (ModelFileError, "found a (folder|device)"),
    "the null device": (ModelFileError, "found a (folder|device)"),
}


@pytest.mark.skipif(sys.platform == "win32", reason="names of a POSIX system")
@pytest.mark.parametrize("kind", NO_PATHS)
def test_a_path_of_no_file_is_refused_before_the_first_epoch(killed, kind):
    network, settings = NETWORKS[KIND]
    folder = killed.parent
    path = {
        "in a file": killed / "in a file",
        "in nowhere": folder / "nowhere" / "file",
        "a folder": folder,
        "the null device": Path(os.devnull),
    }[kind]
    error, reason = NO_PATHS[kind]
    with pytest.raises(error, match=reason) as caught:
        train(network, "numpy", settings, path, KillAfter(0))
    assert str(path) in str(caught.value)
    assert os.listdir(folder) == ["file"]
