"""Concurrent requests share forward passes: a bounded queue and one worker."""

import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from morphable_reconstruct.photographs.reading import Photograph
from morphable_reconstruct.reconstructor.reconstructor import Reconstructor
from morphable_reconstruct.scene import Scene
from morphable_reconstruct.service.admission import BusyError


@dataclass(frozen=True, kw_only=True, eq=False)
class _Job:
    """A photograph and where its scene is awaited."""

    photo: Photograph
    result: "asyncio.Future[Scene]"


class Batcher:
    """Collects photographs for a moment and reconstructs them together."""

    def __init__(self, reconstructor: Reconstructor, *, max_queue: int, wait_s: float) -> None:
        self._reconstructor, self._wait_s = reconstructor, wait_s
        self._queue: asyncio.Queue[_Job] = asyncio.Queue(maxsize=max_queue)
        self._worker: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="network")
        self.batch_sizes: list[int] = []

    @property
    def waiting(self) -> int:
        """Photographs in the queue."""
        return self._queue.qsize()

    @property
    def alive(self) -> bool:
        """Whether the worker runs."""
        return self._worker is not None and not self._worker.done()

    def start(self) -> None:
        """Start the worker in the running event loop."""
        self._worker = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Finish what waits, then end the worker."""
        await self._queue.join()
        if self._worker is not None:
            self._worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._worker
        self._thread.shutdown()

    async def submit(self, photo: Photograph) -> Scene:
        """Wait for a photograph's scene; a canceled wait takes the photograph out of the queue.

        Raises:
            BusyError: Too many photographs wait.
        """
        job = _Job(photo=photo, result=asyncio.get_running_loop().create_future())
        try:
            self._queue.put_nowait(job)
        except asyncio.QueueFull:
            raise BusyError from None
        return await job.result

    async def _work(self) -> None:
        """Serve batches for ever."""
        while True:
            jobs = [await self._queue.get()]
            deadline = asyncio.get_running_loop().time() + self._wait_s
            while len(jobs) < self._reconstructor.batch_size:
                left = deadline - asyncio.get_running_loop().time()
                try:
                    jobs.append(
                        self._queue.get_nowait() if left <= 0 else await asyncio.wait_for(self._queue.get(), left)
                    )
                except (asyncio.QueueEmpty, TimeoutError):
                    break
            await self._run([job for job in jobs if not job.result.done()])
            for _ in jobs:
                self._queue.task_done()

    async def _run(self, jobs: list[_Job]) -> None:
        """Reconstruct a batch; if that fails, one by one, so that a request only meets its own error."""
        if not jobs:
            return
        self.batch_sizes = [*self.batch_sizes[-99:], len(jobs)]
        try:
            photos = [job.photo for job in jobs]
            loop = asyncio.get_running_loop()
            scenes = await loop.run_in_executor(self._thread, self._reconstructor.reconstruct, photos)
        except Exception as error:  # whatever it is, the request it belongs to must get it
            if len(jobs) == 1:
                if not jobs[0].result.done():
                    jobs[0].result.set_exception(error)
                return
            for job in jobs:
                await self._run([job])
            return
        for job, scene in zip(jobs, scenes, strict=True):
            if not job.result.done():
                job.result.set_result(scene)
