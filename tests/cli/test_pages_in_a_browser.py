"""Charts of pages as a browser lays them out."""

from __future__ import annotations

import numpy as np
import pytest

import chromium
from cnn_core.cli.pages.contents import Contents, History
from cnn_core.cli.pages.numbers import number_results
from cnn_core.cli.pages.rendering import report_page
from cnn_core.cli.pages.samples import TableSamples

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium.PATH is None, reason="Chromium is not installed"),
]

# The pairs of texts of a chart that overlap, and the texts that its picture cuts.
FAULTS = """
[...document.querySelectorAll('svg.chart')].flatMap(chart => {
    const whole = chart.getBoundingClientRect();
    const texts = [...chart.querySelectorAll('text')].map(
        text => [text.textContent, text.getBoundingClientRect()]);
    const cut = texts.filter(([, box]) =>
        box.left < whole.left || box.right > whole.right ||
        box.top < whole.top || box.bottom > whole.bottom).map(([name]) => `${name} is cut`);
    const pairs = texts.flatMap((one, place) => texts.slice(place + 1).map(other => [one, other]));
    return [...cut, ...pairs.filter(([[, a], [, b]]) =>
        a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom
    ).map(([[one], [other]]) => `${one} on ${other}`)];
})
"""


@pytest.fixture(scope="module")
def page():
    with chromium.page() as page:
        yield page


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scale", [1e-7, 0.01, 1.0, 20.0, 1e4, 2e5, 9e5, 1e12])
@pytest.mark.parametrize("offset", [0.0, -3.0, 1e3])
def test_no_text_of_a_chart_lies_on_another_or_is_cut(page, tmp_path, width, scale, offset):
    random = np.random.default_rng(0)
    truth = scale * (random.normal(size=60) + offset)
    predicted = truth + 0.1 * scale * random.normal(size=60)
    samples = TableSamples([truth], ("size",))
    contents = Contents(
        "t",
        "s",
        history=History({"loss": [scale * value for value in (3.0, 2.0, 1.5)]}),
        numbers=number_results(predicted, truth, "price", samples),
    )
    path = tmp_path / "page.html"
    path.write_text(report_page(contents), encoding="utf-8")
    page.open(path.as_uri(), width)
    assert page.evaluate("document.querySelectorAll('svg.chart').length") >= 3
    assert page.evaluate(FAULTS) == []
