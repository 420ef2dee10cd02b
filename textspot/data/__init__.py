"""From records on disk to what a training step sees."""
