"""Every public entry that takes an array, and the forms of arrays that it takes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cnn_core import NN, backends, find_learning_rate
from cnn_core.estimators import MLPClassifier, MLPRegressor
from cnn_core.model import Model
from cnn_core.network import Dense, Network
from cnn_core.optimizers import Adam
from cnn_core.targets import one_hot
from cnn_core.training import Recipe, Validation
from hostile_forms import (
    ANY_LENGTH,
    CLASSES,
    CONVERTED,
    F32,
    FLOATS,
    KEPT,
    LABELS,
    SAMPLES,
    SPOILT,
    TABLE,
    TARGETS,
    TEXT,
    WEIGHTS,
)

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
