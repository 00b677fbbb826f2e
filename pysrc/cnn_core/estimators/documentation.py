"""The common parts of the docstrings of both estimators."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import TypeVar

from cnn_core.layers import HIDDEN_ACTIVATIONS
from cnn_core.optimizers import SOLVERS
from cnn_core.training.schedules import SCHEDULES

Class = TypeVar("Class", bound=type)


def listed(names: Iterable[str]) -> str:
    """Return names in quotes, with commas between them."""
    return ", ".join(f'"{name}"' for name in names)


_TEXTS = {
    "parameters": """
hidden_layer_sizes : int or sequence of int, default=(100,)
    Units of each hidden layer; none for ``()``.
activation : str or sequence of str, default="relu"
    Activation of the hidden layers, one for all or one for each:
    {activations}.
    "logistic" is "sigmoid". For formulas and sources see
    `cnn_core.backends.interface.Kernels.activate`.
solver : str or optimizer, default="adam"
    {solvers}, or an optimizer of
    `cnn_core.optimizers` with settings of its own; "lbfgs" for L-BFGS by SciPy, on all samples at
    once, which suits small data.
alpha : float, default=0.0001
    Strength of the L2 term, ``alpha / 2`` times the sum of all squared weights, divided by the
    number of samples of a batch.
batch_size : int or "auto", default="auto"
    Samples of a step; "auto" means 200, or all if there are fewer, or for "rprop".
learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
    For "sgd". "invscaling": `learning_rate_init` divided by ``(samples seen before + 1) **
    power_t`` in each epoch. "adaptive": divided by 5 after `n_iter_no_change` epochs without
    improvement; the training ends at 1e-6.
learning_rate_init : float, default=0.001
    The learning rate, or the base of the schedule.
power_t : float, default=0.5
    For "invscaling".
max_iter : int, default=200
    Largest number of epochs, or of iterations of "lbfgs".
shuffle : bool, default=True
    Whether to shuffle the samples in every epoch.
random_state : int, RandomState, Generator or None, default=None
    Seed of the first weights, the order of the samples, the validation split and dropout. The same
    int gives the same results; with the compiled backend the same bits, for any number of threads.
    None gives other results each time.
tol : float, default=1e-4
    Least improvement that counts, of the loss or with `early_stopping` of the score. For "lbfgs":
    the largest derivative at which it has converged.
verbose : bool or int, default=False
    Whether to print a line for each epoch.
warm_start : bool, default=False
    Whether `fit` continues from the last fit, with a new optimizer.
momentum : float, default=0.9
    For "sgd", from 0 to below 1.
nesterovs_momentum : bool, default=True
    For "sgd" with momentum: whether to use Nesterov momentum.
early_stopping : bool, default=False
    Whether to set samples aside, and stop after their score has not improved for `n_iter_no_change`
    epochs. The best weights are always restored. The split is stratified by class. Not for "lbfgs".
validation_fraction : float, default=0.1
    Share of the samples to set aside.
beta_1, beta_2 : float, default=0.9, 0.999
    For "adam", "adamw" and "nadam", from 0 to below 1.
epsilon : float, default=1e-8
    For these and "rmsprop", above 0.
n_iter_no_change : int or inf, default=10
    The training ends after more than this many epochs in a row without an improvement.
max_fun : int, default=15000
    For "lbfgs": largest number of evaluations of the loss.
""",
    "more_parameters": """
dropout : float or sequence of float, default=0.0
    Dropout rate of the hidden layers, one for all or one for each, from 0 to below 1 (Srivastava et
    al., 2014).
normalization : {None, "batch", "layer"} or sequence of them, default=None
    Normalization of the hidden layers before their activation (Ioffe and Szegedy, 2015; Ba et al.,
    2016).
initializer : str or sequence of str, default="auto"
    First weights, one name for all layers or one for each, the last one included: see
    `cnn_core.initializers.initialize`. "auto" gives the same bits as scikit-learn.
weight_decay : float, optional
    For "adamw", by default 0.01, and "lion", by default 0: decoupled weight decay (Loshchilov and
    Hutter, 2019). Unlike `alpha` it is multiplied by the learning rate and applies to biases.
clip_value, clip_norm : float, optional
    Largest absolute value in a gradient, or largest norm of the whole gradient (Pascanu et al.,
    2013). At most one of them.
averaging : float, default=0.0
    Above 0 and below 1: predictions use a running average of the weights with this decay.
