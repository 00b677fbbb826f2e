"""Shards are dealt to workers evenly, and stay where they are."""

from __future__ import annotations

from cnn_core.dask.ownership import evenly, preferred

A, B, C = "tcp://a:1", "tcp://b:1", "tcp://c:1"


def test_a_shard_stays_with_a_worker_that_has_it() -> None:
    assert evenly([[B], [A], [A], [B]], {A: 1, B: 1}) == [B, A, A, B]


def test_no_worker_has_more_than_its_part() -> None:
    assert evenly([[A], [A], [A], [A]], {A: 1, B: 1}) == [A, A, B, B]
    assert sorted(evenly([[]] * 6, {A: 2, B: 1})) == [A, A, A, A, B, B]


def test_of_several_that_have_it_the_likeliest_is_taken() -> None:
    assert evenly([[B, A], [B, A]], {A: 1, B: 1}) == [B, A]


def test_a_worker_that_joins_gets_its_part() -> None:
    assert evenly([[A], [A], [B], [B], [A], [B]], {A: 1, B: 1, C: 1}).count(C) == 2


def test_a_worker_that_is_gone_has_nothing() -> None:
    assert evenly([[C], [A]], {A: 1}) == [A, A]
    assert evenly([[C]], {}) == [""]
    assert preferred("") == {}
