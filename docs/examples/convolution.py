"""A convolution for small images.

Eight filters of 3 x 3 pixels, pooling, and a dense layer, described as a `Network` and trained by a
`Recipe`. The filters are shown as they were learned: vermilion adds, blue takes away.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from cnn_core import Adam, Conv2D, Dense, MaxPool2D, Model, Network, Recipe, one_hot

X, y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
T = one_hot(y, 10).astype(np.float32)

convolution = Conv2D((8, 8, 1), 8, 3, activation="relu")
pooling = MaxPool2D(convolution.output_shape, 2)
network = Network(
    (convolution, pooling, Dense(pooling.fan_out, 10, "softmax")),
    loss="cross_entropy",
    optimizer=Adam(),
)
model = Model(network, seed=0).initialize("he_uniform", np.random.RandomState(0))
recipe = Recipe(epochs=30, batch_size=32, learning_rate=0.01, schedule="one_cycle")
model.train(X[:1200], T[:1200], recipe)
accuracy = np.mean(model.predict(X[1200:]).argmax(axis=1) == y[1200:])
print(f"accuracy {accuracy:.3f} with {network.n_parameters():,} parameters")

filters = model.layers[0].weights.reshape(3, 3, -1)
most = np.abs(filters).max()
figure, places = plt.subplots(1, 8, figsize=(9, 1.4), layout="constrained")
for number, axes in enumerate(places):
    axes.imshow(filters[:, :, number], cmap="RdBu_r", vmin=-most, vmax=most)
    axes.set_axis_off()
