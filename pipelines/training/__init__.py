"""Training, checkpoints, evaluation."""
