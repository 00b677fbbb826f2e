"""Hostile arrays: every public entry gives the documented result or a documented error.

One table of arrays, one table of entries. What is taken gives what a clean copy gives, bit for bit;
what is refused is a TypeError or a ValueError, of the same kind on every backend, and leaves the
network as it was. Nothing that was passed is changed.
"""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from cnn_core import NN, backends, find_learning_rate
from cnn_core.estimators import MLPClassifier, MLPRegressor
from cnn_core.estimators.compat import ConvergenceWarning, DataConversionWarning
from cnn_core.model import Model
from cnn_core.network import Dense, Huber, Network, Pinball
from cnn_core.optimizers import SGD, Adam, Lion, Nadam, RMSprop, Rprop
from cnn_core.targets import one_hot
from cnn_core.training import Recipe, Validation

F32 = np.float32
NUMPY_ON_MATRICES = "the matrix subclass"
SEVERAL_BACKENDS = backends.available()


class Sub(np.ndarray):
    """A subclass that changes nothing."""


class HasArray:
    """What is an array only for those who ask for one, as data frames are."""

    def __init__(self, values: npt.NDArray[Any]) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> npt.NDArray[Any]:
        return self.values if dtype is None else self.values.astype(dtype)


def read_only(a: npt.NDArray[Any]) -> npt.NDArray[Any]:
    array = a.copy()
    array.flags.writeable = False
    return array


def unaligned(a: npt.NDArray[Any]) -> npt.NDArray[Any]:
    array = np.frombuffer(bytearray(a.nbytes + 1), a.dtype, offset=1).reshape(a.shape)
    array[...] = a
    assert not array.flags.aligned
    return array


def with_last(value: float) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]]:
    def make(a: npt.NDArray[Any]) -> npt.NDArray[Any]:
        array = a.astype(np.float64)
        array.flat[-1] = value
        return array

    return make


def nan_of_the_same_dtype(a: npt.NDArray[Any]) -> npt.NDArray[Any]:
    array = a.astype(F32)
    array.flat[-1] = np.nan
    return array


def sparse(a: npt.NDArray[Any]) -> Any:
    return pytest.importorskip("scipy.sparse").csr_matrix(a.reshape(len(a), -1))


def mapped(a: npt.NDArray[Any], folder: Path) -> npt.NDArray[Any]:
    np.save(folder / "a.npy", a)
    return np.load(folder / "a.npy", mmap_mode="r")


