"""Validation sets, generators and links, as scikit-learn 1.9 has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnn_core import ImageClassifier, MLPRegressor
from small_estimators import NAMES, NUMBERS, X_NUMBERS, X, Y, classifier, regressor, weights_of
from small_tables import TABLE
from small_tables import classifier as table_classifier

sklearn = pytest.importorskip("sklearn", minversion="1.9")

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_the_arguments_are_one_more_set() -> None:
    weights = np.arange(30.0)
    ours = classifier().fit(X, Y, X_val=X[:30], y_val=Y[:30], sample_weight_val=weights)
    other = classifier().fit(X, Y, eval_set=(X[:30], Y[:30], weights))
    assert ours.evals_result_ == other.evals_result_
    both = classifier().fit(X, Y, eval_set=(X[30:], Y[30:]), X_val=X[:30], y_val=Y[:30])
    assert list(both.evals_result_) == ["eval_0", "eval_1"]
    early = regressor(early_stopping=True)
    early.fit(X_NUMBERS, NUMBERS, X_val=X_NUMBERS[:20], y_val=NUMBERS[:20])
    assert len(early.validation_scores_) == early.n_iter_
    images = ImageClassifier([], max_iter=1, random_state=0, backend="numpy")
    pixels = np.zeros((8, 4, 4), np.uint8)
    labels = np.arange(8) % 2
    assert images.fit(pixels, labels, X_val=pixels, y_val=labels).validation_scores_


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="y_val: expected what belongs"):
        classifier().fit(X, Y, X_val=X)
    with pytest.raises(ValueError, match="X_val: expected what belongs"):
        classifier().fit(X, Y, y_val=Y)
    with pytest.raises(ValueError, match="X_val: expected what belongs"):
        classifier().fit(X, Y, sample_weight_val=np.ones(len(X)))
    with pytest.raises(ValueError, match=r"\(X_val, y_val, sample_weight_val\)\[1\]"):
        classifier().fit(X, Y, X_val=X, y_val=Y + 7)


def test_a_pipeline_transforms_them() -> None:
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    rows, validation = 100 * X + 50, 100 * X[:30] + 50
    with sklearn.config_context(enable_metadata_routing=True):
        model = classifier().set_fit_request(X_val=True, y_val=True, sample_weight_val=True)
        steps = [("scale", StandardScaler()), ("model", model)]
        pipeline = Pipeline(steps, transform_input=["X_val"])
        pipeline.fit(rows, Y, X_val=validation, y_val=Y[:30])
        scaled = pipeline[0].transform(validation)
    expected = classifier().fit(pipeline[0].transform(rows), Y, eval_set=(scaled, Y[:30]))
    assert pipeline[-1].validation_scores_ == expected.validation_scores_


def test_generators_of_numpy() -> None:
    one = weights_of(classifier(random_state=np.random.default_rng(3)).fit(X, Y))
    again = weights_of(classifier(random_state=np.random.default_rng(3)).fit(X, Y))
    np.testing.assert_array_equal(one, again)
    shared = np.random.default_rng(3)
    first = weights_of(classifier(random_state=shared).fit(X, Y))
    second = weights_of(classifier(random_state=shared).fit(X, Y))
    np.testing.assert_array_equal(first, one)
    assert (second != one).any()
    tables = [
        table_classifier(random_state=np.random.default_rng(0), max_steps=5).fit(
            TABLE, np.arange(240) % 2
        )
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*(one.oof_prediction_ for one in tables))


def test_a_generator_within_a_search() -> None:
    from sklearn.model_selection import cross_val_score

    model = MLPRegressor(hidden_layer_sizes=(4,), max_iter=3, random_state=np.random.default_rng(0))
    assert np.isfinite(cross_val_score(model, X_NUMBERS, NUMBERS, cv=2)).all()


@pytest.mark.parametrize("model", [classifier(), table_classifier(), ImageClassifier()])
def test_the_html_leads_to_our_documentation(model: Any) -> None:
    link = model._get_doc_link()
    assert link.startswith("https://github.com/cnn-core/cnn-core/tree/main/docs/")
    assert link in model._repr_html_()


def test_names_of_classes_in_a_validation_set() -> None:
    model = classifier().fit(X, NAMES, X_val=X[:30].tolist(), y_val=NAMES[:30].tolist())
    assert 0 <= model.validation_scores_[-1] <= 1
