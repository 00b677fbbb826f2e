"""Fashion-MNIST is downloaded once, verified, and what went wrong is one line."""

from __future__ import annotations

import gzip
import sys

import pytest

from cnn_core.data import (
    DataNotFoundError,
    fashion_mnist,
    fetching,
    load_fashion_mnist,
)
from fashion_files import ALL_FOUR, check, names_in, put, serve


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
