"""An interval instead of a number.

Three outputs learn the 5 %, 50 % and 95 % quantiles with the pinball loss. The interval is wide
where the data are noisy.
"""

import matplotlib.pyplot as plt
import numpy as np

from cnn_core import MLPRegressor

random = np.random.default_rng(0)
x = np.sort(random.uniform(-3, 3, 1500))
y = np.sin(2 * x) + random.normal(0, 0.05 + 0.25 * (x > 0), 1500)

model = MLPRegressor(
    "pinball",
    quantile=[0.05, 0.5, 0.95],
    hidden_layer_sizes=(64, 64),
    activation="silu",
    schedule="one_cycle",
    learning_rate_init=0.01,
    max_iter=100,
    random_state=0,
)
low, median, high = model.fit(x[:, None], y).predict(x[:, None]).T
print(f"{np.mean((low <= y) & (y <= high)):.3f} of the points are in the interval of 90 %")

figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
axes.scatter(x, y, s=5, color="#777777", alpha=0.5, linewidth=0)
axes.fill_between(x, low, high, color="#0072b2", alpha=0.2, linewidth=0)
axes.plot(x, median, color="#0072b2")
axes.set(xlabel="x", ylabel="y")
axes.spines[["top", "right"]].set_visible(False)
