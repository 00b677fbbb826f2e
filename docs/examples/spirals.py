"""A plane divided into spirals.

Two hidden layers of 32 units learn which arm of three spirals a point belongs to. The colours show
what the network answers for each point of the plane.
"""

import matplotlib.pyplot as plt
import numpy as np

from cnn_core import MLPClassifier

random = np.random.default_rng(0)
arm = np.arange(600) % 3
turn = random.uniform(0.2, 1, 600)
angle = 2 * np.pi * (turn + arm / 3) + random.normal(0, 0.15, 600)
X = turn[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)

model = MLPClassifier(
    (32, 32),
    "tanh",
    schedule="one_cycle",
    learning_rate_init=0.02,
    batch_size=32,
    max_iter=150,
    random_state=0,
)
model.fit(X[:300], arm[:300])
print(f"accuracy on the other half: {model.score(X[300:], arm[300:]):.3f}")

axis = np.linspace(-1.2, 1.2, 240)
grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
colours = np.array([[0.0, 0.45, 0.70], [0.84, 0.37, 0.0], [0.0, 0.62, 0.45]])
shares = model.predict_proba(grid) @ colours

figure, axes = plt.subplots(figsize=(5, 5))
axes.imshow(shares.reshape(240, 240, 3), extent=(-1.2, 1.2, -1.2, 1.2), origin="lower", alpha=0.5)
axes.scatter(*X[300:].T, c=colours[arm[300:]], s=18, edgecolor="white", linewidth=0.5)
axes.set_axis_off()
