"""A browser without a window, spoken to through two pipes; Chromium alone is needed.

The protocol: https://chromedevtools.github.io/devtools-protocol/.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

# Debian's smaller browser that has no window, or its usual one; other systems' names.
_NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
PATH = next(filter(None, map(shutil.which, _NAMES)), None)
# Nothing depends on it but how long a browser that hangs is waited for.
SECONDS = 240


class Page:
    """One page of the browser; `problems` are its errors, `requests` what it asked for."""

    def __init__(self, browser):
        self._browser = browser
        self.problems, self.requests, self._loaded = [], [], set()
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        attached = browser.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        browser.listeners[self._session] = self._heard
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.setLifecycleEventsEnabled", enabled=True)

    def call(self, method, **params):
        return self._browser.call(method, self._session, **params)

    def _heard(self, method, params):
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.problems.append(str(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.problems.append(str(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.problems.append(params["entry"]["text"])
        elif method == "Page.lifecycleEvent" and params["name"] == "load":
            self._loaded.add(params["loaderId"])

    def open(self, address, width, height=900):
        """Load a page in a window of this size, as a phone does if it is narrow."""
        is_phone = width < 600
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_phone}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        loader = self.call("Page.navigate", url=address)["loaderId"]
        # By its name: the empty page that a browser begins with may say late that it is loaded.
        self._browser.wait(lambda: loader in self._loaded)

    def evaluate(self, expression):
        """Return the value of an expression of JavaScript."""
        found = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, expression):
        """Wait until an expression is true."""
        self._browser.wait(lambda: self.evaluate(expression))

    def asked_for(self):
        """Return the requests that went beyond the page itself."""
        return [url for url in self.requests if not url.startswith(("data:", "file:", "about:"))]


class _Browser:
    def __init__(self, write, read):
        self._write, self._read, self._buffer = write, read, b""
        self._number, self._answers, self.listeners = 0, {}, {}

    def call(self, method, session=None, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        number = self._number
        self.wait(lambda: number in self._answers)
        answer = self._answers.pop(number)
        assert "error" not in answer, answer
        return answer["result"]

    def wait(self, is_done):
        end = time.monotonic() + SECONDS
        while not is_done():
            assert time.monotonic() < end, "the browser did not answer"
            if select.select([self._read], [], [], 0.05)[0]:
                self._receive()

    def _receive(self):
        received = os.read(self._read, 1 << 16)
        assert received, "the browser has gone"
        *messages, self._buffer = (self._buffer + received).split(b"\0")
        for message in map(json.loads, messages):
            if "id" in message:
                self._answers[message["id"]] = message
            elif (listener := self.listeners.get(message.get("sessionId"))) is not None:
                listener(message["method"], message["params"])


@contextlib.contextmanager
def page():
    """Start a browser for the block, and give its page."""
    to_browser, write = os.pipe()
    read, from_browser = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # It reads from 3 and writes to 4.
        moved = f'exec 3<&{to_browser} 4>&{from_browser}; exec "$@"'
        command = [
            PATH,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
        ]
        process = subprocess.Popen(
            ["bash", "-c", moved, "bash", *command],
            pass_fds=(to_browser, from_browser),
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "HOME": str(Path(profile))},
        )
        os.close(to_browser)
        os.close(from_browser)
        try:
            yield Page(_Browser(write, read))
        finally:
            os.close(write)
            os.close(read)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=SECONDS)
