"""Sparse partitions are trained on and predicted as their dense rows are."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
import scipy.sparse as sp
from distributed import Client

from cnn_core.dask import DaskMLPClassifier
from sharded_fits import SETTINGS

RANDOM = np.random.default_rng(0)
X = (RANDOM.normal(size=(300, 5)) * (RANDOM.random((300, 5)) < 0.5)).astype(np.float32)
Y = np.where(X[:, 0] > 0, "above", "below")


def fitted(X: Any, y: Any) -> DaskMLPClassifier:
    return DaskMLPClassifier(**SETTINGS, n_shards=2).fit(X, y)


def test_sparse_partitions_are_learned_as_dense_ones(client: Client) -> None:
    parts = [X[:70], X[70:90], X[90:]]
    labels = [Y[:70], Y[70:90], Y[90:]]
    dense = fitted(parts, labels)
    sparse = fitted([sp.csr_matrix(one) for one in parts], labels)
    # Products of sparse rows are summed in another order.
    np.testing.assert_allclose(
        sparse.model_.parameters, dense.model_.parameters, rtol=1e-4, atol=1e-5
    )


def test_a_dask_array_of_sparse_blocks_is_learned_and_predicted(client: Client) -> None:
    blocks = da.from_array(X, (100, 5)).map_blocks(sp.csr_matrix)
    model = fitted(blocks, da.from_array(Y, 100))
    np.testing.assert_array_equal(model.predict(blocks).compute(), model.predict(X))


def test_sparse_and_dense_partitions_do_not_mix(client: Client) -> None:
    with pytest.raises(TypeError, match="sparse samples in all partitions or in none"):
        DaskMLPClassifier(**SETTINGS, n_shards=1).fit([sp.csr_matrix(X), X], [Y, Y])


@pytest.mark.parametrize(
    ("samples", "message"), [(None, "X: expected samples, found None"), ("bag", "found Bag")]
)
def test_what_are_no_samples_is_refused(samples: Any, message: str, client: Client) -> None:
    import dask.bag

    values = dask.bag.from_sequence([1, 2]) if samples == "bag" else samples
    with pytest.raises((TypeError, ValueError), match=message):
        DaskMLPClassifier(**SETTINGS).fit(values, Y)
