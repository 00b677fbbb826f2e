"""The common parts of the docstrings of both learners of tables."""

from __future__ import annotations

from functools import partial
from typing import Any

from cnn_core.estimators.documentation import documented
from cnn_core.tables.recipe import FEWEST_FOLDS, LEAST_ROWS_FOR_FOLDS, MOST_FOLDS, QUALITIES

_TEXTS = {
    "parameters": """
quality : {qualities}, default="balanced"
    Trade-off between time and accuracy: "fast" trains few networks, "balanced" blends them with
    linear models, "best" with another kind of networks as well.
n_members : int, optional
    Networks of each view; by default what `quality` says.
max_steps : int, optional
    Steps of each network; by default what `quality` says.
n_bins : int, optional
    Largest number of bins of the piecewise-linear encoding of a number, 0 for none. Linear models
    have none.
hidden_layer_sizes : int or sequence of int, optional
    Units of each hidden layer of the networks.
time_budget : float, optional
    Seconds for the training of all networks. The result then depends on the speed of the machine.
""",
    "more_parameters": """
cv : int, "time", splitter or iterable of (train, test), optional
    The rows that each network holds out. By default as many folds as networks in a view, but
    {fewest} to {most}, stratified for a classifier; none below {least} rows. "time": each network
    learns only from rows before those that it holds out. With fewer networks than folds some rows
    are never held out.
categorical, numerical : sequence of names or numbers of columns, optional
    Columns whose kind you set, instead of automatic detection.
random_state : int, RandomState, Generator or None, default=None
    Seed of the folds, the first weights, the order of the rows and dropout. The same int gives the
    same results; with the compiled backend the same bits, for any number of threads.
callbacks : sequence of Callback, optional
    See `cnn_core.callbacks`. They are called for the training of each network, one at a time.
verbose : bool or int, default=False
    Whether to show the progress on the error output.
backend : str, default="auto"
    See `cnn_core.backends.get`.
n_threads : int, optional
    Largest number of networks in training at a time; by default the number of cores that the
    process may use.
""",
    "attributes": """
n_features_in_ : int
    Columns of the table.
feature_names_in_ : (n_features,) array of str
    Their names, if they have any.
dropped_columns_ : list of int
    Numbers of the unused columns; `describe_columns` says why.
oof_loss_ : float
    The log-loss of `oof_prediction_`; for a regressor the RMSE.
""",
    # Inside the texts above.
    "qualities": "{" + ", ".join(f'"{name}"' for name in QUALITIES) + "}",
    "fewest": str(FEWEST_FOLDS),
    "most": str(MOST_FOLDS),
    "least": str(LEAST_ROWS_FOR_FOLDS),
}
documented_table: Any = partial(documented, texts=_TEXTS)
