"""``cnn-core article`` repeats the published experiment beside its cure."""

from __future__ import annotations

import json

import numpy as np
import pytest
from matplotlib import image

import cnn_core
from cnn_core.cli import article
from cnn_core.data import load_fashion_mnist
from command_line import rows_of, succeed
from installation import BACKENDS

# A fifth of those of the article.
IMAGES = 1000


@pytest.fixture(scope="module")
def article_run(tmp_path_factory):
    """The published experiment with few epochs, and what it printed."""
    folder = tmp_path_factory.mktemp("article") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(article, "IMAGES", IMAGES)
        return folder, succeed("article", "--epochs", 4, "--out", folder, "--quiet")


class TestArticle:
    def test_both_rules_on_each_backend_stand_beside_the_published_result(self, article_run):
        folder, printed = article_run
        assert "0.7644" in printed
        rows = rows_of(folder / "table.csv")
        assert len(rows) == 2 * len(BACKENDS)
        assert [row["rule"] for row in rows] == ["published rule"] * len(BACKENDS) + [
            "exact gradient"
        ] * len(BACKENDS)
        assert [row["epochs"] for row in rows] == ["4"] * len(BACKENDS) + ["1"] * len(BACKENDS)
        for row in rows:
            assert f"{float(row['test accuracy']):.4f}" in printed
            assert row["backend"] in printed

    def test_the_published_rule_is_the_one_of_the_library(self, article_run):
        data = load_fashion_mnist()
        net = cnn_core.NN(784, 128, 10, 0.01, 4, rule="article", seed=0, backend="numpy")
        net.fit(data.x_train[:IMAGES].reshape(IMAGES, 784) / 255, data.y_train[:IMAGES])
        predicted = net.predict(data.x_test[:IMAGES].reshape(IMAGES, 784) / 255).argmax(axis=1)
        accuracy = np.mean(predicted == data.y_test[:IMAGES])
        results = json.loads((article_run[0] / "article.json").read_text())["results"]
        for result in results[: len(BACKENDS)]:
            assert result["test_accuracy"] == pytest.approx(accuracy, abs=5e-4)

    def test_its_folder_holds_table_reports_and_gallery(self, article_run):
        folder, _ = article_run
        names = {"table.txt", "table.csv", "report.txt", "article.json", "gallery.png"}
        assert {path.name for path in folder.iterdir()} == names
        assert image.imread(folder / "gallery.png").shape[1] == 1200

    def test_without_the_compiled_backend_numpy_runs_alone_and_that_is_said(
        self, tmp_path, capsys, monkeypatch
    ):
        monkeypatch.setattr(article.backends, "available", lambda: ("numpy",))
        monkeypatch.setattr(article, "IMAGES", IMAGES)
        succeed("article", "--epochs", 1, "--out", tmp_path / "run", "--quiet")
        assert "compiled backend is not part of this installation" in capsys.readouterr().err
        assert len(rows_of(tmp_path / "run" / "table.csv")) == 2
