"""Networks of a learner of tables on workers: checkpoints, exact resume, callbacks and kills."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from distributed import Client

from cnn_core import TabularClassifier
from cnn_core.callbacks import Callback, CSVLog
from cnn_core.cli import main
from cnn_core.dask import DaskTabularClassifier
from cnn_core.io.checkpoint import Checkpoint
from cnn_core.tables.progress import MembersProgress
from command_line import record_of, succeed
from killed_workers import processes
from small_tables import DEAR, SMALL, TABLE, classifier

FRAME = pd.DataFrame(TABLE)


def on_dask(**parameters: Any) -> DaskTabularClassifier:
    return DaskTabularClassifier(**{**SMALL, **parameters})


def bits_of(learner: Any) -> tuple[bytes, bytes]:
    return learner.predict_proba(FRAME).tobytes(), learner.oof_prediction_.tobytes()


class Seen(Callback):
    """Keeps what it is told, and ends the fit or one network after so many epochs."""

    def __init__(self, interrupt: int = -1, stop: int = -1) -> None:
        self.told: list[tuple[str, int]] = []
        self.ended = 0
        self._interrupt, self._stop = interrupt, stop

    def on_train_begin(self, state: Any) -> None:
        self.told.append(("begin", state.model.steps and 1))

    def on_epoch_end(self, state: Any) -> None:
        assert state.epoch == state.record.epoch <= len(state.history["validation_loss"])
        self.told.append(("epoch", state.epoch))
        if len(self.told) == self._interrupt:
            raise KeyboardInterrupt
        if state.epoch == self._stop:
            state.stop("enough")

    def on_train_end(self, state: Any) -> None:
        self.ended += 1


@pytest.fixture(scope="module")
def whole() -> Any:
    return bits_of(classifier().fit(FRAME, DEAR))


@pytest.mark.parametrize("on_workers_first", [True, False])
def test_a_fit_that_was_interrupted_goes_on_to_the_same_bits(
    on_workers_first: bool, tmp_path: Path, client: Client, whole: Any
) -> None:
    kinds = [on_dask, classifier]
    before, after = kinds if on_workers_first else kinds[::-1]
    checkpoint = Checkpoint(tmp_path / "checkpoint", every_epochs=4)
    with pytest.raises(KeyboardInterrupt):
        before(callbacks=[Seen(interrupt=9)]).fit(FRAME, DEAR, checkpoint=checkpoint)
    files = sorted((tmp_path / "checkpoint").iterdir())
    assert files
    resumed = after().fit(FRAME, DEAR, checkpoint=checkpoint)
    assert bits_of(resumed) == whole
    seen = Seen()
    again = on_dask(callbacks=[seen]).fit(FRAME, DEAR, checkpoint=checkpoint)
    assert bits_of(again) == whole
    assert {kind for kind, _ in seen.told} == {"begin"}, "everything is read, nothing is trained"


def test_callbacks_are_told_of_each_epoch_and_may_stop(client: Client, tmp_path: Path) -> None:
    here, there = Seen(), Seen()
    classifier(callbacks=[here], n_threads=1).fit(FRAME, DEAR)
    on_dask(callbacks=[there]).fit(FRAME, DEAR)
    assert sorted(there.told) == sorted((kind, n or 1) for kind, n in here.told)
    assert there.ended == here.ended == SMALL["n_members"]
    stopped = Seen(stop=2)
    checkpoint = Checkpoint(tmp_path / "checkpoint", every_epochs=1)
    on_dask(callbacks=[stopped]).fit(FRAME, DEAR, checkpoint=checkpoint)
    assert max(epoch for _, epoch in stopped.told) == 2


def test_progress_is_that_of_all_workers(client: Client, capsys: Any) -> None:
    on_dask(verbose=True).fit(FRAME, DEAR)
    assert f"network {SMALL['n_members']}/{SMALL['n_members']}" in capsys.readouterr().err
    assert MembersProgress.get_state is Callback.get_state


def test_a_checkpoint_of_another_fit_is_refused_by_its_name_here(
    client: Client, tmp_path: Path
) -> None:
    folder = tmp_path / "checkpoint"
    classifier().fit(FRAME, DEAR, checkpoint=folder)
    with pytest.raises(ValueError, match="expected a checkpoint of this training") as refusal:
        on_dask(random_state=1).fit(FRAME, DEAR, checkpoint=folder)
    assert str(refusal.value).startswith(f"{folder}/member-")


def test_callbacks_with_a_state_are_refused(client: Client, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected those that look or stop"):
        on_dask(callbacks=[CSVLog(tmp_path / "log.csv")]).fit(FRAME, DEAR)


def test_a_time_budget_holds_on_workers(client: Client) -> None:
    learner = on_dask(max_steps=10**6, time_budget=0.6).fit(FRAME, DEAR)
    assert learner.score(FRAME, DEAR) > 0.5


def test_control_c_of_the_command_leaves_what_resume_goes_on_from(
    tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    FRAME.assign(dear=DEAR).to_csv(tmp_path / "table.csv", index=False)
    words = ["train", "--data", tmp_path / "table.csv", "--quality", "fast", "--members", "2"]
    words += ["--max-steps", "40", "--quiet", "--no-plots", "--checkpoint-every", "3", "--seed", 0]
    succeed(*words, "--out", tmp_path / "plain")
    workers = [*words, "--workers", "2", "--out", tmp_path / "run"]
    whole_fit = TabularClassifier.fit

    def fit(self: Any, *arguments: Any, **options: Any) -> Any:
        self.callbacks = [Seen(interrupt=12)]
        return whole_fit(self, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(TabularClassifier, "fit", fit)
        assert main([str(word) for word in workers]) == 130
    assert f"--resume {tmp_path / 'run'} goes on" in capsys.readouterr().err
    succeed("train", "--resume", tmp_path / "run", "--quiet")
    digests = [record_of(tmp_path / one)["result"]["weights_sha256"] for one in ("plain", "run")]
    assert digests[0] == digests[1]


@pytest.mark.slow
def test_a_worker_that_is_killed_changes_no_bit(tmp_path: Path) -> None:
    with processes() as (cluster, client):

        class Kills(Seen):
            def on_train_begin(self, state: Any) -> None:
                if not self.told:
                    victim = next(iter(cluster.workers.values())).process.pid
                    os.kill(victim, signal.SIGKILL)
                super().on_train_begin(state)

        learner = on_dask(client=client, max_steps=1_000, callbacks=[Kills()])
        learner.fit(FRAME, DEAR, checkpoint=Checkpoint(tmp_path / "files", every_epochs=20))
    assert bits_of(learner) == bits_of(classifier(max_steps=1_000).fit(FRAME, DEAR))