schedule : str or Schedule, optional
    Of the learning rate, for every solver but "lbfgs":
    {schedules}, or one of
    `cnn_core.schedules`. It replaces `learning_rate`. The training then takes `max_iter` epochs,
    without a ConvergenceWarning.
scoring : str or callable, optional
    Score of the validation samples: "accuracy", "r2", "loss" for the negative loss, any name for
    scikit-learn's ``get_scorer``, or a function of (estimator, X, y). The function also gets
    `sample_weight` if the samples have weights. NaN is never the best score.
callbacks : sequence of Callback, optional
    See `cnn_core.callbacks`. Those of scikit-learn are for `set_callbacks`.
time_budget : float, optional
    Seconds of training, with at most `max_iter` epochs. The schedule ends with them. The result
    then depends on the speed of the machine.
input_scale : float, default=1.0
    Every feature is multiplied by it. Use ``1 / 255`` for bytes, which stay bytes in memory.
dtype : {None, "float32", "float64"}, default=None
    Of weights and outputs. None: float32 for samples in float32, float16 and bytes, else float64.
backend : {"auto", "cython", "numpy"}, default="auto"
    See `cnn_core.backends.get`.
n_threads : int, optional
    At most this many threads compute; by default the number of cores that the process may use.
""",
    "attributes": """
loss_ : float
    The loss of the last epoch, with the term of `alpha`. Each sample is measured before the step of
    its batch.
best_loss_ : float or None
    The smallest loss of an epoch; None with `early_stopping`.
loss_curve_ : list of float
    The loss of each epoch.
validation_scores_ : list of float or None
    The score on validation samples after each epoch; None without such samples.
validation_loss_curve_ : list of float or None
    The loss on validation samples, without the term of `alpha`.
best_validation_score_ : float or None
    The best of the scores; None without `early_stopping`.
evals_result_ : dict
    For each set of `eval_set` ("eval_0", ...) its "loss" and "score" after each epoch.
n_iter_ : int
    Epochs, or iterations of "lbfgs", of the last fit; of all calls of `partial_fit` together.
t_ : int
    Samples trained on, counted in every epoch.
coefs_ : list of (fan_in, fan_out) arrays
    Weights of each layer: ``activation(x @ coefs_[i] + intercepts_[i])``, layer by layer, gives the
    outputs. They are views: writing into them changes the network. With `input_scale` or batch
    normalization they are read-only copies that include these; you can still assign the whole list.
    They do not exist with layer normalization. Set before the first fit, they are the first
    weights.
intercepts_ : list of (fan_out,) arrays
    Biases of each layer, likewise.
n_features_in_ : int
    Features of a sample.
feature_names_in_ : (n_features,) array of str
    Names of the features, if the samples had any.
n_layers_ : int
    Number of layers, the input layer included.
n_outputs_ : int
    Outputs of the network.
out_activation_ : str
    Activation of the last layer.
stopped_because_ : str or None
    Why the training ended before `max_iter`; None if it did not.
model_ : cnn_core.model.Model
    The network and its trained state.
""",
    "notes": """
Notes
-----
Differences from scikit-learn: the validation split is stratified for any number of classes;
`partial_fit` allows `early_stopping`; a loss that explodes or is not finite stops the training in
that epoch; sample weights are at least 0; a score equal to the best one is not an improvement,
which matters for ``tol=0``. With momentum a new learning rate takes effect at once, and Adam's
`epsilon` is added as in the original paper.

References
----------
Rumelhart, Hinton, Williams, "Learning representations by back-propagating errors", Nature 323,
1986. Kingma and Ba, "Adam: a method for stochastic optimization", 2015. Glorot and Bengio,
"Understanding the difficulty of training deep feedforward neural networks", 2010.
""",
    # Used in the texts above: the names in the registries.
    "activations": listed(["logistic", *HIDDEN_ACTIVATIONS]),
    "solvers": listed(SOLVERS),
    "schedules": listed(SCHEDULES),
}


def documented(kind: Class, texts: Mapping[str, str] = _TEXTS) -> Class:
    """Replace names in braces in a class's docstring by the common texts."""
    # There are no docstrings with ``python -OO``.
    if kind.__doc__:
        text = inspect.cleandoc(kind.__doc__)
        for name, common in texts.items():
            text = text.replace(f"{{{name}}}", common.strip("\n"))
        kind.__doc__ = text
    return kind
