"""Fashion-MNIST is found, fetched and verified, and each place that was tried is named."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import os
import stat
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cnn_core.data import (
    DataError,
    DataNotFoundError,
    Dataset,
    fashion_mnist,
    fetching,
    load_digits,
    load_fashion_mnist,
)

# The real data


def test_the_real_data_are_found_and_are_what_they_should_be():
    data = load_fashion_mnist()
    assert data.x_train.shape == (60_000, 28, 28)
    assert data.x_test.shape == (10_000, 28, 28)
    assert data.y_train.shape == (60_000,)
    assert data.y_test.shape == (10_000,)
    for array in (data.x_train, data.y_train, data.x_test, data.y_test):
        assert array.dtype == np.uint8
        assert array.flags.writeable
    assert np.bincount(data.y_train).tolist() == [6_000] * 10
    assert np.bincount(data.y_test).tolist() == [1_000] * 10
    assert (data.x_train.min(), data.x_train.max()) == (0, data.scale)
    assert data.class_names[0] == "T-shirt/top"
    assert data.class_names[data.y_train[0]] == "Ankle boot"
    assert len(data.class_names) == 10
    assert data.source


# Small stand-ins for the four files


@pytest.fixture
def contents(monkeypatch):
    """Unpacked contents of four small files that take the place of the real ones, by stem."""
    chance = np.random.default_rng(5)
    contents, files = {}, []
    for file in fashion_mnist.FILES:
        shape = (7 if "train" in file.stem else 3, *([2] * (len(file.shape) - 1)))
        header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
        contents[file.stem] = header + chance.integers(0, 10, shape, np.uint8).tobytes()
        digest = hashlib.sha256(contents[file.stem]).hexdigest()
        files.append(file._replace(sha256=digest, shape=shape))
    monkeypatch.setattr(fashion_mnist, "FILES", tuple(files))
    return contents


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """A machine with nothing on it: no data, no network, no apt-get; the cache folder of it."""
    cache = tmp_path / "user" / "cache" / "fashion-mnist"
    monkeypatch.delenv("CNN_CORE_DATA", raising=False)
    monkeypatch.setattr(fashion_mnist, "cache_folder", lambda: cache)
    monkeypatch.setattr(fashion_mnist, "SYSTEM_FOLDER", Path("/nowhere/fashion-mnist"))
    monkeypatch.setattr(fashion_mnist, "DOWNLOAD_URLS", ())
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return cache


def put(folder: Path, contents: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for stem, unpacked in contents.items():
        (folder / f"{stem}.gz").write_bytes(gzip.compress(unpacked))
    return folder


def check(data: Dataset, contents: dict[str, bytes]) -> None:
    assert data.x_train.tobytes() == contents["train-images-idx3-ubyte"][16:]
    assert data.y_train.tobytes() == contents["train-labels-idx1-ubyte"][8:]
    assert data.x_test.tobytes() == contents["t10k-images-idx3-ubyte"][16:]
    assert data.y_test.tobytes() == contents["t10k-labels-idx1-ubyte"][8:]


def names_in(folder: Path) -> list[str]:
    return sorted(os.listdir(folder)) if folder.exists() else []


ALL_FOUR = [
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
]


# Folders


@pytest.mark.parametrize("as_text", [True, False])
def test_the_folder_passed_is_used(cache, contents, tmp_path, as_text):
    folder = put(tmp_path / "mine", contents)
    data = load_fashion_mnist(str(folder) if as_text else folder)
    check(data, contents)
    assert data.source == str(folder)
    assert not cache.exists()


@pytest.mark.parametrize("pattern", ["{}", "{}.gz"])
@pytest.mark.parametrize("dot", [True, False])
def test_files_may_be_packed_or_not_and_named_with_a_dot(cache, contents, tmp_path, pattern, dot):
    for stem, unpacked in contents.items():
        name = pattern.format(stem.replace("-idx", ".idx") if dot else stem)
        (tmp_path / name).write_bytes(gzip.compress(unpacked) if ".gz" in name else unpacked)
    check(load_fashion_mnist(tmp_path), contents)


def test_only_the_folder_passed_is_looked_at(cache, contents, tmp_path, monkeypatch):
    put(cache, contents)
    monkeypatch.setenv("CNN_CORE_DATA", str(cache))
    folder = put(tmp_path / "mine", contents)
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataNotFoundError, match=r"mine \(from the path passed\): no t10k-labels"):
        load_fashion_mnist(folder)
    with pytest.raises(DataNotFoundError, match="no such folder"):
        load_fashion_mnist(tmp_path / "nowhere")
    with pytest.raises(DataNotFoundError, match="a file, not a folder"):
        load_fashion_mnist(folder / "t10k-images-idx3-ubyte.gz")


def test_only_the_folder_of_the_environment_is_looked_at(cache, contents, tmp_path, monkeypatch):
    put(cache, contents)
    monkeypatch.setenv("CNN_CORE_DATA", str(tmp_path / "mine"))
    with pytest.raises(DataNotFoundError, match=r"mine \(from CNN_CORE_DATA\): no such folder"):
        load_fashion_mnist()
    put(tmp_path / "mine", contents)
    check(load_fashion_mnist(), contents)


def test_the_folder_passed_goes_before_the_environment(cache, contents, tmp_path, monkeypatch):
    monkeypatch.setenv("CNN_CORE_DATA", "/nowhere")
    check(load_fashion_mnist(put(tmp_path / "mine", contents)), contents)


def test_an_empty_environment_variable_is_none(cache, contents, monkeypatch):
    monkeypatch.setenv("CNN_CORE_DATA", "")
    put(cache, contents)
    assert load_fashion_mnist().source == str(cache)


def test_the_cache_goes_before_the_systems_folder(cache, contents, tmp_path, monkeypatch):
    monkeypatch.setattr(fashion_mnist, "SYSTEM_FOLDER", put(tmp_path / "system", contents))
    steps = []
    data = load_fashion_mnist(report=steps.append)
    check(data, contents)
    assert data.source == str(tmp_path / "system")
    assert steps == [f"{cache}: no such folder"]
    put(cache, contents)
    assert load_fashion_mnist().source == str(cache)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: b[:-1] + bytes([b[-1] ^ 1]), "expected contents with the SHA-256 .*, found"),
        (lambda b: b[:-1], "expected 7 bytes of values after the header, found 6"),
        (lambda b: b + b"\0", "expected 7 bytes of values after the header, found more than 7"),
        (lambda b: b"<html>not found</html>", "expected an IDX file"),
        (lambda b: b[:4] + b"\xff\xff\xff\xff" + b[8:], r"expected unsigned bytes of shape \(7,\)"),
        (lambda b: b"", "expected a magic number"),
    ],
    ids=["a bit", "truncated", "over-long", "a web page", "another shape", "empty"],
)
def test_a_damaged_file_of_the_users_is_an_error_and_stays(
    cache, contents, tmp_path, damage, message
):
    stem = "train-labels-idx1-ubyte"
    whole = contents[stem]
    folder = put(tmp_path / "mine", {**contents, stem: damage(whole)})
    before = (folder / f"{stem}.gz").read_bytes()
    with pytest.raises(DataError, match=message) as caught:
        load_fashion_mnist(folder)
    assert str(folder / f"{stem}.gz") in str(caught.value)
    assert hashlib.sha256(whole).hexdigest() in str(caught.value)
    assert (folder / f"{stem}.gz").read_bytes() == before


def test_a_damaged_file_in_the_systems_folder_is_an_error(cache, contents, tmp_path, monkeypatch):
    damaged = {**contents, "t10k-labels-idx1-ubyte": b"damaged"}
    monkeypatch.setattr(fashion_mnist, "SYSTEM_FOLDER", put(tmp_path / "system", damaged))
    with pytest.raises(DataError, match="system"):
        load_fashion_mnist()
    assert names_in(tmp_path / "system") == ALL_FOUR


def test_a_damaged_file_in_the_cache_is_removed_and_the_search_continues(cache, contents):
    put(cache, {**contents, "t10k-labels-idx1-ubyte": b"damaged"})
    steps = []
    with pytest.raises(DataNotFoundError) as caught:
        load_fashion_mnist(report=steps.append)
    assert names_in(cache) == [name for name in ALL_FOUR if name != "t10k-labels-idx1-ubyte.gz"]
    assert steps[0].startswith(f"{cache / 't10k-labels-idx1-ubyte.gz'}: damaged, removed (")
    assert all(step in str(caught.value) for step in steps)


def test_where_nothing_is_found_every_place_is_named_and_the_digits_too(cache, contents):
    steps = []
    with pytest.raises(FileNotFoundError) as caught:
        load_fashion_mnist(report=steps.append)
    text = str(caught.value)
    assert [step.split(":")[0] for step in steps] == [
        str(cache),
        "/nowhere/fashion-mnist",
        "apt-get download dataset-fashion-mnist",
    ]
    assert all(f"  - {step}\n" in text for step in steps)
    assert "skipped, there is no apt-get here" in text
    assert "--data digits" in text
    assert "CNN_CORE_DATA" in text
    assert "train-images-idx3-ubyte.gz" in text


def test_without_platformdirs_there_is_a_cache_folder_only_where_its_place_is_known(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    monkeypatch.setattr(sys, "platform", "linux")
    assert fashion_mnist.cache_folder() == Path("/caches/cnn-core/fashion-mnist")
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    assert fashion_mnist.cache_folder() is None


def test_the_cache_folder_is_the_users(monkeypatch):
    import platformdirs

    folder = fashion_mnist.cache_folder()
    assert folder == Path(platformdirs.user_cache_dir("cnn-core", appauthor=False), "fashion-mnist")


# Downloads


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves what is in a dictionary; a value None breaks off in the middle."""

    def __init__(self, files, requests, *args):
        self.files = files
        self.requests = requests
        super().__init__(*args)

    def do_GET(self):
        self.requests.append(self.path)
        if self.path not in self.files:
            self.send_error(404)
            return
        contents = self.files[self.path]
        self.send_response(200)
        self.send_header("Content-Length", str(100 if contents is None else len(contents)))
        self.end_headers()
        self.wfile.write(b"\x1f\x8b" if contents is None else contents)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch, cache):
    """A web server with two locations: `files` maps paths to contents, `requests` is its log."""
    files, requests = {}, []
    handler = functools.partial(Handler, files, requests)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        url = f"http://127.0.0.1:{httpd.server_port}"
        monkeypatch.setattr(fashion_mnist, "DOWNLOAD_URLS", (f"{url}/first/", f"{url}/second/"))
        httpd.files, httpd.requests, httpd.url = files, requests, url
        yield httpd
        httpd.shutdown()
        thread.join()


