"""Photographs to shards: landmarks, skin, crops, a report of what was refused."""
