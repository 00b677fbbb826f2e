"""``cnn-core watch`` and ``train --watch``: a live page, for this machine alone."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import urllib.request
from urllib.parse import urlsplit

import numpy as np
import pytest

import chromium
from cnn_core import Dense, Model, Network, Recipe
from cnn_core.cli.pages.contents import Contents, History
from cnn_core.cli.pages.drawing import DrawingField
from cnn_core.cli.pages.live import NetworkProgress, Shown, page_of
from cnn_core.cli.pages.server import LivePage, served
from cnn_core.cli.scaling import Scaling
from cnn_core.cli.trained_model import Trained
from command_line import refused, succeed


def hello(sent):
    return {"hello": sent["name"]}


@pytest.fixture
def address():
    files = {"": ("text/html", b"the page"), "a.js": ("text/javascript", b"1")}
    page = LivePage(files, lambda version: {"version": version}, {"hello": hello})
    with served(page) as address:
        yield address


def ask(address, path="", *, method="GET", body=None, token=True, **headers):
    """Return status, headers and body of an answer; `Host` may be anything."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
    target = (parts.path if token else "/") + path
    connection.putrequest(method, target, skip_host=True)
    for name, value in {"Host": parts.netloc, **headers}.items():
        if value is not None:
            connection.putheader(name.replace("_", "-"), value)
    if body is not None and "Content_Length" not in headers:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    contents = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), contents


class TestServer:
    def test_it_gives_the_page_its_files_and_its_state(self, address):
        assert ask(address)[2] == b"the page"
        assert ask(address, "a.js")[2] == b"1"
        assert json.loads(ask(address, "state?version=3")[2]) == {"version": 3}

    def test_it_listens_on_this_machine_alone(self, address):
        assert urlsplit(address).hostname == "127.0.0.1"
        assert len(urlsplit(address).path) > 30

    def test_nothing_is_told_without_the_token(self, address):
        for path in ("", "a.js", "state", "x" * 34 + "/"):
            assert ask(address, path, token=False)[0] == 404

    @pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "", None])
    def test_another_host_is_refused(self, address, host):
        """A page whose name was moved to this machine has the name of its own in it."""
        assert ask(address, Host=host)[0] == 403

    def test_another_origin_is_refused(self, address):
        json_type = {"Content_Type": "application/json"}
        for origin in ("http://evil.example", "null"):
            found = ask(address, "hello", method="POST", body=b"{}", Origin=origin, **json_type)
            assert found[0] == 403

    @pytest.mark.parametrize(
        ("body", "headers", "status"),
        [
            (b'{"name": "x"}', {"Content_Type": "application/json"}, 200),
            (b'{"name": "x"}', {"Content_Type": "text/plain"}, 415),
            (b'{"name": "x"}', {}, 415),
            (b"", {"Content_Type": "application/json", "Content_Length": None}, 411),
            (b"", {"Content_Type": "application/json", "Content_Length": "-1"}, 411),
            (b"", {"Content_Type": "application/json", "Content_Length": "9" * 30}, 413),
            (b"[1]", {"Content_Type": "application/json"}, 400),
            (b"[" * 100_000, {"Content_Type": "application/json"}, 400),
            (b"{", {"Content_Type": "application/json"}, 400),
            (b"\xff", {"Content_Type": "application/json"}, 400),
        ],
    )
    def test_what_is_sent_is_checked(self, address, body, headers, status):
        found = ask(address, "hello", method="POST", body=body, **headers)
        assert found[0] == status
        if status == 200:
            assert json.loads(found[2]) == {"hello": "x"}

    def test_what_there_is_not_is_refused(self, address):
        for path in ("nothing", "../a.js", "..%2fa.js", "%2e%2e/etc/passwd", "state?version=x"):
            assert ask(address, path)[0] in (400, 404)
        assert ask(address, "nothing", method="POST", body=b"{}")[0] == 404
        assert ask(address, method="PUT", body=b"{}")[0] == 501

    def test_no_script_of_another_page_could_run_in_it(self, address):
        policy = ask(address)[1]["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy


def small_model():
    network = Network((Dense(16, 8, "relu"), Dense(8, 3, "softmax")), loss="cross_entropy")
    return Model(network, seed=0).initialize("he_uniform", np.random.RandomState(0))


@pytest.fixture
def field():
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4)).astype(np.uint8)
    scaling = Scaling("divided by 255", np.asarray(0.0), np.asarray(255.0), "uint8")
    trained = Trained(small_model(), 3)
    return DrawingField((4, 4), ("<b>", "c", "d"), scaling, images, lambda: trained)