def serve(server, location: str, contents: dict[str, bytes]) -> None:
    for stem, unpacked in contents.items():
        server.files[f"/{location}/{stem}.gz"] = gzip.compress(unpacked)


def test_a_download_is_kept_and_not_repeated(cache, contents, server):
    serve(server, "first", contents)
    steps = []
    data = load_fashion_mnist(report=steps.append)
    check(data, contents)
    assert data.source == f"{server.url}/first/, kept in {cache}"
    assert steps[-1] == f"{server.url}/first/: downloaded and verified"
    assert names_in(cache) == ALL_FOUR
    assert len(server.requests) == 4

    again = load_fashion_mnist()
    check(again, contents)
    assert again.source == str(cache)
    assert len(server.requests) == 4


def test_only_what_is_missing_is_downloaded(cache, contents, server):
    serve(server, "first", contents)
    put(cache, contents)
    (cache / "t10k-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    check(load_fashion_mnist(), contents)
    assert server.requests == ["/first/t10k-labels-idx1-ubyte.gz"]
    assert names_in(cache) == ALL_FOUR


def test_the_progress_of_a_download_is_shown(cache, contents, server):
    serve(server, "first", contents)
    told = []
    load_fashion_mnist(progress=lambda *what: told.append(what))
    sizes = {path.rsplit("/", 1)[-1]: len(body) for path, body in server.files.items()}
    assert {name: (received, total) for name, received, total in told} == {
        name: (size, size) for name, size in sizes.items()
    }


def test_nothing_is_printed_where_there_is_no_terminal(cache, contents, server, capfd):
    serve(server, "first", contents)
    load_fashion_mnist()
    assert capfd.readouterr() == ("", "")


def test_on_a_terminal_a_progress_bar_is_shown(cache, contents, server, capsys, monkeypatch):

    serve(server, "first", contents)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    load_fashion_mnist()
    assert "train-images-idx3-ubyte.gz" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html>Please log in</html>", "expected an IDX file"),
        (None, ""),
        (b"", "expected a magic number"),
        (gzip.compress(b"\0\0\x08\x01\0\0\0\x07" + bytes(7)), "expected contents with the SHA-256"),
        (gzip.compress(b"\0\0\x08\x01\0\0\0\x07" + bytes(2**22)), "found more than 7"),
    ],
    ids=["a web page", "broken off", "empty", "other contents", "over-long"],
)
def test_a_wrong_download_is_reported_and_the_next_location_tried(
    cache, contents, server, body, message
):
    serve(server, "first", contents)
    serve(server, "second", contents)
    server.files["/first/train-labels-idx1-ubyte.gz"] = body
    steps = []
    check(load_fashion_mnist(report=steps.append), contents)
    assert steps[-2].startswith(f"{server.url}/first/: ")
    assert message in steps[-2]
    assert ".tmp" not in steps[-2]
    assert steps[-1] == f"{server.url}/second/: downloaded and verified"
    assert names_in(cache) == ALL_FOUR


