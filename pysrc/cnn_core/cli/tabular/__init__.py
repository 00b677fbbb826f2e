"""Runs of the tables' learners: from a file with columns of any kind to a run folder."""
