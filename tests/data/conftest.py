"""What the tests of Fashion-MNIST share: small files, and a machine with nothing on it."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading
from pathlib import Path

import numpy as np
import pytest

from cnn_core.data import (
    fashion_mnist,
)
from fashion_files import Handler

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
