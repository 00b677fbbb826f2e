"""The common parts of the docstrings of both learners of tables."""

from __future__ import annotations

from functools import partial
from typing import Any

from cnn_core.estimators.documentation import documented
from cnn_core.tables.recipe import FEWEST_FOLDS, LEAST_ROWS_FOR_FOLDS, MOST_FOLDS, QUALITIES

_TEXTS = {
    "parameters": """
quality : {qualities}, default="balanced"
    How much time there is: "fast" trains few networks, "best" blends several views of the table.
n_members : int, optional
    Networks of each view; by default what `quality` says.
max_steps : int, optional
    Steps of each network; by default what `quality` says.
n_bins : int, optional
    Most bins of the piecewise-linear encoding of a number, 0 for none.
hidden_layer_sizes : int or sequence of int, optional
    Units of each hidden layer.
time_budget : float, optional
    Seconds that the training of all networks is to take. What is learned depends on the speed of
    the machine then.
""",
    "more_parameters": """
cv : int, "time", splitter or iterable of (train, test), optional
    Which rows each network is measured on, and does not learn from. By default as many folds as
    networks in a view, but {fewest} to {most}, those of a classifier stratified; below {least} rows
    none. "time": in the order of the rows, each network learns from what comes before those that it
    is measured on. With fewer networks than folds some rows are never held out.
categorical, numerical : sequence of names or numbers of columns, optional
    Columns whose kind is not to be found out.
random_state : int, RandomState, Generator or None, default=None
    Draws folds, first weights, the order of the rows and dropout. The same int gives the same
    results, with the compiled backend bit for bit and with any number of threads.
callbacks : sequence of Callback, optional
    See `cnn_core.callbacks`. They are told of the training of each network, one at a time.
verbose : bool or int, default=False
    Whether to show on the error output how far the training is.
backend : str, default="auto"
    See `cnn_core.backends.get`.
n_threads : int, optional
    At most so many networks are trained at a time, by default as many as the process may use
    cores.
""",
    "attributes": """
n_features_in_ : int
    Columns of the table.
feature_names_in_ : (n_features,) array of str
    Their names, if they have any.
dropped_columns_ : list of int
    Numbers of the columns that nothing is learned from; `describe_columns` says why.
oof_loss_ : float
    The log-loss, of a regressor the root of the mean squared error, of `oof_prediction_`.
""",
    # Inside the texts above.
    "qualities": "{" + ", ".join(f'"{name}"' for name in QUALITIES) + "}",
    "fewest": str(FEWEST_FOLDS),
    "most": str(MOST_FOLDS),
    "least": str(LEAST_ROWS_FOR_FOLDS),
}
documented_table: Any = partial(documented, texts=_TEXTS)
