"""Files of models and checkpoints: their contents, and how they are written, read and checked."""