# The values of a clean array, 0 and 1, in other dtypes.
SIGNED = {f"int{bits}": f"int{bits}" for bits in (8, 16, 32, 64)}
UNSIGNED = {f"uint{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)}
WHOLE = {
    **SIGNED,
    **UNSIGNED,
    "bool": "bool",
    "big-endian int32": ">i4",
    "big-endian uint16": ">u2",
}
FLOATS = {
    "float16": "float16",
    "float32": "float32",
    "float64": "float64",
    "long double": "longdouble",
    "big-endian float32": ">f4",
    "big-endian float64": ">f8",
}
NO_NUMBERS = {
    "complex64": "complex64",
    "complex128": "complex128",
    "text": "U3",
    "byte strings": "S3",
    "object": "object",
}

# The clean array itself, as it lies in memory or as what it is dressed up.
LIKE_CLEAN: dict[str, Callable[[npt.NDArray[Any]], Any]] = {
    "read-only": read_only,
    "subclass": lambda a: a.view(Sub),
}
LAYOUTS: dict[str, Callable[[npt.NDArray[Any]], Any]] = {
    "strided": lambda a: np.repeat(np.repeat(a, 2, axis=0), 3, axis=-1)[
        (slice(None, None, 2), slice(None, None, 3)) if a.ndim > 1 else slice(None, None, 6)
    ],
    "negative strides": lambda a: np.flip(np.flip(a).copy()),
    "unaligned": unaligned,
}
NOT_QUITE_ARRAYS: dict[str, Callable[[npt.NDArray[Any]], Any]] = {
    "lists": lambda a: a.tolist(),
    "tuple of rows": tuple,
    "something with __array__": HasArray,
}
SPOILT: dict[str, Callable[[npt.NDArray[Any]], Any]] = {
    "no dimension": lambda a: np.array(a.flat[0]),
    "a dimension more": lambda a: a[np.newaxis],
    "three dimensions": lambda a: a.reshape(*a.shape, *[1] * (3 - a.ndim)),
    "twice as wide": lambda a: np.concatenate([a, a], axis=-1),
    "zero-width": lambda a: a[..., :0],
    "complex64": lambda a: a.astype(np.complex64),
    "complex128": lambda a: a.astype(np.complex128),
    "dates": lambda a: a.astype(np.int64).astype("M8[D]"),
    "spans of time": lambda a: a.astype(np.int64).astype("m8[s]"),
    "records": lambda a: np.zeros(a.shape, [("a", F32), ("b", F32)]),
    "nan": with_last(np.nan),
    "infinity": with_last(np.inf),
    "minus infinity": with_last(-np.inf),
    "too large for float32": with_last(1e300),
    "masked": lambda a: np.ma.array(a, mask=np.arange(a.size).reshape(a.shape) == 1),
    "masked nowhere": np.ma.array,
    "ragged lists": lambda a: [[1.0, 0.0], [1.0]],
    "words": lambda a: np.full(a.shape, "red"),
    "objects of all kinds": lambda a: np.array([None, {}, *[1] * (a.size - 2)], object).reshape(
        a.shape
    ),
    "None": lambda a: None,
    "a dict": lambda a: {"a": 1},
    "text alone": lambda a: "hostile",
    "nan of the same dtype": nan_of_the_same_dtype,
}
FORMS: dict[str, Callable[[npt.NDArray[Any]], Any]] = {
    **{
        form: lambda a, dtype=dtype: a.astype(dtype)
        for form, dtype in {**WHOLE, **FLOATS, **NO_NUMBERS}.items()
    },
    **LIKE_CLEAN,
    **LAYOUTS,
    **NOT_QUITE_ARRAYS,
    **SPOILT,
    "Fortran order": np.asfortranarray,
    "matrix": lambda a: np.asmatrix(a),
    "sparse": sparse,
    "no rows": lambda a: a[:0],
    "mapped from a file": lambda a: a,
}

KEPT = {*LIKE_CLEAN, "mapped from a file"}
CONVERTED = {
    *WHOLE,
    *FLOATS,
    *KEPT,
    *LAYOUTS,
    *NOT_QUITE_ARRAYS,
    "Fortran order",
    "object",
}
TEXT = {"text", "byte strings"}
# An estimator's samples: also what stands for numbers, as scikit-learn has it.
TABLE = {*CONVERTED, *TEXT, "matrix", "sparse"}
LABELS = {*WHOLE, *KEPT, *LAYOUTS, *NOT_QUITE_ARRAYS, "Fortran order", "object"}

SAMPLES = (np.arange(24).reshape(6, 4) % 5 % 2).astype(F32)
TARGETS = (np.arange(18).reshape(6, 3) % 5 % 2).astype(F32)
CLASSES = np.array([0, 1, 1, 0, 1, 0])
WEIGHTS = np.array([1, 0, 1, 1, 1, 1], F32)


ANY_LENGTH = frozenset({"no rows", "zero-width", "twice as wide"})

# The entries


@dataclass(frozen=True)
class Entry:
    """An argument of a public entry.

    Attributes
    ----------
    argument : str or None
        What an error has to name; None where errors are those of the compiled code's arrays.
    clean : array
        What it is made for.
    make : callable
        Gives the network, for the name of a backend.
    call : callable
        Takes the network and the argument; returns arrays, or None: the weights are the result.
    takes : set of str
        Forms that give what `clean` gives. All others are refused.
    either : set of str
        Forms that may be refused or give what `clean` gives.
    """

    argument: str | None
    clean: npt.NDArray[Any]
    make: Callable[[str], Any]
    call: Callable[[Any, Any], Any]
    takes: set[str]
    either: frozenset[str] | set[str] = frozenset()


def nn(name: str) -> NN:
    return NN(4, 5, 3, learning_rate=0.5, epochs=2, batch_size=4, seed=3, backend=name)


def article(name: str) -> NN:
    return NN(4, 5, 3, learning_rate=0.5, epochs=2, seed=3, backend=name, rule="article", dtype=F32)


def model(name: str) -> Model:
    network = Network((Dense(4, 5, "tanh"), Dense(5, 3)), optimizer=Adam())
    made = Model(network, backend=name, seed=1)
    return made.initialize("auto", np.random.RandomState(0))


def fresh(kind: type[Any]) -> Callable[[str], Any]:
    def make(name: str) -> Any:
        return kind(
            hidden_layer_sizes=(5,),
            max_iter=2,
            random_state=0,
            dtype=F32,
            backend=name,
            batch_size=4,
        )

    return make


def fitted(kind: type[Any], y: npt.NDArray[Any]) -> Callable[[str], Any]:
    def make(name: str) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return fresh(kind)(name).fit(SAMPLES, y)

    return make


def numbers_of(thing: Any) -> list[npt.NDArray[Any]]:
    """Return what steps change in a network; nothing for what has none yet."""
    inner = thing if isinstance(thing, Model) else getattr(thing, "model", None)
    inner = getattr(thing, "model_", inner)
    return list(inner.arrays().values()) if isinstance(inner, Model) else []


def nothing_of(kind: Any) -> None:
    """Make an entry's network None: it has none."""


RECIPE = Recipe(epochs=2, batch_size=4, learning_rate=0.1)
# Of a model's data NaN shows in the loss, and the step is not taken.
NAN = frozenset({"nan of the same dtype"})
MODEL_TAKES = {*KEPT, "float32", "matrix"}


def set_first_coefs(estimator: Any, value: Any) -> None:
    estimator.coefs_ = [value, estimator.coefs_[1] + 1]


def set_last_coefs(estimator: Any, value: Any) -> None:
    estimator.coefs_ = [estimator.coefs_[0] + 1, value]


def set_coefs_by_slice(estimator: Any, value: Any) -> None:
    estimator.coefs_[:] = [estimator.coefs_[0] + 1, value]


def assigned(attribute: str) -> Callable[[Any, Any], None]:
    return lambda net, value: setattr(net, attribute, value)


def kernels(name: str) -> Any:
    return backends.get(name).kernels(F32)


def engine(name: str) -> Any:
    network = Network((Dense(4, 5, "tanh"), Dense(5, 3)))
    values = np.linspace(-1, 1, network.n_parameters()).astype(F32)
    return backends.get(name).engine(network, values)


def filled(shape: tuple[int, ...], write: Callable[[npt.NDArray[Any]], object]) -> Any:
    out = np.zeros(shape, F32)
    write(out)
    return out


def estimator_entries(kind: type[Any], y: npt.NDArray[Any], y_takes: set[str]) -> dict[str, Entry]:
    name = kind.__name__
    new, old = fresh(kind), fitted(kind, y)
    text = TEXT | {"words", "dates", "spans of time", "objects of all kinds", "matrix", "sparse"}
    y_either = (text | {"twice as wide", "three dimensions"} | (set(FLOATS) | {"matrix"})) - y_takes
    if kind is MLPClassifier:
        # Any number without a fraction can be a class.
        y_either |= {"too large for float32"}
    entries = {
        "fit X": Entry(
            "X", SAMPLES, new, lambda e, v: numbers_of(e.fit(v, y)), TABLE, {"twice as wide"}
        ),
        "fit y": Entry("y", y, new, lambda e, v: numbers_of(e.fit(SAMPLES, v)), y_takes, y_either),
        "fit sample_weight": Entry(
            "sample_weight",
            WEIGHTS,
            new,
            lambda e, v: numbers_of(e.fit(SAMPLES, y, sample_weight=v)),
            CONVERTED,
            {"no dimension", "None"},
        ),
        "fit eval_set X": Entry(
            "eval_set[0][0]",
            SAMPLES,
            new,
            lambda e, v: numbers_of(e.fit(SAMPLES, y, eval_set=[(v, y)])),
            TABLE,
        ),
        "partial_fit X": Entry(
            "X", SAMPLES, old, lambda e, v: numbers_of(e.partial_fit(v, y)), TABLE
        ),
        "partial_fit y": Entry(
            "y",
            y,
            old,
            lambda e, v: numbers_of(e.partial_fit(SAMPLES, v)),
            y_takes,
            y_either - {"words", "objects of all kinds"},
        ),
        "fit eval_set sample_weight": Entry(
            "eval_set[0][2]",
            WEIGHTS,
            new,
            lambda e, v: numbers_of(e.fit(SAMPLES, y, eval_set=[(SAMPLES, y, v)])),
            CONVERTED,
            {"no dimension", "None"},
        ),
        "predictor": Entry(
            None, SAMPLES, old, lambda e, v: e.predictor(6)(v).copy(), MODEL_TAKES | {"uint8"}
        ),
        "predict X": Entry("X", SAMPLES, old, lambda e, v: e.predict(v), TABLE),
        "score X": Entry("X", SAMPLES, old, lambda e, v: np.array(e.score(v, y)), TABLE),
        "score sample_weight": Entry(
            "sample_weight",
            WEIGHTS,
            old,
            lambda e, v: np.array(e.score(SAMPLES, y, v)),
            CONVERTED,
            {"no dimension", "None"},
        ),
        "find_learning_rate X": Entry(
            "X",
            SAMPLES,
            new,
            lambda e, v: find_learning_rate(e, v, y, batch_size=4).losses,
            TABLE,
            {"twice as wide"},
        ),
        "coefs_ first": Entry(
            "coefs_[0]", np.ones((4, 5), F32), old, set_first_coefs, CONVERTED | {"matrix"}
        ),
        "coefs_ last": Entry(
            "coefs_[1]", np.ones((5, 1), F32), old, set_last_coefs, CONVERTED | {"matrix"}
        ),
        "coefs_ by slice": Entry(
            "layers[1]", np.ones((5, 1), F32), old, set_coefs_by_slice, CONVERTED | {"matrix"}
        ),
    }
    return {f"{name} {what}": entry for what, entry in entries.items()}


EDGE = CONVERTED | {"matrix"}
NN_SAMPLES = EDGE | {"sparse"}
ENTRIES: dict[str, Entry] = {
    "NN fit X": Entry("X", SAMPLES, nn, lambda n, v: n.fit(v, TARGETS) and None, NN_SAMPLES),
    "NN fit T": Entry("T", TARGETS, nn, lambda n, v: n.fit(SAMPLES, v) and None, EDGE),
    "NN fit labels": Entry("T", CLASSES, nn, lambda n, v: n.fit(SAMPLES, v) and None, LABELS),
    "NN fit validation X": Entry(
        "validation X",
        SAMPLES,
        nn,
        lambda n, v: np.array(
            n.fit(SAMPLES, TARGETS, validation=(v, TARGETS)).history["validation_loss"]
        ),
        NN_SAMPLES,
    ),
    "NN article fit X": Entry(
        "X", SAMPLES, article, lambda n, v: n.fit(v, TARGETS) and None, NN_SAMPLES
    ),
    "NN backprop X": Entry(
        "X", SAMPLES, nn, lambda n, v: np.array(n.backprop(v, TARGETS)), NN_SAMPLES
    ),
    "NN backprop T": Entry("T", TARGETS, nn, lambda n, v: np.array(n.backprop(SAMPLES, v)), EDGE),
    "NN predict": Entry("X", SAMPLES, nn, lambda n, v: n.predict(v), NN_SAMPLES, {"no rows"}),
    "NN article predict": Entry(
        "X", SAMPLES, article, lambda n, v: n.predict(v), NN_SAMPLES, {"no rows"}
    ),
    "NN forward": Entry("X", SAMPLES, nn, lambda n, v: n.forward(v), NN_SAMPLES, {"no rows"}),
    "NN find_learning_rate X": Entry(
        "X",
        SAMPLES,
        nn,
        lambda n, v: find_learning_rate(n, v, TARGETS, batch_size=4).losses,
        NN_SAMPLES,
    ),
    "NN wih": Entry("wih", np.ones((5, 4), F32), nn, assigned("wih"), EDGE),
    "NN who": Entry("who", np.ones((3, 5), F32), nn, assigned("who"), EDGE),
    "NN bih": Entry("bih", np.ones(5, F32), nn, assigned("bih"), CONVERTED),
    "NN activation": Entry(
        "z",
        SAMPLES,
        nn,
        lambda n, v: n.activation(v).astype(F32).round(6),
        EDGE,
        set(SPOILT) - {"complex64", "complex128", "masked", "masked nowhere"} | {"no rows"},
    ),
    "one_hot": Entry("labels", CLASSES, nothing_of, lambda _, v: one_hot(v), LABELS, ANY_LENGTH),
    "Model train x": Entry(
        "x",
        SAMPLES,
        model,
        lambda m, v: m.train(v, TARGETS, RECIPE) and None,
        MODEL_TAKES | {"uint8"},
    ),
    "Model train t": Entry(
        "t", TARGETS, model, lambda m, v: m.train(SAMPLES, v, RECIPE) and None, MODEL_TAKES
    ),
    "Model train weights": Entry(
        "weights",
        WEIGHTS,
        model,
        lambda m, v: m.train(SAMPLES, TARGETS, RECIPE, weights=v) and None,
        MODEL_TAKES - {"matrix"},
        {"None"},
    ),
    "Model train validation": Entry(
        "validation",
        SAMPLES,
        model,
        lambda m, v: m.train(SAMPLES, TARGETS, RECIPE, validation=Validation(v, TARGETS)) and None,
        MODEL_TAKES | {"uint8"},
        {"nan of the same dtype"},
    ),
    "Model minimize x": Entry(
        "x",
        SAMPLES,
        model,
        lambda m, v: m.minimize(v, TARGETS, RECIPE) and None,
        MODEL_TAKES | {"uint8"},
    ),
    "Model step x": Entry(
        "x",
        SAMPLES,
        model,
        lambda m, v: np.array(m.step(v, TARGETS, 0.1)),
        MODEL_TAKES | {"uint8"},
        NAN,
    ),
    "Model step t": Entry(
        "t", TARGETS, model, lambda m, v: np.array(m.step(SAMPLES, v, 0.1)), MODEL_TAKES, NAN
    ),
    "Model predict x": Entry(
        "x", SAMPLES, model, lambda m, v: m.predict(v), MODEL_TAKES | {"uint8"}, {"no rows"}
    ),
    "Model predict out": Entry(
        "out",
        np.zeros((6, 3), F32),
        model,
        lambda m, v: np.array(m.predict(SAMPLES, v)),
        {"float32", "subclass", "matrix"},
        {"None", "nan of the same dtype"},
    ),
    "Model evaluate x": Entry(
        "x", SAMPLES, model, lambda m, v: m.evaluate(v, TARGETS)[1], MODEL_TAKES | {"uint8"}, NAN
    ),
    "Model evaluate t": Entry(
        "t",
        TARGETS,
        model,
        lambda m, v: np.array(m.evaluate(SAMPLES, v)[0]),
        MODEL_TAKES,
        NAN,
    ),
    "Model find_learning_rate x": Entry(
        "x",
        SAMPLES,
        model,
        lambda m, v: find_learning_rate(m, v, TARGETS, batch_size=4).losses,
        MODEL_TAKES | {"uint8"},
    ),
    "Model predictor": Entry(
        None, SAMPLES, model, lambda m, v: m.predictor(6)(v).copy(), MODEL_TAKES | {"uint8"}
    ),
    "NN predictor": Entry(
        None, SAMPLES, nn, lambda n, v: n.predictor(6)(v).copy(), MODEL_TAKES | {"uint8"}
    ),
    "engine predict x": Entry(
        None,
        SAMPLES,
        engine,
        lambda e, v: filled((6, 3), lambda out: e.predict(v, out)),
        MODEL_TAKES | {"uint8"},
    ),
    "engine train_epoch x": Entry(
        None,
        SAMPLES,
        engine,
        lambda e, v: np.array(e.train_epoch(v, TARGETS, None, 6, 0.1)[0]),
        MODEL_TAKES | {"uint8"},
    ),
    "engine train_epoch t": Entry(
        None,
        TARGETS,
        engine,
        lambda e, v: np.array(e.train_epoch(SAMPLES, v, None, 6, 0.1)[0]),
        MODEL_TAKES,
    ),
    "kernel activate z": Entry(
        None,
        SAMPLES,
        kernels,
        lambda k, v: filled((6, 4), lambda out: k.activate("sigmoid", v, out)),
        MODEL_TAKES,
    ),
    "kernel dense_forward x": Entry(
        None,
        SAMPLES,
        kernels,
        lambda k, v: filled(
            (6, 3),
            lambda out: k.dense_forward(v, np.ones((4, 3), F32), np.zeros(3, F32), out),
        ),
        MODEL_TAKES,
    ),
    **estimator_entries(MLPClassifier, CLASSES, LABELS),
    **estimator_entries(MLPRegressor, WEIGHTS, CONVERTED),
    "MLPClassifier predict_proba X": Entry(
        "X", SAMPLES, fitted(MLPClassifier, CLASSES), lambda e, v: e.predict_proba(v), TABLE
    ),
}
# Below the validation of arguments masks, values and alignment are not checked.
UNSEEN_BELOW_THE_EDGE = {
    "masked",
    "masked nowhere",
    "nan of the same dtype",
    "unaligned",
    "no rows",
}


def fingerprint(value: Any) -> object:
    """Return all that can be seen of an argument."""
    if hasattr(value, "tocsr"):
        return value.data.tobytes(), value.indices.tobytes(), value.shape
    if isinstance(value, HasArray):
        return fingerprint(value.values)
    if isinstance(value, np.ndarray):
        mask = np.ma.getmaskarray(value).tobytes() if isinstance(value, np.ma.MaskedArray) else b""
        return value.tobytes(), mask, str(value.flags), value.dtype, value.shape, value.strides
    return repr(value)


def outcome(entry: Entry, backend: str, value: Any) -> Any:
    """Return the bytes of a result, or the error."""
    made = entry.make(backend)
    before = [array.tobytes() for array in numbers_of(made)]
    seen = fingerprint(value)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # Those that are documented, and NumPy's own about its matrices.
            warnings.simplefilter("ignore", ConvergenceWarning)
            warnings.simplefilter("ignore", DataConversionWarning)
            warnings.filterwarnings("ignore", NUMPY_ON_MATRICES, PendingDeprecationWarning)
            result = entry.call(made, value)
    except (TypeError, ValueError) as error:
        assert [array.tobytes() for array in numbers_of(made)] == before
        assert fingerprint(value) == seen
        return error
    if entry.argument != "out":
        assert fingerprint(value) == seen
    arrays = numbers_of(made) if result is None else result
    return [np.asarray(a).tobytes() for a in (arrays if isinstance(arrays, list) else [arrays])]


@functools.cache
def clean_outcome(entry: str, backend: str) -> Any:
    found = outcome(ENTRIES[entry], backend, ENTRIES[entry].clean.copy())
    assert isinstance(found, list), found
    return found


def _is_meant(entry: Entry, form: str) -> bool:
    """Tell whether the form says something about the entry."""
    if form == "matrix" and entry.clean.ndim == 1:
        return False
    return not (entry.argument is None and form in UNSEEN_BELOW_THE_EDGE)


FAMILIES = {
    "whole numbers": WHOLE,
    "floats": FLOATS,
    "no numbers": {*NO_NUMBERS, "dates", "spans of time", "records", "words"},
    "another layout": LAYOUTS,
    "another shape": {
        "no dimension",
        "a dimension more",
        "three dimensions",
        "twice as wide",
        "zero-width",
        "no rows",
    },
    "not finite": {"nan", "infinity", "minus infinity", "nan of the same dtype"},
    "masked": {"masked", "masked nowhere"},
    "no array": {"ragged lists", "objects of all kinds", "None", "a dict", "text alone"},
}


def entries_and_forms(what: str, form: str) -> list[tuple[str, str]]:
    """What the default run reaches: each entry with each family, each class with each form."""
    family = next((name for name, forms in FAMILIES.items() if form in forms), "the same values")
    return [(what, family), (what.split()[0], form)]


@pytest.mark.covering(goals=entries_and_forms)
@pytest.mark.filterwarnings(f"ignore:{NUMPY_ON_MATRICES}:PendingDeprecationWarning")
@pytest.mark.parametrize(
    ("what", "form"),
    [(what, form) for what, entry in ENTRIES.items() for form in FORMS if _is_meant(entry, form)],
)
def test_a_hostile_array_gives_the_result_of_a_clean_one_or_is_refused_by_name(
    what: str, form: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    entry = ENTRIES[what]
    below_the_edge = entry.argument is None
    kinds = set()
    for backend in SEVERAL_BACKENDS:
        if form == "mapped from a file":
            value = mapped(entry.clean, tmp_path_factory.mktemp("mapped"))
        else:
            value = FORMS[form](entry.clean.copy())
        found = outcome(entry, backend, value)
        if isinstance(found, list):
            kinds.add(None)
            assert form in entry.takes | entry.either | _the_clean_one(entry), "taken in silence"
            if form in entry.takes:
                assert found == clean_outcome(what, backend)
        else:
            kinds.add(type(found))
            assert form not in entry.takes, found
            assert below_the_edge or _names(entry.argument, form, found), found
    assert len(kinds) == 1, kinds


def _names(argument: str | None, form: str, error: Exception) -> bool:
    """Tell whether an error names the argument, or what suffers from it."""
    if form == "nan of the same dtype" and "loss" in str(error):
        return True
    if form == "no rows" and str(error).startswith("t: expected the shape (0, 3)"):
        return True
    name = rf"(?<!\w){re.escape(str(argument))}(?!\w)"
    return re.search(name, str(error), re.IGNORECASE) is not None


def _the_clean_one(entry: Entry) -> set[str]:
    """Return forms that are no others for this entry's clean array."""
    same = {form for form, dtype in {**WHOLE, **FLOATS}.items() if entry.clean.dtype == dtype}
    return same | ({"Fortran order", "three dimensions"} if entry.clean.ndim == 1 else set())


# Arrays that overlap


def test_samples_that_are_the_networks_own_weights_train_as_a_copy_of_them_does(name):
    for train in (
        lambda net, x: net.fit(x, TARGETS[:5]),
        lambda net, x: net.backprop(x, TARGETS[:5]),
    ):
        own, other = nn(name), nn(name)
        samples = own.model.layers[0].weights.T  # (5, 4), strided: it is copied in any case
        train(own, samples)
        train(other, samples_of(other).copy())
        assert own.model.parameters.tobytes() == other.model.parameters.tobytes()


def samples_of(net: NN) -> npt.NDArray[Any]:
    return net.wih


@pytest.mark.parametrize("way", ["train", "minimize", "step", "find_learning_rate"])
def test_a_models_own_parameters_as_its_samples_and_targets_are_as_good_as_copies(name, way):
    def run(overlapping: bool) -> bytes:
        made = model(name)
        x = made.parameters[:12].reshape(3, 4)
        t = made.parameters[12:21].reshape(3, 3)
        if not overlapping:
            x, t = x.copy(), t.copy()
        found: Any = None
        if way == "step":
            found = made.step(x, t, 0.1)
        elif way == "find_learning_rate":
            found = find_learning_rate(made, x, t, batch_size=3).losses.tolist()
        else:
            getattr(made, way)(x, t, RECIPE, validation=Validation(x, t))
        return made.parameters.tobytes() + repr(found).encode()

    assert run(True) == run(False)


def test_weights_set_to_a_view_of_themselves_are_read_before_they_are_written(name):
    net = NN(4, 4, 4, learning_rate=0.1, epochs=1, seed=0, backend=name)
    wanted = net.wih.T.copy()
    net.wih = net.wih.T
    assert net.wih.tobytes() == wanted.tobytes()
    swapped = fitted(MLPRegressor, WEIGHTS)(name)
    first, last = (layer.copy() for layer in swapped.coefs_)
    swapped.coefs_ = [swapped.coefs_[0][::-1], swapped.coefs_[1][::-1]]
    assert swapped.coefs_[0].tobytes() == first[::-1].tobytes()
    assert swapped.coefs_[1].tobytes() == last[::-1].tobytes()


def test_outputs_that_share_memory_with_the_samples_are_refused_and_nothing_is_written(name):
    memory = np.arange(42, dtype=F32)
    before = memory.tobytes()
    x = memory[:24].reshape(6, 4)
    made = model(name)
    for start in (0, 1, 23):
        out = memory[start : start + 18].reshape(6, 3)
        with pytest.raises(ValueError, match=r"out: .* shares memory with x"):
            made.predict(x, out)
        with pytest.raises(ValueError, match=r"out: .* shares memory with x"):
            made.evaluate(x, TARGETS, out=out)
    assert memory.tobytes() == before
    beside = memory[24:].reshape(6, 3)
    assert made.predict(x, beside).tobytes() == made.predict(x.copy()).tobytes()


def test_outputs_that_share_memory_with_targets_weights_or_the_network_are_refused(name):
    made = model(name)
    before = made.parameters.tobytes()
    targets = TARGETS.copy()
    memory = np.ones(24, F32)
    with pytest.raises(ValueError, match="shares memory with t"):
        made.evaluate(SAMPLES, targets, out=targets)
    with pytest.raises(ValueError, match="shares memory with weights"):
        made.evaluate(SAMPLES, targets, memory[:6], memory[5:23].reshape(6, 3))
    for own in ("parameters", "moments"):
        out = getattr(made, own).reshape(-1)[3:21].reshape(6, 3)
        with pytest.raises(ValueError, match=f"shares memory with {own}"):
            made.predict(SAMPLES, out)
    assert made.parameters.tobytes() == before
    assert targets.tobytes() == TARGETS.tobytes()
    assert memory.tobytes() == np.ones(24, F32).tobytes()


def test_a_read_only_output_is_refused(name):
    with pytest.raises(ValueError, match="out: expected a writeable array"):
        model(name).predict(SAMPLES, read_only(np.zeros((6, 3), F32)))


# Sample weights, and settings that are no numbers


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf, -np.inf])
def test_weights_that_no_sample_can_have_are_refused_by_index_and_the_model_stays(name, bad):
    made = model(name)
    before = made.parameters.tobytes()
    weights = WEIGHTS.copy()
    weights[4] = bad
    for use in (
        lambda: made.train(SAMPLES, TARGETS, RECIPE, weights=weights),
        lambda: made.minimize(SAMPLES, TARGETS, RECIPE, weights=weights),
        lambda: made.step(SAMPLES, TARGETS, 0.1, weights),
        lambda: made.evaluate(SAMPLES, TARGETS, weights),
        lambda: made.train(
            SAMPLES, TARGETS, RECIPE, validation=Validation(SAMPLES, TARGETS, weights)
        ),
    ):
        with pytest.raises(ValueError, match=r"weights: expected .*4"):
            use()
    assert made.parameters.tobytes() == before


