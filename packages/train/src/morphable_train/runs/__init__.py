"""What every training run has: loop, optimizer, checkpoints, logs, settings."""
