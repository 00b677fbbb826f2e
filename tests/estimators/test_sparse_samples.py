"""Sparse X of SciPy: estimators and NN learn from it as from the dense one, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_core import NN, MLPClassifier, MLPRegressor, find_learning_rate
from memory_peak import memory_peak

sparse = pytest.importorskip("scipy.sparse")

FORMATS = ("csr", "csc", "coo", "lil", "dok", "bsr", "dia")


@pytest.fixture
def data(rng):
    dense = rng.normal(size=(60, 40)) * (rng.random((60, 40)) < 0.15)
    dense[7] = 0
    # Without zeros of the other sign, which a sparse matrix would leave out.
    return dense + 0.0, np.arange(60) % 3


def classifier(name, **parameters):
    settings = {"max_iter": 3, "schedule": "constant", "batch_size": 16, "random_state": 0}
    return MLPClassifier((8,), backend=name, **{**settings, **parameters})


def weights_of(estimator):
    return estimator.model_.parameters.tobytes()


class TestFit:
    @pytest.mark.parametrize("kind", [np.float64, np.float32, np.int32, np.uint8, bool])
    def test_has_the_bits_of_a_dense_one(self, name, data, kind):
        dense, y = np.abs(data[0] * 10).astype(kind), data[1]
        x = sparse.csr_matrix(dense)
        fitted = classifier(name).fit(x, y, eval_set=(x, y))
        other = classifier(name).fit(dense, y, eval_set=(dense, y))
        assert weights_of(fitted) == weights_of(other)
        assert fitted.evals_result_ == other.evals_result_
        for method in ("predict", "predict_proba", "predict_log_proba"):
            found, expected = getattr(fitted, method)(x), getattr(fitted, method)(dense)
            np.testing.assert_array_equal(found, expected)
        assert fitted.score(x, y) == fitted.score(dense, y)

    @pytest.mark.parametrize("form", FORMATS)
    @pytest.mark.parametrize("kind", ["matrix", "array"])
    def test_takes_every_format(self, data, form, kind):
        dense, y = data
        x = getattr(sparse, f"{form}_{kind}")(dense)
        expected = weights_of(classifier("auto").fit(dense, y))
        assert weights_of(classifier("auto").fit(x, y)) == expected

    @pytest.mark.parametrize(
        "parameters",
        [{"early_stopping": True}, {"solver": "lbfgs", "max_iter": 300}, {"solver": "sgd"}],
        ids=str,
    )
    def test_so_it_does_in_other_ways(self, name, data, parameters):
        dense, y = data
        settings = {"validation_fraction": 0.3, "tol": 1e-3, **parameters}
        if parameters.get("solver") == "lbfgs":
            settings["batch_size"] = "auto"
        ways = [
            weights_of(classifier(name, **settings).fit(x, y))
            for x in (sparse.csr_matrix(dense), dense)
        ]
        assert ways[0] == ways[1]

    def test_part_by_part(self, name, data):
        dense, y = data
        ways = []
        for x in (sparse.csr_matrix(dense), dense):
            fitted = classifier(name, schedule=None).partial_fit(x[:30], y[:30], classes=[0, 1, 2])
            ways.append(weights_of(fitted.partial_fit(x[30:], y[30:])))
        assert ways[0] == ways[1]

    def test_of_numbers(self, name, data):
        dense, y = data
        ways = []
        for x in (sparse.csr_matrix(dense), dense):
            regressor = MLPRegressor(hidden_layer_sizes=(8,), max_iter=3, schedule="constant")
            regressor.set_params(batch_size=16, backend=name, random_state=0).fit(
                x, y.astype(float)
            )
            ways.append((weights_of(regressor), regressor.score(x, y.astype(float))))
        assert ways[0] == ways[1]

    def test_with_a_scorer_of_scikit_learn(self, name, data):
        dense, y = data
        x = sparse.csr_matrix(dense)
        ways = [
            classifier(name, scoring="f1_macro").fit(one, y, eval_set=(one, y)).validation_scores_
            for one in (x, dense)
        ]
        assert ways[0] == ways[1]

    def test_resumes_from_its_checkpoint(self, name, data, tmp_path):
        dense, y = data
        x = sparse.csr_matrix(dense)
        for one in (x, dense):
            path = tmp_path / f"checkpoint-{type(one).__name__}"
            classifier(name).fit(one, y, checkpoint=path)
            again = classifier(name).fit(x, y, checkpoint=path)
            assert weights_of(again) == weights_of(classifier(name).fit(x, y))

    def test_a_learning_rate_is_found_alike(self, data):
        dense, y = data
        ways = [
            find_learning_rate(classifier("auto"), x, y).losses.tolist()
            for x in (sparse.csr_matrix(dense), dense)
        ]
        assert ways[0] == ways[1]

    def test_an_nn_takes_it_too(self, name, data):
        dense, y = data
        nets = [
            NN(40, 5, 3, learning_rate=0.5, epochs=2, seed=0, backend=name).fit(
                x, y, validation=(x, y)
            )
            for x in (sparse.csr_matrix(dense), dense)
        ]
        np.testing.assert_array_equal(nets[0].wih, nets[1].wih)
        np.testing.assert_array_equal(
            nets[0].predict(sparse.coo_matrix(dense)), nets[1].predict(dense)
        )


class TestMatrices:
    def given(self, data=(1.0, 2.0, 3.0), indices=(0, 2, 1), indptr=(0, 2, 3), shape=(2, 4)):
        """Return a matrix of these very arrays, which SciPy itself might refuse to make."""
        matrix = sparse.csr_matrix(shape, dtype=np.asarray(data).dtype)
        matrix.data, matrix.indices = np.asarray(data), np.asarray(indices)
        matrix.indptr = np.asarray(indptr)
        return matrix

    @pytest.mark.parametrize("kind", [np.int32, np.int64])
    @pytest.mark.parametrize(
        ("data", "indices", "indptr"),
        [
            ([1.5, 2.5, 3.5], [2, 0, 1], [0, 2, 3]),
            ([1.5, 2.5, 1e-3, 3.5, 1e17, -1e17], [2, 2, 2, 1, 1, 1], [0, 3, 6]),
            ([1.5, 0.0, -0.0], [0, 2, 1], [0, 2, 3]),
            ([], [], [0, 0, 0]),
        ],
        ids=["unsorted", "several at one place", "stored zeros", "empty"],
    )
    def test_mean_what_scipy_makes_of_them(self, data, indices, indptr, kind):
        data = np.array(data, float)
        x = self.given(data, np.array(indices, kind), np.array(indptr, kind))
        dense, y = x.toarray(), np.array([0, 1])
        before = [array.copy() for array in (x.data, x.indices, x.indptr)]
        settings = {"batch_size": 2, "input_scale": 0.01}
        fitted = classifier("auto", **settings).fit(x, y)
        assert weights_of(fitted) == weights_of(classifier("auto", **settings).fit(dense, y))
        for array, expected in zip((x.data, x.indices, x.indptr), before, strict=True):
            np.testing.assert_array_equal(array, expected)

    @pytest.mark.parametrize(
        "broken",
        [
            {"indices": [0, 4, 1]},
            {"indices": [0, -1, 1]},
            {"indices": [0, 2]},
            {"indices": [0.0, 2.0, 1.0]},
            {"indptr": [0, 3, 2]},
            {"indptr": [0, 2, 9]},
            {"indptr": [-1, 2, 3]},
            {"indptr": [0, 3]},
        ],
        ids=str,
    )
    def test_that_contradict_themselves_are_refused(self, broken):
        with pytest.raises(ValueError, match="X: expected a sparse matrix that agrees with itself"):
            classifier("auto").fit(self.given(**broken), [0, 1])

    def test_a_value_that_is_not_finite_is_named_by_row_and_column(self, data):
        dense, y = data
        x = sparse.csr_matrix(dense)
        fitted = classifier("auto").fit(x, y)
        for value in (np.nan, np.inf):
            x.data[100] = value
            row, column = np.argwhere(~np.isfinite(x.toarray()))[0]
            for act in (fitted.predict, lambda x: classifier("auto").fit(x, y)):
                with pytest.raises(ValueError, match=f"at row {row}, column {column};"):
                    act(x)

    def test_a_value_too_large_for_the_networks_dtype_is_named(self, data):
        dense, y = data
        x = sparse.csr_matrix(dense)
        x.data[0] = 1e300
        with pytest.raises(ValueError, match="too large for float32"):
            classifier("auto", dtype=np.float32).fit(x, y)

    def test_other_features_than_those_of_the_fit_are_refused(self, data):
        dense, y = data
        fitted = classifier("auto").fit(sparse.csr_matrix(dense), y)
        with pytest.raises(ValueError, match="39 features"):
            fitted.predict(sparse.csr_matrix(dense[:, 1:]))
        net = NN(40, 5, 3, learning_rate=0.5, epochs=1)
        with pytest.raises(ValueError, match="this network has 40 inputs"):
            net.predict(sparse.csr_matrix(dense[:, 1:]))

    def test_complex_numbers_are_refused(self, data):
        with pytest.raises(ValueError, match="Complex data not supported"):
            classifier("auto").fit(sparse.csr_matrix(data[0] * 1j), data[1])


@pytest.mark.parametrize("method", ["fit", "predict", "predict_proba", "score"])
def test_zeros_take_no_memory(name, rng, method):
    samples, features = 5000, 1000
    x = sparse.random(samples, features, 0.005, "csr", np.float32, random_state=0)
    y = np.arange(samples) % 3
    fitted = classifier(name, max_iter=1, batch_size=100).fit(x, y)
    arguments = (x, y) if method in ("fit", "score") else (x,)
    with memory_peak() as peak:
        getattr(fitted, method)(*arguments)
    assert peak.bytes < samples * features * 4 / 2


class TestFrames:
    """Data frames of pandas whose columns are sparse."""

    @pytest.mark.parametrize("kind", [np.float64, np.float32, np.int64, np.uint8, bool])
    def test_learn_with_the_bits_of_a_dense_frame(self, name, data, kind):
        pd = pytest.importorskip("pandas")
        dense = pd.DataFrame(np.abs(data[0] * 10).astype(kind)).add_prefix("c")
        frame = dense.astype(pd.SparseDtype(kind, kind(0)))
        fitted, expected = (
            classifier(name).fit(frame, data[1]),
            classifier(name).fit(dense, data[1]),
        )
        assert weights_of(fitted) == weights_of(expected)
        assert list(fitted.feature_names_in_) == list(dense.columns)
        np.testing.assert_array_equal(fitted.predict(frame), expected.predict(dense))
        outputs = [
            NN(40, 4, 3, 0.5, 2, seed=0, backend=name).fit(x, data[1]).predict(x)
            for x in (frame, dense)
        ]
        np.testing.assert_array_equal(*outputs)

    def test_take_no_memory_for_zeros(self, rng):
        pd = pytest.importorskip("pandas")
        codes = pd.Series(rng.permutation(np.arange(3000) % 1000))
        frame = pd.get_dummies(codes, sparse=True)
        with memory_peak() as peak:
            classifier("auto", max_iter=1, dtype=np.float32).fit(frame, codes % 3)
        assert peak.bytes < frame.size * 4 / 4

    @pytest.mark.parametrize("left_out", [1.0, np.nan])
    def test_that_leave_out_something_else_than_zeros_are_written_out(self, data, left_out):
        pd = pytest.importorskip("pandas")
        dense = pd.DataFrame(np.where(data[0] == 0, 1.0, data[0]))
        frame = dense.astype(pd.SparseDtype(float, left_out))
        assert weights_of(classifier("auto").fit(frame, data[1])) == weights_of(
            classifier("auto").fit(dense, data[1])
        )

    def test_of_no_numbers_are_refused(self):
        pd = pytest.importorskip("pandas")
        frame = pd.DataFrame({"a": pd.arrays.SparseArray(["x", "y"], fill_value=0)})
        with pytest.raises(TypeError, match="X: expected real numbers, found"):
            MLPClassifier().fit(frame, [0, 1])
