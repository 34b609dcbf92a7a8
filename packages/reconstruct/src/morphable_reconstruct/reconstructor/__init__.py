"""From photographs to scenes: engines, tiles, per-face networks."""