def test_nothing_of_a_wrong_download_is_kept(cache, contents, server):
    serve(server, "first", {"train-images-idx3-ubyte": b"wrong"})
    with pytest.raises(DataNotFoundError, match="404"):
        load_fashion_mnist()
    assert names_in(cache) == []


def test_a_file_without_an_end_is_not_downloaded_to_it(cache, contents, server, monkeypatch):
    monkeypatch.setattr(fetching, "MAX_DOWNLOAD_BYTES", 10_000)
    serve(server, "first", contents)
    server.files["/first/train-images-idx3-ubyte.gz"] = bytes(10_001)
    with pytest.raises(DataNotFoundError, match="the file is larger than 10000 bytes"):
        load_fashion_mnist()
    assert names_in(cache) == []


def test_without_a_server_the_reason_is_one_line(cache, contents, server):
    server.shutdown()
    server.server_close()
    steps = []
    with pytest.raises(DataNotFoundError):
        load_fashion_mnist(report=steps.append)
    refused = [step for step in steps if step.startswith(server.url)]
    assert len(refused) == 2
    assert all("refused" in step and "\n" not in step for step in refused)


def test_without_pooch_the_download_is_skipped_and_the_extra_is_named(
    cache, contents, server, monkeypatch
):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(DataNotFoundError) as caught:
        load_fashion_mnist()
    assert 'pooch is not installed (pip install "cnn-core[app]")' in str(caught.value)
    assert server.requests == []


