"""Which item comes when: a function of seed and position, so that a resumed run sees what it would have seen."""

import torch
from jaxtyping import Int
from torch import Tensor

_STREAMS = 1 << 20
"""Separates the random numbers of different uses of one seed."""


def seeded(seed: int, stream: int, position: int) -> torch.Generator:
    """Return a CPU generator that depends on all three numbers and nothing else."""
    mixed = (seed * 0x9E3779B97F4A7C15 + stream * 0xBF58476D1CE4E5B9 + position * 0x94D049BB133111EB) % (1 << 63)
    return torch.Generator().manual_seed(mixed)


class ShuffledOrder:
    """Endless passes over some items, each in its own order."""

    def __init__(self, count: int, *, seed: int, stream: int) -> None:
        if count < 1:
            raise ValueError(f"count must be at least 1, got {count}; give shards that hold faces")
        self.count, self._seed, self._stream = count, seed, stream
        self._latest = (-1, torch.empty(0, dtype=torch.long))

    def __call__(self, start: int, stop: int) -> Int[Tensor, " items"]:
        """Return the items at some positions of the endless order."""
        parts = []
        while start < stop:
            turn, first = divmod(start, self.count)
            last = min(self.count, first + stop - start)
            parts.append(self._order(turn)[first:last])
            start += last - first
        return torch.cat(parts) if parts else torch.empty(0, dtype=torch.long)

    def _order(self, turn: int) -> Tensor:
        """The order of one pass; the latest is kept."""
        kept, permutation = self._latest  # one name, so that threads cannot mix two passes
        if turn != kept:
            generator = seeded(self._seed, self._stream + _STREAMS, turn)
            permutation = torch.randperm(self.count, generator=generator)
            self._latest = (turn, permutation)
        return permutation
