"""Serve a page on this machine only: loopback, a token in the URL, no external resources."""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["Answer", "LivePage", "served"]

HOST = "127.0.0.1"
_MOST_BYTES = 2**20
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Answer(Exception):  # noqa: N818 (it is what is answered, an error or not)
    """An HTTP answer with this status."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


class LivePage:
    """The served contents; methods are called from threads of the server.

    Parameters
    ----------
    files : dict of str to (str, bytes)
        The type and the contents of each file, by its name; ``""`` is the page.
    state : callable
        Returns the update for a browser with the given version.
    post : dict of str to callable
        Handlers of JSON objects posted to a name; a ValueError refuses the object.
    """

    def __init__(
        self,
        files: dict[str, tuple[str, bytes]],
        state: Callable[[int], dict[str, Any]],
        post: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]],
    ) -> None:
        self.files = files
        self.state = state
        self.post = post


@contextmanager
def served(page: LivePage, port: int = 0) -> Iterator[str]:
    """Serve a page while the block runs; yield its URL.

    Parameters
    ----------
    page : LivePage
    port : int
        0: any free port.

    Raises
    ------
    OSError
        If the port is taken.
    """
    token = secrets.token_urlsafe(24)
    server = ThreadingHTTPServer((HOST, port), _handler_of(page, token))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_address[1]}/{token}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler_of(page: LivePage, token: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers the browser; other requests are refused."""

        server_version, sys_version = "cnn-core", ""
        timeout = 30

        def do_GET(self) -> None:
            self._reply(self._get)

        def do_POST(self) -> None:
            self._reply(self._post)

        def log_message(self, format: str, *args: Any) -> None:
            """Keep the terminal for the training."""

        def _get(self, name: str, query: str) -> tuple[str, bytes]:
            if name == "state":
                version = parse_qs(query).get("version", ["-1"])[0]
                if not version.lstrip("-").isdecimal():
                    raise Answer(HTTPStatus.BAD_REQUEST)
                return _as_json(page.state(int(version[:12])))
            if name not in page.files:
                raise Answer(HTTPStatus.NOT_FOUND)
            return page.files[name]

        def _post(self, name: str, query: str) -> tuple[str, bytes]:
            if name not in page.post:
                raise Answer(HTTPStatus.NOT_FOUND)
            # A form on another page cannot send this type without a preflight request.
            if self.headers.get_content_type() != "application/json":
                raise Answer(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
            length = self.headers.get("Content-Length", "")
            if not length.isdecimal():
                raise Answer(HTTPStatus.LENGTH_REQUIRED)
            if int(length[:12]) > _MOST_BYTES:
                raise Answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            try:
                sent = json.loads(self.rfile.read(int(length)))
                if not isinstance(sent, dict):
                    raise ValueError("expected an object")
                return _as_json(page.post[name](sent))
            except (ValueError, TypeError, RecursionError) as error:
                raise Answer(HTTPStatus.BAD_REQUEST) from error

        def _reply(self, answer: Callable[[str, str], tuple[str, bytes]]) -> None:
            status = HTTPStatus.OK
            try:
                self._require_own()
                parts = urlsplit(self.path)
                given, _, name = parts.path.lstrip("/").partition("/")
                if not hmac.compare_digest(given.encode(), token.encode()):
                    raise Answer(HTTPStatus.NOT_FOUND)
                kind, contents = answer(name, parts.query)
            except Answer as refusal:
                status = refusal.status
                kind, contents = "text/plain; charset=utf-8", status.phrase.encode()
                # The request body may not have been read.
                self.close_connection = True
            self.send_response(status)
            for header, value in (
                ("Content-Type", kind),
                ("Content-Length", str(len(contents))),
                ("Content-Security-Policy", _POLICY),
                ("X-Content-Type-Options", "nosniff"),
                ("Referrer-Policy", "no-referrer"),
                ("Cache-Control", "no-store"),
                ("Cross-Origin-Resource-Policy", "same-origin"),
            ):
                self.send_header(header, value)
            self.end_headers()
            self.wfile.write(contents)

        def _require_own(self) -> None:
            """Refuse requests to another host name, as in DNS rebinding."""
            port = self.server.server_address[1]  # type: ignore[index]
            own = {f"{HOST}:{port}", f"localhost:{port}"}
            hosts = self.headers.get_all("Host") or []
            origin = self.headers.get("Origin")
            if len(hosts) != 1 or hosts[0] not in own:
                raise Answer(HTTPStatus.FORBIDDEN)
            if origin is not None and origin not in {f"http://{name}" for name in own}:
                raise Answer(HTTPStatus.FORBIDDEN)

    return Handler


def _as_json(values: dict[str, Any]) -> tuple[str, bytes]:
    return "application/json", json.dumps(values, allow_nan=False).encode()
