"""Small stand-ins for the four files of Fashion-MNIST."""

from __future__ import annotations

import gzip
import http.server
import os
from pathlib import Path

from cnn_core.data import (
    Dataset,
)


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


def serve(server, location: str, contents: dict[str, bytes]) -> None:
    for stem, unpacked in contents.items():
        server.files[f"/{location}/{stem}.gz"] = gzip.compress(unpacked)
