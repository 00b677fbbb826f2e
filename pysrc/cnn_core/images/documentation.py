"""The docstring of `ImageClassifier`: parameters and attributes."""

from __future__ import annotations

from functools import partial
from typing import Any

from cnn_core.estimators.documentation import documented as _documented
from cnn_core.estimators.documentation import listed
from cnn_core.optimizers import SOLVERS
from cnn_core.training.schedules import SCHEDULES

_TEXTS = {
    "parameters": """
architecture : {"small", "wide", "medium"} or sequence of dict or layer, default="small"
    "small": convolutions to 16, 32 and 64 channels, each with a pool, and a dense layer of 128
    units. "wide": twice as many channels. "medium": convolutions to 32, 48 and 48, 96 and 96
    channels. All have batch normalization. Or a list of layers for `cnn_core.Stack.extend`: dicts
    such as ``{"kind": "Conv2D", "channels": 16}``, or layer objects. The output layer is added.
image_shape : tuple of int, optional
    (height, width) or (height, width, channels) of an image, for flat rows. One of them may be -1,
    as in NumPy's reshape. Not needed for arrays of images, nor for rows of square grey ones.
mirror : bool, default=False
    Whether images are mirrored in training, left to right, with probability 1/2. It suits clothes
    and animals, not digits.
shift, crop, erase : int, default=0
    Further random changes in training, in pixels: see `cnn_core.Augmentation`.
mirror_average : bool, default=False
    Whether predictions are averaged over an image and its mirror image, which takes twice the time.
solver : str or optimizer, default="adamw"
    {solvers}, or an optimizer of
    `cnn_core.optimizers` with settings of its own.
alpha : float, default=0.0
    Strength of the L2 term, as for `MLPClassifier`.
batch_size : int or "auto", default="auto"
    Images of a step; "auto" means 64, or all if there are fewer.
learning_rate_init : float, default=0.003
    The learning rate, or the base of the schedule.
max_iter : int, default=16
    Most epochs.
shuffle : bool, default=True
    Whether to shuffle the images in every epoch.
random_state : int, RandomState, Generator or None, default=None
    Seed of the first weights, the order of the images, their random changes, the validation split
    and dropout. The same int gives the same results; with the compiled backend the same bits, for
    any number of threads. None gives other results each time.
tol : float, default=1e-4
    Least improvement that counts, of the loss or with `early_stopping` of the score.
verbose : bool or int, default=False
    Whether to print a line for each epoch.
warm_start : bool, default=False
    Whether `fit` continues from the last fit, with a new optimizer.
early_stopping : bool, default=False
    Whether to set images aside and keep the weights of the epoch with the best score on them. The
    training ends after the score has not improved for `n_iter_no_change` epochs.
validation_fraction : float, default=0.1
    Share of the images to set aside.
n_iter_no_change : int or inf, default=inf
    The training ends after more than this many epochs in a row without an improvement.
class_weight : dict, "balanced" or None, default=None
    As for `MLPClassifier`.
label_smoothing : float, default=0.05
    Share of each target that is spread evenly over all classes, from 0 to below 1.
dropout : float, default=0.2
    Dropout rate of the dense layer, from 0 to below 1. Your own layers have their own.
initializer : str or sequence of str, default="he_normal"
    First weights: see `cnn_core.initializers.initialize`.
weight_decay : float, optional
    For "adamw", by default 0.01, and "lion", by default 0: decoupled weight decay.
clip_value, clip_norm : float, optional
    Largest absolute value in a gradient, or largest norm of the whole gradient. At most one of
    them.
averaging : float, default=0.0
    Above 0 and below 1: predictions use a running average of the weights with this decay.
schedule : str or Schedule, optional, default="auto"
    Of the learning rate: {schedules}, or one of
    `cnn_core.schedules`. None: constant. "auto": "one_cycle", in `partial_fit` constant.
scoring : str or callable, optional
    Score of the validation images, as for `MLPClassifier`.
callbacks : sequence of Callback, optional
    See `cnn_core.callbacks`.
time_budget : float, optional
    Seconds of training, with at most `max_iter` epochs. The schedule ends with them. The result
    then depends on the speed of the machine.
input_scale : float or "auto", default="auto"
    Every value is multiplied by it. "auto": bytes by 1 / 255, so that they stay bytes in memory,
    other numbers by 1.
dtype : {None, "float32", "float64"}, default=None
    Of weights and outputs. None: float32 for images in float32, float16 and bytes, else float64.
backend : {"auto", "cython", "numpy"}, default="auto"
    See `cnn_core.backends.get`.
n_threads : int, optional
    At most this many threads compute; by default the number of cores that the process may use.
""",
    "attributes": """
classes_ : (n_classes,) array
    The classes, sorted; for multilabel targets the column numbers.
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
    The network and its trained state.
""",
    "solvers": listed(SOLVERS),
    "schedules": listed(SCHEDULES),
}
documented: Any = partial(_documented, texts=_TEXTS)
