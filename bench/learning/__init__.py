"""Which data each library learns, and how well; see bench/accuracy.py and bench/choose.py."""