@pytest.mark.parametrize("bad", ["a", None, [0.5], 1j, np.ones(2)], ids=repr)
@pytest.mark.parametrize(
    ("kind", "setting"),
    [
        (SGD, "momentum"),
        (Adam, "beta_1"),
        (Adam, "epsilon"),
        (Adam, "weight_decay"),
        (RMSprop, "rho"),
        (Nadam, "momentum_decay"),
        (Lion, "beta_2"),
        (Rprop, "increase"),
        (Rprop, "largest_step"),
        (Huber, "delta"),
        (Pinball, "quantile"),
        (lambda dropout: Dense(2, 3, dropout=dropout), "dropout"),
        (lambda l2: Network((Dense(2, 3),), l2=l2), "l2"),
        (lambda averaging: Network((Dense(2, 3),), averaging=averaging), "averaging"),
        (lambda input_scale: Network((Dense(2, 3),), input_scale=input_scale), "input_scale"),
    ],
)
def test_a_setting_that_is_no_number_is_a_type_error_that_names_it(kind, setting, bad):
    with pytest.raises(TypeError, match=f"{setting}: expected a number, found"):
        kind(**{setting: bad})


def test_one_bad_array_among_good_ones_leaves_all_the_weights_as_they_were(name):
    estimator = fitted(MLPRegressor, WEIGHTS)(name)
    before = estimator.model_.parameters.tobytes()
    good = estimator.coefs_[0] + 1
    for bad in (np.ones((4, 1)), np.full((5, 1), np.nan), np.ma.array(np.ones((5, 1))), "a"):
        with pytest.raises((TypeError, ValueError), match=r"coefs_\[1\]"):
            estimator.coefs_ = [good, bad]
    assert estimator.model_.parameters.tobytes() == before
