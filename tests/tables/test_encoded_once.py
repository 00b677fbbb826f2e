"""Views that see a table alike read one matrix of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cnn_core
from cnn_core.tables.encoder import Encoder
from small_tables import DEAR, TABLE, classifier


def test_a_prediction_encodes_a_table_once_for_views_that_see_it_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = classifier(quality="best", max_steps=3, n_members=2).fit(TABLE, DEAR)
    learner.save(tmp_path / "learner")
    bags = learner._ensemble.bags
    different = len({bag.view.bins for bag in bags})
    assert different < len(bags)
    encoded = []

    def encode(self: Encoder, features: Any) -> Any:
        encoded.append(self)
        return plain(self, features)

    plain = Encoder.encode
    monkeypatch.setattr(Encoder, "encode", encode)
    for one in (learner, cnn_core.load(tmp_path / "learner")):
        vars(one._ensemble)["shares"] = learner._ensemble.shares * 0 + 1 / len(bags)
        encoded.clear()
        one.predict_proba(TABLE)
        assert len(encoded) == different
        encoded.clear()
        one.permutation_importance(TABLE, DEAR, n_repeats=1)
        assert len(encoded) == different
