"""What is learned, by whom, and how well; see bench/accuracy.py and bench/choose.py."""
