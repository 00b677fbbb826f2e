"""``--watch`` and ``cnn-core watch`` for the networks of a learner of tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnn_core import TabularClassifier
from cnn_core.cli import watch
from cnn_core.cli.pages.live import Progress
from cnn_core.cli.tabular.watching import MembersOfFiles, MembersProgress
from command_line import succeed

SETTINGS: dict[str, Any] = {"model": "tables", "quality": "fast"}


def learner(**settings: Any) -> TabularClassifier:
    return TabularClassifier("fast", n_members=3, max_steps=40, random_state=0, **settings)


@pytest.fixture(scope="module")
def table() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3))
    return X, X[:, 0] + rng.normal(size=120) > 0


def test_each_network_has_a_curve_and_a_line(table: Any) -> None:
    progress = MembersProgress("guests", SETTINGS, 3)
    assert progress.state(-1)["html"] is None
    learner(callbacks=[progress], n_threads=2).fit(*table)
    state = progress.state(-1)
    assert state["status"] == "3 of 3 networks are done"
    assert state["html"].count("<polyline") == 3
    assert "Loss on the rows held out" in state["html"]
    for number in (1, 2, 3):
        assert f"<td>network {number}</td>" in state["html"]
    assert progress.state(state["version"])["html"] is None


def test_watching_changes_no_bit(table: Any) -> None:
    watched = learner(callbacks=[MembersProgress("guests", SETTINGS, 3)]).fit(*table)
    alone = learner().fit(*table)
    np.testing.assert_array_equal(watched.predict_proba(table[0]), alone.predict_proba(table[0]))


def test_another_process_reads_the_checkpoints(table: Any, tmp_path: Path) -> None:
    folder = tmp_path / "run" / "checkpoints"
    folder.parent.mkdir()
    members = MembersOfFiles(folder, "guests", SETTINGS)
    assert members.state(-1)["html"] is None
    learner().fit(*table, checkpoint=folder)
    (folder / "member-0009.safetensors").write_bytes(b"half a file")
    state = members.state(-1)
    assert state["html"].count("<polyline") == 3
    assert "done, " in state["html"]
    assert members.state(state["version"])["html"] is None
    folder.parent.rename(tmp_path / "moved")
    assert members.state(state["version"])["done"]


@pytest.mark.parametrize("target", ["kind", "size"])
def test_the_page_ends_with_the_report_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(
        Progress, "wait_until_seen", lambda self, seconds: seen.append(self.state(-1))
    )
    rows = [f"{n % 7 + n / 100},{n * n % 11},{'ab'[n % 2]}" for n in range(80)]
    data = tmp_path / "t.csv"
    data.write_text("\n".join(["size,weight,kind", *rows]))
    options = ("--members", 2, "--max-steps", 10, "--no-plots", "--quiet", "--watch")
    succeed("train", "--data", data, "--target", target, *options, "--out", tmp_path / "run")
    (state,) = seen
    assert state["done"]
    assert f"{target} in t" in state["html"]
    assert ("Class by class" in state["html"]) == (target == "kind")
    # What watched is no part of the run.
    assert "watch" not in (tmp_path / "run" / "run.toml").read_text()


def test_an_unfinished_run_on_a_table_is_watched_by_its_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: Any
) -> None:
    rows = [f"{n % 7},{'ab'[n % 2]}" for n in range(80)]
    data = tmp_path / "t.csv"
    data.write_text("\n".join(["size,kind", *rows]))
    options = ("--members", 2, "--max-steps", 10, "--no-plots", "--quiet", "--checkpoint-every", 1)
    found: list[dict[str, Any]] = []

    def see(training: Any, checkpoint: Any) -> None:
        unfinished = watch._unfinished(tmp_path / "run")
        assert unfinished is not None
        learner().fit(*table, checkpoint=checkpoint.path)
        title, state, field = watch._going_on(None, unfinished)  # type: ignore[arg-type]
        assert (title, field) == ("t", None)
        found.append(state(-1))
        raise KeyboardInterrupt

    monkeypatch.setattr("cnn_core.cli.tabular.training.TableTraining.learn", see)
    with pytest.raises(AssertionError):
        succeed("train", "--data", data, *options, "--out", tmp_path / "run")
    assert found[0]["html"].count("<polyline") == 3
