"""What the race on tables makes of its lines of results."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tables.standing import ERROR, LOSS, Standing, sign_test


def line(table: str, learner: str, loss: float, split: int = 0, **more: Any) -> dict[str, Any]:
    found = {"table": table, "learner": learner, "split": split, "threads": 2}
    return {**found, "loss": loss, "error": loss, **more}


@pytest.fixture
def standing() -> Standing:
    """Two learners on a set with classes and one with numbers, two splits of the first."""
    lines = [
        line("ames", "a", 0.2),
        line("ames", "b", 0.4),
        line("letter", "a", 0.1),
        line("letter", "a", 0.5, split=1),
        line("letter", "b", 0.2),
        line("letter", "b", 0.2, split=1),
        line("shuttle", "a", 0.2),
        line("boston", "a", 0.1, threads=1),
    ]
    return Standing(lines, ["a", "b"], threads=2)


def test_splits_are_averaged_before_learners_are_compared(standing: Standing) -> None:
    assert standing.mean("letter", "a", LOSS) == pytest.approx(0.3)
    assert standing.rank("b", LOSS, "classes") == 1
    assert standing.rank("a", ERROR) == pytest.approx(1.5)


def test_a_set_that_one_of_them_lacks_does_not_count(standing: Standing) -> None:
    assert standing.tables() == ["ames", "letter"]
    assert standing.incomplete == ["shuttle"]
    assert standing.n_fits() == 3


def test_a_duel_names_the_sets_that_were_lost(standing: Standing) -> None:
    duel = standing.duel("a", "b", LOSS)
    assert (duel.wins, duel.losses, duel.ties, duel.lost) == (1, 1, 0, ("letter",))
    assert duel.share == 0.5


def test_the_best_of_a_set_scores_1_and_the_worst_0(standing: Standing) -> None:
    assert standing.normalised("a", LOSS) == pytest.approx(0.5)


def test_a_relative_loss_is_the_geometric_mean_of_ratios(standing: Standing) -> None:
    expected = math.sqrt((0.2 / 0.4) * (0.3 / 0.2))
    assert standing.relative("a", "b", LOSS, standing.tables()) == pytest.approx(expected)


def test_learners_that_are_level_share_a_rank() -> None:
    standing = Standing([line("ames", name, 0.2) for name in "ab"], ["a", "b"], threads=2)
    assert standing.rank("a", LOSS) == standing.rank("b", LOSS) == 1.5
    assert standing.duel("a", "b", LOSS).ties == 1


@pytest.mark.parametrize(("wins", "losses", "p"), [(5, 0, 2 / 32), (3, 3, 1.0), (0, 0, 1.0)])
def test_the_sign_test_is_two_sided(wins: int, losses: int, p: float) -> None:
    assert sign_test(wins, losses) == pytest.approx(p)
