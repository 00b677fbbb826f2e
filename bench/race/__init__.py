"""The race against other libraries; see bench/peers.py."""
