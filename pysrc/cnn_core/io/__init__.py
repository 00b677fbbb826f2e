"""Files of models and checkpoints: what they hold, how they are written, read and checked."""
