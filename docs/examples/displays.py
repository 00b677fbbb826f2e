"""What a network learned, at a glance.

`model.plot` draws the learning curves and what is predicted, `plot_weights` what the first units
look for: red adds, blue takes away.
"""

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from cnn_core import MLPClassifier, plot_weights

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0)
model = MLPClassifier(
    (64,),
    schedule="one_cycle",
    learning_rate_init=0.01,
    max_iter=30,
    early_stopping=True,
    n_iter_no_change=30,
    random_state=0,
)
model.fit(X_train, y_train)
curves, confusion = model.plot(X_test, y_test)
weights = plot_weights(model, n_units=16)
print(f"accuracy {model.score(X_test, y_test):.3f}")