class TestDrawing:
    def test_the_answer_is_that_of_the_network(self, field):
        pixels = field.example({"number": 7})["pixels"]
        found = field.answer({"pixels": pixels})
        expected = field.network().outputs(
            (np.rint(255 * np.array([pixels])) / 255).astype(np.float32)
        )[0]
        assert dict(map(tuple, found["classes"])) == pytest.approx(
            dict(zip(field.names, expected, strict=True)), abs=1e-4
        )
        assert found["classes"][0][1] == pytest.approx(expected.max(), abs=1e-4)

    def test_the_part_of_a_pixel_is_what_is_lost_without_it(self, field):
        pixels = np.zeros(16)
        pixels[10] = 1
        parts = field.answer({"pixels": pixels.tolist()})["parts"]
        # All that take this pixel away take the same away; the others nothing.
        around = {5, 6, 7, 9, 10, 11, 13, 14, 15}
        assert {n for n, part in enumerate(parts) if part} == around
        assert len({parts[n] for n in around}) == 1

    @pytest.mark.parametrize(
        "pixels", [None, [], [0] * 15, ["x"] * 16, [float("nan")] * 16, {"a": 1}, [[0] * 4] * 4]
    )
    def test_anything_else_is_refused(self, field, pixels):
        with pytest.raises((ValueError, TypeError)):
            field.answer({"pixels": pixels})
        for number in (None, -1, 1.5, "3"):
            with pytest.raises(ValueError, match="number"):
                field.example({"number": number})

    def test_only_small_grey_images_can_be_drawn(self, field):
        assert field.fits(field.examples, field.scaling)
        assert not field.fits(np.zeros((2, 16)), field.scaling)
        assert not field.fits(np.zeros((2, 4, 4, 3)), field.scaling)
        assert not field.fits(np.zeros((2, 100, 100)), field.scaling)


class TestProgress:
    def test_it_follows_the_training_and_answers_by_a_copy(self):
        model = small_model()
        progress = NetworkProgress(
            lambda now: Contents("t", "s", history=History(now.history)), 3, "3 epochs"
        )
        assert progress.network() is None
        assert progress.state(-1)["html"] is None
        x = np.random.default_rng(0).normal(size=(20, 16)).astype(np.float32)
        t = np.eye(3, dtype=np.float32)[np.arange(20) % 3]
        recipe = Recipe(epochs=3, batch_size=5, learning_rate=0.1)
        model.train(x, t, recipe, callbacks=[progress])
        state = progress.state(-1)
        assert "epoch 3 of 3 epochs" in state["status"]
        assert "<polyline" in state["html"]
        assert progress.state(state["version"])["html"] is None
        copied = progress.network().model
        assert copied.parameters is not model.parameters
        progress.ends(Contents("the end", "s"))
        ended = progress.state(state["version"])
        assert ended["done"]
        assert "the end" in ended["html"]

    def test_the_page_has_a_field_if_images_can_be_drawn(self, field):
        shown = Shown(Contents("t", "s"), "complete")
        with_field = page_of("<script>", shown.state, field)
        assert b'id="canvas" width="4" height="4"' in with_field.files[""][1]
        assert b"<title>&lt;script&gt;" in with_field.files[""][1]
        without = page_of("t", shown.state, None)
        assert b"<canvas" not in without.files[""][1]
        assert without.post == {}


def test_what_is_no_run_cannot_be_watched(tmp_path, capsys):
    assert "expected the folder of a run" in refused(capsys, "watch", tmp_path / "nothing")


def start(*arguments, before="pass"):
    code = f"import sys; {before}; from cnn_core.cli import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    for line in process.stdout:
        if found := re.search(r"http://127\.0\.0\.1:\S+", line):
            return process, found[0]
    raise AssertionError("no address")


@pytest.mark.slow
def test_a_training_can_be_watched_until_its_end(tmp_path):
    arguments = ("--data", "digits", "--epochs", 400, "--no-plots", "--out", tmp_path / "run")
    process, address = start("train", "--watch", *arguments)
    with process:
        version, done = -1, False
        while not done:
            with urllib.request.urlopen(f"{address}state?version={version}", timeout=30) as answer:
                state = json.loads(answer.read())
            version, done = state["version"], state["done"]
        assert "surest mistakes" in state["html"]
        process.stdout.read()
    assert process.returncode == 0
    assert (tmp_path / "run" / "report.html").exists()


@pytest.mark.slow
def test_ctrl_c_ends_it_also_with_polars(tmp_path):
    succeed("train", "--data", "digits", "--epochs", 1, "--no-plots", "--out", tmp_path / "run")
    # Polars asks that signals let system calls go on. A parent may have switched Ctrl-C off.
    before = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    process, _ = start("watch", tmp_path / "run", before=f"{before}; import polars")
    try:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.stdout.close()


@pytest.mark.slow
@pytest.mark.skipif(chromium.PATH is None, reason="Chromium is not installed")
def test_a_browser_shows_it_and_what_is_drawn_is_answered(tmp_path):
    succeed("train", "--data", "digits", "--epochs", 5, "--no-plots", "--out", tmp_path / "run")
    process, address = start("watch", tmp_path / "run")
    try:
        with chromium.page() as page:
            page.open(address, 390)
            page.until("document.querySelector('#confusion') !== null")
            page.evaluate("document.querySelector('#example').click()")
            page.until("document.querySelectorAll('#answers i').length === 10")
            page.evaluate("document.querySelector('#clear').click()")
            for kind, x, y in (("Pressed", 60, 60), ("Moved", 60, 160), ("Released", 60, 160)):
                box = page.evaluate(
                    "(({left, top}) => [left, top])(canvas.getBoundingClientRect())"
                )
                page.call(
                    "Input.dispatchMouseEvent",
                    type=f"mouse{kind}",
                    x=box[0] + x,
                    y=box[1] + y,
                    button="left",
                    buttons=1,
                )
            drawn = "canvas.getContext('2d').getImageData(0, 0, 8, 8).data.some(v => v > 0)"
            page.until(drawn)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            assert page.problems == []
            assert {urlsplit(url).netloc for url in page.asked_for()} == {urlsplit(address).netloc}
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
