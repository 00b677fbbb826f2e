"""Three schedules of the learning rate.

The digits are easy: all three end at about the same accuracy. A rate that falls to nearly nothing
ends with the smallest loss of the training, and without the last epochs' noise.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from cnn_core import MLPClassifier

X, y = load_digits(return_X_y=True)
X = X / 16

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for schedule in ("constant", "one_cycle", "cosine"):
    model = MLPClassifier(
        (64,), schedule=schedule, learning_rate_init=0.03, max_iter=20, random_state=0
    )
    model.fit(X[:1200], y[:1200], eval_set=(X[1200:], y[1200:]))
    history = model.model_.history
    epochs = range(1, len(history["loss"]) + 1)
    left.plot(epochs, history["learning_rate"], label=schedule)
    right.semilogy(epochs, history["loss"], label=schedule)
    print(f"{schedule:10} accuracy {model.score(X[1200:], y[1200:]):.3f}")

left.set(xlabel="epoch", title="learning rate")
right.set(xlabel="epoch", title="loss of the training")
right.legend(frameon=False)
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)
