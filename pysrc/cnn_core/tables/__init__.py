"""`TabularClassifier` and `TabularRegressor`: learners of tables as people have them."""
