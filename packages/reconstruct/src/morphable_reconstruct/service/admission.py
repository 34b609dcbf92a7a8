"""Limits on what is under way at once, so that memory is bounded by options and not by the number of clients."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager


class BusyError(Exception):
    """More requests are under way than allowed."""


class Admission:
    """Admits a limited number of requests, and of decoded pixels among them."""

    def __init__(self, *, max_requests: int, max_pixels: int) -> None:
        """Make limits.

        Args:
            max_requests: Requests from the first byte of their body to their answer; others are refused.
            max_pixels: Pixels of decoded pictures; others wait. A larger picture is decoded alone.
        """
        self._max_requests, self._max_pixels = max_requests, max_pixels
        self._pixels = 0
        self._freed = asyncio.Condition()
        self.requests = 0
        """Requests under way."""

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count a request while it is under way.

        Raises:
            BusyError: Too many are.
        """
        if self.requests >= self._max_requests:
            raise BusyError
        self.requests += 1
        try:
            yield
        finally:
            self.requests -= 1

    @asynccontextmanager
    async def pixels(self, count: int) -> AsyncIterator[None]:
        """Wait until a picture of so many pixels may be decoded, and count it until its answer is made."""
        async with self._freed:
            await self._freed.wait_for(lambda: self._pixels == 0 or self._pixels + count <= self._max_pixels)
            self._pixels += count
        try:
            yield
        finally:
            self._pixels -= count
            async with self._freed:
                self._freed.notify_all()
