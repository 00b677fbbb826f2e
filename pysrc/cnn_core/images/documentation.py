"""The parts of the docstring of `ImageClassifier` that come from registries, or are long."""

from __future__ import annotations

from functools import partial
from typing import Any

from cnn_core.estimators.documentation import documented as _documented
from cnn_core.optimizers import SOLVERS
from cnn_core.training.schedules import SCHEDULES


def _listed(names: Any) -> str:
    return ", ".join(f'"{name}"' for name in names)


_TEXTS = {
    "parameters": """
architecture : {"small", "wide", "medium"} or sequence of dict or layer, default="small"
    "small": convolutions to 16, 32 and 64 channels, each with a pool, and a dense layer of 128
    units. "wide": twice as many channels. "medium": of 32, 48 and 48, 96 and 96. With batch
    normalization throughout. Or the layers as `cnn_core.Stack.extend` takes them: dicts such as
    ``{"kind": "Conv2D", "channels": 16}``, or descriptions; the last layer, which gives the
    classes, is added.
image_shape : tuple of int, optional
    (height, width) or (height, width, channels) of an image, for flat rows. One of them may be -1,
    as in NumPy's reshape. Not needed for images that have their shape, and for square grey ones.
mirror : bool, default=False
    Whether every second image, on average, is mirrored in training, left for right. It suits
    clothes and animals, not digits.
shift, crop, erase : int, default=0
    Further random changes in training, in pixels: see `cnn_core.Augmentation`.
mirror_average : bool, default=False
    Whether a prediction is the mean of those of an image and its mirror image, which takes twice
    the time.
solver : str or optimizer, default="adamw"
    {solvers}, or an optimizer of
    `cnn_core.optimizers` with settings of its own.
alpha : float, default=0.0
    Strength of the L2 term, as for `MLPClassifier`.
batch_size : int or "auto", default="auto"
    Images of a step; "auto" stands for 64, or all if there are fewer.
learning_rate_init : float, default=0.003
    The learning rate, or what the schedule makes its rates of.
max_iter : int, default=16
    Most epochs.
shuffle : bool, default=True
    Whether every epoch sees the images in another order.
random_state : int, RandomState, Generator or None, default=None
    Draws first weights, the order of the images, their random changes, those set aside and dropout.
    The same int gives the same results, with the compiled backend bit for bit and with any number
    of threads; None gives others each time.
tol : float, default=1e-4
    What counts as an improvement, of the loss or with `early_stopping` of the score.
verbose : bool or int, default=False
    Whether to print a line for each epoch.
warm_start : bool, default=False
    Whether `fit` goes on from the fit before, with a new optimizer.
early_stopping : bool, default=False
    Whether images are set aside, and the weights of the epoch with the best score on them are
    kept; the training ends once the score has not improved for `n_iter_no_change` epochs.
validation_fraction : float, default=0.1
    Share of the images to set aside.
n_iter_no_change : int or inf, default=inf
    More epochs in a row than this without an improvement end the training.
class_weight : dict, "balanced" or None, default=None
    As for `MLPClassifier`.
label_smoothing : float, default=0.05
    Share of each target that is spread evenly over all classes, from 0 to below 1.
dropout : float, default=0.2
    Share of the units of the dense layer that are left out in a step, from 0 to below 1. Layers of
    your own have theirs.
initializer : str or sequence of str, default="he_normal"
    First weights: see `cnn_core.initializers.initialize`.
weight_decay : float, optional
    For "adamw", by default 0.01, and "lion", by default 0: decoupled weight decay.
clip_value, clip_norm : float, optional
    Largest absolute value in a gradient, or largest norm of all of it. At most one of them.
averaging : float, default=0.0
    Above 0 and below 1: predictions go by a running average of the weights with this decay.
schedule : str or Schedule, optional, default="auto"
    Of the learning rate: {schedules}, or one of
    `cnn_core.schedules`. None: constant. "auto": "one_cycle", in `partial_fit` constant.
scoring : str or callable, optional
    Score of the validation images, as for `MLPClassifier`.
callbacks : sequence of Callback, optional
    See `cnn_core.callbacks`.
time_budget : float, optional
    Seconds that the training is to take, with at most `max_iter` epochs; the schedule ends with
    them. What is learned depends on the speed of the machine then.
input_scale : float or "auto", default="auto"
    Every value is multiplied by it. "auto": bytes by 1 / 255, so that they stay bytes in memory,
    other numbers by 1.
dtype : {None, "float32", "float64"}, default=None
    Of weights and outputs. None: float32 for images in float32, float16 and bytes, else float64.
backend : {"auto", "cython", "numpy"}, default="auto"
    See `cnn_core.backends.get`.
n_threads : int, optional
    At most so many threads take part, by default as many as the process may use cores.
""",
    "attributes": """
classes_ : (n_classes,) array
    The classes, in rising order; for several labels per image the numbers of the columns.
image_shape_ : (height, width, channels)
    The shape of an image.
loss_, best_loss_, loss_curve_, validation_scores_, validation_loss_curve_, best_validation_score_
    As for `MLPClassifier`.
evals_result_ : dict
    For each set of `eval_set` its "loss" and "score" after each epoch.
n_iter_ : int
    Epochs of the last fit; of all calls of `partial_fit` together.
t_ : int
    Images trained on, counted in every epoch.
n_features_in_ : int
    Values of an image.
n_layers_, n_outputs_ : int
    Layers, that of the inputs included; outputs of the network.
stopped_because_ : str or None
    Why the training ended before `max_iter`; None if it did not.
model_ : cnn_core.model.Model
    The network with all that it has learned.
""",
    "solvers": _listed(SOLVERS),
    "schedules": _listed(SCHEDULES),
}
documented: Any = partial(_documented, texts=_TEXTS)
