"""From shards to batches: labels, crops, augmentation, streams by step number."""
