"""Training and what belongs to it: loop, checkpoints, schedule, processes, log, evaluation."""