def test_without_a_cache_folder_a_download_is_used_and_not_kept(
    cache, contents, server, monkeypatch
):
    monkeypatch.setattr(fashion_mnist, "cache_folder", lambda: None)
    serve(server, "first", contents)
    steps = []
    data = load_fashion_mnist(report=steps.append)
    check(data, contents)
    assert data.source == f"{server.url}/first/"
    assert "platformdirs is not installed" in steps[0]


def test_a_cache_folder_that_cannot_be_made_is_reported(cache, contents, server):
    cache.parent.parent.write_bytes(b"a file where a folder should be")
    serve(server, "first", contents)
    steps = []
    check(load_fashion_mnist(report=steps.append), contents)
    assert any(step.startswith(f"{cache}: cannot be written") for step in steps)


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


# What comes with scikit-learn, and the object itself


def test_the_digits_are_split_the_same_way_each_time():

    data = load_digits()
    assert data.x_train.shape == (1437, 8, 8)
    assert data.x_test.shape == (360, 8, 8)
    assert {part.dtype for part in (data.x_train, data.y_train, data.x_test, data.y_test)} == {
        np.dtype(np.uint8)
    }
    assert (data.x_train.max(), data.scale) == (16, 16.0)
    assert data.class_names == tuple("0123456789")
    assert np.bincount(data.y_test).tolist() == [36, 36, 36, 36, 37, 36, 36, 36, 35, 36]
    again = load_digits()
    np.testing.assert_array_equal(data.x_test, again.x_test)


def test_no_digit_is_in_both_parts():
    from sklearn import datasets

    data = load_digits()
    both = np.concatenate([data.x_train, data.x_test]).reshape(-1, 64)
    whole = datasets.load_digits().data.astype(np.uint8)
    assert sorted(map(bytes, both)) == sorted(map(bytes, whole))


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "cnn-core\[app\]"'):
        load_digits()


def test_a_data_set_cannot_be_changed_by_accident_and_prints_in_one_line(cache, contents, tmp_path):
    data = load_fashion_mnist(put(tmp_path / "mine", contents))
    with pytest.raises(AttributeError):
        data.x_train = None
    assert "\n" not in repr(data)
    assert "(7, 2, 2)" in repr(data)


def test_importing_the_package_imports_nothing_optional():
    code = (
        "import sys, cnn_core.data; "
        "print(*[m for m in ('pooch', 'requests', 'platformdirs', 'rich', 'sklearn')"
        " if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == []
